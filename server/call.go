package server

import (
	"context"
	"errors"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// statusBadServerTooBusy is missing among gopcua's constants.
const statusBadServerTooBusy ua.StatusCode = 0x80EE0000

// additionalInfo of the service is what a client asks for with this bit of
// returnDiagnostics (Part 4 1.05, 7.33).
const additionalInfo = 0x04

// call is one request being answered. The connection's own call is reused for
// the next request; who answers later keeps a detached copy.
type call struct {
	server    *Server
	conn      *connection
	session   *session // nil for services without a Session
	as        *user    // of session when the request came; set with it
	requestID uint32
	header    uabinary.RequestHeader // borrows the request buffer until detached
	arrived   time.Time              // monotonic

	// end, when the handler sets it, ends the connection behind the answer.
	end error

	// aside, when the handler sets it, runs after it on a goroutine of its
	// own. It answers a detached copy; ctx ends with the connection.
	aside func(ctx context.Context)

	// Set by Read while it appends its response.
	oldest   uabinary.DateTime        // values from before are outdated if they can be had anew; 0: none is
	outdated []*addressspace.Variable // that were met

	// The response being appended.
	booked  int           // bytes taken from Server.responses
	refusal ua.StatusCode // why it becomes a fault; Good: it does not
	info    string        // what a fault tells a client that asks for AdditionalInfo
}

// detach copies the call for answering after the handler has returned, from
// any goroutine. Of the header, handle, timestamp, diagnostics mask and timeout
// hint remain; what borrowed the request buffer does not.
func (c *call) detach() call {
	d := *c
	d.aside = nil
	d.header = uabinary.RequestHeader{
		Timestamp:         c.header.Timestamp,
		RequestHandle:     c.header.RequestHandle,
		ReturnDiagnostics: c.header.ReturnDiagnostics,
		TimeoutHint:       c.header.TimeoutHint,
	}
	return d
}

// continueAside answers c on a goroutine of its own, in run, which gets a
// detached copy of c and a ctx that ends with the connection or the
// TimeoutHint. Only a few calls of a Session may wait at a time, so that a slow
// device holds up nobody else; it reports false, and does nothing, if they do.
func (c *call) continueAside(run func(ctx context.Context, held *call)) bool {
	if !c.session.beginAside(c.server.limits().MaxCallsAside) {
		return false
	}
	held := c.detach()
	c.aside = func(ctx context.Context) {
		defer held.session.endAside()
		if held.header.TimeoutHint > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(held.header.TimeoutHint)*time.Millisecond)
			defer cancel()
		}
		run(ctx, &held)
	}
	return true
}

func (sess *session) beginAside(limit int) bool {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.aside >= limit {
		return false
	}
	sess.aside++
	return true
}

func (sess *session) endAside() {
	sess.mu.Lock()
	sess.aside--
	sess.mu.Unlock()
}

// parse reads a whole request, r standing at its RequestHeader; a repeated look
// at those few bytes spares every request type a second parser. What cannot be
// decoded is answered (R3) and false returned. Strings and ByteStrings of req
// borrow the request buffer.
func (c *call) parse(r *uabinary.Reader, req uabinary.Structure) bool {
	req.Parse(r)
	if err := r.Err(); err != nil {
		c.conn.log.Debug("request not decoded", "request_id", c.requestID, "err", err)
		c.fault(statusOf(err))
		return false
	}
	return true
}

// parseOwned is parse for requests whose content outlives the call.
func (c *call) parseOwned(r *uabinary.Reader, req uabinary.Structure) bool {
	r.Borrow = false
	defer func() { r.Borrow = true }()
	return c.parse(r, req)
}

// checkCount answers a call of no operation or of too many and returns false.
func (c *call) checkCount(n, limit int) bool {
	switch {
	case n == 0:
		c.fault(ua.StatusBadNothingToDo)
	case n > limit:
		c.fault(ua.StatusBadTooManyOperations)
	default:
		return true
	}
	return false
}

// responseHeader is the header of the answer to c, result Good
// (Part 4 1.05, 7.34), without diagnostics.
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

// largeResponse is the size in bytes from which on a response is counted in
// Limits.ResponseBytesTotal, in steps of that size.
const largeResponse = 64 << 10

// send sends the response that appendTo appends: encoding NodeID and body; none
// if it returns nil. One that is larger than the client takes becomes a fault,
// and so does a large one while those before it, to clients that do not read,
// take all the memory there is for them.
func (c *call) send(appendTo func(dst []byte) []byte) {
	c.booked, c.refusal = 0, ua.StatusOK
	err := c.conn.channel.Send(c.requestID, func(dst []byte) []byte {
		start := len(dst)
		dst = appendTo(dst)
		if dst == nil || c.fits(len(dst)-start) {
			return dst
		}
		return c.appendFault(dst[:start:start], c.refusal) // into other memory
	})
	c.server.responses.Give(c.booked)
	switch {
	case err == nil:
	case errors.Is(err, ua.StatusBadResponseTooLarge):
		c.fault(ua.StatusBadResponseTooLarge)
	default:
		c.conn.drop(err)
	}
}

// fits reports whether the response may have size bytes; once it may not, it
// will be a fault. Who appends much asks on the way.
func (c *call) fits(size int) bool {
	if c.refusal != ua.StatusOK {
		return false
	}
	if uint64(size) > c.responseLimit() {
		c.refusal = ua.StatusBadResponseTooLarge
		return false
	}
	steps := (size - c.booked - 1) / largeResponse // the first one is free
	switch {
	case steps <= 0:
	case c.server.responses.Take(steps * largeResponse):
		c.booked += steps * largeResponse
	default:
		c.refusal = statusBadServerTooBusy
		return false
	}
	return true
}

// responseLimit is the largest body, in bytes, that may answer c, beside what
// the client said in its Hello, which the channel knows.
func (c *call) responseLimit() uint64 {
	limit := c.server.limits().MaxResponseSize
	if c.session != nil && c.session.maxResponse > 0 {
		limit = min(limit, c.session.maxResponse)
	}
	return uint64(limit)
}

// fault answers with a ServiceFault (Part 4 1.05, 7.35). A client that does not
// even take that loses its connection.
func (c *call) fault(code ua.StatusCode) {
	c.server.counters.rejected(code)
	err := c.conn.channel.Send(c.requestID, func(dst []byte) []byte { return c.appendFault(dst, code) })
	if err != nil {
		c.conn.drop(err)
	}
}

func (c *call) appendFault(dst []byte, code ua.StatusCode) []byte {
	f := uabinary.ServiceFault{ResponseHeader: c.responseHeader()}
	f.ResponseHeader.ServiceResult = code
	if c.info != "" && c.header.ReturnDiagnostics&additionalInfo != 0 {
		f.ResponseHeader.ServiceDiagnostics = uabinary.DiagnosticInfo{Fields: uabinary.DiagnosticAdditionalInfo, AdditionalInfo: c.info}
	}
	return uabinary.AppendMessage(dst, &f)
}
