package server

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Illegal values are revised, never refused (Part 4 (1.05), 5.14.2.1, 5.14.3.1).
func TestSubscriptionBasic_RevisedParameters(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		check := func(name string, interval, revised float64, keepAlive, lifetime uint32) {
			t.Helper()
			if !(revised >= 100 && revised <= 3600_000) || interval >= 100 && interval <= 3600_000 && revised != interval {
				t.Errorf("%s: interval %v revised to %v", name, interval, revised)
			}
			if keepAlive == 0 || lifetime/3 < keepAlive {
				t.Errorf("%s: keep-alive %d, lifetime %d", name, keepAlive, lifetime)
			}
		}
		for _, interval := range []float64{0, math.Copysign(0, -1), -1, 1, 100, 250.5, second, 1e12, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, count := range []uint32{0, 1, 3, 100, math.MaxUint32 / 3, math.MaxUint32} {
				resp, code := s.create(interval, func(req *uabinary.CreateSubscriptionRequest) {
					req.RequestedLifetimeCount, req.RequestedMaxKeepAliveCount, req.MaxNotificationsPerPublish = math.MaxUint32-count, count, count
				})
				s.wantOK(code)
				check("create", interval, resp.RevisedPublishingInterval, resp.RevisedMaxKeepAliveCount, resp.RevisedLifetimeCount)
				mod, code := s.modify(resp.SubscriptionID, interval, count, count)
				s.wantOK(code)
				check("modify", interval, mod.RevisedPublishingInterval, mod.RevisedMaxKeepAliveCount, mod.RevisedLifetimeCount)
				if results, code := s.unsubscribe(resp.SubscriptionID); code != ua.StatusOK || results[0] != ua.StatusOK {
					t.Fatalf("delete: %v %v", results, code)
				}
			}
		}
		resp, _ := s.create(second, nil)
		if resp.SubscriptionID == 0 || resp.RevisedMaxKeepAliveCount != 10 || resp.RevisedLifetimeCount != 300 {
			t.Errorf("what can be had is changed: %+v", resp)
		}
	})
}

// The first message comes at the end of the first cycle, whatever it has to say
// (Part 4, 5.14.1.1 point 7).
func TestSubscriptionBasic_FirstMessage(t *testing.T) {
	for name, withItem := range map[string]bool{"keep-alive": false, "data": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				start := time.Now()
				sub := s.subscribe(second)
				if withItem {
					s.monitor(sub, item("Int16"))
				}
				p := s.cycle()
				if p.at.Sub(start) != time.Second || p.SubscriptionID != sub || p.sequence() != 1 || p.keepAlive() == withItem {
					t.Errorf("after %v: %+v", p.at.Sub(start), p)
				}
				if p.NotificationMessage.PublishTime != uabinary.DateTimeOf(p.at) {
					t.Error("PublishTime is not the time of sending")
				}
			})
		})
	}
}

// Keep-alives come MaxKeepAliveCount cycles after the last message, with the
// number that the next NotificationMessage will have (Part 4, 5.14.1.1).
func TestSubscriptionBasic_KeepAliveTiming(t *testing.T) {
	for _, count := range []uint32{1, 2, 10} {
		inTime(t, nil, func(t *testing.T, r *rig) {
			s := r.subscriber()
			start := time.Now()
			resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedMaxKeepAliveCount = count })
			s.cycle()
			period := time.Duration(count) * time.Second
			for i := range 3 {
				p := s.cycle()
				if want := time.Second + period*time.Duration(i+1); p.at.Sub(start) != want || !p.keepAlive() || p.sequence() != 1 {
					t.Errorf("count %d: after %v instead of %v, sequence %d", count, p.at.Sub(start), want, p.sequence())
				}
				if len(p.AvailableSequenceNumbers) != 0 {
					t.Errorf("keep-alives are available: %v", p.AvailableSequenceNumbers)
				}
			}
			s.monitor(resp.SubscriptionID, item("Int16"))
			data := s.cycle()
			alive := s.cycle()
			if data.sequence() != 1 || data.keepAlive() || alive.sequence() != 2 || !alive.keepAlive() || alive.at.Sub(data.at) != period {
				t.Errorf("count %d: sequence %d, then %d after %v", count, data.sequence(), alive.sequence(), alive.at.Sub(data.at))
			}
		})
	}
}

func TestSubscriptionBasic_PublishingDisabled(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		start := time.Now()
		resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.PublishingEnabled = false })
		sub := resp.SubscriptionID
		s.monitor(sub, item("Int16", queue(10, true)))
		for _, want := range []time.Duration{1, 11, 21} {
			r.set("Int16", int16(want))
			if p := s.cycle(); !p.keepAlive() || p.at.Sub(start) != want*time.Second || p.sequence() != 1 {
				t.Fatalf("disabled: %d values after %v", len(p.values()), p.at.Sub(start))
			}
		}
		s.publish()
		time.Sleep(500 * time.Millisecond)
		if results, code := s.publishing(true, sub, 99); code != ua.StatusOK || results[0] != ua.StatusOK || results[1] != ua.StatusBadSubscriptionIDInvalid {
			t.Errorf("enable: %v %v", results, code)
		}
		if p := s.next(); len(p.values()) != 4 || p.sequence() != 1 || p.at.Sub(start) != 22*time.Second {
			t.Errorf("enabled: %d values after %v", len(p.values()), p.at.Sub(start))
		}
		s.publishing(false, sub)
		r.set("Int16", int16(99))
		if p := s.cycle(); !p.keepAlive() || p.at.Sub(start) != 32*time.Second || p.sequence() != 2 {
			t.Errorf("disabled again: %d values after %v", len(p.values()), p.at.Sub(start))
		}
		_, code := s.publishing(true)
		s.want(ua.StatusBadNothingToDo, code)
		_, code = s.publishing(true, make([]uint32, 101)...)
		s.want(ua.StatusBadTooManyOperations, code)
	})
}

// ModifySubscription takes effect not later than twice the new interval (5.14.3.1).
func TestSubscriptionBasic_Modify(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(10 * second)
		s.monitor(sub, item("Int16"))
		s.cycle()
		resp, code := s.modify(sub, 500, 300, 4)
		s.wantOK(code)
		if resp.RevisedPublishingInterval != 500 || resp.RevisedLifetimeCount != 300 || resp.RevisedMaxKeepAliveCount != 4 {
			t.Errorf("revised: %+v", resp)
		}
		start := time.Now()
		r.set("Int16", int16(8))
		p := s.cycle()
		if d := p.at.Sub(start); d > time.Second || len(p.values()) != 1 {
			t.Errorf("%d values after %v", len(p.values()), d)
		}
		if d := s.cycle().at.Sub(p.at); d != 2*time.Second {
			t.Errorf("keep-alive after %v", d)
		}
		_, code = s.modify(sub+1, second, 300, 10)
		s.want(ua.StatusBadSubscriptionIDInvalid, code)
	})
}

// A Subscription whose lifetime has passed says so with the next Publish
// (Part 4, 5.14.1.1).
func TestSubscriptionBasic_LifetimeExpires(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
		s.monitor(resp.SubscriptionID, item("Int16"))
		s.cycle()
		time.Sleep(31*time.Second + time.Millisecond)
		synctest.Wait()
		if r.space.Variable(uabinary.StringID(2, "Int16")).Watched() {
			t.Error("its items are still there")
		}
		_, code := s.modify(resp.SubscriptionID, second, 30, 10)
		s.want(ua.StatusBadSubscriptionIDInvalid, code)
		s.publish(ack(resp.SubscriptionID, 1))
		p := s.now()
		if p == nil || p.status() != ua.StatusBadTimeout || p.SubscriptionID != resp.SubscriptionID || p.sequence() != 2 {
			t.Fatalf("got %+v", p)
		}
		s.publish()
		if p := s.now(); p == nil || p.code != ua.StatusBadNoSubscription {
			t.Errorf("afterwards: %+v", p)
		}
	})
}

// Until the lifetime has passed it is there, and every service that names the
// Subscription starts the lifetime anew.
func TestSubscriptionBasic_LifetimeIsRenewed(t *testing.T) {
	calls := map[string]func(s *subscriber, sub, item uint32){
		"ModifySubscription":   func(s *subscriber, sub, _ uint32) { s.modify(sub, second, 30, 10) },
		"SetPublishingMode":    func(s *subscriber, sub, _ uint32) { s.publishing(true, sub) },
		"Republish":            func(s *subscriber, sub, _ uint32) { s.republish(sub, 77) },
		"CreateMonitoredItems": func(s *subscriber, sub, _ uint32) { s.monitor(sub, item("Double")) },
		"ModifyMonitoredItems": func(s *subscriber, sub, it uint32) {
			s.modifyItems(sub, uabinary.MonitoredItemModifyRequest{MonitoredItemID: it})
		},
		"SetMonitoringMode":    func(s *subscriber, sub, it uint32) { s.setMode(sub, ua.MonitoringModeReporting, it) },
		"DeleteMonitoredItems": func(s *subscriber, sub, it uint32) { s.deleteItems(sub, it) },
		"Publish":              func(s *subscriber, _, _ uint32) { s.publish(); s.now() },
		"nothing":              func(*subscriber, uint32, uint32) {},
		"another's service":    func(s *subscriber, sub, _ uint32) { s.republish(sub+1, 77) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
				it := s.monitor(resp.SubscriptionID, item("Int16"))
				time.Sleep(29 * time.Second)
				call(s, resp.SubscriptionID, it[0])
				time.Sleep(25 * time.Second)
				r.set("Int16", int16(1))
				_, code := s.modify(resp.SubscriptionID, second, 30, 10)
				if lives := name != "nothing" && name != "another's service"; lives != (code == ua.StatusOK) {
					t.Errorf("25 s later: %v", code)
				}
			})
		})
	}
}

// The lifetime runs from the moment at which the last Publish request is used,
// be it by another Subscription.
func TestSubscriptionBasic_LifetimeAfterTheLastPublishRequest(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		silent, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
		s.cycle()
		busy := s.subscribe(second)
		s.cycle()
		s.publish()
		time.Sleep(7500 * time.Millisecond)
		s.monitor(busy, item("Int16"))
		if p := s.next(); p.SubscriptionID != busy {
			t.Fatalf("%+v", p)
		}
		time.Sleep(25 * time.Second)
		_, code := s.modify(silent.SubscriptionID, second, 30, 10)
		s.wantOK(code)
	})
}

// Parked Publish requests keep their Subscriptions alive.
func TestSubscriptionBasic_LifetimeWithPublishRequestsQueued(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		a, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
		s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
		for range 20 {
			s.publish()
		}
		time.Sleep(80 * time.Second)
		if _, code := s.modify(a.SubscriptionID, second, 30, 10); code != ua.StatusOK {
			t.Errorf("got %v", code)
		}
	})
}

func TestSubscriptionBasic_Delete(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		a, b := s.subscribe(second), s.subscribe(second)
		s.monitor(a, item("Int16"))
		s.cycle()
		s.cycle()
		for range 3 {
			s.publish()
		}
		results, code := s.unsubscribe(a, 0, a, a+b)
		s.wantOK(code)
		for i, want := range []ua.StatusCode{ua.StatusOK, ua.StatusBadSubscriptionIDInvalid, ua.StatusBadSubscriptionIDInvalid, ua.StatusBadSubscriptionIDInvalid} {
			s.want(want, results[i])
		}
		if r.space.Variable(uabinary.StringID(2, "Int16")).Watched() {
			t.Error("the items were not deleted")
		}
		if p := s.now(); p != nil {
			t.Errorf("answered while a Subscription is left: %+v", p)
		}
		s.unsubscribe(b)
		for range 3 {
			if p := s.now(); p == nil || p.code != ua.StatusBadNoSubscription {
				t.Fatalf("last one deleted: %+v", p)
			}
		}
		_, code = s.unsubscribe()
		s.want(ua.StatusBadNothingToDo, code)
		_, code = s.unsubscribe(make([]uint32, 101)...)
		s.want(ua.StatusBadTooManyOperations, code)
	})
}

func TestSubscriptionBasic_TooManySubscriptions(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxSubscriptionsPerSession, c.Limits.MaxSubscriptions = 3, 5 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		a, b := r.subscriber(), r.subscriber()
		first := a.subscribe(second)
		a.subscribe(second)
		a.subscribe(second)
		_, code := a.create(second, nil)
		a.want(ua.StatusBadTooManySubscriptions, code)
		b.subscribe(second)
		b.subscribe(second)
		_, code = b.create(second, nil)
		b.want(ua.StatusBadTooManySubscriptions, code)
		a.unsubscribe(first)
		b.subscribe(second)
		_, code = a.create(second, nil)
		a.want(ua.StatusBadTooManySubscriptions, code)
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
		b.wantOK(b.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{}))
		a.subscribe(second)
	})
}

// What belongs to another Session does not exist.
func TestSubscriptionBasic_OtherSession(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s, other := r.subscriber(), r.subscriber()
		sub := s.subscribe(second)
		mine := other.subscribe(second)
		its := s.monitor(sub, item("Int16"))
		if mine == sub {
			t.Error("ids are not unique in the Server")
		}
		first := s.cycle()
		_, modify := other.modify(sub, second, 30, 10)
		_, republish := other.republish(sub, first.sequence())
		_, create := other.createItems(sub, ua.TimestampsToReturnBoth, item("Int16"))
		_, modifyItems := other.modifyItems(sub, uabinary.MonitoredItemModifyRequest{MonitoredItemID: its[0]})
		_, setMode := other.setMode(sub, ua.MonitoringModeDisabled, its...)
		_, deleteItems := other.deleteItems(sub, its...)
		publishing, _ := other.publishing(false, sub)
		unsubscribe, _ := other.unsubscribe(sub)
		other.publish(ack(sub, 1))
		acks := other.next().Results
		for i, code := range []ua.StatusCode{modify, republish, create, modifyItems, setMode, deleteItems, publishing[0], unsubscribe[0], acks[0]} {
			if code != ua.StatusBadSubscriptionIDInvalid {
				t.Errorf("service %d: %v", i, code)
			}
		}
		for i, f := range []func() ([]ua.StatusCode, ua.StatusCode){
			func() ([]ua.StatusCode, ua.StatusCode) { return other.setMode(mine, ua.MonitoringModeDisabled, its...) },
			func() ([]ua.StatusCode, ua.StatusCode) { return other.deleteItems(mine, its...) },
		} {
			if results, code := f(); code != ua.StatusOK || results[0] != ua.StatusBadMonitoredItemIDInvalid {
				t.Errorf("item of another Subscription, service %d: %v %v", i, results, code)
			}
		}
		r.set("Int16", int16(3))
		if p := s.cycle(); len(p.values()) != 1 {
			t.Error("another Session did harm")
		}
	})
}

func TestSubscriptionBasic_SessionCloses(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.monitor(s.subscribe(second), item("Int16"))
		s.cycle()
		s.publish()
		s.publish()
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
		s.wantOK(s.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{}))
		for range 2 {
			if p := s.now(); p == nil || p.code != ua.StatusBadSessionClosed {
				t.Errorf("parked request: %+v", p)
			}
		}
		if r.space.Variable(uabinary.StringID(2, "Int16")).Watched() {
			t.Error("the items are still there")
		}
		s.publish()
		if p := s.now(); p == nil || p.code != ua.StatusBadSessionIDInvalid {
			t.Errorf("got %+v", p)
		}
	})
}

// A Session that lost its channel goes on where it was (Part 4 (1.05), 6.7).
func TestSubscriptionBasic_NewChannel(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		old := r.subscriberIn(ua.MessageSecurityModeSign)
		sub := old.subscribe(second)
		old.monitor(sub, item("Int16", queue(10, true)))
		old.cycle()
		old.publish()
		r.set("Int16", int16(1))
		lost := old.next()
		old.publish() // parked when the socket breaks
		synctest.Wait()
		old.Net.Close()
		time.Sleep(2500 * time.Millisecond)
		r.set("Int16", int16(2))
		time.Sleep(time.Second)

		c := r.channel(ua.MessageSecurityModeSign)
		c.token, c.id, c.nonce = old.token, old.id, old.nonce
		c.wantOK(c.activate(anonymousToken(), c.signature()))
		s := c.subscriber()
		again, code := s.republish(sub, 2)
		s.wantOK(code)
		if got := dataChanges(t, again); len(got) != 1 || !got[0].Value.Value.Equal(lost.values()[0].Value.Value) ||
			again.PublishTime != lost.NotificationMessage.PublishTime {
			t.Errorf("republished: %+v", again)
		}
		if _, code = s.republish(sub, 3); code == ua.StatusBadMessageNotAvailable {
			s.publish(ack(sub, 1), ack(sub, 2))
			p := s.now()
			if p == nil || p.sequence() != 3 || len(p.values()) != 1 {
				t.Fatalf("the next message: %+v", p)
			}
		} else if code != ua.StatusOK { // it may have gone to the request parked on the old channel
			t.Errorf("republish of the next one: %v", code)
		}
		r.set("Int16", int16(3))
		if p := s.cycle(); p.sequence() != 4 && p.sequence() != 3 || len(p.values()) != 1 {
			t.Errorf("goes on with %+v", p)
		}
	})
}

// A client that does not read holds up neither a device nor another Session.
func TestSubscriptionBasic_SlowClient(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		fine := r.subscriber()
		fine.monitor(fine.subscribe(100), item("Int16", queue(100, true)))
		mute := &subscriber{client: r.session(ua.MessageSecurityModeNone)} // nobody reads for it from here on
		sub := &uabinary.CreateSubscriptionRequest{RequestedPublishingInterval: 100, PublishingEnabled: true}
		var created uabinary.CreateSubscriptionResponse
		mute.wantOK(mute.do(&sub.RequestHeader, sub, &created))
		items := &uabinary.CreateMonitoredItemsRequest{
			SubscriptionID: created.SubscriptionID,
			ItemsToCreate:  []uabinary.MonitoredItemCreateRequest{item("Int16", queue(100, true))},
		}
		mute.wantOK(mute.do(&items.RequestHeader, items, &uabinary.CreateMonitoredItemsResponse{}))
		for range 3 {
			mute.publish()
		}
		for i := range 50 {
			start := time.Now()
			r.set("Int16", int16(i+100))
			if time.Since(start) != 0 {
				t.Fatal("a slow client holds up a device")
			}
			if p := fine.cycle(); p.code != ua.StatusOK || p.at.Sub(start) > 100*time.Millisecond {
				t.Fatalf("after %v: %v", p.at.Sub(start), p.code)
			}
		}
	})
}

// A Session moves to another channel while the first one is still there: what
// is said from then on is said on the new one.
func TestSubscriptionBasic_MovedToAnotherChannel(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		old := r.subscriberIn(ua.MessageSecurityModeSign)
		sub := old.subscribe(second)
		old.monitor(sub, item("Int16"))
		old.cycle()
		for range 5 {
			old.publish()
		}
		synctest.Wait()
		c := r.channel(ua.MessageSecurityModeSign)
		c.token, c.id, c.nonce = old.token, old.id, old.nonce
		c.wantOK(c.activate(anonymousToken(), c.signature()))
		s := c.subscriber()
		for i := range 3 {
			r.set("Int16", int16(100+i))
			if p := s.cycle(); p.sequence() != uint32(i+2) || len(p.values()) != 1 {
				t.Errorf("on the new channel: %+v", p)
			}
		}
		old.Net.Close()
		r.set("Int16", int16(200))
		if p := s.cycle(); p.sequence() != 5 || len(p.values()) != 1 {
			t.Errorf("without the old channel: %+v", p)
		}
	})
}

// Two Subscriptions in one Session work side by side.
func TestSubscriptionMinimum02(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		a, b := s.subscribe(second), s.subscribe(2*second)
		s.monitor(a, item("Int16"))
		s.monitor(b, item("Int16"))
		for range 6 {
			s.publish()
		}
		seen := map[uint32]uint32{}
		for i := range 6 {
			p := s.next()
			if seen[p.SubscriptionID]++; p.sequence() != seen[p.SubscriptionID] {
				t.Errorf("Subscription %d: sequence %d", p.SubscriptionID, p.sequence())
			}
			r.set("Int16", int16(i+100))
		}
		if seen[a] < 3 || seen[b] < 2 {
			t.Errorf("messages %v", seen)
		}
	})
}
