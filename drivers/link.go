package drivers

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Chunk is what one read brought: the bytes and when they came.
type Chunk struct {
	Data []byte
	At   time.Time
	Lost bool // bytes before these were lost; a frame in progress is broken
}

// Link is a byte pipe to a field bus: a serial port, a socket, or memory in tests. Chunks is closed when the link has
// ended, by Close or by itself; Err tells why, and may only be called after that. Write is bounded in time and does not
// keep p. Close returns when the goroutines of the link have ended.
type Link interface {
	Write(p []byte) error
	Chunks() <-chan Chunk
	Err() error
	Close() error
}

// netLink is a Link over a connection. One goroutine reads; a peer that floods is held back by the full channel.
type netLink struct {
	conn         net.Conn
	writeTimeout time.Duration
	chunks       chan Chunk
	closed       chan struct{}
	once         sync.Once
	err          error // written by pump before it closes chunks
}

// NewNetLink makes a Link of a connection, which it then owns.
func NewNetLink(conn net.Conn, writeTimeout time.Duration) Link {
	l := &netLink{conn: conn, writeTimeout: writeTimeout, chunks: make(chan Chunk, 4), closed: make(chan struct{})}
	go l.pump()
	return l
}

func (l *netLink) pump() {
	defer close(l.chunks)
	buf := make([]byte, 512)
	for {
		n, err := l.conn.Read(buf)
		if n > 0 && !l.put(Chunk{Data: slices.Clone(buf[:n]), At: time.Now()}) {
			return
		}
		if err != nil {
			l.err = err
			return
		}
	}
}

func (l *netLink) put(c Chunk) bool {
	select {
	case l.chunks <- c:
		return true
	case <-l.closed:
		l.err = net.ErrClosed
		return false
	}
}

func (l *netLink) Write(p []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.writeTimeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(p)
	return err
}

func (l *netLink) Chunks() <-chan Chunk { return l.chunks }

func (l *netLink) Err() error { return l.err }

func (l *netLink) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.conn.Close()
	})
	for range l.chunks { // until the pump has ended
	}
	return err
}
