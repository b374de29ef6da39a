package drivers

import (
	"context"
	"sync/atomic"

	"github.com/gopcua/opcua/ua"
)

// Ticket stands for one write on its way through the queue of a channel: its caller waits with it for the answer, and
// either the caller or the channel disposes of it, never both.
type Ticket struct {
	taken  atomic.Bool // by the channel, to send it, or by its caller, to give it up
	answer chan ua.StatusCode
}

// NewTicket makes one that nobody has taken.
func NewTicket() *Ticket { return &Ticket{answer: make(chan ua.StatusCode, 1)} }

// Take claims the write for the channel, which must answer it then; false if its caller has given it up.
func (t *Ticket) Take() bool { return t.taken.CompareAndSwap(false, true) }

// Answer tells the caller what came of it. It never waits.
func (t *Ticket) Answer(s ua.StatusCode) { t.answer <- s }

// Wait returns the answer. When ctx ends first it is BadTimeout, when the channel has stopped without having taken the
// write, BadShutdown; what has not been taken by then is never sent.
func (t *Ticket) Wait(ctx context.Context, stopped <-chan struct{}) ua.StatusCode {
	select {
	case s := <-t.answer:
		return s
	case <-stopped:
		if t.Take() {
			return ua.StatusBadShutdown
		}
		return <-t.answer
	case <-ctx.Done():
		t.Take()
		return ua.StatusBadTimeout
	}
}
