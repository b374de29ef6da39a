package server

import (
	"math"
	"slices"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// subscription is one Subscription (Part 4 (1.05), 5.14.1). It owns no ticker:
// its one timer is armed for the next moment at which something can be due, so
// a Subscription over values that rest only wakes for its keep-alives.
//
// The states of 5.14.1.2 are not kept as a variable but follow from the fields:
// NORMAL is "message sent, nothing late", LATE is late, KEEPALIVE is an empty
// ready list.
//
// All fields are guarded by sessionSubscriptions.mu.
type subscription struct {
	owner *sessionSubscriptions
	id    uint32

	interval         time.Duration
	keepAliveCount   uint32
	lifetimeCount    uint32
	maxNotifications int
	priority         uint8
	enabled          bool // PublishingEnabled

	items      map[uint32]*monitoredItem
	nextItemID uint32
	ready      itemList         // items that may have something to report
	sampled    []*monitoredItem // items of Variables that push nothing

	timer     *time.Timer
	armed     time.Duration // what the timer is set to
	cycle     time.Duration // start of the current publishing cycle
	lastSent  time.Duration // start of the cycle in which the last message went out; at first, of the first
	lastAlive time.Duration // when the client was last known to be there
	sent      bool          // MessageSent: the first cycle has spoken
	late      bool          // LatePublishRequest
	lateSince time.Duration
	closed    bool

	sequence uint32 // number of the next NotificationMessage
	retained []*retainedMessage
}

// subscriptionParameters are the negotiable parameters of CreateSubscription
// and ModifySubscription.
type subscriptionParameters struct {
	interval         time.Duration
	keepAliveCount   uint32
	lifetimeCount    uint32
	maxNotifications int
	priority         uint8
}

// reviseSubscription turns what the client asked for into what it gets. Illegal
// values are revised, never refused (Part 4 (1.05), 5.14.2).
func (l *Limits) reviseSubscription(intervalMS float64, lifetime, keepAlive, maxNotifications uint32, priority uint8) subscriptionParameters {
	p := subscriptionParameters{priority: priority, maxNotifications: l.MaxNotificationsPerPublish}
	p.interval = min(max(durationOf(intervalMS), l.MinPublishingInterval), l.MaxPublishingInterval)
	if maxNotifications > 0 && uint64(maxNotifications) < uint64(p.maxNotifications) {
		p.maxNotifications = int(maxNotifications)
	}

	// What is bounded from below in time goes before the bounds of the counts.
	shortest := uint32(min(ceilDiv(l.MinKeepAliveInterval, p.interval), math.MaxInt32/3))
	if keepAlive == 0 {
		keepAlive = 10
	}
	p.keepAliveCount = min(max(keepAlive, shortest, 1), max(l.MaxKeepAliveCount, shortest))

	// The lifetime is at least three keep-alives (Part 4 (1.05), 5.14.2.2), which
	// goes before the longest lifetime of the configuration.
	atLeast := min(ceilDiv(l.MinSubscriptionLifetime, p.interval), math.MaxInt32)
	atMost := min(int64(l.MaxSubscriptionLifetime/p.interval), max(int64(l.MaxLifetimeCount), atLeast))
	count := min(max(int64(lifetime), atLeast), atMost)
	p.lifetimeCount = uint32(max(count, 3*int64(p.keepAliveCount)))
	return p
}

// durationOf reads a Duration of the wire: milliseconds as a Double, any bit
// pattern. What is not a positive number is 0.
func durationOf(ms float64) time.Duration {
	const most = float64(math.MaxInt64 / int64(time.Millisecond) / 2)
	if !(ms > 0) {
		return 0
	}
	return time.Duration(min(ms, most) * float64(time.Millisecond))
}

func ceilDiv(d, unit time.Duration) int64 {
	return int64((d + unit - 1) / unit)
}

func (sub *subscription) set(p subscriptionParameters) {
	sub.interval, sub.keepAliveCount, sub.lifetimeCount = p.interval, p.keepAliveCount, p.lifetimeCount
	sub.maxNotifications, sub.priority = p.maxNotifications, p.priority
}

// alive notes a sign of life: any Service call that names the Subscription, and
// every Publish request that it uses (Part 4 (1.05), 5.14.1.2).
func (sub *subscription) alive(now time.Duration) { sub.lastAlive = now }

// lifetime is how long the client may stay silent.
func (sub *subscription) lifetime() time.Duration {
	return sub.interval * time.Duration(sub.lifetimeCount)
}

// keepAliveDue is the moment of the next keep-alive; the first message is due
// at the end of the first cycle.
func (sub *subscription) keepAliveDue() time.Duration {
	if !sub.sent {
		return sub.lastSent + sub.interval
	}
	return sub.lastSent + sub.interval*time.Duration(sub.keepAliveCount)
}

// boundary is the end of the publishing cycle that t lies in.
func (sub *subscription) boundary(t time.Duration) time.Duration {
	cycles := max(t-sub.cycle, 0)/sub.interval + 1
	return sub.cycle + cycles*sub.interval
}

// cycleEnd is the next end of a publishing cycle that is not before due.
func (sub *subscription) cycleEnd(due, now time.Duration) time.Duration {
	return sub.boundary(max(due-1, now))
}

// enterCycle makes the publishing cycle that now lies in the current one.
func (sub *subscription) enterCycle(now time.Duration) {
	sub.cycle = sub.boundary(now) - sub.interval
}

// never is a moment that does not come.
const never = time.Duration(math.MaxInt64)

// arm sets the timer for the next moment at which something can be due. A timer
// that has fired keeps its turn: wake is on its way and arms anew.
func (sub *subscription) arm(now time.Duration) {
	if sub.armed <= now {
		return
	}
	due := never
	if !sub.late { // else a Publish request is what it waits for
		due = sub.cycleEnd(sub.keepAliveDue(), now)
		if at, any := sub.ready.dueAt(); any && sub.enabled {
			due = min(due, sub.cycleEnd(at, now))
		}
	}
	if len(sub.sampled) > 0 {
		due = min(due, sub.boundary(now))
	}
	if sub.late || sub.owner.requests.len() == 0 {
		due = min(due, sub.lastAlive+sub.lifetime())
	}
	sub.armFor(due, now)
}

func (sub *subscription) armFor(due, now time.Duration) {
	sub.armed = due
	sub.timer.Reset(max(due-now, 0))
}

// wake is the timer's function: one pass over what is due, then the responses
// it produced are sent.
func (sub *subscription) wake() {
	defer sub.owner.session.recovered()
	unwatchAll(sub.pass(sub.takeSamples()))
	sub.owner.flush()
}

// pass returns the items of a Subscription that expired.
func (sub *subscription) pass(samples []sampledValue) (expired []*monitoredItem) {
	subs := sub.owner
	subs.mu.Lock()
	defer subs.mu.Unlock()
	now := subs.now()
	switch {
	case sub.closed || now < sub.armed: // armed anew while the timer fired
	case subs.requests.len() == 0 && now-sub.lastAlive >= sub.lifetime():
		expired = subs.expire(sub)
	default:
		sub.turn(samples, now)
	}
	return expired
}

// turn does what is due at the end of a cycle.
func (sub *subscription) turn(samples []sampledValue, now time.Duration) {
	sub.armed = never
	if sub.owner.requests.len() > 0 {
		sub.alive(now)
	}
	sub.enterCycle(now)
	for _, s := range samples {
		if s.item.last == nil || sub.cycle-s.item.lastSample >= s.item.sampling {
			s.item.sample(s.dv, sub.cycle)
		}
	}
	if sub.due(now) {
		sub.markLate(now)
		sub.owner.pair(now)
	}
	sub.arm(now)
}

// due tells whether the end of a cycle has something to say.
func (sub *subscription) due(now time.Duration) bool {
	if sub.late || now >= sub.keepAliveDue() {
		return true
	}
	return sub.enabled && sub.ready.anyDue(now)
}

func (sub *subscription) markLate(now time.Duration) {
	if !sub.late {
		sub.late, sub.lateSince = true, now
	}
}

// changed is called when an item got something to report.
func (sub *subscription) changed(item *monitoredItem, now time.Duration) {
	sub.ready.push(item)
	if !sub.enabled || sub.late {
		return
	}
	if due := sub.cycleEnd(item.dueAt(), now); due < sub.armed {
		sub.armFor(due, now)
	}
}

// sampledValue is what a Variable that pushes nothing said when it was asked.
type sampledValue struct {
	item *monitoredItem
	dv   *uabinary.DataValue
}

// takeSamples reads the items whose Variables push nothing, such as
// Server.ServerStatus.CurrentTime. It is called without mu: what answers may
// take locks of its own.
func (sub *subscription) takeSamples() []sampledValue {
	sub.owner.mu.Lock()
	items := slices.Clone(sub.sampled) // nil without any
	sub.owner.mu.Unlock()
	if len(items) == 0 {
		return nil
	}
	samples := make([]sampledValue, len(items))
	for i, item := range items {
		samples[i] = sampledValue{item, item.current()}
	}
	return samples
}

// nextSequence gives out the number of a NotificationMessage; 0 is never used
// (Part 4 (1.05), 7.8).
func (sub *subscription) nextSequence() uint32 {
	n := sub.sequence
	sub.sequence++
	if sub.sequence == 0 {
		sub.sequence = 1
	}
	return n
}

// dropItem takes an item out of every list of the Subscription. The caller
// ends its Watch after unlocking.
func (sub *subscription) dropItem(item *monitoredItem) {
	item.deleted = true
	item.clear()
	sub.ready.remove(item)
	sub.setSampled(item, false)
	delete(sub.items, item.id)
	sub.owner.items--
	sub.owner.server.totals.monitoredItems.Add(-1)
}

// setSampled puts an item on, or takes it off, the list of those that are
// sampled at each cycle.
func (sub *subscription) setSampled(item *monitoredItem, on bool) {
	i := slices.Index(sub.sampled, item)
	switch {
	case on && i < 0:
		sub.sampled = append(sub.sampled, item)
	case !on && i >= 0:
		sub.sampled = slices.Delete(sub.sampled, i, i+1)
	}
}

// statusChange is the last word of a Subscription that the server closed: the
// NotificationMessage with a StatusChangeNotification (Part 4 (1.05), 7.25.4).
type statusChange struct {
	id       uint32
	sequence uint32
	status   ua.StatusCode
}

func (s *statusChange) append(dst []byte, now uabinary.DateTime) []byte {
	message := uabinary.NotificationMessage{
		SequenceNumber: s.sequence,
		PublishTime:    now,
		NotificationData: []uabinary.ExtensionObject{
			uabinary.ExtensionObjectOf(&uabinary.StatusChangeNotification{Status: s.status}),
		},
	}
	return message.Append(dst)
}
