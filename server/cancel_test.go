package server

import (
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func (s *subscriber) cancel(requestHandle uint32) uint32 {
	s.t.Helper()
	req := &uabinary.CancelRequest{RequestHandle: requestHandle}
	var resp uabinary.CancelResponse
	s.wantOK(s.call(&req.RequestHeader, req, &resp))
	return resp.CancelCount
}

func TestSessionCancel_Part4_575(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s, other := r.subscriber(), r.subscriber()
		s.subscribe(1000)
		other.subscribe(1000)
		first, second := s.publish(), s.publish()
		foreign := other.publish()
		if n := s.cancel(12345); n != 0 {
			t.Errorf("%d requests of an unknown handle", n)
		}
		if n := s.cancel(second); n != 1 {
			t.Errorf("%d requests", n)
		}
		if p := s.now(); p == nil || p.handle != second || p.code != ua.StatusBadRequestCancelledByClient {
			t.Fatalf("got %+v", p)
		}
		if n := other.cancel(first); first != foreign && n != 0 {
			t.Errorf("%d requests of another Session", n)
		}
		if n := s.cancel(second); n != 0 {
			t.Errorf("cancelled twice")
		}
		if p := s.next(); p.handle != first || !p.keepAlive() {
			t.Errorf("the other request is answered by %+v", p)
		}
	})
}

// The lifetime begins to run when the last request is called off.
func TestSessionCancel_LastRequestStartsTheLifetime(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub, code := s.create(1000, func(req *uabinary.CreateSubscriptionRequest) {
			req.RequestedLifetimeCount, req.RequestedMaxKeepAliveCount = 30, 10
		})
		s.wantOK(code)
		s.next1()
		h := s.publish()
		time.Sleep(5 * time.Second)
		s.cancel(h)
		s.now()
		life := time.Duration(sub.RevisedLifetimeCount) * time.Second
		time.Sleep(life - 2*time.Second)
		if _, code := s.publishing(true, sub.SubscriptionID); code != ua.StatusOK {
			t.Fatalf("gone too early: %v", code)
		}
		time.Sleep(life + 2*time.Second)
		results, _ := s.publishing(true, sub.SubscriptionID)
		if len(results) != 1 || results[0] != ua.StatusBadSubscriptionIDInvalid {
			t.Errorf("still there: %v", results)
		}
	})
}

// next1 takes the first answer of a new Subscription.
func (s *subscriber) next1() {
	s.t.Helper()
	s.publish()
	s.next()
}
