package reverseconnect

import (
	"container/list"
	"errors"
	"io"
	"net"
	"os"
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

// listen returns when the server speaks or hangs up, or at the deadline.
func (c *call) listen() (int, error) {
	var b [1]byte
	return c.nc.Read(b[:])
}

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
	if !l.greet(c) {
		l.drop(c)
		return
	}
	l.offer(c)
}

// greet reads the ReverseHello and reports whether the server may call.
func (l *Listener) greet(c *call) bool {
	rhe, err := uatcp.ReadReverseHello(c.nc, l.cfg.ReadTimeout)
	if err != nil {
		l.refuse(c, callError(err))
		return false
	}
	c.rhe = rhe
	l.happened(c, EventReceived, nil)
	if err := l.judge(rhe); err != nil {
		l.refuse(c, err)
		return false
	}
	l.happened(c, EventAccepted, nil)
	return true
}

// judge decides whether the server may call. Part 6 (1.05), 7.1.2.6
func (l *Listener) judge(rhe ReverseHello) *CallError {
	if rhe.ServerURI == "" || len(l.allowed) > 0 && !l.allowed[rhe.ServerURI] {
		return refused(ErrNotAllowed, ua.StatusBadTCPEndpointURLInvalid)
	}
	if err := checkEndpointURL(rhe.EndpointURL); err != nil {
		return &CallError{Reason: ErrEndpointURL, Code: ua.StatusBadTCPEndpointURLInvalid, Err: err}
	}
	if l.cfg.screen != nil {
		return l.cfg.screen(rhe)
	}
	return nil
}

// offer gives the call to who waits for it, or holds it.
func (l *Listener) offer(c *call) {
	c.nc.SetReadDeadline(time.Now().Add(l.cfg.HoldTimeout))
	l.mu.Lock()
	if l.closed || c.evicted {
		l.place(c, nil)
		l.mu.Unlock()
		l.refuse(c, &CallError{Reason: ErrHungUp})
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
	if l.held.Len() >= l.cfg.MaxHeld {
		l.pushOut(c.rhe.ServerURI)
	}
	l.place(c, l.held)
	l.mu.Unlock()
	l.tasks.Go(func() { l.hold(c) }) // on a fresh stack, which is all that a held call costs
}

// pushOut makes room among the held calls for one of a server. l.mu is held.
func (l *Listener) pushOut(serverURI string) {
	oldest := l.held.Front()
	for e := oldest; e != nil; e = e.Next() {
		if e.Value.(*call).rhe.ServerURI == serverURI {
			oldest = e
			break
		}
	}
	c := oldest.Value.(*call)
	l.place(c, nil)
	c.evicted = true
	c.wake()
}

// hold waits until the call is claimed, pushed out, or ends.
func (l *Listener) hold(c *call) {
	n, err := c.listen()
	l.mu.Lock()
	l.place(c, l.reading) // unless it is claimed, it may be refused yet
	w, evicted := c.claimant, c.evicted
	silent := n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	if w != nil && !silent {
		l.reclaim(w)
	}
	l.mu.Unlock()
	defer l.drop(c)
	switch {
	case n > 0:
		l.refuse(c, refused(ErrOutOfTurn, ua.StatusBadTCPMessageTypeInvalid))
	case !silent:
		l.refuse(c, &CallError{Reason: ErrHungUp, Err: err})
	case w != nil:
		l.deliver(c, w)
	case evicted:
		l.refuse(c, refused(ErrTooManyCalls, statusBadServerTooBusy))
	default:
		c.nc.Close()
		l.happened(c, EventExpired, nil)
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
	l.happened(c, EventClaimed, nil)
	w.session <- &Session{
		ServerURI: c.rhe.ServerURI, EndpointURL: c.rhe.EndpointURL,
		RemoteAddr: c.nc.RemoteAddr(), Conn: c.nc, listener: l,
	}
}

// refuse ends a call, with an answer if there is one to give.
func (l *Listener) refuse(c *call, err *CallError) {
	defer c.nc.Close()
	l.mu.Lock()
	closed, evicted := l.closed, c.evicted
	l.mu.Unlock()
	switch {
	case evicted && err.Reason == ErrHungUp: // by us
		l.happened(c, EventRejected, refused(ErrTooManyCalls, ua.StatusGood))
	case closed:
	case err.Reason == ErrHungUp && c.rhe.ServerURI != "":
		l.happened(c, EventLost, err)
	default:
		l.happened(c, EventRejected, err)
		if err.Code != ua.StatusGood && uatcp.WriteError(c.nc, err.Code, err.Reason.Error(), refuseTimeout) == nil {
			linger(c.nc)
		}
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
