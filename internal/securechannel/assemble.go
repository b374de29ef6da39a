package securechannel

import (
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// partialMessage is a request of more than one chunk. Chunks of one message come one after the other, so there is at
// most one for each channel. Part 6 (1.05), 6.7.3
type partialMessage struct {
	buffer    *uatcp.Buffer // nil when there is none
	budget    *uatcp.Budget // paid for buffer
	booked    int
	requestID uint32
	chunks    int
	deadline  time.Time
	complete  bool // handed out by Next; the buffer goes back at the next call
}

func (p *partialMessage) active() bool { return p.buffer != nil }

// discard gives the buffer back.
func (p *partialMessage) discard() {
	if p.buffer != nil {
		p.budget.Give(p.booked)
		p.buffer.Free()
	}
	*p = partialMessage{}
}

// append adds a piece of body and reports whether the budget allowed it.
func (p *partialMessage) append(piece []byte, limit int) bool {
	need := len(p.buffer.B) + len(piece)
	if need > cap(p.buffer.B) || p.booked == 0 {
		larger := uatcp.GetBuffer(max(need, min(2*need, limit)))
		if !p.budget.Take(cap(larger.B) - p.booked) {
			larger.Free()
			return false
		}
		p.booked = cap(larger.B)
		larger.B = append(larger.B, p.buffer.B...)
		p.buffer.Free()
		p.buffer = larger
	}
	p.buffer.B = append(p.buffer.B, piece...)
	return true
}

var (
	errMessageTooLarge = &Error{Code: ua.StatusBadTCPMessageTooLarge, Op: "request too large or of too many chunks"}
	errInterleaved     = &Error{Code: ua.StatusBadTCPInternalError, Op: "chunks of two requests interleaved"}
	errBudget          = &Error{Code: ua.StatusBadTCPNotEnoughResources, Op: "too many bytes in incomplete requests"}
)

// assemble adds the body of a chunk to the request under way and reports whether that completed it.
// A request of one chunk is not copied. Part 6 (1.05), 6.7.3
func (c *Channel) assemble(isFinal byte, requestID uint32, body []byte) (bool, error) {
	p, limits := &c.partial, c.limits()
	switch {
	case p.active() && requestID != p.requestID:
		return false, errInterleaved
	case isFinal == uatcp.Abort:
		p.discard()
		return false, nil
	case len(body) > limits.MaxMessageSize:
		return false, errMessageTooLarge
	case isFinal == uatcp.Final && !p.active():
		c.request = Request{ID: requestID, Body: body}
		return true, nil
	case !p.active():
		*p = partialMessage{
			buffer:    uatcp.GetBuffer(0),
			budget:    c.cfg.Budget,
			requestID: requestID,
			deadline:  time.Now().Add(limits.MessageTimeout),
		}
	}
	p.chunks++
	if p.chunks > limits.MaxChunkCount || len(p.buffer.B)+len(body) > limits.MaxMessageSize {
		return false, errMessageTooLarge
	}
	if !p.append(body, limits.MaxMessageSize) {
		return false, errBudget
	}
	if isFinal != uatcp.Final {
		return false, nil
	}
	p.complete = true
	c.request = Request{ID: requestID, Body: p.buffer.B}
	return true, nil
}
