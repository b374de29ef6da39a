package drivers

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Chunk is what one read brought: the bytes, valid until the next call of Receive, and when they came.
type Chunk struct {
	Data []byte
	At   time.Time
	Lost bool // bytes before these were lost; a frame in progress is broken
}

// Link is a byte pipe to a field bus: a serial port, a socket, or memory in tests. Write and Receive belong to one
// goroutine. Write is bounded in time and does not keep p. Close returns when the goroutines of the link have ended.
type Link interface {
	Write(p []byte) error
	// Receive waits until that time for the next bytes; a time that has passed takes only what is there already.
	// Nothing coming is an empty Chunk and no error; an error is the end of the link.
	Receive(until time.Time) (Chunk, error)
	// Interrupt makes the Receive under way, or else the next one that would wait, return early with nothing. It may
	// be called from any goroutine, also after Close.
	Interrupt()
	Close() error
}

// netLink is a Link over a connection. The goroutine that owns the bus reads the connection itself: handing over from a
// reader of its own would cost a transaction on a fast network a third of its time.
type netLink struct {
	conn         net.Conn
	writeTimeout time.Duration
	ready        func(wait time.Duration) (bool, error) // whether reading would not wait; nil: cannot be told
	interrupted  atomic.Bool
	wrote        time.Time // what has not been answered yet; zero: nothing
	swift        bool      // the last answer came within a jiffy

	// Deadlines are only set when the ones that stand would be too late or have passed, not for each request.
	readBy, writeBy time.Time
	buf             [512]byte
}

// NewNetLink makes a Link of a connection, which it then owns.
func NewNetLink(conn net.Conn, writeTimeout time.Duration) Link {
	return &netLink{conn: conn, writeTimeout: writeTimeout, ready: readiness(conn)}
}

// readiness looks for the socket below TLS as well.
func readiness(conn net.Conn) func(wait time.Duration) (bool, error) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return peeker(raw)
}

const (
	// moment is how long a read may take when bytes are there, but perhaps not a whole record of TLS.
	moment = time.Millisecond
	// instant is how long it may take when it cannot be told whether any are: a peer in memory hands over what it has.
	instant = time.Nanosecond
	// jiffy is how long an answer is waited for on the thread itself when the one before came that soon. Parking the
	// goroutine and waking it up costs more than the answer then takes.
	jiffy = 200 * time.Microsecond
)

func (l *netLink) Receive(until time.Time) (Chunk, error) {
	switch now := time.Now(); {
	case until.After(now):
		if l.swift && !l.wrote.IsZero() && until.Sub(now) > jiffy {
			_, _ = l.ready(jiffy) // reading will tell
		}
		return l.receive(until, true)
	case l.ready == nil:
		return l.receive(now.Add(instant), false)
	default:
		if ready, err := l.ready(0); err != nil || ready {
			return l.receive(now.Add(moment), false)
		}
		return Chunk{}, nil
	}
}

// answered notes how soon the peer has answered.
func (l *netLink) answered(now time.Time) {
	if !l.wrote.IsZero() {
		l.swift, l.wrote = l.ready != nil && now.Sub(l.wrote) < jiffy, time.Time{}
	}
}

// receive reads. An Interrupt ends it if it is told to heed that.
func (l *netLink) receive(until time.Time, heed bool) (Chunk, error) {
	if l.readBy.After(until) {
		l.readBy = time.Time{}
	}
	for {
		if heed && l.interrupted.Swap(false) {
			return Chunk{}, nil
		}
		if l.readBy.IsZero() {
			if err := l.setReadBy(until); err != nil {
				return Chunk{}, err
			}
			if heed && l.interrupted.Load() { // it may have come before the deadline was set, and so have done nothing
				continue
			}
		}
		n, err := l.conn.Read(l.buf[:])
		if n > 0 {
			now := time.Now()
			l.answered(now)
			return Chunk{Data: l.buf[:n], At: now}, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return Chunk{}, err
		}
		l.readBy = time.Time{}
		if !time.Now().Before(until) {
			return Chunk{}, nil
		}
	}
}

func (l *netLink) setReadBy(t time.Time) error {
	l.readBy = t
	return l.conn.SetReadDeadline(t)
}

func (l *netLink) Interrupt() {
	l.interrupted.Store(true)
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // on a closed connection nobody reads
}

// Write gives the peer the timeout, or a little less.
func (l *netLink) Write(p []byte) error {
	l.wrote = time.Now()
	if l.writeBy.Sub(l.wrote) < l.writeTimeout*3/4 {
		l.writeBy = l.wrote.Add(l.writeTimeout)
		if err := l.conn.SetWriteDeadline(l.writeBy); err != nil {
			return err
		}
	}
	_, err := l.conn.Write(p)
	return err
}

func (l *netLink) Close() error { return l.conn.Close() }
