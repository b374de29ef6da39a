package server

import (
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// call is one request being answered. The connection's own call is reused for
// the next request; who answers later keeps a detached copy.
type call struct {
	server    *Server
	conn      *connection
	session   *session // nil for services without a Session
	requestID uint32
	header    uabinary.RequestHeader // borrows the request buffer until detached
	arrived   time.Time              // monotonic
}

// detach copies the call for answering after the handler has returned, from
// any goroutine. Of the header, handle, timestamp, diagnostics mask and timeout
// hint remain; what borrowed the request buffer does not.
func (c *call) detach() call {
	d := *c
	d.header = uabinary.RequestHeader{
		Timestamp:         c.header.Timestamp,
		RequestHandle:     c.header.RequestHandle,
		ReturnDiagnostics: c.header.ReturnDiagnostics,
		TimeoutHint:       c.header.TimeoutHint,
	}
	return d
}

// responseHeader is the header of the answer to c, result Good
// (Part 4 1.05, 7.33). No diagnostics are ever returned.
func (c *call) responseHeader() uabinary.ResponseHeader {
	return uabinary.ResponseHeader{
		Timestamp:     uabinary.DateTimeOf(time.Now()),
		RequestHandle: c.header.RequestHandle,
	}
}

// respond sends one response. Its ResponseHeader is set by the caller, with
// responseHeader. A failing connection ends by itself; nothing is returned.
func (c *call) respond(resp uabinary.Structure) {
	c.send(func(dst []byte) []byte { return uabinary.AppendMessage(dst, resp) })
}

// send sends the response that appendTo appends: encoding NodeID and body.
func (c *call) send(appendTo func(dst []byte) []byte) {
	if err := c.conn.channel.Send(c.requestID, appendTo); err != nil {
		c.conn.sendFailed(c, err)
	}
}

// fault answers with a ServiceFault (Part 4 1.05, 7.35).
func (c *call) fault(code ua.StatusCode) {
	c.server.counters.rejected(code)
	var f uabinary.ServiceFault
	f.ResponseHeader = c.responseHeader()
	f.ResponseHeader.ServiceResult = code
	c.respond(&f)
}
