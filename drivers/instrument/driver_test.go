package instrument

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Statuses as they come on the wire side of the table of status codes.
var (
	held    = ua.StatusUncertainNoCommunicationLastUsableValue
	waiting = ua.StatusBadWaitingForInitialData
	noComm  = ua.StatusBadNoCommunication
	good    = ua.StatusOK
)

// scale is an instrument that sends its weight by itself.
const scale = `<Frame Kind="startend" Start="\x02" End="\r" Max="64"/>
	<Message Name="Weight" Match="^(?P&lt;st&gt;ST|US|OL),(?P&lt;gn&gt;GS|NT),(?P&lt;v&gt;[+-]\s*[0-9.]+)\s*(?P&lt;u&gt;kg|g)">
		<Field Name="Weight" From="v" Type="Float64" Unit="KGM" ExpectUnit="u=kg"/>
		<Field Name="Stable" From="st" Type="Bool" True="ST" False="US|OL"/>
		<Status When="st=OL" Field="Weight" Code="UncertainEngineeringUnitsExceeded"/>
	</Message>`

func TestStream(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`SilenceTimeout="3000"`, scale))
		r.run()
		r.want("Weight", waiting, nil)
		settle()
		weight := r.watch("Weight")
		r.say("\x02ST,GS,+  12.5kg\r")
		r.want("Weight", good, 12.5)
		r.want("Stable", good, true)
		r.say("\x02US,GS,- 0.5 kg\r\x02OL,GS,+ 99.9 kg\r")
		r.want("Weight", ua.StatusUncertainEngineeringUnitsExceeded, 99.9)
		r.want("Stable", good, false)
		r.say("\x02ST,GS,+ 500 g\r") // another unit is another value
		r.want("Weight", ua.StatusBadConfigurationError, nil)
		r.want("Stable", good, true)
		r.say("\x02ST,GS,+ 1.5 kg\r")
		after(4 * time.Second) // silence
		r.want("Weight", ua.StatusUncertainLastUsableValue, 1.5)
		after(time.Hour) // and it stays held: nothing has failed
		r.want("Weight", ua.StatusUncertainLastUsableValue, 1.5)
		r.say("\x02ST,GS,+ 2.5 kg\r")
		r.want("Weight", good, 2.5)
		if got := fmt.Sprint(weight.Events()[:3]); got != "[1ms Good 12.5 3ms Good -0.5 3ms UncertainEngineeringUnitsExceeded 99.9]" &&
			!strings.Contains(got, "Good -0.5") {
			t.Error(got)
		}
		r.counted(frames, 6)
		r.counted(messages, 6)
	})
}

// A silent device that never said anything is waited for.
func TestSilentFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, scale))
		r.run()
		after(time.Minute)
		r.want("Weight", waiting, nil)
	})
}

// The port goes away in the middle of a frame and comes back: statuses go and come by themselves, and half a frame is none.
func TestUnplugInMidFrame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, scale))
		r.run()
		settle()
		weight := r.watch("Weight")
		r.say("\x02ST,GS,+  12.5kg\r\x02ST,GS,+  1")
		r.down.Store(true)
		r.hangUp()
		after(400 * time.Millisecond)
		r.want("Weight", held, 12.5) // the attempt that follows at once was refused
		after(2 * time.Second)
		r.want("Weight", noComm, nil)
		if s := r.gauge("#Channels/Line1/State"); s != "down" {
			t.Error(s)
		}
		r.down.Store(false)
		after(10 * time.Second)
		r.want("Weight", waiting, nil) // there is a link again
		r.say("3.5kg\r")               // the rest of the torn frame, and noise
		r.want("Weight", waiting, nil)
		r.say("\x02ST,GS,+  14.5kg\r")
		r.want("Weight", good, 14.5)
		wantPrefix(t, weight, "Good 12.5", "UncertainNoCommunicationLastUsableValue 12.5", "BadNoCommunication <nil>",
			"BadWaitingForInitialData <nil>", "Good 14.5")
		r.counted(reconnects, 1)
	})
}

// wantPrefix compares statuses without their times.
func wantPrefix(t *testing.T, r *driverstest.Record, want ...string) {
	t.Helper()
	var got []string
	for _, s := range r.Statuses() {
		_, s, _ = strings.Cut(s, " ")
		got = append(got, s)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("statuses\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// A break that is mended at once is no news.
func TestShortBreak(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, scale))
		r.run()
		settle()
		weight := r.watch("Weight")
		r.say("\x02ST,GS,+  12.5kg\r")
		r.hangUp()
		after(time.Second)
		r.say("\x02ST,GS,+  13.5kg\r")
		wantPrefix(t, weight, "Good 12.5")
		r.want("Weight", good, 13.5)
	})
}

func TestNobodyThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, scale))
		r.down.Store(true)
		r.run()
		after(time.Minute)
		r.want("Weight", noComm, nil)
		if n := r.dials.Load(); n < 4 || n > 12 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

// sensors is a stream with a checksum and two messages.
const sensors = `<Frame Kind="startend" Start="$" End="\r\n" Max="64"/><Checksum Kind="xor" Encoding="hex" After="*"/>
	<Message Name="Temp" Prefix="T," Format="columns"><Field Name="Temp" From="1" Type="Float64"/></Message>
	<Message Name="Hum" Prefix="H," Format="columns"><Field Name="Hum" From="1" Type="Float64"/></Message>`

// A wrong checksum fails the message that it looks like, for one reading, and nobody else.
func TestWrongChecksumInAStream(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`SilenceTimeout="0"`, sensors))
		r.run()
		settle()
		temp := r.watch("Temp")
		r.say("$T,21.4*00\r\n") // before there was any value
		r.want("Temp", ua.StatusBadCommunicationError, nil)
		r.want("Hum", waiting, nil)
		r.say("$T,21.5*60\r\n$H,40*60\r\n")
		r.want("Temp", good, 21.5)
		r.want("Hum", good, 40)
		r.say("$T,91.5*46\r\n")
		r.want("Temp", held, 21.5)
		r.want("Hum", good, 40)
		r.say("$T,91.5*46\r\n")
		r.want("Temp", ua.StatusBadCommunicationError, nil)
		r.say("$T,21.6*63\r\n")
		r.want("Temp", good, 21.6)
		r.want("Hum", good, 40)
		wantPrefix(t, temp, "BadCommunicationError <nil>", "Good 21.5", "UncertainNoCommunicationLastUsableValue 21.5", "BadCommunicationError <nil>", "Good 21.6")
		r.counted(checksums, 3)
	})
}

// Endless bytes that make no frame, such as at the wrong rate, are said to be so, and do not fill the memory.
func TestBabble(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, sensors))
		r.run()
		settle()
		for range 100 {
			r.say(strings.Repeat("\xFF\x00\x80U", 100))
		}
		r.want("Temp", ua.StatusBadCommunicationError, nil)
		if n := len(r.driver.line.scanner.Pending()); n > 64 {
			t.Errorf("%d bytes are kept", n)
		}
		r.say("$" + strings.Repeat("9", 10000)) // a frame without end
		r.say("$T,21.5*60\r\n")
		r.want("Temp", good, 21.5)
		if s := r.gauge("#Channels/Line1/LastError"); !strings.Contains(s.(string), "wrong rate") {
			t.Error(s)
		}
	})
}

// The same code twice is two events, and each has its time.
func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Profile>barcode</Profile>`))
		r.run()
		after(time.Second)
		code, number := r.watch("Code"), r.watch("Scan.Sequence")
		r.say("4006381333931\r\n")
		first := r.variable("Scan.Time").Value()
		after(5 * time.Second)
		r.say("4006381333931\r")
		r.say("\n")
		if n := len(code.Events()); n != 2 || len(number.Events()) != 2 {
			t.Errorf("%v %v", code.Events(), number.Events())
		}
		r.want("Code", good, "4006381333931")
		r.want("Scan.Sequence", good, 2)
		second := r.variable("Scan.Time").Value()
		if d := second.SourceTimestamp.Time().Sub(first.SourceTimestamp.Time()); d < 5*time.Second {
			t.Error(d)
		}
		after(24 * time.Hour) // nobody has scanned since, and nothing is wrong
		r.want("Code", good, "4006381333931")
		r.say("caf\xE9\r\n") // no UTF-8
		r.want("Code", ua.StatusBadConfigurationError, nil)
		r.want("Scan.Sequence", good, 3)
	})
}

// polled is an instrument that answers, with two polls whose replies look alike.
const polled = `<Frame Kind="delimiter" End="\r\n"/>
	<Poll Name="A" Send="A?\r\n" Period="1000" Timeout="300" Retries="1"><Field Name="A" Type="Float64"/></Poll>
	<Poll Name="B" Send="B?\r\n" Period="1000" Timeout="300" Retries="1" Nak="^ERR"><Field Name="B" Type="Float64"/></Poll>`

func reply(conn net.Conn, text string) { _, _ = conn.Write([]byte(text)) }

func TestPolls(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`DemoteAfter="3"`, polled))
		r.answer = func(line string, conn net.Conn) {
			reply(conn, map[string]string{"A?\r\n": "+1.5\r\n", "B?\r\n": "2.5E1\r\n"}[line])
		}
		r.run()
		after(10 * time.Millisecond)
		r.want("A", good, 1.5)
		r.want("B", good, 25)
		after(5 * time.Second)
		r.counted(requests, 12)
		r.counted(replies, 12)
		r.counted(noise, 0)
		if s := r.gauge("Dev#Diagnostics/State"); s != "online" {
			t.Error(s)
		}
	})
}

// A device that falls silent is held once, then Bad, then left alone, and read at once when it is back.
func TestSilentDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`DemoteAfter="3" TimeSuspend="10000" MaxSuspend="10000"`,
			`<Frame Kind="delimiter" End="\n"/><Poll Name="A" Send="A?\n" Period="1000" Timeout="300" Retries="1"><Field Name="A" Type="Float64"/></Poll>
			<Command Name="Go" Send="GO\n" Ack="OK"/>`))
		silent := false
		r.answer = func(_ string, conn net.Conn) {
			if !silent {
				reply(conn, "1.5\n")
			}
		}
		r.run()
		a := r.watch("A")
		after(1500 * time.Millisecond)
		r.change(func() { silent = true })
		after(8500 * time.Millisecond)
		if s := r.gauge("Dev#Diagnostics/State"); s != "demoted" {
			t.Error(s)
		}
		if s := r.call("Dev#Go"); s != noComm {
			t.Errorf("command to a demoted device: %v", s)
		}
		r.change(func() { silent = false })
		after(20 * time.Second)
		r.want("A", good, 1.5)
		got := a.Statuses()
		if len(got) != 5 {
			t.Fatal(got)
		}
		for i, want := range []string{"0 Good 1.5", "2.6 UncertainNoCommunicationLastUsableValue 1.5", "3.3 BadTimeout <nil>", "BadNoCommunication <nil>", "Good 1.5"} {
			at, status, _ := strings.Cut(want, " ")
			if i > 2 {
				at, status = "", want
			}
			if i > 0 && !strings.HasPrefix(got[i], at) || !strings.Contains(got[i], status) {
				t.Errorf("%q, want %q", got[i], want)
			}
		}
	})
}

// A reply that comes too late answers nothing: neither the repetition's successor nor the next poll gets it.
func TestLateReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, polled))
		late := true
		r.answer = func(line string, conn net.Conn) {
			text := map[string]string{"A?\r\n": "1\r\n", "B?\r\n": "2\r\n"}[line]
			if line == "A?\r\n" && late {
				go func() {
					<-time.After(700 * time.Millisecond) // after both attempts
					reply(conn, text)
				}()
				return
			}
			go func() {
				<-time.After(200 * time.Millisecond) // in which the reply of A would come, if B were asked at once
				reply(conn, text)
			}()
		}
		r.run()
		b := r.watch("B")
		after(900 * time.Millisecond)
		r.change(func() { late = false })
		after(5 * time.Second)
		r.want("A", good, 1)
		r.want("B", good, 2)
		for _, e := range b.Events() {
			if e.Value != nil && e.Value != 2.0 {
				t.Errorf("B got the reply of A: %v", e)
			}
		}
		if r.driver.line.total.get(lateReplies) == 0 {
			t.Error("no late reply was seen")
		}
		r.stop()
		after(time.Second) // until the last reply was not heard
	})
}

// The first reply, late, answers the repetition; the reply to the repetition must not answer the next poll.
func TestReplyToARepetition(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, strings.Replace(polled, `Name="B" Send="B?\r\n" Period="1000" Timeout="300"`, `Name="B" Send="B?\r\n" Period="60000" Timeout="1000"`, 1)))
		r.answer = func(line string, conn net.Conn) {
			delay, text := 450*time.Millisecond, "1\r\n"
			if line == "B?\r\n" {
				delay, text = 500*time.Millisecond, "2\r\n"
			}
			go func() {
				<-time.After(delay)
				reply(conn, text)
			}()
		}
		r.run()
		b := r.watch("B")
		after(3 * time.Second)
		r.want("A", good, 1)
		wantPrefix(t, b, "Good 2")
		r.stop()
		after(time.Second) // until the last reply was not heard
	})
}

// A reply with a wrong checksum is asked for again, and is never shown.
func TestWrongChecksumOfAReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Retries="1"`, `<Frame Kind="delimiter" End="\r"/><Checksum Kind="sum8" Encoding="hex"/>
			<Poll Name="A" Send="A{checksum}\r" Period="1000"><Field Name="A" Type="UInt16"/></Poll>`))
		r.end = '\r'
		n, wrong := 0, 2
		r.answer = func(line string, conn net.Conn) {
			if line != "A41\r" {
				t.Errorf("asked %q", line)
			}
			if n++; n%wrong != 0 {
				reply(conn, "7FF\r")
				return
			}
			reply(conn, "737\r")
		}
		r.run()
		a := r.watch("A")
		after(2500 * time.Millisecond)
		r.want("A", good, 7)
		wantPrefix(t, a, "Good 7")
		r.change(func() { wrong = 1000 })
		after(2 * time.Second)
		r.want("A", ua.StatusBadCommunicationError, nil)
		r.counted(checksums, 3+1+2)
	})
}

// Bytes in pieces, noise around, two frames at once: a reply is a reply.
func TestBadManners(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="startend" Start="[" End="]"/>
			<Message Name="V" Match="^V=(?P&lt;v&gt;.*)$"><Field Name="V" From="v" Type="Int32"/></Message>
			<Message Name="Alarm" Prefix="ALARM" Event="1"/>
			<Poll Name="V" Send="V\n" Period="1000" Timeout="300" Expect="V"/>`))
		n := 0
		r.answer = func(_ string, conn net.Conn) {
			n++
			switch n % 4 {
			case 0:
				for _, c := range "noise[V=5]noise" {
					reply(conn, string(c))
				}
			case 1:
				reply(conn, "\xFF\x00[ALARM 7][X]\r\n[V=5][V=6]")
			case 2:
				reply(conn, "[V=")
				go func() {
					<-time.After(250 * time.Millisecond)
					reply(conn, "5]")
				}()
			case 3:
				reply(conn, "[V=[V=5]")
			}
		}
		r.run()
		v := r.watch("V")
		after(20 * time.Second)
		for _, e := range v.Events() {
			if e.Status != good || e.Value != int32(5) {
				t.Error(e)
			}
		}
		r.want("Alarm.Sequence", good, 5) // in the middle of a poll, and nobody missed it
		if s := r.gauge("#Channels/Line1/LastUnmatched"); s != "X" {
			t.Error(s)
		}
	})
}

// Who comes into the middle of a line does not take its end for a value.
func TestJoinInTheMiddle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="delimiter" End="\n"/><Message Name="M"><Field Name="F" Type="Float64"/></Message>`))
		r.run()
		settle()
		f := r.watch("F")
		r.say("2.5\n12.5\n")
		wantPrefix(t, f, "Good 12.5")
	})
}

// A connection that hangs is told of before it has failed.
func TestHangingConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, scale))
		r.run()
		settle()
		r.say("\x02ST,GS,+  12.5kg\r")
		r.hang.Store(int64(3 * time.Second))
		r.hangUp()
		after(400 * time.Millisecond)
		r.want("Weight", good, 12.5)
		after(500 * time.Millisecond)
		r.want("Weight", held, 12.5)
		after(3 * time.Second)
		r.say("\x02ST,GS,+  13.5kg\r")
		r.want("Weight", good, 13.5)
	})
}

// A device that is back is asked everything at once, and after a command as well.
func TestEverythingAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`DemoteAfter="1" TimeSuspend="1000" MaxSuspend="1000" Retries="0"`, `<Frame Kind="delimiter" End="\n"/>
			<Poll Name="A" Send="A\n" Period="60000"><Field Name="A" Type="Int16"/></Poll><Poll Name="B" Send="B\n" Period="60000"><Field Name="B" Type="Int16"/></Poll>
			<Command Name="Go" Send="GO\n" Ack="^OK"/>`))
		n, there := 0, true
		r.answer = func(line string, conn net.Conn) {
			if line == "GO\n" {
				reply(conn, "OK\n")
			} else if n++; there {
				reply(conn, fmt.Sprintf("%d\n", n))
			}
		}
		r.run()
		settle()
		r.want("B", good, 2)
		if s := r.call("Dev#Go"); s != good {
			t.Error(s)
		}
		settle()
		r.want("B", good, 4)
		r.change(func() { there = false })
		after(90 * time.Second)
		r.want("B", held, 4)
		r.change(func() { there = true })
		after(5 * time.Second)
		r.want("A", good, r.variable("A").Value().Value.Any())
		r.want("B", good, r.variable("B").Value().Value.Any())
	})
}

// Boards that start anew when their port is opened are given time: nothing is sent, and what they say meanwhile is half of
// something.
func TestStartupDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(dev(``, polled), `TcpPort=`, `StartupDelay="2000" TcpPort=`, 1))
		r.answer = func(_ string, conn net.Conn) { reply(conn, "1\r\n") }
		r.run()
		after(1900 * time.Millisecond)
		if r.said() != "" {
			t.Errorf("%q was sent", r.said())
		}
		after(200 * time.Millisecond)
		r.want("A", good, 1)
	})
}

func TestDisabledDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(`Disabled="1"`, `<Profile>sics</Profile><Command Name="Text" Type="String" Send="D {value}\r\n"/>`))
		r.run()
		after(time.Minute)
		r.want("Weight", ua.StatusBadOutOfService, nil)
		if s := r.write("Text", "x"); s != ua.StatusBadOutOfService || r.dials.Load() != 0 {
			t.Error(s, r.dials.Load())
		}
	})
}

// A command that waits when the driver ends is answered, and not sent.
func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="delimiter" End="\n"/><Command Name="Slow" Send="SLOW\n" Ack="OK" Timeout="60000"/>`))
		r.run()
		settle()
		got := make(chan ua.StatusCode, 2)
		for range 2 {
			go func() { got <- r.call("Dev#Slow") }()
		}
		after(time.Second)
		r.cancel()
		for range 2 {
			if s := <-got; s != ua.StatusBadShutdown {
				t.Error(s)
			}
		}
		<-r.done
		if h := r.said(); h != "SLOW\n" {
			t.Errorf("%q", h)
		}
	})
}

func TestTraceAndCounters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, polled))
		r.answer = func(_ string, conn net.Conn) { reply(conn, "1\r\n") }
		r.run()
		after(1500 * time.Millisecond)
		if s := r.call("#Channels/Line1/SetTrace", uabinary.Uint32Variant(10)); s != good {
			t.Error(s)
		}
		if s := r.call("#Channels/Line1/SetTrace", uabinary.Uint32Variant(4000)); s != ua.StatusBadOutOfRange {
			t.Error(s)
		}
		if s := r.call("Dev#Diagnostics/ResetCounters"); s != good || r.gauge("Dev#Diagnostics/Requests") != uint64(0) {
			t.Error(s)
		}
		if s := r.call("Dev#Diagnostics/Probe"); s != good {
			t.Error(s)
		}
		settle()
		if n := r.gauge("Dev#Diagnostics/Requests"); n != uint64(2) {
			t.Errorf("%v requests after Probe", n)
		}
		if s := r.call("#Channels/Line1/ResetCounters"); s != good || r.gauge("#Channels/Line1/BytesReceived") != uint64(0) {
			t.Error(s)
		}
	})
}
