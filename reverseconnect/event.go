package reverseconnect

import (
	"fmt"
	"net"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// EventKind is what has happened to a call.
type EventKind uint8

// What happens to a call: Received, then Accepted, then Claimed, Expired or Lost. Rejected may come at any time but after
// those three, also first, when there was no ReverseHello.
const (
	EventReceived EventKind = iota + 1 // a ReverseHello has come
	EventAccepted                      // the server may call; the call is held, or handed out at once
	EventRejected                      // turned away; Err says why
	EventExpired                       // nobody wanted it for HoldTimeout
	EventClaimed                       // handed out
	EventLost                          // the server hung up before
)

var eventWords = [...]string{
	EventReceived: "received", EventAccepted: "accepted", EventRejected: "rejected",
	EventExpired: "expired", EventClaimed: "claimed", EventLost: "lost",
}

// String returns the word for k, such as "received".
func (k EventKind) String() string {
	if int(k) < len(eventWords) && eventWords[k] != "" {
		return eventWords[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is one step in the life of a call.
type Event struct {
	Kind        EventKind
	ServerURI   string // empty without a ReverseHello; a stranger's text until a certificate has proved it
	EndpointURL string
	RemoteAddr  net.Addr
	Err         *CallError // of EventRejected and EventLost
}

// happened logs what has become of c and tells it to who wants to know. No lock is held.
func (l *Listener) happened(c *call, kind EventKind, err *CallError) {
	l.lineOf(kind)("reverse connect call "+kind.String(), c.attrs(err)...)
	if l.cfg.Events == nil {
		return
	}
	l.cfg.Events(Event{
		Kind: kind, ServerURI: c.rhe.ServerURI, EndpointURL: c.rhe.EndpointURL, RemoteAddr: c.nc.RemoteAddr(), Err: err,
	})
}

// lineOf returns the level to log at. What strangers cause is for debugging when there is too much of it.
func (l *Listener) lineOf(kind EventKind) tellFunc {
	switch {
	case kind == EventAccepted, !l.pace.allow(time.Now()):
		return l.log.Debug
	case kind == EventRejected:
		return l.log.Warn
	}
	return l.log.Info
}

// attrs names the call in log lines.
func (c *call) attrs(err *CallError) []any {
	attrs := []any{"remote", c.nc.RemoteAddr().String()}
	if c.rhe.ServerURI != "" {
		attrs = append(attrs, "server_uri", clip(c.rhe.ServerURI), "endpoint_url", clip(c.rhe.EndpointURL))
	}
	if err == nil {
		return attrs
	}
	if err.Code != ua.StatusGood {
		attrs = append(attrs, "status", uatcp.StatusName(err.Code))
	}
	return append(attrs, "err", err)
}
