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
		if c := <-l.Chunks(); string(c.Data) != "abc" || time.Since(c.At) > time.Second {
			t.Errorf("%+v", c)
		}
		if _, open := <-l.Chunks(); open || l.Err() == nil {
			t.Error("the end of the connection does not show")
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Neither a peer that does not read nor one that floods keeps a link from ending.
func TestNetLinkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		l := NewNetLink(a, time.Second)
		begin := time.Now()
		if err := l.Write([]byte("abc")); err == nil || time.Since(begin) != time.Second {
			t.Errorf("write: %v after %v", err, time.Since(begin))
		}
		go func() {
			for {
				if _, err := b.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if err := l.Close(); err != nil || l.Err() == nil {
			t.Error(err, l.Err())
		}
		if err := l.Close(); err != nil {
			t.Error("second Close:", err)
		}
		if err := l.Write([]byte("abc")); !errors.Is(err, net.ErrClosed) && err == nil {
			t.Error("write on a closed link")
		}
	})
}
