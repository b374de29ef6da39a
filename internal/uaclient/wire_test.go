package uaclient_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/uaclient"
)

// wire is a connection that breaks at one place.
type wire struct {
	net.Conn
	operations atomic.Int32 // reads and writes before it breaks
	bytes      int          // bytes read before it breaks; < 0 never
}

var errWire = errors.New("wire broken")

func (w *wire) operation() error {
	if w.operations.Add(-1) < 0 {
		w.Close()
		return errWire
	}
	return nil
}

func (w *wire) Read(b []byte) (int, error) {
	if err := w.operation(); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(b)
	if w.bytes >= 0 && n >= w.bytes {
		w.Close()
		n, err = w.bytes, io.EOF
	}
	if w.bytes > 0 {
		w.bytes -= n
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if err := w.operation(); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// visit does a bit of everything on one connection and returns the first error, but for that of Close.
func visit(ctx context.Context, nc net.Conn, o uaclient.Options) error {
	c, err := uaclient.Open(ctx, nc, o)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if _, err := c.Read(ctx, value(temperature)); err != nil {
		return err
	}
	if _, err := c.Browse(ctx, hierarchical(folder), 1); err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	return subscribe(brief, c, make(chan float64, 10))
}

// Wherever a connection breaks, every call ends, and no goroutine stays.
func TestClient_failEveryReadAndWrite(t *testing.T) {
	for n := range 40 {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t)
			w := &wire{Conn: g.pipe(), bytes: -1}
			w.operations.Store(int32(n))
			if err := visit(t.Context(), w, options()); err == nil && n < 10 {
				t.Errorf("nothing noticed when operation %d failed", n)
			}
		})
	}
}

func TestClient_truncation(t *testing.T) {
	for n := 0; n < 12_000; n += 1 + n/10 {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t)
			w := &wire{Conn: g.pipe(), bytes: n}
			w.operations.Store(math.MaxInt32)
			if err := visit(t.Context(), w, options()); err == nil && n < 4000 {
				t.Errorf("nothing noticed when cut after %d bytes", n)
			}
		})
	}
}
