package securechannel

import (
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// partialMessage is a message of more than one chunk. Chunks of one message come one after the other, so there is at
// most one for each channel. Part 6 (1.05), 6.7.3
type partialMessage struct {
	requestID uint32
	chunks    int // 0 when there is no such message
	deadline  time.Time
	complete  bool          // handed out by Next; given back at the next call
	buffer    *uatcp.Buffer // the body so far
	budget    *uatcp.Budget // paid for buffer
	booked    int
}

func (p *partialMessage) active() bool { return p.chunks > 0 }

// discard gives the buffer back.
func (p *partialMessage) discard() {
	if p.buffer != nil {
		p.budget.Give(p.booked)
		p.buffer.Free()
	}
	*p = partialMessage{}
}

// size returns the length of the body so far in bytes.
func (p *partialMessage) size() int {
	if p.buffer == nil {
		return 0
	}
	return len(p.buffer.B)
}

// append adds a piece of a body that may grow to limit bytes, and reports whether the budget allowed it.
func (p *partialMessage) append(piece []byte, limit int) bool {
	if need := p.size() + len(piece); p.buffer == nil || need > cap(p.buffer.B) {
		larger := uatcp.GetBuffer(max(need, min(2*need, limit)))
		if !p.budget.Take(cap(larger.B) - p.booked) {
			larger.Free()
			return false
		}
		p.booked = cap(larger.B)
		if p.buffer != nil {
			larger.B = append(larger.B, p.buffer.B...)
			p.buffer.Free()
		}
		p.buffer = larger
	}
	p.buffer.B = append(p.buffer.B, piece...)
	return true
}

var (
	errMessageTooLarge = &Error{Code: ua.StatusBadTCPMessageTooLarge, Op: "message too large or of too many chunks"}
	errInterleaved     = &Error{Code: ua.StatusBadTCPInternalError, Op: "chunks of two messages interleaved"}
	errBudget          = &Error{Code: ua.StatusBadTCPNotEnoughResources, Op: "too many bytes in incomplete messages"}
)

// assemble adds a chunk, given as sequence header and body, to the message under way and reports whether that completed it.
// A message of one chunk is not copied. Part 6 (1.05), 6.7.3
func (c *conversation) assemble(isFinal byte, content []byte, limits *MessageLimits, budget *uatcp.Budget) (bool, error) {
	p, requestID, body := &c.partial, parseSequenceHeader(content).requestID, content[sequenceHeaderSize:]
	switch {
	case p.active() && requestID != p.requestID:
		return false, errInterleaved
	case isFinal == uatcp.Abort:
		p.discard()
		return false, nil
	case len(body) > limits.MaxMessageSize:
		return false, errMessageTooLarge
	case isFinal == uatcp.Final && !p.active():
		c.whole = message{ID: requestID, Body: body}
		return true, nil
	case !p.active():
		*p = partialMessage{requestID: requestID, deadline: time.Now().Add(limits.MessageTimeout), budget: budget}
	}
	p.chunks++
	if p.chunks > limits.MaxChunkCount || p.size()+len(body) > limits.MaxMessageSize {
		return false, errMessageTooLarge
	}
	if !p.append(body, limits.MaxMessageSize) {
		return false, errBudget
	}
	if isFinal != uatcp.Final {
		return false, nil
	}
	p.complete = true
	c.whole = message{ID: requestID, Body: p.buffer.B}
	return true, nil
}
