package server

import (
	"sync/atomic"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Publish and Republish (Part 4 (1.05), 5.14.5 and 5.14.6; 1.04: 5.13.5 and
// 5.13.6).

func (s *Server) handlePublish(c *call, r *uabinary.Reader) {
	req := &c.conn.publishRequest
	if !c.parse(r, req) {
		return
	}
	if len(req.SubscriptionAcknowledgements) > s.limits().MaxPublishAcks {
		c.fault(ua.StatusBadTooManyOperations)
		return
	}
	subs := &c.session.subs
	if code := subs.publish(c, req.SubscriptionAcknowledgements); code != ua.StatusOK {
		c.fault(code)
	}
	subs.flush()
}

// publish processes the acknowledgements, parks the request and answers at once
// if a Subscription is late. A queue that is full loses its oldest request
// (Part 4 (1.05), 5.14.5.1).
func (subs *sessionSubscriptions) publish(c *call, acks []uabinary.SubscriptionAcknowledgement) ua.StatusCode {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	if subs.ended {
		return ua.StatusBadSessionClosed
	}
	if len(subs.all) == 0 && len(subs.statusChanges) == 0 {
		return ua.StatusBadNoSubscription
	}
	if len(subs.outbox) >= subs.server.limits().MaxPublishRequestsPerSession {
		// The client asks on without reading the answers. This one waits for
		// them to leave, and so does the connection.
		return ua.StatusBadTooManyPublishRequests
	}
	now := subs.now()
	p := subs.park(c, now)
	for _, ack := range acks {
		p.results = append(p.results, subs.acknowledge(ack))
	}
	idle := subs.requests.len() == 0
	if subs.requests.len() >= max(subs.server.limits().MaxPublishRequestsPerSession, len(subs.all)+1) {
		oldest := subs.requests.pop()
		oldest.fault = ua.StatusBadTooManyPublishRequests
		subs.outbox = append(subs.outbox, oldest)
	}
	subs.requests.push(p, now)
	subs.pair(now)
	if idle && subs.requests.len() > 0 {
		for _, sub := range subs.all {
			sub.arm(now)
		}
	}
	return ua.StatusOK
}

func (subs *sessionSubscriptions) acknowledge(ack uabinary.SubscriptionAcknowledgement) ua.StatusCode {
	sub := subs.find(ack.SubscriptionID)
	if sub == nil {
		return ua.StatusBadSubscriptionIDInvalid
	}
	if !sub.acknowledge(ack.SequenceNumber) {
		return ua.StatusBadSequenceNumberUnknown
	}
	return ua.StatusOK
}

// republishResponseID is the encoding id of RepublishResponse.
var republishResponseID = (*uabinary.RepublishResponse)(nil).EncodingID()

func (s *Server) handleRepublish(c *call, r *uabinary.Reader) {
	var req uabinary.RepublishRequest
	if !c.parse(r, &req) {
		return
	}
	message, code := c.session.subs.republish(req.SubscriptionID, req.RetransmitSequenceNumber)
	if code != ua.StatusOK {
		c.fault(code)
		return
	}
	c.send(func(dst []byte) []byte {
		header := c.responseHeader()
		dst = uabinary.NumericID(0, republishResponseID).Append(dst)
		dst = header.Append(dst)
		return append(dst, message...)
	})
}

// republish returns a copy of a retained message.
func (subs *sessionSubscriptions) republish(id, sequence uint32) ([]byte, ua.StatusCode) {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	sub := subs.find(id)
	if sub == nil {
		return nil, ua.StatusBadSubscriptionIDInvalid
	}
	sub.alive(subs.now())
	for _, m := range sub.retained {
		if m.sequence == sequence {
			return append([]byte(nil), m.bytes...), ua.StatusOK
		}
	}
	return nil, ua.StatusBadMessageNotAvailable
}

// reserve adds n to a total unless that would exceed the limit.
func reserve(total *atomic.Int64, n, limit int64) bool {
	if total.Add(n) > limit {
		total.Add(-n)
		return false
	}
	return true
}

// newID gives out a Subscription id that no other Subscription has; 0 is never
// used (Part 4 (1.05), 7.18).
func (t *subscriptionTotals) newID() uint32 {
	for {
		if id := t.lastID.Add(1); id != 0 {
			return id
		}
	}
}
