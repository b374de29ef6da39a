package reverseconnect

import (
	"container/list"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// statusBadServerTooBusy is what a client without resources answers. Part 6 (1.05), 7.1.3; Part 4, 7.38.2
const statusBadServerTooBusy ua.StatusCode = 0x80EE0000

const (
	refuseTimeout = time.Second     // for sending a refusal
	lingerTimeout = time.Second / 2 // for the peer to read it
	lingerBytes   = 64 << 10
)

// call is one accepted socket until it is handed out. Its goroutine reads the ReverseHello, and then keeps reading
// while the call is held, so that it notices a server that hangs up or speaks out of turn.
type call struct {
	nc  net.Conn
	rhe uatcp.ReverseHello // set before the call is held

	// guarded by Listener.mu
	in       *list.List    // reading or held, nil when handed out
	element  *list.Element // in it
	claimant *waiter       // gets the call
	evicted  bool          // pushed out by a younger one
}

// wake ends the reading of a held call, whose goroutine then looks at its fate.
func (c *call) wake() { c.nc.SetReadDeadline(time.Unix(1, 0)) }

// place moves c to the end of a list, or out of all. l.mu is held.
func (l *Listener) place(c *call, to *list.List) {
	if c.in != nil {
		c.in.Remove(c.element)
	}
	c.in, c.element = to, nil
	if to != nil {
		c.element = to.PushBack(c)
	}
}

// drop forgets a call that has ended. Until then it counts, also while it is being refused.
func (l *Listener) drop(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.place(c, nil)
}

// serve reads the ReverseHello and finds somebody for the call.
func (l *Listener) serve(c *call) {
	defer l.drop(c)
	rhe, err := uatcp.ReadReverseHello(c.nc, l.cfg.ReadTimeout)
	if c.rhe = rhe; err == nil {
		err = l.judge(rhe)
	}
	if err != nil {
		l.refuse(c, err)
		return
	}
	l.tell(slog.LevelInfo, "reverse connect call received", c.attrs()...)
	l.offer(c)
}

// judge decides whether the server may call.
func (l *Listener) judge(rhe uatcp.ReverseHello) error {
	if rhe.ServerURI == "" || len(l.cfg.Allow) > 0 && !slices.Contains(l.cfg.Allow, rhe.ServerURI) {
		return &refusal{code: ua.StatusBadTCPEndpointURLInvalid, words: "ServerUri is not expected here"}
	}
	if _, err := dialAddress(rhe.EndpointURL); err != nil {
		return &refusal{code: ua.StatusBadTCPEndpointURLInvalid, words: "EndpointUrl is not an opc.tcp URL"}
	}
	return nil
}

// refusal is a decision against a call, in words that the server may read.
type refusal struct {
	code  ua.StatusCode
	words string
}

func (r *refusal) Error() string { return r.words }

// Unwrap makes the StatusCode visible to uatcp.StatusCodeOf.
func (r *refusal) Unwrap() error { return r.code }

// offer gives the call to who waits for it, or holds it.
func (l *Listener) offer(c *call) {
	c.nc.SetReadDeadline(time.Now().Add(l.cfg.HoldTimeout))
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		c.nc.Close()
		return
	}
	for e := l.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.filter.matches(c.rhe) {
			l.waiters.Remove(e)
			w.place = nil
			l.place(c, nil)
			l.mu.Unlock()
			l.deliver(c, w)
			return
		}
	}
	l.place(c, l.held)
	if l.held.Len() > l.cfg.MaxHeld {
		oldest := l.held.Front().Value.(*call)
		l.place(oldest, nil)
		oldest.evicted = true
		oldest.wake()
	}
	l.mu.Unlock()
	l.hold(c)
}

// hold waits until the call is claimed, pushed out, or ends.
func (l *Listener) hold(c *call) {
	var b [1]byte
	n, err := c.nc.Read(b[:])
	l.mu.Lock()
	l.place(c, l.reading) // unless it is claimed, it may be refused yet
	w := c.claimant
	silent := n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	if w != nil && !silent {
		l.reclaim(w)
	}
	l.mu.Unlock()
	switch {
	case n > 0:
		l.refuse(c, &refusal{code: ua.StatusBadTCPMessageTypeInvalid, words: "server spoke before Hello"})
	case !silent:
		c.nc.Close()
		l.tell(slog.LevelInfo, "reverse connect call ended by the server", c.attrs()...)
	case w != nil:
		l.deliver(c, w)
	case c.evicted:
		l.refuse(c, &refusal{code: statusBadServerTooBusy, words: "too many servers wait"})
	default:
		c.nc.Close()
		l.tell(slog.LevelInfo, "reverse connect call expired, nobody wanted it", c.attrs()...)
	}
}

// reclaim finds another call for w, whose own has just ended. l.mu is held.
func (l *Listener) reclaim(w *waiter) {
	if w.gone || l.closed {
		close(w.session)
		return
	}
	l.enqueue(w)
}

// deliver hands the call out.
func (l *Listener) deliver(c *call, w *waiter) {
	c.nc.SetReadDeadline(time.Time{})
	l.tell(slog.LevelInfo, "reverse connect call claimed", c.attrs()...)
	w.session <- &Session{
		ServerURI: c.rhe.ServerURI, EndpointURL: c.rhe.EndpointURL,
		RemoteAddr: c.nc.RemoteAddr(), Conn: c.nc, listener: l,
	}
}

// refuse answers with an Error, unless the server has fallen silent or gone, and closes the socket.
func (l *Listener) refuse(c *call, err error) {
	defer c.nc.Close()
	switch {
	case errors.Is(err, net.ErrClosed): // by us
		return
	case isClosed(err), isReset(err), isTimeout(err):
		l.tell(slog.LevelWarn, "reverse connect call without ReverseHello", "remote", c.nc.RemoteAddr().String(), "err", err)
		return
	}
	code := uatcp.StatusCodeOf(err)
	attrs := append(c.attrs(), "status", uatcp.StatusName(code), "err", err)
	l.tell(slog.LevelWarn, "reverse connect call refused", attrs...)
	words := ua.StatusCodes[code].Text
	if r, ok := errors.AsType[*refusal](err); ok {
		words = r.words
	}
	if uatcp.WriteError(c.nc, code, words, refuseTimeout) == nil {
		linger(c.nc)
	}
}

// linger reads on for a moment: closing a socket with unread bytes resets it, and the Error would be lost.
func linger(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	if nc.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, nc, lingerBytes)
	}
}

// attrs names the call in log lines.
func (c *call) attrs() []any {
	attrs := []any{"remote", c.nc.RemoteAddr().String()}
	if c.rhe.ServerURI != "" {
		attrs = append(attrs, "server_uri", clip(c.rhe.ServerURI), "endpoint_url", clip(c.rhe.EndpointURL))
	}
	return attrs
}
