package sniff

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
)

// recorded puts bursts that are 100 ms apart into a Recorder.
func recorded(bursts ...string) *Recorder {
	start := time.Unix(0, 0)
	r := NewRecorder(10*time.Millisecond, start)
	for i, b := range bursts {
		r.Feed(drivers.Chunk{Data: []byte(b), At: start.Add(time.Duration(i+1) * 100 * time.Millisecond)})
	}
	r.Flush()
	return r
}

// times makes n bursts.
func times(n int, f func(i int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = f(i)
	}
	return all
}

// rtu appends the CRC.
func rtu(text string) string {
	crc := framing.CRC16Modbus.Of([]byte(text))
	return text + string([]byte{byte(crc), byte(crc >> 8)})
}

// nmea makes a sentence.
func nmea(text string) string {
	return fmt.Sprintf("$%s*%02X\r\n", text, framing.XOR.Of([]byte(text)))
}

// ascii makes a message of Modbus ASCII.
func ascii(text string) string {
	return fmt.Sprintf(":%X%02X\r\n", text, framing.LRC.Of([]byte(text)))
}

func poll(i int) string {
	return rtu("\x11\x03\x00\x6B\x00\x03") + rtu("\x11\x03\x06\x02\x2B\x00\x00\x00"+string(rune('a'+i%20)))
}

// What is said on the wire, and what is made of it.
func TestGuesses(t *testing.T) {
	for name, tc := range map[string]struct {
		bursts  []string
		want    string
		snippet []string
		notes   []string
	}{
		"Modbus RTU": {times(5, poll), "Modbus RTU: 10, which explain 100 % of the bytes", []string{"<Type>ModbusRtu</Type>", "<Unit>17</Unit>"},
			[]string{"unit 17: read 3 holding registers from h107: 5 times, every 100ms", "a master is at work on this line already; two of them disturb each other"}},
		"Modbus RTU without silence": {[]string{strings.Join(times(5, poll), "")}, "Modbus RTU: 10, which explain 100 % of the bytes", nil, nil},
		"Modbus RTU, joined in the middle, a silent unit, a write and a refusal": {[]string{poll(0)[5:], rtu("\x12\x04\x00\x00\x00\x02"), rtu("\x12\x04\x00\x00\x00\x02"),
			rtu("\x11\x06\x00\x01\x00\x07") + rtu("\x11\x06\x00\x01\x00\x07"), rtu("\x11\x01\x00\x00\x00\x08") + rtu("\x11\x81\x02"), poll(1)[:11]},
			"Modbus RTU: 8, which explain 100 % of the bytes", []string{"<Unit>17</Unit>", "<Unit>18</Unit>"},
			[]string{"unit 18: read 2 input registers from i0: 2 times, every 100ms, 2 without an answer", "unit 17: write h1: 1 times", "unit 17: read 8 coils from c0: 1 times"}},
		"Modbus ASCII": {times(4, func(i int) string {
			return ascii("\x11\x03\x00\x6B\x00\x03") + ascii("\x11\x03\x02\x00"+string(rune(i)))
		}),
			"Modbus ASCII: 8, which explain 100 % of the bytes", []string{"<Type>ModbusAscii</Type>", "<Unit>17</Unit>"}, nil},
		"NMEA": {times(4, func(i int) string {
			return nmea(fmt.Sprintf("GPRMC,12351%d,A", i)) + nmea(fmt.Sprintf("GPGGA,12351%d,4807", i))
		}),
			"NMEA 0183: 8, which explain 100 % of the bytes", []string{`<Profile>nmea0183</Profile>`}, []string{`sentences ["GPGGA" "GPRMC"]`}},
		"NMEA, joined in the middle": {append([]string{"47,A*7F\r\n"}, times(4, func(i int) string { return nmea(fmt.Sprintf("GPRMC,12351%d,A", i)) })...),
			"NMEA 0183: 4, which explain 100 % of the bytes", nil, nil},
		"P1": {times(3, func(i int) string {
			text := fmt.Sprintf("/XMX5\r\n\r\n1-0:1.8.1(%06d*kWh)\r\n!", i)
			return fmt.Sprintf("%s%04X\r\n", text, framing.CRC16ARC.Of([]byte(text)))
		}), "DSMR P1 telegrams: 3, which explain 100 % of the bytes", []string{`<Profile>dsmr</Profile>`}, nil},
		"a scale": {times(6, func(i int) string { return fmt.Sprintf("\x02ST,GS,+%5d kg\r", 100+i) }),
			`frames from \x02 to \r: 6, which explain 100 % of the bytes`, []string{`<Frame Kind="startend" Start="\x02" End="\r"/>`, `<Message Name="Reading" Match="(?P&lt;value&gt;[+-]?\s*[0-9]+(?:\.[0-9]+)?)">`, `<Field Name="Value" From="value" Type="Float64"/>`}, nil},
		"STX, ETX and the XOR behind it": {times(6, func(i int) string {
			body := fmt.Sprintf("N%04d\x03", 17*i)
			return "\x02" + body + string([]byte{byte(framing.XOR.Of([]byte(body)))})
		}), `frames from \x02 to \x03 and 1 bytes: 6, which explain 100 % of the bytes`,
			[]string{`<Frame Kind="startend" Start="\x02" End="\x03" Trailer="1"/>`, `<Checksum Kind="xor" Encoding="binary" Covers="end"/>`}, []string{"checksum xor, binary, right in all of them"}},
		"lines": {times(5, func(i int) string { return fmt.Sprintf("T=%d.%d;H=4%d\r\n", 20+i, i, i) }),
			`lines of text that end with \r\n: 5, which explain 100 % of the bytes`, []string{`<Frame Kind="delimiter" End="\r\n"/>`, `Type="String"`}, nil},
		"lines, torn":                          {strings.SplitAfter(strings.Repeat("T=20.5;\nH=41\n", 5), ";"), `lines of text that end with \n: 10, which explain 100 % of the bytes`, nil, nil},
		"lines that end with carriage returns": {times(5, func(i int) string { return fmt.Sprintf("+%03d\r", i) }), `lines of text that end with \r: 5, which explain 100 % of the bytes`, nil, nil},
		"lines with a sum": {times(5, func(i int) string {
			text := fmt.Sprintf("W%d", 1000+37*i)
			return fmt.Sprintf("%s*%02X\r\n", text, framing.Sum8.Of([]byte(text)))
		}), `lines of text that end with \r\n: 5, which explain 100 % of the bytes`, []string{`<Checksum Kind="sum8" Encoding="hex" After="*" Covers="body"/>`}, nil},
		"one size": {times(6, func(i int) string { return string([]byte{0xB5, byte(200 + 7*i), 0x80, byte(31 * i)}) }),
			"frames of 4 bytes: 6, which explain 100 % of the bytes", []string{`<Frame Kind="fixed" Size="4"/>`, `Type="Bytes"`}, nil},
		"one size with a CRC": {times(6, func(i int) string {
			b := []byte{0xB5, byte(200 + 7*i), 0x80}
			crc := framing.CRC16CCITT.Of(b)
			return string(append(b, byte(crc>>8), byte(crc)))
		}), "frames of 5 bytes: 6, which explain 100 % of the bytes", []string{`<Checksum Kind="crc16ccitt" Encoding="binary" Covers="body"/>`}, nil},
		"silence": {times(6, func(i int) string { return strings.Repeat(string([]byte{0xB5, byte(200 + 7*i)}), 1+i%3) }),
			"frames with at least 100ms of silence between them: 6, which explain 100 % of the bytes", []string{`<Frame Kind="idle" Gap="50"/>`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			all := Guesses(recorded(tc.bursts...))
			if len(all) == 0 {
				t.Fatal("no guess")
			}
			g := &all[0]
			if g.Verdict() != tc.want {
				t.Errorf("%s, want %s", g.Verdict(), tc.want)
			}
			snippet := g.Snippet(serial.Config{Port: "/dev/ttyS1", BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1})
			for _, part := range tc.snippet {
				if !strings.Contains(snippet, part) {
					t.Errorf("%s is not in\n%s", part, snippet)
				}
			}
			for _, note := range tc.notes {
				if !slices.Contains(g.Notes, note) {
					t.Errorf("%q is not in %q", note, g.Notes)
				}
			}
		})
	}
}

// Noise is taken for nothing but itself.
func TestGuesses_Noise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		bursts := times(8, func(int) string {
			b := make([]byte, 20+random.IntN(200))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return string(b)
		})
		for _, g := range Guesses(recorded(bursts...)) {
			if g.Score() >= Likely {
				t.Errorf("noise is %s", g.Verdict())
			}
		}
	}
	for _, r := range []*Recorder{recorded(), recorded("x"), recorded("\r\n", "\r\n")} {
		for _, g := range Guesses(r) {
			if g.Score() >= Likely {
				t.Errorf("%v is %s", r.Bursts, g.Verdict())
			}
		}
	}
}

// FuzzGuesses: whatever comes, in whatever pieces, guessing ends, and every snippet is made.
func FuzzGuesses(f *testing.F) {
	f.Add([]byte(poll(1)+poll(2)), byte(7))
	f.Add([]byte(nmea("GPRMC,1,A")+nmea("GPRMC,2,A")+"\x02ab\x03\x01\x02cd\x03\x01"), byte(5))
	f.Add([]byte(ascii("\x11\x03\x00\x6B\x00\x03")+"/a!ABCD\r\n"), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		var bursts []string
		for part := range slices.Chunk(data, int(size)+1) {
			bursts = append(bursts, string(part))
		}
		r := recorded(bursts...)
		for _, g := range Guesses(r) {
			if s := g.Score(); s < 0 || s > 1 || math.IsNaN(s) || g.Snippet(serial.Config{Parity: 'N'}) == "" {
				t.Fatalf("%+v", g)
			}
		}
		for i := range r.Bursts {
			if _, err := r.Bursts[i].WriteTo(&strings.Builder{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRecorder(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var shown []string
	r := NewRecorder(10*time.Millisecond, start)
	r.Show = func(b *Burst) { shown = append(shown, fmt.Sprint(b.At, b.Gap, " ", string(b.Data))) }
	for _, c := range []drivers.Chunk{{Data: []byte("a"), At: at(5)}, {Data: []byte("b"), At: at(14)}, {At: at(20)}, {Data: []byte("c"), At: at(24), Lost: true}} {
		r.Feed(c)
	}
	r.Expire(at(33))
	if want := []string{"5ms 5ms ab"}; !slices.Equal(shown, want) || r.Bytes != 3 || r.Lost != 1 {
		t.Errorf("%q", shown)
	}
	r.Expire(at(34))
	if want := []string{"5ms 5ms ab", "24ms 10ms c"}; !slices.Equal(shown, want) || r.Count != 2 {
		t.Errorf("%q", shown)
	}
	// A stream without end is cut, and not kept for ever.
	for i := range 200 {
		r.Feed(drivers.Chunk{Data: make([]byte, 3000), At: at(40 + i)})
	}
	kept := 0
	for _, b := range r.Bursts {
		if kept += len(b.Data); len(b.Data) > maxBurst {
			t.Errorf("a burst of %d bytes", len(b.Data))
		}
	}
	if kept > maxKept || r.Bytes != 3+600000 {
		t.Errorf("%d of %d bytes are kept", kept, r.Bytes)
	}
}

// uart is a line on which somebody speaks at one setting, and that is heard at another one, bit by bit.
type uart struct {
	t           *testing.T
	text        []byte
	from, to    serial.Config
	pause       time.Duration // between repetitions
	errors      uint64
	next        time.Time
	interrupted chan struct{}
	closed      bool
}

func (u *uart) Write([]byte) error {
	u.t.Error("something was written to the line")
	return nil
}

func (u *uart) Interrupt() { close(u.interrupted) }

func (u *uart) Close() error { u.closed = true; return nil }

func (u *uart) Counters() (serial.Counters, error) {
	return serial.Counters{Frame: u.errors}, nil
}

// Receive sleeps until the text comes again.
func (u *uart) Receive(until time.Time) (drivers.Chunk, error) {
	at := u.next
	if at.After(until) {
		at = until
	}
	select {
	case <-u.interrupted:
		return drivers.Chunk{}, nil
	case <-time.After(time.Until(at)):
	}
	if at != u.next {
		return drivers.Chunk{}, nil
	}
	u.next = u.next.Add(u.pause)
	return drivers.Chunk{Data: u.hear(), At: at}, nil
}

// level is the line: true where it is at rest.
func (u *uart) level(bits []bool, at float64) bool {
	i := int(math.Floor(at * float64(u.from.BaudRate)))
	return i < 0 || i >= len(bits) || bits[i]
}

// say is what is on the line, from the start bit of the first character to the stop bit of the last one.
func (u *uart) say() []bool {
	var bits []bool
	for _, c := range u.text {
		odd := false
		bits = append(bits, false)
		for i := range u.from.DataBits {
			bit := c>>i&1 == 1
			odd = odd != bit
			bits = append(bits, bit)
		}
		if u.from.Parity != 'N' {
			bits = append(bits, odd == (u.from.Parity == 'E'))
		}
		bits = append(bits, true)
	}
	return bits
}

// hear samples the middle of each bit behind a falling edge. A character without a stop bit or with a wrong parity is 0,
// as a terminal of Linux has it, and is counted.
func (u *uart) hear() []byte {
	bits := u.say()
	var heard []byte
	bit := 1 / float64(u.to.BaudRate)
	for at, end := 0.0, float64(len(bits))/float64(u.from.BaudRate); at < end; {
		if u.level(bits, at) {
			at += bit / 16
			continue
		}
		var c byte
		odd, wrong := false, false
		middle := at + bit*1.5
		for i := range u.to.DataBits {
			if u.level(bits, middle) {
				c |= 1 << i
				odd = !odd
			}
			middle += bit
		}
		if u.to.Parity != 'N' {
			wrong = u.level(bits, middle) != (odd == (u.to.Parity == 'E'))
			middle += bit
		}
		if !u.level(bits, middle) || wrong {
			u.errors++
			c = 0
		}
		heard = append(heard, c)
		for at = middle; at < end && !u.level(bits, at); {
			at += bit / 16
		}
	}
	return heard
}

// Whatever the line is set to, it is found, and nothing is ever written.
func TestDetect(t *testing.T) {
	texts := map[string]string{
		"a scale":    "\x02ST,GS,+ 1.234 kg\r\x02ST,GS,+ 1.235 kg\r",
		"lines":      "T=20.5;H=41\r\nT=20.6;H=42\r\n",
		"Modbus RTU": poll(1) + poll(2),
		"NMEA":       nmea("GPRMC,123519,A,4807.038,N") + nmea("GPGGA,123519,4807.038,N"),
	}
	for name, text := range texts {
		for _, spoken := range []struct {
			rate   int
			format string
		}{{9600, "8N1"}, {19200, "8E1"}, {115200, "8N1"}, {2400, "7E1"}, {38400, "8O1"}, {4800, "8N1"}, {1200, "8E1"}} {
			if spoken.format == "7E1" && name == "Modbus RTU" {
				continue // eight bits do not go through seven
			}
			t.Run(fmt.Sprint(name, spoken), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { detect(t, text, spoken.rate, spoken.format) })
			})
		}
	}
}

func detect(t *testing.T, text string, rate int, format string) {
	from := serial.Config{BaudRate: rate}
	if err := ParseFormat(format, &from); err != nil {
		t.Fatal(err)
	}
	var opened []*uart
	open := func(c serial.Config) (drivers.Link, error) {
		u := &uart{t: t, text: []byte(text), from: from, to: c, pause: 500 * time.Millisecond, next: time.Now().Add(200 * time.Millisecond), interrupted: make(chan struct{})}
		opened = append(opened, u)
		return u, nil
	}
	var settings []serial.Config
	for _, f := range Formats() {
		for _, r := range Rates() {
			c := serial.Config{BaudRate: r}
			if err := ParseFormat(f, &c); err != nil {
				t.Fatal(err)
			}
			settings = append(settings, c)
		}
	}
	gap := func(serial.Config) time.Duration { return 10 * time.Millisecond }
	tried := 0
	best, err := Detect(t.Context(), open, settings, gap, 3*time.Second, func(*Trial) { tried++ })
	if err != nil || best == nil || best.Config != from || best.Score() < Likely {
		t.Errorf("%v", err)
		if best != nil {
			t.Errorf("%v, score %.2f: %s", best.Config, best.Score(), best.Verdict())
		}
	}
	if tried != slices.Index(settings, from)+1 {
		t.Errorf("%d settings were tried", tried)
	}
	for _, u := range opened {
		if !u.closed {
			t.Error("a line was left open")
		}
	}
}

// A line that is silent, one that ends, and one that cannot be opened.
func TestDetect_Nothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := func(c serial.Config) (drivers.Link, error) {
			return &uart{t: t, to: c, from: c, next: time.Now().Add(time.Hour), interrupted: make(chan struct{})}, nil
		}
		gap := func(serial.Config) time.Duration { return time.Millisecond }
		settings := []serial.Config{{BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1}, {BaudRate: 19200, DataBits: 8, Parity: 'N', StopBits: 1}}
		var verdicts []string
		start := time.Now()
		best, err := Detect(t.Context(), quiet, settings, gap, time.Second, func(t *Trial) { verdicts = append(verdicts, t.Verdict()) })
		if best != nil || err != nil || !slices.Equal(verdicts, []string{"nothing came", "nothing came"}) || time.Since(start) != 2*time.Second {
			t.Error(best, err, verdicts, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		start = time.Now()
		if _, err := Detect(ctx, quiet, settings, gap, time.Minute, func(*Trial) {}); err != nil || time.Since(start) != 500*time.Millisecond {
			t.Error(err, time.Since(start))
		}
		broken := errors.New("no such device")
		if _, err := Detect(t.Context(), func(serial.Config) (drivers.Link, error) { return nil, broken }, settings, gap, time.Second, nil); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
}

func TestParseSettings(t *testing.T) {
	var c serial.Config
	if err := errors.Join(ParseFormat("7E2", &c), ParseRate("31250", &c)); err != nil || c != (serial.Config{BaudRate: 31250, DataBits: 7, Parity: 'E', StopBits: 2}) {
		t.Error(c, err)
	}
	for _, bad := range []string{"", "8N", "9N1", "8X1", "8N3", "8N11", "4N1"} {
		if ParseFormat(bad, &c) == nil {
			t.Errorf("%q is a format", bad)
		}
	}
	for _, bad := range []string{"", "x", "49", "4000001", "-9600"} {
		if ParseRate(bad, &c) == nil {
			t.Errorf("%q is a rate", bad)
		}
	}
}
