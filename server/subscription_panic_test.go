package server

import (
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// A panic in what a timer starts ends the Session that the timer belongs to;
// the process and the other Sessions go on.
func TestSubscription_PanicInATimerEndsOneSession(t *testing.T) {
	for name, breaks := range map[string]func(r *rig, subs *sessionSubscriptions, sub *subscription){
		"without mu": func(r *rig, _ *sessionSubscriptions, _ *subscription) {
			r.space.Variable(uabinary.StringID(2, "Double")).SetSource(func() uabinary.DataValue { panic("test") })
		},
		"with mu": func(_ *rig, subs *sessionSubscriptions, sub *subscription) {
			subs.mu.Lock()
			sub.interval = 0 // divides
			subs.mu.Unlock()
		},
		"while sending": func(_ *rig, subs *sessionSubscriptions, _ *subscription) {
			subs.mu.Lock()
			subs.requests.queue[0].appendTo = func([]byte) []byte { panic("test") }
			subs.mu.Unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s, witness := r.subscriber(), r.subscriber()
				other := witness.subscribe(second)
				witness.monitor(other, item("Int16"))
				witness.cycle()
				r.space.Variable(uabinary.StringID(2, "Double")).SetSource(func() uabinary.DataValue {
					return uabinary.DataValue{Value: uabinary.VariantOf(1.5)}
				})
				id := s.subscribe(second)
				s.monitor(id, item("Double"))
				s.publish()
				s.publish()
				subs := &r.lookup(s.token).subs
				sub := subs.find(id)
				breaks(r, subs, sub)
				time.Sleep(20 * time.Second)
				if n := r.counters.panics.Swap(0); n != 1 {
					t.Errorf("%d panics counted", n)
				}
				if r.lookup(s.token) != nil {
					t.Error("the Session lives on")
				}
				if n := r.totals.subscriptions.Load(); n != 1 {
					t.Errorf("%d Subscriptions are left", n)
				}
				r.set("Int16", int16(99))
				if p := witness.cycle(); len(p.values()) == 0 {
					t.Errorf("the witness has %+v", p)
				}
			})
		})
	}
}
