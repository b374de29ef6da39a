package drivers

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestNetLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		l := NewNetLink(a, time.Second)
		go func() {
			buf := make([]byte, 3)
			_, _ = b.Read(buf)
			_, _ = b.Write(buf)
			_ = b.Close()
		}()
		if err := l.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		late := time.Now().Add(time.Minute)
		if c, err := l.Receive(late); string(c.Data) != "abc" || err != nil || time.Since(c.At) > time.Second {
			t.Errorf("%+v %v", c, err)
		}
		if c, err := l.Receive(late); len(c.Data) > 0 || err == nil {
			t.Error("the end of the connection does not show")
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A peer that does not read keeps a link neither from returning nor from ending.
func TestNetLinkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		l := NewNetLink(a, time.Second)
		begin := time.Now()
		if err := l.Write([]byte("abc")); err == nil || time.Since(begin) != time.Second {
			t.Errorf("write: %v after %v", err, time.Since(begin))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error("second Close:", err)
		}
		if err := l.Write([]byte("abc")); !errors.Is(err, net.ErrClosed) && err == nil {
			t.Error("write on a closed link")
		}
		if _, err := l.Receive(time.Now().Add(time.Second)); err == nil {
			t.Error("Receive on a closed link")
		}
		l.Interrupt()
	})
}

// Times are kept to the nanosecond although a deadline is not set anew each time.
func TestNetLinkWaitsExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		l := NewNetLink(a, time.Second)
		defer l.Close()
		begin := time.Now()
		for _, ms := range []time.Duration{10, 30, 20, 5, 400, 399} {
			start := time.Now()
			c, err := l.Receive(start.Add(ms * time.Millisecond))
			if took := time.Since(start); len(c.Data) > 0 || err != nil || took != ms*time.Millisecond {
				t.Errorf("%v %v after %v, want %d ms", c, err, took, ms)
			}
		}
		go func() { _, _ = b.Write([]byte("x")) }()
		synctest.Wait()
		if c, err := l.Receive(begin); string(c.Data) != "x" || err != nil {
			t.Errorf("what is there: %v %v", c, err)
		}
		if c, err := l.Receive(time.Time{}); len(c.Data) > 0 || err != nil {
			t.Errorf("nothing is there: %v %v", c, err)
		}
	})
}

// An interrupt is never lost: it ends the Receive under way or the next one, but only one.
func TestNetLinkInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		l := NewNetLink(a, time.Second)
		defer l.Close()
		go func() {
			<-time.After(time.Second)
			l.Interrupt()
		}()
		wait := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			if c, err := l.Receive(start.Add(time.Minute)); len(c.Data) > 0 || err != nil || time.Since(start) != want {
				t.Errorf("%v %v after %v, want %v", c, err, time.Since(start), want)
			}
		}
		wait(time.Second)
		wait(time.Minute)
		l.Interrupt()
		if c, err := l.Receive(time.Time{}); len(c.Data) > 0 || err != nil { // does not wait, so does not count
			t.Errorf("%v %v", c, err)
		}
		wait(0)
		wait(time.Minute)
	})
}

// On a real socket what is there can be taken without waiting, and so can its end.
func TestNetLinkTakesWhatIsThere(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l := NewNetLink(conn, time.Second)
	defer l.Close()
	peer, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := l.Receive(time.Time{}); len(c.Data) > 0 || err != nil {
		t.Errorf("%v %v", c, err)
	}
	if _, err := peer.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	var c Chunk
	for begin := time.Now(); len(c.Data) == 0 && err == nil && time.Since(begin) < 10*time.Second; { // the kernel may take a moment
		c, err = l.Receive(time.Time{})
	}
	if string(c.Data) != "abc" || err != nil {
		t.Errorf("%q %v", c.Data, err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = l.Receive(time.Time{})
	}
}
