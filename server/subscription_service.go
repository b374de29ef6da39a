package server

import (
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// The Subscription service set without Publish and Republish
// (Part 4 (1.05), 5.14.2 to 5.14.4 and 5.14.8; 1.04: 5.13).

func (s *Server) handleCreateSubscription(c *call, r *uabinary.Reader) {
	var req uabinary.CreateSubscriptionRequest
	if !c.parse(r, &req) {
		return
	}
	p := s.limits().reviseSubscription(req.RequestedPublishingInterval, req.RequestedLifetimeCount,
		req.RequestedMaxKeepAliveCount, req.MaxNotificationsPerPublish, req.Priority)
	sub, status := c.session.subs.create(p, req.PublishingEnabled)
	if status != ua.StatusOK {
		c.fault(status)
		return
	}
	c.respond(&uabinary.CreateSubscriptionResponse{
		ResponseHeader:            c.responseHeader(),
		SubscriptionID:            sub.id,
		RevisedPublishingInterval: milliseconds(p.interval),
		RevisedLifetimeCount:      p.lifetimeCount,
		RevisedMaxKeepAliveCount:  p.keepAliveCount,
	})
}

// create adds a Subscription to the Session, within its and the server's limits.
func (subs *sessionSubscriptions) create(p subscriptionParameters, enabled bool) (*subscription, ua.StatusCode) {
	s := subs.server
	subs.mu.Lock()
	defer subs.mu.Unlock()
	if subs.ended {
		return nil, ua.StatusBadSessionClosed
	}
	if len(subs.all) >= s.limits().MaxSubscriptionsPerSession ||
		!reserve(&s.totals.subscriptions, 1, int64(s.limits().MaxSubscriptions)) {
		return nil, ua.StatusBadTooManySubscriptions
	}
	now := subs.now()
	sub := &subscription{
		owner: subs, id: s.totals.newID(), enabled: enabled,
		items: make(map[uint32]*monitoredItem), sequence: 1,
		cycle: now, lastSent: now, lastAlive: now, armed: never,
	}
	sub.set(p)
	sub.timer = time.AfterFunc(p.interval, sub.wake)
	subs.all = append(subs.all, sub)
	sub.arm(now)
	return sub, ua.StatusOK
}

func (s *Server) handleModifySubscription(c *call, r *uabinary.Reader) {
	var req uabinary.ModifySubscriptionRequest
	if !c.parse(r, &req) {
		return
	}
	p := s.limits().reviseSubscription(req.RequestedPublishingInterval, req.RequestedLifetimeCount,
		req.RequestedMaxKeepAliveCount, req.MaxNotificationsPerPublish, req.Priority)
	known := c.session.subs.with(req.SubscriptionID, func(sub *subscription, now time.Duration) {
		sub.enterCycle(now)
		sub.set(p)
		sub.arm(now)
	})
	if !known {
		c.fault(ua.StatusBadSubscriptionIDInvalid)
		return
	}
	c.respond(&uabinary.ModifySubscriptionResponse{
		ResponseHeader:            c.responseHeader(),
		RevisedPublishingInterval: milliseconds(p.interval),
		RevisedLifetimeCount:      p.lifetimeCount,
		RevisedMaxKeepAliveCount:  p.keepAliveCount,
	})
}

func (s *Server) handleSetPublishingMode(c *call, r *uabinary.Reader) {
	var req uabinary.SetPublishingModeRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.SubscriptionIDs), s.limits().MaxSubscriptionsPerCall) {
		return
	}
	results := make([]ua.StatusCode, len(req.SubscriptionIDs))
	for i, id := range req.SubscriptionIDs {
		known := c.session.subs.with(id, func(sub *subscription, now time.Duration) {
			sub.enabled = req.PublishingEnabled
			sub.arm(now)
		})
		if !known {
			results[i] = ua.StatusBadSubscriptionIDInvalid
		}
	}
	c.respond(&uabinary.SetPublishingModeResponse{ResponseHeader: c.responseHeader(), Results: results})
}

func (s *Server) handleDeleteSubscriptions(c *call, r *uabinary.Reader) {
	var req uabinary.DeleteSubscriptionsRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.SubscriptionIDs), s.limits().MaxSubscriptionsPerCall) {
		return
	}
	results := make([]ua.StatusCode, len(req.SubscriptionIDs))
	for i, id := range req.SubscriptionIDs {
		if !c.session.subs.delete(id) {
			results[i] = ua.StatusBadSubscriptionIDInvalid
		}
	}
	c.respond(&uabinary.DeleteSubscriptionsResponse{ResponseHeader: c.responseHeader(), Results: results})
	c.session.subs.flush()
}

// delete ends a Subscription. With the last one the parked Publish requests
// have nothing to wait for (Part 4 (1.05), 5.14.1.2). Their answers go out with
// the next flush.
func (subs *sessionSubscriptions) delete(id uint32) bool {
	subs.mu.Lock()
	sub := subs.find(id)
	if sub == nil {
		subs.mu.Unlock()
		return false
	}
	items := subs.remove(sub)
	if len(subs.all) == 0 {
		subs.dropRequests(ua.StatusBadNoSubscription)
	}
	subs.mu.Unlock()
	unwatchAll(items)
	return true
}

// with runs do on a Subscription under mu and counts as a sign of life of the
// client. It reports false if this Session has no such Subscription.
func (subs *sessionSubscriptions) with(id uint32, do func(sub *subscription, now time.Duration)) bool {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	sub := subs.find(id)
	if sub == nil {
		return false
	}
	now := subs.now()
	sub.alive(now)
	do(sub, now)
	return true
}

// sessionClosed ends what a closed Session had subscribed to.
func (s *Server) sessionClosed(sess *session, _ bool) { sess.subs.end(ua.StatusBadSessionClosed) }

// sessionDetached is called when the SecureChannel under a Session is gone.
func (s *Server) sessionDetached(sess *session, lost *connection) { sess.subs.channelLost(lost) }
