package reverseconnect

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// socket is one announced connection to the client. Its goroutine waits for the client's first byte and has the
// connection served; the dialler hears about it through events.
type socket struct {
	nc        net.Conn
	slot      *slot
	announced time.Time
	spoken    bool // the client has sent a byte; set before the first event
}

func (s *socket) remote() string { return s.nc.RemoteAddr().String() }

// event is what a socket tells its dialler: each stage as it is reached, in order, and at last done.
type event struct {
	from   *socket
	stage  uatcp.Stage
	done   bool
	report uatcp.Report // with done
}

// eventsPerSocket is how many events a socket sends in its life.
const eventsPerSocket = 3

// run serves the socket. events has room for all that it sends.
func (s *socket) run(ctx context.Context, t *Target, events chan<- event) {
	reached := uatcp.StageNoHello
	progress := func(stage uatcp.Stage) {
		for reached < min(stage, uatcp.StageChannel) {
			reached++
			events <- event{from: s, stage: reached}
		}
	}
	report := s.serve(ctx, t, progress)
	s.nc.Close()
	progress(report.Stage)
	events <- event{from: s, done: true, report: report}
}

// serve waits for the client to speak before it bothers the server: a parked socket costs the server nothing, and
// whoever must make room knows that nobody loses an answer.
func (s *socket) serve(ctx context.Context, t *Target, progress func(uatcp.Stage)) uatcp.Report {
	first := make([]byte, 1)
	unblock := context.AfterFunc(ctx, func() { s.nc.Close() })
	_, err := io.ReadFull(s.nc, first)
	unblock()
	if err != nil {
		return uatcp.Report{Stage: uatcp.StageNoHello, Err: err}
	}
	s.spoken = true
	return t.Serve(ctx, &startedConn{Conn: s.nc, first: first}, progress)
}

// startedConn is a connection of which the first byte was read already.
type startedConn struct {
	net.Conn
	first []byte // owned by the reading goroutine
}

// Read returns the first byte, then what follows.
func (c *startedConn) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// CloseWrite says that nothing more will be sent, where the connection can.
func (c *startedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}
