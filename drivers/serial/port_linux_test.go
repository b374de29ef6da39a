package serial

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/edgeua/edgeua/drivers"
	"golang.org/x/sys/unix"
)

// openPTY returns the far end of a pseudo-terminal and the Config of its near end.
func openPTY(t *testing.T) (*os.File, Config) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = far.Close(), near.Close() })
	return far, Config{Port: near.Name(), BaudRate: 19200, DataBits: 8, Parity: 'N', StopBits: 1}
}

func open(t *testing.T, c Config) drivers.Link {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// next waits for a chunk; false: the link has ended.
func next(t *testing.T, l drivers.Link) (drivers.Chunk, bool) {
	t.Helper()
	c, err := l.Receive(time.Now().Add(5 * time.Second))
	if err == nil && len(c.Data) == 0 {
		t.Fatal("nothing came")
	}
	return c, err == nil
}

func TestBytesPassBothWays(t *testing.T) {
	far, c := openPTY(t)
	l := open(t, c)
	sent := string([]byte{0, 1, 3, 4, 13, 10, 17, 19, 26, 127, 128, 255}) // nothing is special on the line
	if err := l.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != sent {
		t.Errorf("far end got %q, %v", got, err)
	}
	before := time.Now()
	if _, err := far.Write(got); err != nil {
		t.Fatal(err)
	}
	var back string
	for len(back) < len(sent) {
		chunk, _ := next(t, l)
		back += string(chunk.Data)
		if chunk.At.Before(before) || chunk.At.After(time.Now()) || chunk.Lost {
			t.Errorf("%+v", chunk)
		}
	}
	if back != sent {
		t.Errorf("near end got %q", back)
	}
}

func TestCloseIsBounded(t *testing.T) {
	_, c := openPTY(t)
	l := open(t, c)
	begin := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("Close took %v", d)
	}
	if _, ok := next(t, l); ok {
		t.Error("a chunk after Close")
	}
	if err := l.Write([]byte("x")); err == nil {
		t.Error("Write after Close")
	}
	open(t, c) // it is free again
}

func TestHangUpIsNoticed(t *testing.T) {
	far, c := openPTY(t)
	l := open(t, c)
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, ok := next(t, l); !ok {
			return
		}
	}
}

func TestPortIsExclusive(t *testing.T) {
	_, c := openPTY(t)
	open(t, c)
	if l, err := Open(c); err == nil {
		_ = l.Close()
		t.Error("opened twice")
	} else if !strings.Contains(err.Error(), "another program") {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(Config{Port: "/dev/does-not-exist", BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	_, c := openPTY(t)
	c.RS485 = RS485{Enabled: true, RTSOnSend: true} // a pseudo-terminal has no direction
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "Rs485") {
		t.Error(err)
	}
	c.RS485 = RS485{}
	open(t, c) // the failed open left nothing behind
}

// What the library cannot set is set for its descriptor as well.
func TestRateAndFlowOfThePort(t *testing.T) {
	for flow, want := range map[Flow][2]uint32{FlowNone: {0, 0}, FlowRTSCTS: {unix.CRTSCTS, 0}, FlowXonXoff: {0, unix.IXON | unix.IXOFF}} {
		far, c := openPTY(t)
		c.BaudRate, c.Flow, c.LowLatency = 14400, flow, true
		l := open(t, c)
		got, err := unix.IoctlGetTermios(l.(*port).side.(*side).fd, unix.TCGETS2)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ospeed != 14400 || got.Cflag&unix.CRTSCTS != want[0] || got.Iflag&(unix.IXON|unix.IXOFF) != want[1] {
			t.Errorf("%q: %d Bd, %x %x", flow, got.Ospeed, got.Cflag, got.Iflag)
		}
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		next(t, l)
		if _, err := l.(*port).Counters(); err == nil {
			t.Error("a pseudo-terminal counts line errors?")
		}
		_ = l.Close()
		if _, err := l.(*port).Counters(); !errors.Is(err, errClosed) {
			t.Error(err)
		}
	}
}

func TestRS485Flags(t *testing.T) {
	for c, want := range map[RS485]rs485{
		{Enabled: true, RTSOnSend: true}: {flags: 1 | 2},
		{Enabled: true, RTSAfterSend: true, DelayBefore: 3 * time.Millisecond, DelayAfter: time.Millisecond, ReceiveDuringSend: true}: {flags: 1 | 4 | 16, before: 3, after: 1},
	} {
		if got := c.native(); got != want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestEmptyReads(t *testing.T) {
	for _, c := range []struct {
		err  error
		took time.Duration
		gone bool
	}{
		{io.EOF, 100 * time.Millisecond, false}, {io.EOF, 60 * time.Millisecond, false}, {nil, 100 * time.Millisecond, false},
		{io.EOF, time.Microsecond, true}, {nil, time.Microsecond, true}, {errors.New("input/output error"), time.Second, true},
	} {
		hasty, err, n := 0, error(nil), 0
		for ; err == nil && n < 10; n++ {
			hasty, err = judgeEmpty(c.err, c.took, hasty)
		}
		if gone := err != nil; gone != c.gone || gone && n > lostAfter {
			t.Errorf("%v after %v: gone %v after %d reads", c.err, c.took, gone, n)
		}
	}
	hasty := 0
	for range 10 { // two hasty ones and a patient one are no end
		for _, took := range []time.Duration{0, 0, 100 * time.Millisecond} {
			var err error
			if hasty, err = judgeEmpty(io.EOF, took, hasty); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fakeDevice is a port whose reads, writes and close can hang.
type fakeDevice struct {
	in        chan []byte
	hangWrite chan struct{} // nil: writes pass
	hangClose chan struct{}
}

func (f *fakeDevice) Read(p []byte) (int, error) {
	select {
	case b := <-f.in:
		return copy(p, b), nil
	case <-time.After(readTimeout):
		return 0, io.EOF
	}
}

func (f *fakeDevice) Write(p []byte) (int, error) {
	if f.hangWrite != nil {
		<-f.hangWrite
	}
	return len(p), nil
}

func (f *fakeDevice) Close() error {
	if f.hangClose != nil {
		<-f.hangClose
	}
	return nil
}

func (f *fakeDevice) Flush() error { return nil }

func TestReaderIsNeverBlockedAndLossIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{in: make(chan []byte)}
		p := newPort(d, io.NopCloser(nil))
		for range inboxSize + 10 { // nobody takes them
			d.in <- []byte("x")
		}
		synctest.Wait()
		n := 0
		for len(p.chunks) > 0 {
			if c := <-p.chunks; c.Lost {
				t.Error("loss told too soon")
			}
			n++
		}
		d.in <- []byte("y")
		if c := <-p.chunks; n != inboxSize || !c.Lost {
			t.Errorf("%d chunks kept, then %+v", n, c)
		}
		d.in <- []byte("z")
		if c := <-p.chunks; c.Lost {
			t.Error("loss told twice")
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{in: make(chan []byte), hangWrite: make(chan struct{})}
		p := newPort(d, io.NopCloser(nil))
		begin := time.Now()
		if err := p.Write([]byte("x")); err == nil || time.Since(begin) != writeTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := p.Write([]byte("x")); err == nil || time.Since(begin) != writeTimeout {
			t.Errorf("second write: %v after %v", err, time.Since(begin))
		}
		close(d.hangWrite)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestStuckClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{in: make(chan []byte), hangClose: make(chan struct{})}
		p := newPort(d, io.NopCloser(nil))
		begin := time.Now()
		if err := p.Close(); err == nil || time.Since(begin) != closeTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(d.hangClose)
	})
}

func TestCharacterTime(t *testing.T) {
	for c, want := range map[Config]time.Duration{
		{BaudRate: 19200, DataBits: 8, Parity: 'E', StopBits: 1}: 11 * time.Second / 19200,
		{BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1}:  10 * time.Second / 9600,
		{BaudRate: 1200, DataBits: 7, Parity: 'O', StopBits: 2}:  11 * time.Second / 1200,
	} {
		if got := c.Character(); got != want {
			t.Errorf("%+v: %v, want %v", c, got, want)
		}
	}
}

func TestReceiveIsExactAndCanBeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &port{chunks: make(chan drivers.Chunk, 1), wake: make(chan struct{}, 1), timer: time.NewTimer(0)}
		go func() {
			<-time.After(time.Second)
			p.Interrupt()
			p.Interrupt() // once is enough
			<-time.After(time.Second)
			p.chunks <- drivers.Chunk{Data: []byte("x")}
		}()
		for _, want := range []struct {
			wait, took time.Duration
			data       string
		}{{10 * time.Millisecond, 10 * time.Millisecond, ""}, {time.Minute, 990 * time.Millisecond, ""}, {0, 0, ""}, {time.Minute, 0, ""}, {time.Minute, time.Second, "x"}} {
			begin := time.Now()
			c, err := p.Receive(begin.Add(want.wait))
			if string(c.Data) != want.data || err != nil || time.Since(begin) != want.took {
				t.Errorf("%q %v after %v, want %+v", c.Data, err, time.Since(begin), want)
			}
		}
		close(p.chunks)
		if _, err := p.Receive(time.Time{}); err == nil {
			t.Error("the end does not show")
		}
	})
}

// An adapter that is unplugged and comes back under another name is found again by what it is.
func TestReplugUnderAnotherName(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	far, c := openPTY(t)
	plugged := func(tty, pts string) {
		plug(t, sys, tty, "0403", "6001", "A1")
		if err := os.Symlink(pts, filepath.Join(dev, tty)); err != nil {
			t.Fatal(err)
		}
	}
	plugged("ttyUSB0", c.Port)
	c.Port = "usb:0403:6001:A1"
	l, err := openBelow(c, sys, dev)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(far.Close(), os.RemoveAll(filepath.Join(sys, "class/tty/ttyUSB0"))); err != nil { // unplugged
		t.Fatal(err)
	}
	for ok := true; ok; {
		_, ok = next(t, l)
	}
	_ = l.Close()
	if l, err := openBelow(c, sys, dev); err == nil {
		_ = l.Close()
		t.Fatal("there is no adapter")
	}
	far, again := openPTY(t)
	plugged("ttyUSB3", again.Port)
	if l, err = openBelow(c, sys, dev); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if chunk, _ := next(t, l); string(chunk.Data) != "x" {
		t.Errorf("%q", chunk.Data)
	}
}
