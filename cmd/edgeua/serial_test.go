package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// heard collects what a command prints, and presses Ctrl-C when a text has come so many times.
type heard struct {
	mu     sync.Mutex
	text   bytes.Buffer
	wanted string
	count  int
	enough context.CancelFunc
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p)
	if strings.Count(h.text.String(), h.wanted) >= h.count {
		h.enough()
	}
	return len(p), nil
}

// chatterbox is a line on which somebody says something every 80 ms.
type chatterbox struct {
	say  func(i int) string
	said int
	next time.Time
}

func (l *chatterbox) Receive(until time.Time) (drivers.Chunk, error) {
	if until.Before(l.next) {
		time.Sleep(time.Until(until))
		return drivers.Chunk{}, nil
	}
	time.Sleep(time.Until(l.next))
	text := l.say(l.said)
	l.said++
	l.next = l.next.Add(80 * time.Millisecond)
	return drivers.Chunk{Data: []byte(text), At: time.Now()}, nil
}

func (l *chatterbox) Write([]byte) error { return errors.New("something is sent") }
func (l *chatterbox) Interrupt()         {}
func (l *chatterbox) Close() error       { return nil }

// sniffing runs the command on a chatterbox, in simulated time, and returns what it prints.
func sniffing(t *testing.T, say func(i int) string, wanted string, count int, args ...string) (text string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &heard{wanted: wanted, count: count, enough: cancel}
		cmd := sniffCommand(func(serial.Config) (drivers.Link, error) {
			return &chatterbox{say: say, next: time.Now().Add(80 * time.Millisecond)}, nil
		})
		cmd.SetArgs(append([]string{"/dev/ttyUSB0"}, args...))
		cmd.SetOut(out)
		cmd.SetErr(out)
		if err := cmd.ExecuteContext(ctx); err != nil {
			t.Errorf("%v\n%s", err, out.text.String())
		}
		text = out.text.String()
	})
	return text
}

// spoken gives the port on which somebody says something every 80 ms.
func spoken(t *testing.T, say func(i int) string, listen func(ctx context.Context, cancel context.CancelFunc, port string)) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var speaking sync.WaitGroup
	defer speaking.Wait()
	defer cancel()
	speaking.Go(func() {
		ticker := time.NewTicker(80 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if _, err := far.WriteString(say(i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	listen(ctx, cancel, near.Name())
}

func scale(i int) string { return fmt.Sprintf("\x02ST,GS,+ %05.2f kg\r", 12.34+float64(i)/100) }

// moments are the times in a report, which are never the same.
func moments() *regexp.Regexp { return regexp.MustCompile(`[ +]*[0-9]+\.[0-9]+ m?s`) }

// The run in docs/drivers.md is a real one.
func TestSerialSniff_AsInTheDocumentation(t *testing.T) {
	defer goleak.VerifyNone(t)
	text := sniffing(t, scale, " ms  02", 4, "9600", "8N1")
	page, err := os.ReadFile("../../docs/drivers.md")
	if err != nil {
		t.Fatal(err)
	}
	const command = "$ edgeua serial sniff /dev/ttyUSB0 9600 8N1\n"
	_, documented, found := strings.Cut(string(page), command)
	documented, _, ended := strings.Cut(documented, "\n```")
	if !found || !ended {
		t.Fatalf("no such run in docs/drivers.md; it would be\n%s", text)
	}
	mask := func(s string) string {
		return moments().ReplaceAllString(strings.TrimRight(strings.ReplaceAll(s, "^C", ""), "\n"), " TIME")
	}
	if mask(documented) != mask(text) {
		t.Errorf("docs/drivers.md shows another run than\n%s", text)
	}
}

// What is proposed for edgeua.xml is accepted there.
func TestSerialSniff_ProposalsAreGood(t *testing.T) {
	nmea := func(i int) string { return fmt.Sprintf("$GPRMC,1%d*%02X\r\n", i%10, 0x4B^0x2C^0x31^0x30^byte(i%10)) }
	for name, tc := range map[string]struct {
		say    func(i int) string
		want   string
		format string
	}{
		"Modbus": {func(int) string { return "\x11\x03\x00\x6B\x00\x03\x76\x87" }, "unit 17: read 3 holding registers from h107", "8N1"},
		"NMEA":   {nmea, "NMEA 0183", "8N1"},
		"P1": {func(i int) string {
			text := fmt.Sprintf("/XMX5\r\n\r\n1-0:1.8.1(%06d*kWh)\r\n!", i)
			return fmt.Sprintf("%s%04X\r\n", text, framing.CRC16ARC.Of([]byte(text)))
		}, "DSMR P1 telegrams", "8N1"},
		"lines": {func(i int) string { return fmt.Sprintf("%d;%d\r\n", i, 2*i) }, `lines of text that end with \r\n`, "8N1"},
		"scale": {scale, `frames from \x02 to \r`, "8N1"},
		"bytes": {func(i int) string { return string([]byte{0xB5, 200 + byte(i), 0x80 + byte(i*i)}) }, "frames of 3 bytes", "8N1"},
	} {
		t.Run(name, func(t *testing.T) {
			text := sniffing(t, tc.say, " ms  ", 6, "19200", tc.format)
			if !strings.Contains(text, tc.want) {
				t.Fatalf("%q is not in\n%s", tc.want, text)
			}
			_, snippet, found := strings.Cut(text, "for edgeua.xml:\n")
			if proposes := name != "bytes"; proposes != found { // a length that is always the same may be a coincidence
				t.Fatalf("a proposal: %v\n%s", found, text)
			}
			if !found {
				return
			}
			file := tempFile(t, "edgeua.xml", "<EdgeUa>"+snippet+"</EdgeUa>")
			_, report := config.LoadChannels(file, driverKinds())
			if report.HasErrors() {
				t.Errorf("%v\n%s", report.Problems, snippet)
			}
		})
	}
}

// The proposal for a scale reads it.
func TestSerialSniff_ProposalWorks(t *testing.T) {
	_, snippet, _ := strings.Cut(sniffing(t, scale, " ms  02", 4, "9600", "8N1"), "for edgeua.xml:\n")
	spoken(t, scale, func(ctx context.Context, cancel context.CancelFunc, port string) {
		file := tempFile(t, "edgeua.xml", "<EdgeUa>"+strings.ReplaceAll(snippet, "/dev/ttyUSB0", port)+"</EdgeUa>")
		channels, report := config.LoadChannels(file, driverKinds())
		if report.HasErrors() || len(channels) != 1 {
			t.Fatal(report.Problems)
		}
		space := addressspace.New("urn:test")
		vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), channels[0].Devices())
		if err != nil {
			t.Fatal(err)
		}
		driver := channels[0].New(nil)
		driver.Bind(vars)
		vars["Instrument.Value"].Watch(reading{t, cancel})
		if err := driver.Run(ctx); err != nil {
			t.Error(err)
		}
		if dv := vars["Instrument.Value"].Value(); dv.Value.IsNull() {
			t.Errorf("no value, %v", dv.Status)
		}
	})
}

// reading ends when there is a value of the scale.
type reading struct {
	t      *testing.T
	enough context.CancelFunc
}

func (r reading) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	if n, ok := dv.Value.Number(); ok {
		if n < 12.34 || n > 15 {
			r.t.Errorf("the scale shows %v", n)
		}
		r.enough()
	}
}

func TestSerialSniff_Detect(t *testing.T) {
	var text string
	spoken(t, scale, func(ctx context.Context, cancel context.CancelFunc, port string) {
		out := &heard{wanted: "looks right", count: 1, enough: cancel}
		if code := run(ctx, []string{"serial", "sniff", port, "--detect"}, out, out); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		text = out.text.String()
	})
	for _, want := range []string{"at 32 settings, up to 3s at each", "   9600 8N1  ", "9600 8N1 looks right\n", "<BaudRate>9600</BaudRate>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestSerialSniff_WrongUse(t *testing.T) {
	edgeua(t, "serial", "sniff").want(t, exitConfig, "arg")
	edgeua(t, "serial", "sniff", "/dev/null", "fast").want(t, exitConfig, `"fast" is no baud rate`)
	edgeua(t, "serial", "sniff", "/dev/null", "9600", "9X9").want(t, exitConfig, `"9X9" is no format`)
	edgeua(t, "serial", "sniff", "/dev/nothing", "--duration", "1s").want(t, exitFailure, "/dev/nothing")
	edgeua(t, "serial").want(t, exitOK, "sniff")
}

// Silence is told as such, and a line that nobody speaks on ends in time.
func TestSerialSniff_Silence(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer near.Close()
	edgeua(t, "serial", "sniff", near.Name(), "--duration", "300ms").want(t, exitOK, "nothing came: is it the right port")
	edgeua(t, "serial", "sniff", near.Name(), "9600", "8N1", "--detect", "--duration", "300ms").want(t, exitOK, "   9600 8N1  nothing came")
}
