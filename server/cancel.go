package server

import (
	"slices"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// handleCancel: Part 4 (1.05), 5.7.5. Publish requests are what waits here and
// can be called off; a value on its way to a device cannot.
func (s *Server) handleCancel(c *call, r *uabinary.Reader) {
	var req uabinary.CancelRequest
	if !c.parse(r, &req) {
		return
	}
	subs := &c.session.subs
	resp := uabinary.CancelResponse{ResponseHeader: c.responseHeader(), CancelCount: subs.cancel(req.RequestHandle)}
	subs.flush()
	c.respond(&resp)
}

// cancel answers the parked Publish requests of that handle with
// BadRequestCancelledByClient and returns how many there were.
func (subs *sessionSubscriptions) cancel(requestHandle uint32) (n uint32) {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	q := &subs.requests
	q.queue = slices.DeleteFunc(q.queue, func(p *parkedPublish) bool {
		if p.call.header.RequestHandle != requestHandle {
			return false
		}
		p.fault = ua.StatusBadRequestCancelledByClient
		subs.outbox = append(subs.outbox, p)
		n++
		return true
	})
	if n > 0 && q.len() == 0 { // until now the client was there
		now := subs.now()
		for _, sub := range subs.all {
			sub.alive(now)
			sub.arm(now)
		}
	}
	return n
}
