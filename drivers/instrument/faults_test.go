package instrument

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/gopcua/opcua/ua"
)

// update writes the table instead of comparing: go test ./drivers/instrument -run FaultTable -update
var update = flag.Bool("update", false, "write the part for plain serial in docs/drivers-faults.md")

const (
	faultTable   = "../../docs/drivers-faults.md"
	faultSection = "\n## Plain serial instruments\n" // where that part begins; what stands before is written by drivers/modbus
)

// place is a column of the table: a kind of channel, and whether the instrument is asked or speaks by itself.
type place struct {
	channel string
	asked   bool
}

func (p place) String() string {
	return p.channel + map[bool]string{true: ", asked", false: ", unasked"}[p.asked]
}

func places() []place {
	return []place{{"Serial", true}, {"Serial", false}, {"SerialTcp", true}, {"SerialTcp", false}}
}

// moment is where a fault strikes: what the instrument was asked, if it was, what it should say, and what was said last
// on the line.
type moment struct {
	conn               net.Conn
	asked, said, prior string
}

func (m *moment) say(text string) { reply(m.conn, text) }

// hangUp closes the link at the instrument's end, as far as it can be heard.
func (m *moment) hangUp() { _ = m.conn.Close() }

// later says something when some time has passed.
func (m *moment) later(d time.Duration, text string) {
	go func() {
		<-time.After(d)
		m.say(text)
	}()
}

// wireFault is one row of the table.
type wireFault struct {
	name      string
	onlyAsked bool // where nobody asks there is no such thing
	strike    func(m *moment)
}

// says is a fault that is a matter of what is said.
func says(f func(m *moment) string) func(*moment) { return func(m *moment) { m.say(f(m)) } }

// insteadSays is a well made message in place of the right one.
func insteadSays(body string) func(*moment) {
	return func(m *moment) { m.say(sealed(body)) }
}

func wireFaults() []wireFault {
	return []wireFault{
		{"nothing comes", false, func(*moment) {}},
		{"it comes 100 ms after the timeout", true, func(m *moment) { m.later(300*time.Millisecond, m.said) }},
		{"it comes in two parts, 50 ms apart", false, func(m *moment) {
			m.say(m.said[:4])
			m.later(50*time.Millisecond, m.said[4:])
		}},
		{"it comes twice", false, says(func(m *moment) string { return m.said + m.said })},
		{"it is cut off", false, says(func(m *moment) string { return m.said[:4] })},
		{"a bit flipped", false, says(func(m *moment) string { return strings.Replace(m.said, "=8", "=9", 1) })},
		{"the checksum is missing", false, says(func(m *moment) string { return m.said[:strings.IndexByte(m.said, '*')] + "]" })},
		{"another device answers", true, insteadSays("B=8 kg")},
		{"a message that no device has", false, insteadSays("C=8 kg")},
		{"the request echoed, and nothing else", true, says(func(m *moment) string { return m.asked })},
		{"the message before it once more", false, says(func(m *moment) string { return m.prior })},
		{"noise before it", false, says(func(m *moment) string { return "\x00\x11]9[A=\xFF" + m.said })},
		{"noise after it", false, says(func(m *moment) string { return m.said + "\x00\x11]9[A=\xFF" })},
		{"3000 bytes of babble before it", false, says(func(m *moment) string { return strings.Repeat("U", 3000) + m.said })},
		{"a message without an end", false, says(func(*moment) string { return "[A=" + strings.Repeat("8", 3000) })},
		{"link closed instead", false, (*moment).hangUp},
		{"link closed in the middle of it", false, func(m *moment) {
			m.say(m.said[:4])
			m.hangUp()
		}},
		{"link closed after it", false, func(m *moment) {
			m.say(m.said)
			m.hangUp()
		}},
		{"the device refuses", true, insteadSays("ERR 3")},
		{"no number", false, insteadSays("A=--- kg")},
		{"not a number (NaN)", false, insteadSays("A=nan kg")},
		{"a byte that is no UTF-8", false, insteadSays("A=8\xFF kg")},
		{"a number beyond the type", false, insteadSays("A=99999999999 kg")},
		{"a number outside of the range", false, insteadSays("A=101 kg")},
		{"another unit", false, insteadSays("A=8 lb")},
	}
}

// sealed is a message with its checksum.
func sealed(body string) string {
	sum := byte(0)
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("[%s*%02X]", body, sum)
}

// twoDevices are on one channel, each with a message and, where they are asked, a poll.
func twoDevices(p place) string {
	text := map[string]string{
		"Serial":    `<Channel Name="Line1" Type="Serial" Port="/dev/ttyS0"/>`,
		"SerialTcp": `<Channel Name="Line1" Type="SerialTcp" Host="127.0.0.1" TcpPort="4001"/>`,
	}[p.channel]
	poll := ""
	if p.asked {
		poll = `<Poll Name="%[2]s" Send="[%[2]s?*{checksum}]" Period="1000" Expect="%[2]s" Nak="^ERR"/>`
	}
	device := `<Device Name="%[1]s" Channel="Line1" Timeout="200" Retries="0" HoldPolls="0" SilenceTimeout="1500">
		<Frame Kind="startend" Start="[" End="]" Max="64"/><Checksum Kind="xor" Encoding="hex" After="*"/>
		<Message Name="%[2]s" Match="^%[2]s=(?P&lt;v&gt;\S*) (?P&lt;u&gt;.*)$">
			<Field Name="%[2]s" From="v" Type="Int32" ExpectUnit="u=kg" EULow="0" EUHigh="%[3]d" RangeStatus="UncertainEngineeringUnitsExceeded"/>
		</Message>` + poll + `</Device>`
	return text + fmt.Sprintf(device, "Dev", "A", 100) + fmt.Sprintf(device, "Other", "B", 200)
}

// tryFault has two devices say something each second, lets what the first one says the second time go wrong, and returns
// the status that its tag shows until the third time. The other device must not notice, nothing wrong may be shown as
// Good, and the third time must be Good again.
func tryFault(t *testing.T, p place, strike func(*moment)) (shown string) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, twoDevices(p))
		r.end = ']'
		r.vars["Dev.Other"] = r.vars["Other.B"]
		stage, prior := 7, ""
		speak := func(who, asked string, conn net.Conn) {
			said := sealed("B=107 kg")
			if who == "A" {
				said = sealed(fmt.Sprintf("A=%d kg", stage))
			}
			if who == "A" && stage == 8 {
				stage++
				strike(&moment{conn, asked, said, prior})
				return
			}
			prior = said
			reply(conn, said)
		}
		r.answer = func(line string, conn net.Conn) {
			if line = line[strings.LastIndexByte(line, '[')+1:]; strings.HasPrefix(line, "A?") || strings.HasPrefix(line, "B?") {
				speak(line[:1], "["+line, conn)
			}
		}
		sick, well := r.watch("A"), r.watch("Other")
		r.run()
		unasked := func(who string) {
			if !p.asked {
				r.change(func() { speak(who, "", r.conns[len(r.conns)-1]) })
			}
		}
		second := func() { // from 100 ms after a full one until 900 ms after it
			unasked("A")
			after(400 * time.Millisecond)
			unasked("B")
			after(400 * time.Millisecond)
		}
		after(100 * time.Millisecond)
		second()
		r.change(func() { stage = 8 })
		after(200 * time.Millisecond)
		second()
		shown = driverstest.StatusName(r.variable("A").Value().Status)
		after(200 * time.Millisecond)
		second()
		r.want("A", good, 9)
		wantOnly(t, sick, int32(7), int32(8), int32(9))
		wantOnly(t, well, int32(107))
		for i, s := range well.Statuses() {
			if i > 0 || !strings.Contains(s, " Good ") {
				t.Errorf("the other device noticed: %s", s)
			}
		}
		r.stop()
	})
	return shown
}

// A device server that closes after each reply: no reading is lost, nobody sees anything of it, and it is
// not asked more often than it should be.
func TestClosedAfterEachReply(t *testing.T) {
	for _, p := range []place{{"Serial", true}, {"SerialTcp", true}} {
		inBubble(t, func(t *testing.T) {
			once := `<Poll Name="Once" Send="[A?*{checksum}]" Period="0" Expect="A"/><Poll Name="A"`
			r := newRig(t, strings.Replace(twoDevices(p), `<Poll Name="A"`, once, 1))
			r.end = ']'
			r.vars["Dev.Other"] = r.vars["Other.B"]
			r.answer = func(line string, conn net.Conn) {
				reply(conn, sealed(map[bool]string{true: "A=7 kg", false: "B=107 kg"}[strings.Contains(line, "A?")]))
				_ = conn.Close()
			}
			a, b := r.watch("A"), r.watch("Other")
			r.run()
			after(20 * time.Second)
			for _, all := range [][]driverstest.Event{a.Events(), b.Events()} {
				if len(all) < 20 || len(all) > 26 { // once a second, and what is asked for once every five seconds
					t.Errorf("%v: %d readings in 20 s", p, len(all))
				}
				for _, e := range all {
					if e.Status != good {
						t.Errorf("%v: %v", p, e)
					}
				}
			}
			r.stop()
		})
	}
}

// wantOnly fails if a Good value is none of these.
func wantOnly(t *testing.T, r *driverstest.Record, values ...any) {
	t.Helper()
	for _, e := range r.Events() {
		allowed := e.Status != ua.StatusOK
		for _, v := range values {
			allowed = allowed || e.Value == v
		}
		if !allowed {
			t.Errorf("%v is shown as Good", e)
		}
	}
}

func TestFaultTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(faultTableHead)
	for _, p := range places() {
		b.WriteString(" " + p.String() + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(places())) + "\n")
	for _, f := range wireFaults() {
		b.WriteString("| " + f.name + " |")
		for _, p := range places() {
			cell := "–"
			if p.asked || !f.onlyAsked {
				t.Run(f.name+"/"+p.String(), func(t *testing.T) { cell = tryFault(t, p, f.strike) })
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	compareTable(t, b.String())
}

const faultTableHead = `
Written by ` + "`go test ./drivers/instrument -run FaultTable -update`" + `, and checked by it as above.

Two instruments share a channel and a checksum. They are asked once a second, with a timeout of 200 ms, without retries and with
` + "`HoldPolls=0`" + `; or they speak once a second without being asked, with ` + "`SilenceTimeout=1500`" + `. What the first of them says the
second time meets the fault. Each cell is the status that its tag shows until the third time, which must be Good; Good means that the
right value came in spite of the fault. Again the other one must stay Good all the time, and nothing wrong may be Good.

| Fault |`

func compareTable(t *testing.T, table string) {
	t.Helper()
	old, err := os.ReadFile(faultTable)
	if err != nil {
		t.Fatal(err)
	}
	before, mine, _ := strings.Cut(string(old), faultSection)
	if *update {
		if err := os.WriteFile(faultTable, []byte(before+faultSection+table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if mine != table {
		t.Errorf("%s is not true any more; write it again with -update and look at the difference", faultTable)
	}
}
