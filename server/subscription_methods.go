package server

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// The Methods of the Server object about a Subscription: Part 5 (1.05), 9.1
// and 9.2.

// implementMethods puts code behind the Methods of the Server object.
func (s *Server) implementMethods() {
	s.space.Implement(id.Server_GetMonitoredItems, s.getMonitoredItems)
	s.space.Implement(id.Server_ResendData, s.resendData)
}

// getMonitoredItems returns the server's and the client's handle of every item
// of a Subscription.
func (s *Server) getMonitoredItems(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	servers, clients := []uint32{}, []uint32{}
	status := s.withOwn(call, func(sub *subscription, _ time.Duration) {
		servers = slices.Sorted(maps.Keys(sub.items))
		for _, itemID := range servers {
			clients = append(clients, sub.items[itemID].clientHandle)
		}
	})
	return []uabinary.Variant{uabinary.VariantOf(servers), uabinary.VariantOf(clients)}, status, nil
}

// resendData makes the next Publish response hold the value of every item that
// reports.
func (s *Server) resendData(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	status := s.withOwn(call, func(sub *subscription, now time.Duration) {
		for _, itemID := range slices.Sorted(maps.Keys(sub.items)) {
			sub.items[itemID].resend(now)
		}
	})
	return nil, status, nil
}

// resend queues the last value once more, unless one is queued anyway (Part 4
// (1.05), 5.14.7.1 has the same rule for a Subscription that was transferred).
func (item *monitoredItem) resend(now time.Duration) {
	if item.mode != ua.MonitoringModeReporting || item.last == nil {
		return
	}
	if item.queue.len() == 0 {
		item.enqueue(item.last)
	}
	item.sub.changed(item, now)
}

// withOwn runs do on the Subscription that the first argument names, if it
// belongs to the Session that calls.
func (s *Server) withOwn(call *addressspace.MethodCall, do func(sub *subscription, now time.Duration)) ua.StatusCode {
	n, _ := call.Inputs[0].Any().(uint32)
	switch {
	case call.Session.(*session).subs.with(n, do):
		return ua.StatusOK
	case s.hasSubscription(n):
		return ua.StatusBadUserAccessDenied
	}
	return ua.StatusBadSubscriptionIDInvalid
}

// hasSubscription reports whether any Session has that Subscription.
func (s *Server) hasSubscription(n uint32) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sess := range s.sessions {
		sess.subs.mu.Lock()
		found := sess.subs.find(n) != nil
		sess.subs.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}
