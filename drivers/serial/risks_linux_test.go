package serial

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// These tests show what the bare library does, so that nobody takes away what is built around it: each of them has a
// counterpart above or here that shows that a Link does not.

// bare opens the near end of a pseudo-terminal with the library alone.
func bare(t *testing.T, timeout time.Duration) (far *os.File, near *serial.Port, name string) {
	t.Helper()
	far, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = far.Close(), tty.Close() })
	p, err := serial.OpenPort(&serial.Config{Name: tty.Name(), Baud: 9600, ReadTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return far, p, tty.Name()
}

// blocked tells whether f is still at work after a while; done is closed when it has ended.
func blocked(f func()) (still bool, done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return false, done
	case <-time.After(300 * time.Millisecond):
		return true, done
	}
}

// Close behind a Read that waits: the library hangs until a byte comes. See TestCloseIsBounded.
func TestBareLibrary_CloseHangsBehindRead(t *testing.T) {
	far, p, _ := bare(t, 0)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = p.Read(make([]byte, 1))
	}()
	<-time.After(100 * time.Millisecond)
	still, done := blocked(func() { _ = p.Close() })
	if !still {
		t.Error("the library has changed: Close no longer waits for Read")
	}
	if _, err := far.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	<-reading
	<-done
}

// swallow reads until the pseudo-terminal is gone.
func swallow(far io.Reader) { _, _ = io.Copy(io.Discard, far) }

// Write into a line that takes nothing: the library has no deadline. See TestStuckWrite, and here the Link on a real tty.
func TestStuckWriteOnATTY(t *testing.T) {
	far, p, _ := bare(t, 100*time.Millisecond)
	still, done := blocked(func() {
		for range 64 {
			if _, err := p.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	if !still {
		t.Error("the library has changed: Write no longer waits for ever")
	}
	go swallow(far)
	<-done
	_ = p.Close()

	end, c := openPTY(t)
	l := open(t, c)
	begin := time.Now()
	var err error
	for range 64 {
		if err = l.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	if d := time.Since(begin); err == nil || d > 4*time.Second {
		t.Errorf("write: %v after %v", err, d)
	}
	begin = time.Now()
	go swallow(end)
	if _ = l.Close(); time.Since(begin) > closeTimeout+time.Second {
		t.Errorf("Close took %v", time.Since(begin))
	}
}

// A timeout of a millisecond takes a hundred. See TestReceiveIsExactAndCanBeInterrupted.
func TestBareLibrary_TimeoutIsCoarse(t *testing.T) {
	_, p, _ := bare(t, time.Millisecond)
	defer p.Close()
	begin := time.Now()
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) < 90*time.Millisecond {
		t.Errorf("the library has changed: %v after %v", err, time.Since(begin))
	}
}

// A port that is gone looks like one that is silent, but at once and for ever. See TestHangUpIsNoticed and TestEmptyReads.
func TestBareLibrary_GoneLooksSilent(t *testing.T) {
	far, p, _ := bare(t, 100*time.Millisecond)
	defer p.Close()
	_ = far.Close()
	begin, eofs := time.Now(), 0
	for range 50 {
		if _, err := p.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			eofs++
		}
	}
	if eofs < 40 || time.Since(begin) > time.Second {
		t.Errorf("the library has changed: %d times EOF in %v", eofs, time.Since(begin))
	}
}

// Rates that are not in its table. See TestRateAndFlowOfThePort.
func TestBareLibrary_KnowsFewRates(t *testing.T) {
	_, _, name := bare(t, 0)
	for _, rate := range []int{14400, 28800, 31250, 76800, 128000, 250000, 256000} {
		if p, err := serial.OpenPort(&serial.Config{Name: name, Baud: rate}); err == nil {
			_ = p.Close()
			t.Errorf("the library has changed: it can do %d Bd", rate)
		}
	}
}

// Parity is set and not checked. Where a checksum does not find damaged characters either, they come as NUL.
func TestParityIsChecked(t *testing.T) {
	_, _, name := bare(t, 0)
	p, err := serial.OpenPort(&serial.Config{Name: name, Baud: 9600, Parity: serial.ParityEven, ReadTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	flags := func() uint32 {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return got.Iflag & (unix.INPCK | unix.IGNPAR | unix.PARMRK)
	}
	if got := flags(); got != unix.IGNPAR {
		t.Errorf("the library has changed: %#x", got)
	}
	_ = p.Close()
	for check, want := range map[bool]uint32{true: unix.INPCK, false: unix.IGNPAR} {
		l := open(t, Config{Port: name, BaudRate: 9600, DataBits: 7, Parity: 'E', StopBits: 1, CheckParity: check})
		if got := flags(); got != want {
			t.Errorf("check %v: %#x, want %#x", check, got, want)
		}
		_ = l.Close()
	}
}

// Two programs on one port. See TestPortIsExclusive.
func TestBareLibrary_SharesThePort(t *testing.T) {
	_, p, name := bare(t, 100*time.Millisecond)
	defer p.Close()
	second, err := serial.OpenPort(&serial.Config{Name: name, Baud: 9600})
	if err != nil {
		t.Fatal("the library has changed:", err)
	}
	_ = second.Close()
}

// What the kernel kept from before is read after open; a Link discards it.
func TestOldBytesAreDiscarded(t *testing.T) {
	far, p, name := bare(t, 100*time.Millisecond)
	_ = p.Close()
	if _, err := far.WriteString("old"); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{Port: name, BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1})
	if _, err := far.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	got := ""
	for deadline := time.Now().Add(5 * time.Second); len(got) < 3 && time.Now().Before(deadline); {
		c, err := l.Receive(deadline)
		if err != nil {
			t.Fatal(err)
		}
		got += string(c.Data)
	}
	if got != "new" {
		t.Errorf("%q", got)
	}
	_ = l.Close()
	if _, err := far.WriteString("old"); err != nil {
		t.Fatal(err)
	}
	p, err := serial.OpenPort(&serial.Config{Name: name, Baud: 9600, ReadTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b := make([]byte, 8)
	if n, _ := p.Read(b); string(b[:n]) != "old" {
		t.Errorf("the library has changed: %q", b[:n])
	}
}

// noFlush is a port whose driver refuses to discard, as with the library's number of the request on some processors.
type noFlush struct{ fakeDevice }

func (*noFlush) Flush() error { return unix.EINVAL }

// A failed Flush is no reason not to work. It is called before the goroutines of a port begin and by Close alone, so that
// it never races with Close, as it does in the library.
func TestFlushMayFail(t *testing.T) {
	d := &noFlush{fakeDevice{in: make(chan []byte, 1)}}
	p := newPort(d, io.NopCloser(nil))
	d.in <- []byte("x")
	if c, err := p.Receive(time.Now().Add(5 * time.Second)); err != nil || string(c.Data) != "x" {
		t.Errorf("%q %v", c.Data, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
