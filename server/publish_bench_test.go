package server

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// publishCycle is a Subscription on an encrypted channel whose socket swallows
// everything, and the time of its Server, which moves when cycle is called.
type publishCycle struct {
	r       *rig
	call    func(body []byte)
	request []byte // a Publish request that acknowledges one message
	sub     *subscription
	values  [2]uabinary.DataValue
	cycles  uint32
}

func newPublishCycle(t testing.TB, items int) *publishCycle {
	t.Helper()
	r := newRig(t, nil)
	call, _ := r.benchCall(t, 1)
	p := &publishCycle{r: r, call: call}
	var sess *session
	for _, sess = range r.sessions {
	}
	p.sub, _ = sess.subs.create(subscriptionParameters{
		interval: time.Hour, keepAliveCount: 10, lifetimeCount: 1000, maxNotifications: 1000,
	}, true)
	create := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: p.sub.id, TimestampsToReturn: ua.TimestampsToReturnBoth}
	create.RequestHeader.AuthenticationToken = sess.token
	for i := range items {
		create.ItemsToCreate = append(create.ItemsToCreate, item("Double", handle(uint32(i))))
	}
	call(uabinary.AppendMessage(nil, create))
	publish := &uabinary.PublishRequest{SubscriptionAcknowledgements: []uabinary.SubscriptionAcknowledgement{ack(p.sub.id, 0)}}
	publish.RequestHeader.AuthenticationToken = sess.token
	p.request = uabinary.AppendMessage(nil, publish)
	for i := range p.values {
		p.values[i] = uabinary.DataValue{
			Value: uabinary.DoubleVariant(float64(i)), SourceTimestamp: uabinary.DateTime(i + 1), ServerTimestamp: uabinary.DateTime(i + 1),
		}
	}
	t.Cleanup(func() { sess.subs.end(ua.StatusOK) })
	return p
}

// cycle is what a client of a value that changes once per cycle costs: Publish
// request with an acknowledgement, a pushed value, the end of the cycle and the
// response.
func (p *publishCycle) cycle() {
	binary.LittleEndian.PutUint32(p.request[len(p.request)-4:], p.cycles)
	p.call(p.request)
	p.cycles++
	p.r.space.Variable(uabinary.StringID(2, "Double")).Set(&p.values[p.cycles%2])
	p.r.started = p.r.started.Add(-time.Hour)
	p.sub.wake()
}

func (p *publishCycle) check(t testing.TB) {
	t.Helper()
	if p.sub.sequence != p.cycles+1 || len(p.sub.retained) != 1 {
		t.Errorf("%d cycles, next sequence number %d, %d messages retained", p.cycles, p.sub.sequence, len(p.sub.retained))
	}
}

func TestPublish_AllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 100} {
		p := newPublishCycle(t, n)
		for range 50 {
			p.cycle()
		}
		if allocs := testing.AllocsPerRun(200, p.cycle); allocs > 0 {
			t.Errorf("%v allocations per Publish of %d items", allocs, n)
		}
		p.check(t)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPublishCycle(b, n)
			b.ReportAllocs()
			for b.Loop() {
				p.cycle()
			}
			p.check(b)
		})
	}
}

// An item with a queue of one value costs no more than 260 bytes on a 64-bit
// machine, everything that belongs to it included.
func TestMonitoredItem_Memory(t *testing.T) {
	const items = 8000
	r := newRig(t, func(c *Config) { c.Limits.MaxMonitoredItemsPerSubscription = items })
	call, _ := r.benchCall(t, 1)
	var sess *session
	for _, sess = range r.sessions {
	}
	sub, _ := sess.subs.create(subscriptionParameters{interval: time.Hour, keepAliveCount: 10, lifetimeCount: 1000, maxNotifications: 1000}, true)
	create := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: sub.id}
	create.RequestHeader.AuthenticationToken = sess.token
	for range 1000 {
		create.ItemsToCreate = append(create.ItemsToCreate, item("Double"))
	}
	body := uabinary.AppendMessage(nil, create)
	call(body) // warm
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for len(sub.items) < items {
		call(body)
	}
	per := (heap() - before) / (items - 1000)
	t.Logf("%d bytes per item", per)
	if per > 260 {
		t.Errorf("an item takes %d bytes", per)
	}
	sess.subs.end(ua.StatusOK)
	runtime.KeepAlive(body)
}
