package server

import (
	"math"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// monitoredItem is one MonitoredItem (Part 4 (1.05), 5.13.1). A Variable pushes
// its values into it; the sampling interval only limits how often one of them
// is taken. No timer and no goroutine belongs to an item.
//
// Fields above mu's line are fixed once the item is in its Subscription; the
// others are guarded by sessionSubscriptions.mu.
type monitoredItem struct {
	sub       *subscription
	id        uint32
	attribute ua.AttributeID
	node      *addressspace.Node
	rng       numericRange
	denied    ua.StatusCode // why nobody may read it; Good: who has the right may

	// guarded by sub.owner.mu
	clientHandle  uint32
	mode          ua.MonitoringMode
	timestamps    ua.TimestampsToReturn
	sampling      time.Duration
	filter        dataChangeFilter
	discardOldest bool
	deleted       bool
	inReady       bool
	barred        bool  // the user may not read it
	partBytes     int32 // of last, where it is a copy of a part

	queue      valueQueue
	last       *uabinary.DataValue // last one that passed the filter
	lastSample time.Duration
	pending    *uabinary.DataValue // newest one that came before its time
	prev, next *monitoredItem      // ready list
}

// changes tells whether there can be more than one value: not of the other
// attributes, nor of a Variable that may not be read.
func (item *monitoredItem) changes() bool {
	return item.attribute == ua.AttributeIDValue && item.denied == ua.StatusOK
}

// pushes tells whether the item hears of changes by itself.
func (item *monitoredItem) pushes() bool {
	return item.changes() && !item.node.Variable.Dynamic()
}

// current is the value that a sample taken now would see.
func (item *monitoredItem) current() *uabinary.DataValue {
	if item.denied != ua.StatusOK {
		return &uabinary.DataValue{Status: item.denied}
	}
	if item.attribute == ua.AttributeIDValue {
		return item.node.Variable.Current()
	}
	owner := item.sub.owner
	value, status := owner.server.attribute(owner.user.Load(), item.node, item.attribute)
	return &uabinary.DataValue{Value: value, Status: status, ServerTimestamp: uabinary.DateTimeOf(time.Now())}
}

// Changed takes a pushed value (addressspace.Watcher). It runs on the goroutine
// of whoever set the Variable and never waits for a client.
func (item *monitoredItem) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	subs := item.sub.owner
	now := subs.now()
	subs.mu.Lock()
	item.offer(dv, now)
	subs.mu.Unlock()
}

// offer takes a value, or keeps it as pending if it comes before its time.
func (item *monitoredItem) offer(dv *uabinary.DataValue, now time.Duration) {
	if item.deleted || item.mode == ua.MonitoringModeDisabled {
		return
	}
	item.settle(now)
	if item.last != nil && now-item.lastSample < item.sampling {
		item.pending = dv
		if item.mode == ua.MonitoringModeReporting {
			item.sub.changed(item, now)
		}
		return
	}
	item.sample(dv, now)
}

// settle takes the pending value if its time has come meanwhile. The moment
// counted is the one at which a sampler would have seen it.
func (item *monitoredItem) settle(now time.Duration) {
	due := item.lastSample + item.sampling
	if item.pending != nil && now >= due {
		dv := item.pending
		item.pending = nil
		item.sample(dv, due)
	}
}

// sample runs a value through IndexRange and filter into the queue.
func (item *monitoredItem) sample(dv *uabinary.DataValue, now time.Duration) {
	if item.deleted || item.mode == ua.MonitoringModeDisabled {
		return
	}
	item.lastSample = now
	if item.barred {
		dv = deniedValue()
	} else {
		dv = item.part(dv)
	}
	if !item.filter.passes(item.last, dv) {
		return
	}
	item.last = dv
	item.enqueue(dv)
	if item.mode == ua.MonitoringModeReporting {
		item.sub.changed(item, now)
	}
}

// part selects what the item's IndexRange wants. Whole values are shared by all
// items, but each part is a copy that its item keeps: once those copies are as
// large as queued values may be together, a long one is not made.
func (item *monitoredItem) part(dv *uabinary.DataValue) *uabinary.DataValue {
	const short = 4 << 10
	if item.rng == nil {
		return dv
	}
	server := item.sub.owner.server
	part := item.rng.applyTo(dv)
	size := int32(min(valueSize(part), math.MaxInt32))
	total := server.totals.partBytes.Add(int64(size) - int64(item.partBytes))
	item.partBytes = size
	if size <= short || total <= server.limits().NotificationBytesTotal {
		return part
	}
	server.totals.partBytes.Add(-int64(size))
	item.partBytes = 0
	return &uabinary.DataValue{Status: ua.StatusBadOutOfMemory, SourceTimestamp: dv.SourceTimestamp}
}

// enqueue stores the value within the item's queue and the server's budget.
func (item *monitoredItem) enqueue(dv *uabinary.DataValue) {
	budget := &item.sub.owner.server.totals.queuedBytes
	size := valueSize(dv)
	limit := item.sub.owner.server.limits().NotificationBytesTotal
	if item.queue.len() > 0 && budget.Load()+size > limit {
		item.queue.shrinkTo(item.queue.len(), budget)
	}
	budget.Add(size)
	item.queue.push(dv, item.discardOldest, budget)
}

// reports tells whether a notification can go out now.
func (item *monitoredItem) reports() bool {
	return item.mode == ua.MonitoringModeReporting && item.queue.len() > 0
}

// hasMore tells whether the item belongs in the ready list.
func (item *monitoredItem) hasMore() bool {
	return item.mode == ua.MonitoringModeReporting && (item.queue.len() > 0 || item.pending != nil)
}

// dueAt is the moment from which the item has something to say.
func (item *monitoredItem) dueAt() time.Duration {
	if item.queue.len() > 0 {
		return 0
	}
	return item.lastSample + item.sampling
}

// clear forgets what is queued and where the filter stood.
func (item *monitoredItem) clear() {
	item.queue.clear(&item.sub.owner.server.totals.queuedBytes)
	item.last, item.pending = nil, nil
	item.sub.owner.server.totals.partBytes.Add(-int64(item.partBytes))
	item.partBytes = 0
}

// appendNotification writes the oldest queued value as a
// MonitoredItemNotification (Part 4 (1.05), 7.25.2).
func (item *monitoredItem) appendNotification(dst []byte) []byte {
	dv := item.queue.pop(&item.sub.owner.server.totals.queuedBytes)
	stampValue(&dv, item.timestamps, item.attribute)
	dst = uabinary.AppendUint32(dst, item.clientHandle)
	return dv.Append(dst)
}

// stampValue leaves those timestamps that were asked for. The server's is the
// moment the value became known here.
func stampValue(dv *uabinary.DataValue, which ua.TimestampsToReturn, attribute ua.AttributeID) {
	if which == ua.TimestampsToReturnServer || which == ua.TimestampsToReturnNeither || attribute != ua.AttributeIDValue {
		dv.SourceTimestamp, dv.SourcePicoseconds = 0, 0
	}
	if which == ua.TimestampsToReturnSource || which == ua.TimestampsToReturnNeither {
		dv.ServerTimestamp, dv.ServerPicoseconds = 0, 0
	} else if dv.ServerTimestamp == 0 {
		dv.ServerTimestamp = uabinary.DateTimeOf(time.Now())
	}
}

// start begins to hear of changes and takes the first value. It is called
// without mu: the Variable has a lock of its own. An item that was deleted
// meanwhile is left alone again.
func (item *monitoredItem) start() {
	if item.pushes() {
		item.node.Variable.Watch(item)
	}
	if !item.takeFirst(item.current()) {
		item.unwatch()
	}
}

func (item *monitoredItem) takeFirst(first *uabinary.DataValue) bool {
	subs := item.sub.owner
	now := subs.now()
	subs.mu.Lock()
	defer subs.mu.Unlock()
	if item.deleted || item.mode == ua.MonitoringModeDisabled {
		return false
	}
	if item.changes() && !item.pushes() {
		item.sub.setSampled(item, true)
	}
	if item.last == nil {
		item.sample(first, now)
	}
	return true
}

// unwatch ends what start began, also without mu.
func (item *monitoredItem) unwatch() {
	if item.pushes() {
		item.node.Variable.Unwatch(item)
	}
}

// itemList is the ready list of a Subscription: first come, first served, each
// item at most once.
type itemList struct{ first, last *monitoredItem }

func (l *itemList) push(item *monitoredItem) {
	if item.inReady {
		return
	}
	item.inReady = true
	item.prev, item.next = l.last, nil
	if l.last == nil {
		l.first = item
	} else {
		l.last.next = item
	}
	l.last = item
}

func (l *itemList) remove(item *monitoredItem) {
	if !item.inReady {
		return
	}
	item.inReady = false
	if item.prev == nil {
		l.first = item.next
	} else {
		item.prev.next = item.next
	}
	if item.next == nil {
		l.last = item.prev
	} else {
		item.next.prev = item.prev
	}
	item.prev, item.next = nil, nil
}

// dueAt is the earliest moment at which one of the items has something to say.
func (l *itemList) dueAt() (due time.Duration, any bool) {
	for item := l.first; item != nil; item = item.next {
		if at := item.dueAt(); !any || at < due {
			due, any = at, true
		}
		if due == 0 {
			break
		}
	}
	return due, any
}

// anyDue tells whether one of the items has something to say now.
func (l *itemList) anyDue(now time.Duration) bool {
	due, any := l.dueAt()
	return any && due <= now
}
