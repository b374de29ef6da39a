package ptyline

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"
)

// ends opens both ports as programs do.
func ends(t *testing.T, s Settings) (l *Line, near, far *os.File) {
	t.Helper()
	l, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, l.near.port, l.far.port
}

func send(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// expect reads what comes within ten seconds.
func expect(t *testing.T, f *os.File, want string) {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(f, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got[:n], err, want)
	}
}

func TestFaults(t *testing.T) {
	l, near, far := ends(t, Settings{})
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{nil, "0123456789"}, {Drop(2, 4), "01456789"}, {Flip(3), "012#456789"}, {Noise(1, 'a', 'b'), "0ab123456789"},
		{Split(5, 30*time.Millisecond), "0123456789"}, {Delay(30 * time.Millisecond), "0123456789"},
	} {
		l.ToFar(c.fault)
		send(t, near, "0123456789")
		expect(t, far, c.want)
		l.ToNear(c.fault)
		send(t, far, "0123456789")
		expect(t, near, c.want)
		<-time.After(2 * burstGap) // the next one is a new burst
	}
}

// Bytes come no sooner than a line of that rate brings them, and the first ones not as late as the last.
func TestPace(t *testing.T) {
	_, near, far := ends(t, Settings{Character: Rate(9600, 10)})
	begin := time.Now()
	send(t, near, string(bytes.Repeat([]byte{0xFF, 0x00, '\r', '\n', 0x11}, 20)))
	expect(t, far, string(bytes.Repeat([]byte{0xFF, 0x00, '\r', '\n', 0x11}, 3)))
	first := time.Since(begin)
	expect(t, far, string(bytes.Repeat([]byte{0xFF, 0x00, '\r', '\n', 0x11}, 17)))
	whole := time.Since(begin)
	if want := 100 * Rate(9600, 10); whole < want || first > whole-want/2 {
		t.Errorf("first bytes after %v, all after %v; a line takes %v", first, whole, want)
	}
}

func TestSilenceBeforeAByte(t *testing.T) {
	l, near, far := ends(t, Settings{})
	l.ToFar(Split(1, 80*time.Millisecond))
	begin := time.Now()
	send(t, near, "ab")
	expect(t, far, "a")
	expect(t, far, "b")
	if d := time.Since(begin); d < 80*time.Millisecond {
		t.Errorf("came after %v", d)
	}
}

func TestEcho(t *testing.T) {
	_, near, far := ends(t, Settings{Echo: true})
	send(t, near, "request")
	expect(t, far, "request")
	expect(t, near, "request")
	send(t, far, "reply")
	expect(t, near, "reply")
}

// Closing ends the pump while it waits, and the ports with it.
func TestClose(t *testing.T) {
	l, near, _ := ends(t, Settings{Character: time.Hour})
	send(t, near, "x")
	begin := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("the port is still there")
	}
}
