package serial

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/edgeua/edgeua/internal/ptyline"
	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// The traps of github.com/tarm/serial that docs/drivers-libraries.md lists, sprung against the bare library. When one of
// these tests fails, a trap is gone and its guard may go as well.

func bareLine(t *testing.T) (line *ptyline.Line, far *os.File) {
	t.Helper()
	line, err := ptyline.Open(ptyline.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if far, err = os.OpenFile(line.Far(), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(far.Close(), line.Close()); err != nil {
			t.Error(err)
		}
	})
	return line, far
}

func bareOpen(t *testing.T, c serial.Config) *serial.Port {
	t.Helper()
	p, err := serial.OpenPort(&c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// within tells whether something ends in time, and waits for it at the end of the test.
func within(t *testing.T, d time.Duration, f func()) bool {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	t.Cleanup(func() { <-done })
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// T-01
func TestBareLibrary_CloseWaitsForARead(t *testing.T) {
	line, far := bareLine(t)
	p := bareOpen(t, serial.Config{Name: line.Near(), Baud: 19200})
	reading := within(t, 100*time.Millisecond, func() { _, _ = p.Read(make([]byte, 1)) })
	closed := within(t, 300*time.Millisecond, func() { _ = p.Close() })
	if reading || closed {
		t.Errorf("the trap is gone: read %v, closed %v", reading, closed)
	}
	if _, err := far.Write([]byte{0}); err != nil { // ends both
		t.Fatal(err)
	}
}

// T-02
func TestBareLibrary_WriteHasNoTimeout(t *testing.T) {
	far, near, err := pty.Open() // whose far end nobody reads
	if err != nil {
		t.Fatal(err)
	}
	p := bareOpen(t, serial.Config{Name: near.Name(), Baud: 19200, ReadTimeout: readTimeout})
	if within(t, 500*time.Millisecond, func() { _, _ = p.Write(make([]byte, 1<<20)) }) {
		t.Error("the trap is gone")
	}
	if err := errors.Join(far.Close(), near.Close()); err != nil { // ends it
		t.Fatal(err)
	}
}

// T-03, T-04: the shortest timeout is a tenth of a second, and a port that is gone looks like one but for its haste.
func TestBareLibrary_TimeoutAndUnplugLookAlike(t *testing.T) {
	line, _ := bareLine(t)
	p := bareOpen(t, serial.Config{Name: line.Near(), Baud: 19200, ReadTimeout: time.Millisecond})
	defer p.Close()
	begin := time.Now()
	n, err := p.Read(make([]byte, 1))
	if d := time.Since(begin); n != 0 || err != io.EOF || d < 90*time.Millisecond {
		t.Errorf("the trap is gone: %d, %v after %v", n, err, d)
	}
	if err := line.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the first may be another error
		n, err = p.Read(make([]byte, 1))
	}
	if n != 0 || err != io.EOF {
		t.Errorf("the trap is gone: %d, %v", n, err)
	}
}

// T-05
func TestBareLibrary_KnowsFewRates(t *testing.T) {
	line, _ := bareLine(t)
	for _, rate := range []int{14400, 31250, 250000, 0} {
		if p, err := serial.OpenPort(&serial.Config{Name: line.Near(), Baud: rate}); err == nil {
			t.Errorf("the trap is gone: %d", rate)
			_ = p.Close()
		}
	}
}

// T-06
func TestBareLibrary_DoesNotCheckParity(t *testing.T) {
	line, _ := bareLine(t)
	p := bareOpen(t, serial.Config{Name: line.Near(), Baud: 19200, Parity: serial.ParityEven, ReadTimeout: readTimeout})
	defer p.Close()
	f, err := os.Open(line.Near())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if termios, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil || termios.Iflag&unix.INPCK != 0 {
		t.Errorf("the trap is gone: %v", err)
	}
}

// T-07
func TestBareLibrary_OpensAPortTwice(t *testing.T) {
	line, _ := bareLine(t)
	for range 2 {
		p, err := serial.OpenPort(&serial.Config{Name: line.Near(), Baud: 19200, ReadTimeout: readTimeout})
		if err != nil {
			t.Fatalf("the trap is gone: %v", err)
		}
		defer p.Close()
	}
}

// T-10: bytes from before the port was opened are there.
func TestBareLibrary_KeepsOldBytes(t *testing.T) {
	line, far := bareLine(t)
	old(t, line, far)
	p := bareOpen(t, serial.Config{Name: line.Near(), Baud: 19200, ReadTimeout: 5 * time.Second})
	defer p.Close()
	if n, err := p.Read(make([]byte, 8)); n == 0 {
		t.Errorf("the trap is gone: %v", err)
	}
}

// old leaves bytes in the port before it is opened.
func old(t *testing.T, line *ptyline.Line, far *os.File) {
	t.Helper()
	if _, err := far.WriteString("old"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(line.Near())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if n == 3 {
			return
		}
	}
}

// T-10, T-14: ours discards them, and does not mind where that fails.
func TestOldBytesAreDiscarded(t *testing.T) {
	line, far := bareLine(t)
	old(t, line, far)
	l, err := Open(Config{Port: line.Near(), BaudRate: 19200, DataBits: 8, Parity: 'N', StopBits: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := far.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	c, err := l.Receive(time.Now().Add(10 * time.Second))
	if err != nil || string(c.Data) != "new" {
		t.Errorf("%q, %v", c.Data, err)
	}
}

// unflushable is a port on a system where the library's number for flushing is wrong.
type unflushable struct{ fakeDevice }

func (*unflushable) Flush() error { return errors.ErrUnsupported }

func TestFlushMayFail(t *testing.T) {
	p := newPort(&unflushable{fakeDevice{in: make(chan []byte)}}, io.NopCloser(nil))
	if err := errors.Join(p.Write([]byte("x")), p.Close()); err != nil {
		t.Error(err)
	}
}
