package server

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// int16s are the values in p, which are Int16.
func (p *publication) int16s() (all []int16) {
	for _, n := range p.values() {
		v, _ := n.Value.Value.Any().(int16)
		all = append(all, v)
	}
	return all
}

// Sequence numbers start at 1, have no gaps, and skip 0 when they wrap (Part 4
// (1.05), 7.8 Counter, 5.14.1.1).
func TestPublish_SequenceNumbers(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16"))
		for i := range uint32(5) {
			r.set("Int16", int16(i+100))
			if p := s.cycle(); p.sequence() != i+1 {
				t.Errorf("message %d has number %d", i+1, p.sequence())
			}
		}
		sess := r.lookup(s.token)
		sess.subs.mu.Lock()
		sess.subs.find(sub).sequence = math.MaxUint32
		sess.subs.mu.Unlock()
		for i, want := range []uint32{math.MaxUint32, 1, 2} {
			r.set("Int16", int16(i+200))
			if p := s.cycle(); p.sequence() != want {
				t.Errorf("number %d instead of %d", p.sequence(), want)
			}
		}
	})
}

// A Subscription that is late answers the next Publish at once, then goes back
// to its cycle (Part 4, 5.14.1.2).
func TestPublish_LateSubscription(t *testing.T) {
	for name, data := range map[string]bool{"keep-alive": false, "data": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				start := time.Now()
				sub := s.subscribe(second)
				if data {
					s.monitor(sub, item("Int16"))
				}
				time.Sleep(1500 * time.Millisecond)
				s.publish()
				if p := s.now(); p == nil || p.keepAlive() == data || p.sequence() != 1 {
					t.Fatalf("late: %+v", p)
				}
				s.publish()
				if p := s.now(); p != nil {
					t.Fatalf("answered twice: %+v", p)
				}
				s.monitor(sub, item("Double"))
				if p := s.next(); p.at.Sub(start) != 2*time.Second || len(p.values()) != 1 {
					t.Errorf("next message after %v", p.at.Sub(start))
				}
				s.quietFor(10 * time.Second)
				s.publish() // the keep-alive is 1 s away, this is not late
				if p := s.now(); p != nil && p.at.Sub(start) < 12*time.Second {
					t.Error("keep-alive too early")
				}
			})
		})
	}
}

// A keep-alive that came late does not move the next one off the cycles.
func TestPublish_LateKeepAliveKeepsTheCycle(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		start := time.Now()
		s.subscribe(second)
		time.Sleep(1500 * time.Millisecond)
		s.cycle()
		if p := s.cycle(); p.at.Sub(start) != 11*time.Second {
			t.Errorf("next keep-alive after %v", p.at.Sub(start))
		}
	})
}

// A message that is acknowledged before it was sent goes out all the same.
func TestPublish_AcknowledgedTooSoon(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		mute := &subscriber{client: r.session(ua.MessageSecurityModeNone)} // reads at the end only
		create := &uabinary.CreateSubscriptionRequest{RequestedPublishingInterval: second, PublishingEnabled: true}
		var sub uabinary.CreateSubscriptionResponse
		mute.wantOK(mute.do(&create.RequestHeader, create, &sub))
		items := &uabinary.CreateMonitoredItemsRequest{
			SubscriptionID: sub.SubscriptionID, ItemsToCreate: []uabinary.MonitoredItemCreateRequest{item("Int16")},
		}
		mute.wantOK(mute.do(&items.RequestHeader, items, &uabinary.CreateMonitoredItemsResponse{}))
		for range 5 {
			mute.publish()
		}
		time.Sleep(500 * time.Millisecond)
		for i := range 5 {
			r.set("Int16", int16(100+i))
			time.Sleep(time.Second)
			mute.publish(ack(sub.SubscriptionID, uint32(i)), ack(sub.SubscriptionID, uint32(i+1)))
		}
		s := mute.client.subscriber()
		for i := range 5 {
			if p := s.next(); p.sequence() != uint32(i+1) || !slices.Equal(p.int16s(), []int16{int16(100 + i)}) {
				t.Errorf("message %d: sequence %d, %v", i+1, p.sequence(), p.int16s())
			}
		}
	})
}

// What comes after the cycle of a Subscription that has sent its message waits
// for the end of the next cycle, even when the keep-alive is late.
func TestPublish_NotBeforeTheCycleEnds(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		start := time.Now()
		s.monitor(s.subscribe(second), item("Int16"))
		s.cycle()
		time.Sleep(5300 * time.Millisecond)
		r.set("Int16", int16(1))
		s.publish()
		if p := s.next(); p.at.Sub(start) != 7*time.Second || len(p.values()) != 1 {
			t.Errorf("after %v: %d values", p.at.Sub(start), len(p.values()))
		}
	})
}

// More than MaxNotificationsPerPublish goes out in several messages, one after
// the other as long as there are requests (Part 4, 5.14.2.2, 5.14.5.2).
func TestPublish_MoreNotifications(t *testing.T) {
	for _, parked := range []int{1, 2, 4, 6} {
		t.Run(fmt.Sprint(parked), func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				start := time.Now()
				resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.MaxNotificationsPerPublish = 3 })
				var items []uabinary.MonitoredItemCreateRequest
				for i := range uint32(10) {
					items = append(items, item("Int16", handle(i)))
				}
				s.monitor(resp.SubscriptionID, items...)
				for range parked {
					s.publish()
				}
				var handles []uint32
				for i, want := range []int{3, 3, 3, 1} {
					if i >= parked {
						s.publish()
					}
					p := s.next()
					if p.sequence() != uint32(i+1) || len(p.values()) != want || p.MoreNotifications != (i < 3) || p.at.Sub(start) != time.Second {
						t.Errorf("message %d: sequence %d, %d values, more %v, after %v", i, p.sequence(), len(p.values()), p.MoreNotifications, p.at.Sub(start))
					}
					for _, n := range p.values() {
						handles = append(handles, n.ClientHandle)
					}
				}
				slices.Sort(handles)
				if len(slices.Compact(handles)) != 10 {
					t.Errorf("items reported: %v", handles)
				}
				s.quietFor(5 * time.Second)
			})
		})
	}
}

func TestPublish_Acknowledgements(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		a, b := s.subscribe(second), s.subscribe(second)
		s.monitor(a, item("Int16"))
		var p *publication
		for i := range 6 { // b says that it is there, a has 5 messages
			r.set("Int16", int16(i+100))
			if p = s.cycle(); p.SubscriptionID != a && (p.SubscriptionID != b || !p.keepAlive()) {
				t.Fatalf("%+v", p)
			}
		}
		if got := p.AvailableSequenceNumbers; !slices.Equal(got, []uint32{1, 2, 3, 4, 5}) {
			t.Fatalf("available: %v", got)
		}
		r.set("Int16", int16(200))
		s.publish(ack(a, 2), ack(a, 2), ack(a, 0), ack(a, 6), ack(b, 1), ack(a+b, 1), ack(a, 4), ack(0, 0))
		p = s.next()
		want := []ua.StatusCode{
			ua.StatusOK, ua.StatusBadSequenceNumberUnknown, ua.StatusBadSequenceNumberUnknown, ua.StatusBadSequenceNumberUnknown,
			ua.StatusBadSequenceNumberUnknown, ua.StatusBadSubscriptionIDInvalid, ua.StatusOK, ua.StatusBadSubscriptionIDInvalid,
		}
		if !slices.Equal(p.Results, want) {
			t.Errorf("results %v", p.Results)
		}
		if got := p.AvailableSequenceNumbers; !slices.Equal(got, []uint32{1, 3, 5, 6}) {
			t.Errorf("available: %v", got)
		}
		s.publish(ack(a, 1), ack(a, 3), ack(a, 5), ack(a, 6))
		if p = s.next(); !slices.Equal(p.Results, make([]ua.StatusCode, 4)) || len(p.AvailableSequenceNumbers) != 0 {
			t.Errorf("all acknowledged: %v, available %v", p.Results, p.AvailableSequenceNumbers)
		}
		s.publish(make([]uabinary.SubscriptionAcknowledgement, 1001)...)
		if p := s.now(); p == nil || p.code != ua.StatusBadTooManyOperations {
			t.Errorf("1001 acknowledgements: %+v", p)
		}
	})
}

// Acknowledgements count when the request comes, not when it is answered.
func TestPublish_AcknowledgementsOfAParkedRequest(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16"))
		s.cycle()
		s.publish(ack(sub, 1), ack(sub, 1))
		_, code := s.republish(sub, 1)
		s.want(ua.StatusBadMessageNotAvailable, code)
		if p := s.next(); !slices.Equal(p.Results, []ua.StatusCode{ua.StatusOK, ua.StatusBadSequenceNumberUnknown}) {
			t.Errorf("results %v", p.Results)
		}
	})
}

func TestPublish_Republish(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16", handle(77)))
		var sent []*publication
		for i := range 3 {
			r.set("Int16", int16(i+100))
			sent = append(sent, s.cycle())
		}
		for _, p := range sent {
			again, code := s.republish(sub, p.sequence())
			s.wantOK(code)
			got := dataChanges(t, again)
			if again.SequenceNumber != p.sequence() || again.PublishTime != p.NotificationMessage.PublishTime || len(got) != 1 ||
				got[0].ClientHandle != 77 || !got[0].Value.Value.Equal(p.values()[0].Value.Value) {
				t.Errorf("republished %+v", again)
			}
		}
		s.publish(ack(sub, 2))
		for number, want := range map[uint32]ua.StatusCode{
			0: ua.StatusBadMessageNotAvailable, 1: ua.StatusOK, 2: ua.StatusBadMessageNotAvailable, 3: ua.StatusOK,
			4: ua.StatusBadMessageNotAvailable, math.MaxUint32: ua.StatusBadMessageNotAvailable,
		} {
			if _, code := s.republish(sub, number); code != want {
				t.Errorf("message %d: %v", number, code)
			}
		}
		_, code := s.republish(sub+1, 1)
		s.want(ua.StatusBadSubscriptionIDInvalid, code)
	})
}

// The oldest messages make way when a client acknowledges nothing.
func TestPublish_RetransmissionQueueIsBounded(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxRetransmissionQueue = 5 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16"))
		var p *publication
		for i := range 8 {
			r.set("Int16", int16(i+100))
			p = s.cycle()
		}
		if got := p.AvailableSequenceNumbers; !slices.Equal(got, []uint32{4, 5, 6, 7, 8}) {
			t.Errorf("available: %v", got)
		}
		_, code := s.republish(sub, 3)
		s.want(ua.StatusBadMessageNotAvailable, code)
		_, code = s.republish(sub, 4)
		s.wantOK(code)
		s.publish(ack(sub, 3), ack(sub, 4))
		if p := s.next(); !slices.Equal(p.Results, []ua.StatusCode{ua.StatusBadSequenceNumberUnknown, ua.StatusOK}) {
			t.Errorf("results %v", p.Results)
		}
	})
}

func TestPublish_RetransmissionBytesAreBounded(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxRetransmissionBytes = 4096 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.monitor(s.subscribe(second), item("Text"))
		var p *publication
		for i := range 8 {
			r.set("Text", fmt.Sprintf("%1000d", i))
			p = s.cycle()
		}
		if n := len(p.AvailableSequenceNumbers); n < 2 || n > 4 || p.AvailableSequenceNumbers[n-1] != 8 {
			t.Errorf("available: %v", p.AvailableSequenceNumbers)
		}
		r.set("Text", fmt.Sprintf("%10000d", 1)) // larger than all that is kept
		if p = s.cycle(); p.sequence() != 9 || len(p.values()) != 1 {
			t.Errorf("message %d with %d values", p.sequence(), len(p.values()))
		}
	})
}

// All Sessions share what is kept for Republish.
func TestPublish_RetransmissionTotalIsBounded(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxRetransmissionBytesTotal = 20_000 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		var all []*subscriber
		for range 4 {
			s := r.subscriber()
			s.monitor(s.subscribe(second), item("Text"))
			all = append(all, s)
		}
		for i := range 20 {
			r.set("Text", fmt.Sprintf("%1000d", i))
			for _, s := range all {
				if p := s.cycle(); len(p.values()) != 1 {
					t.Fatalf("%+v", p)
				}
			}
		}
		if n := r.totals.retainedBytes.Load(); n > 20_000 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}

func TestPublish_NoSubscription(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		r.subscriber().subscribe(second)
		s.publish()
		if p := s.now(); p == nil || p.code != ua.StatusBadNoSubscription {
			t.Errorf("got %+v", p)
		}
	})
}

// One too many: the oldest is answered (Subscription Publish Discard Policy).
func TestPublish_TooManyPublishRequests(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxPublishRequestsPerSession = 5 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		var handles []uint32
		for range 5 {
			handles = append(handles, s.publish())
		}
		if p := s.now(); p != nil {
			t.Fatalf("five are too many: %+v", p)
		}
		for i := range 3 {
			handles = append(handles, s.publish())
			if p := s.now(); p == nil || p.code != ua.StatusBadTooManyPublishRequests || p.handle != handles[i] {
				t.Errorf("got %+v", p)
			}
		}
		s.monitor(sub, item("Int16"))
		if p := s.next(); p.handle != handles[3] || len(p.values()) != 1 {
			t.Errorf("not in the order of the requests: %+v", p)
		}
	})
}

// Who asks on and on while an answer is stuck fills no memory: the requests are
// refused on the connection's own goroutine, which then waits too.
func TestPublish_FloodWhileAnAnswerIsStuck(t *testing.T) {
	p := newPublishCycle(t, 1)
	subs := p.sub.owner
	subs.flushing = true // by somebody whose client does not read
	for range 1000 {
		p.call(p.request)
	}
	if held := len(subs.outbox) + subs.requests.len(); held > 2*p.r.limits().MaxPublishRequestsPerSession {
		t.Errorf("%d requests are held", held)
	}
	subs.flushing = false
	subs.flush()
}

// A Server accepts more Publish requests than Subscriptions (5.14.5.1).
func TestPublish_MoreRequestsThanSubscriptions(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxPublishRequestsPerSession, c.Limits.MaxSubscriptionsPerSession = 2, 8 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		for range 8 {
			s.subscribe(10 * second)
		}
		for range 9 {
			s.publish()
		}
		if p := s.now(); p != nil {
			t.Errorf("9 requests for 8 Subscriptions: %+v", p)
		}
	})
}

// A request that waited for its TimeoutHint is answered BadTimeout.
func TestPublish_TimeoutHint(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.subscribe(second)
		s.cycle()
		start := time.Now()
		stays := s.publish()
		hinted := map[uint32]time.Duration{}
		for _, ms := range []uint32{2500, 500, 1700} {
			req := &uabinary.PublishRequest{RequestHeader: uabinary.RequestHeader{TimeoutHint: ms}}
			s.send(&req.RequestHeader, req)
			hinted[req.RequestHeader.RequestHandle] = time.Duration(ms) * time.Millisecond
		}
		for range hinted {
			p := s.next()
			late := p.at.Sub(start) - hinted[p.handle]
			if p.code != ua.StatusBadTimeout || late < 0 || late > time.Second {
				t.Errorf("%v: %v after %v", hinted[p.handle], p.code, p.at.Sub(start))
			}
		}
		if p := s.next(); p.handle != stays || !p.keepAlive() {
			t.Errorf("got %+v", p)
		}
	})
}

// With too few requests the higher priority goes first (5.14.2.2).
func TestPublish_Priority(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		ids := map[uint32]uint8{}
		for _, priority := range []uint8{0, 200, 100} {
			resp, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.Priority = priority })
			ids[resp.SubscriptionID] = priority
			s.monitor(resp.SubscriptionID, item("Int16"))
		}
		time.Sleep(1100 * time.Millisecond)
		for _, want := range []uint8{200, 100, 0} {
			s.publish()
			if p := s.now(); p == nil || ids[p.SubscriptionID] != want {
				t.Errorf("want priority %d: %+v", want, p)
			}
		}
	})
}

// Equal priorities take turns (Subscription Minimum 02), also when each has
// more than fits into a message.
func TestPublish_EqualPrioritiesAlternate(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		count := map[uint32]int{}
		for range 3 {
			resp, _ := s.create(100, func(req *uabinary.CreateSubscriptionRequest) { req.MaxNotificationsPerPublish = 2 })
			s.monitor(resp.SubscriptionID, item("Int16", queue(100, true)), item("Int16", queue(100, true)))
			count[resp.SubscriptionID] = 0
		}
		for i := range 30 {
			for j := range 4 {
				r.set("Int16", int16(4*i+j))
				time.Sleep(60 * time.Millisecond)
			}
			s.publish()
			p := s.now()
			if p == nil {
				t.Fatal("nobody is late")
			}
			count[p.SubscriptionID]++
		}
		for sub, n := range count {
			if n != 10 {
				t.Errorf("Subscription %d had %d turns of 30", sub, n)
			}
		}
	})
}

// A StatusChange reaches the client even if it has other Subscriptions.
func TestPublish_StatusChangeBesideOthers(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		short, _ := s.create(second, func(req *uabinary.CreateSubscriptionRequest) { req.RequestedLifetimeCount = 30 })
		long := s.subscribe(second)
		time.Sleep(31 * time.Second)
		seen := map[uint32]ua.StatusCode{}
		for range 2 {
			s.publish()
			p := s.now()
			if p == nil {
				t.Fatal("no answer")
			}
			seen[p.SubscriptionID] = p.status()
		}
		if seen[short.SubscriptionID] != ua.StatusBadTimeout || seen[long] != ua.StatusOK || len(seen) != 2 {
			t.Errorf("seen %v", seen)
		}
	})
}

// 10,000 items on resting values: the Server wakes for keep-alives only.
func TestPublish_IdleServerSleeps(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxMonitoredItemsPerSubscription = 10_000 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(100) // a keep-alive every second
		items := make([]uabinary.MonitoredItemCreateRequest, 1000)
		for i := range items {
			items[i] = item("Int16", handle(uint32(i)))
		}
		for range 10 {
			s.monitor(sub, items...)
		}
		for got := 0; got < 10_000; got += len(s.cycle().values()) {
		}
		subs := &r.lookup(s.token).subs
		for range 60 {
			p := s.cycle()
			subs.mu.Lock()
			quiet := subs.all[0].armed - subs.now()
			subs.mu.Unlock()
			if !p.keepAlive() || quiet != time.Second {
				t.Fatalf("keep-alive %v, the timer fires again in %v", p.keepAlive(), quiet)
			}
		}
	})
}

// The end of a channel takes only its own Publish requests along: the Session
// may be on the next channel before the server has noticed (Part 4, 5.7.3).
func TestPublish_RequestsOfTheNextChannelStay(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.subscribe(second)
		s.publish()
		s.publish()
		synctest.Wait()
		subs := &r.lookup(s.token).subs
		subs.mu.Lock()
		lost := &connection{}
		subs.requests.queue[0].call.conn = lost
		subs.mu.Unlock()
		subs.channelLost(lost)
		if n := subs.requests.len(); n != 1 {
			t.Fatalf("%d requests left, want 1", n)
		}
		if p := s.cycle(); !p.keepAlive() {
			t.Errorf("got %+v instead of a keep-alive", p)
		}
	})
}
