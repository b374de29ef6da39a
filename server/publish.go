package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// sessionSubscriptions is the publishing side of one Session: its Subscriptions
// and the Publish requests parked for them.
//
// Lock order: Server.mu, session.mu, then mu, the last lock taken. Under it nothing is sent, no Variable
// is watched or released, and no other lock is asked for; what has to be sent
// goes to the outbox and leaves in flush.
type sessionSubscriptions struct {
	server  *Server
	session *session
	user    atomic.Pointer[user] // of the Session; stored with mu held

	mu sync.Mutex
	// guarded by mu
	all           []*subscription // in order of creation
	items         int             // MonitoredItems of all of them
	requests      publishQueue
	statusChanges []statusChange
	retainedBytes int
	outbox        []*parkedPublish // answered, to be sent in this order
	unsent        int              // bytes of the messages in it, and of the one being sent
	flushing      bool
	free          []*parkedPublish
	spare         []*retainedMessage // message buffers to be used again
	ended         bool
}

// subscriptionTotals count what all Sessions hold together.
type subscriptionTotals struct {
	subscriptions  atomic.Int64
	monitoredItems atomic.Int64
	queuedBytes    atomic.Int64 // of values in queues
	partBytes      atomic.Int64 // of copies that items with an IndexRange keep
	retainedBytes  atomic.Int64 // of messages kept for Republish
	lastID         atomic.Uint32
}

// init makes subs the publishing side of a Session of s.
func (subs *sessionSubscriptions) init(sess *session) {
	subs.server, subs.session = sess.server, sess
	subs.requests.wake = subs.expireRequests
}

// now is the protocol's clock: monotonic, since the start of the Server.
func (s *Server) now() time.Duration { return time.Since(s.started) }

func (subs *sessionSubscriptions) now() time.Duration { return subs.server.now() }

// find returns a Subscription of this Session; others' are unknown here.
func (subs *sessionSubscriptions) find(id uint32) *subscription {
	for _, sub := range subs.all {
		if sub.id == id {
			return sub
		}
	}
	return nil
}

// parkedPublish is one Publish request that waits for something to say, and
// then its response. They are reused, with their buffers.
type parkedPublish struct {
	call     call
	deadline time.Duration // 0: none
	results  []ua.StatusCode

	// The response, set when it is answered.
	fault     ua.StatusCode
	sub       uint32
	available []uint32
	more      bool
	message   []byte           // the encoded NotificationMessage
	retained  *retainedMessage // nil for a keep-alive
	owned     []byte           // buffer of messages that are not retained

	appendTo func(dst []byte) []byte // appendResponse, bound once
}

// publishQueue holds the parked Publish requests, oldest first.
type publishQueue struct {
	queue []*parkedPublish
	timer *time.Timer   // for the earliest deadline, nil until one has a deadline
	armed time.Duration // that deadline, 0 if there is none
	wake  func()
}

func (q *publishQueue) len() int { return len(q.queue) }

func (q *publishQueue) push(p *parkedPublish, now time.Duration) {
	q.queue = append(q.queue, p)
	if p.deadline > 0 && (q.armed == 0 || p.deadline < q.armed) {
		q.arm(p.deadline, now)
	}
}

func (q *publishQueue) arm(deadline, now time.Duration) {
	q.armed = deadline
	if q.timer == nil {
		q.timer = time.AfterFunc(deadline-now, q.wake)
		return
	}
	q.timer.Reset(deadline - now)
}

func (q *publishQueue) stop() {
	if q.timer != nil {
		q.timer.Stop()
	}
	q.armed = 0
}

func (q *publishQueue) pop() *parkedPublish {
	p := q.queue[0]
	copy(q.queue, q.queue[1:])
	q.queue[len(q.queue)-1] = nil
	q.queue = q.queue[:len(q.queue)-1]
	return p
}

// expireRequests answers the parked requests whose TimeoutHint has passed
// (Part 4 (1.05), 7.33) and arms the timer for the next of them.
func (subs *sessionSubscriptions) expireRequests() {
	defer subs.session.recovered()
	subs.failRequests()
	subs.flush()
}

func (subs *sessionSubscriptions) failRequests() {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	now := subs.now()
	q := &subs.requests
	q.armed = 0
	next := time.Duration(0)
	kept := q.queue[:0]
	for _, p := range q.queue {
		switch {
		case p.deadline > 0 && p.deadline <= now:
			p.fault = ua.StatusBadTimeout
			subs.outbox = append(subs.outbox, p)
			continue
		case p.deadline > 0 && (next == 0 || p.deadline < next):
			next = p.deadline
		}
		kept = append(kept, p)
	}
	clear(q.queue[len(kept):])
	q.queue = kept
	if next > 0 {
		q.arm(next, now)
	}
}

// park makes a Publish request of the Session out of a call.
func (subs *sessionSubscriptions) park(c *call, now time.Duration) *parkedPublish {
	var p *parkedPublish
	if n := len(subs.free); n > 0 {
		p, subs.free = subs.free[n-1], subs.free[:n-1]
	} else {
		p = &parkedPublish{}
		p.appendTo = p.appendResponse
	}
	p.call = c.detach()
	p.deadline = 0
	if hint := c.header.TimeoutHint; hint > 0 {
		p.deadline = now + time.Duration(hint)*time.Millisecond
	}
	p.results = p.results[:0]
	p.fault = ua.StatusOK
	return p
}

// release gives a sent response back for reuse.
func (subs *sessionSubscriptions) release(p *parkedPublish) {
	subs.unsent -= len(p.message)
	if p.retained != nil {
		p.retained.sending = false
		if p.retained.dropped {
			subs.recycle(p.retained)
		}
	}
	p.retained, p.message = nil, nil
	p.call = call{}
	if len(subs.free) < subs.server.limits().MaxPublishRequestsPerSession {
		subs.free = append(subs.free, p)
	}
}

// pair answers parked Publish requests for as long as there are requests and
// Subscriptions that are late: the highest priority first, among equals the one
// that waits longest (Part 4 (1.05), 5.14.1.1). While a client does not read what it
// was sent, values stay in their queues, where they are bounded.
func (subs *sessionSubscriptions) pair(now time.Duration) {
	for len(subs.requests.queue) > 0 && subs.unsent < fullMessage {
		if len(subs.statusChanges) > 0 {
			subs.answerStatusChange(subs.take(now))
			continue
		}
		sub := subs.mostUrgent()
		if sub == nil {
			return
		}
		subs.answer(subs.take(now), sub, now)
	}
}

// take gives out the oldest parked request. With the last one the lifetime of
// every Subscription begins to run: until now the client was there.
func (subs *sessionSubscriptions) take(now time.Duration) *parkedPublish {
	p := subs.requests.pop()
	if subs.requests.len() == 0 {
		for _, sub := range subs.all {
			sub.alive(now)
		}
	}
	return p
}

func (subs *sessionSubscriptions) mostUrgent() *subscription {
	var best *subscription
	for _, sub := range subs.all {
		if !sub.late {
			continue
		}
		if best == nil || sub.priority > best.priority ||
			sub.priority == best.priority && sub.lateSince < best.lateSince {
			best = sub
		}
	}
	return best
}

// answer fills a response with what the Subscription has to say, or with a
// keep-alive when it has nothing.
func (subs *sessionSubscriptions) answer(p *parkedPublish, sub *subscription, now time.Duration) {
	sub.alive(now)
	sub.late = false
	sub.sent = true
	sub.enterCycle(now)
	sub.lastSent = sub.cycle
	p.sub = sub.id
	p.more = false
	if message := sub.notificationMessage(now); message != nil {
		p.retained, p.message = message, message.bytes
		message.sending = true
	} else {
		p.owned = sub.keepAlive(p.owned[:0])
		p.message = p.owned
	}
	if sub.enabled && sub.ready.anyDue(now) {
		p.more = true
		sub.markLate(now)
	}
	p.available = p.available[:0]
	for _, m := range sub.retained {
		p.available = append(p.available, m.sequence)
	}
	subs.outbox = append(subs.outbox, p)
	subs.unsent += len(p.message)
	sub.arm(now)
}

func (subs *sessionSubscriptions) answerStatusChange(p *parkedPublish) {
	change := subs.statusChanges[0]
	subs.statusChanges = subs.statusChanges[1:]
	p.sub, p.more, p.available = change.id, false, p.available[:0]
	p.owned = change.append(p.owned[:0], uabinary.DateTimeOf(time.Now()))
	p.message = p.owned
	subs.outbox = append(subs.outbox, p)
	subs.unsent += len(p.message)
}

// flush sends the outbox in order. Only one goroutine sends at a time; another
// one that comes along leaves its responses to it and goes on.
func (subs *sessionSubscriptions) flush() {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	if subs.flushing {
		return
	}
	subs.flushing = true
	defer func() { subs.flushing = false }()
	for len(subs.outbox) > 0 {
		p := subs.outbox[0]
		copy(subs.outbox, subs.outbox[1:])
		subs.outbox = subs.outbox[:len(subs.outbox)-1]
		subs.sendUnlocked(p)
		subs.release(p)
		subs.pair(subs.now())
	}
}

func (subs *sessionSubscriptions) sendUnlocked(p *parkedPublish) {
	subs.mu.Unlock()
	defer subs.mu.Lock()
	p.send()
}

// send hands the response to the SecureChannel. What it cannot deliver stays
// in the retransmission queue, where Republish finds it.
func (p *parkedPublish) send() {
	if p.fault != ua.StatusOK {
		p.call.fault(p.fault)
		return
	}
	p.call.send(p.appendTo)
}

// publishResponseID is the encoding id of PublishResponse.
var publishResponseID = (*uabinary.PublishResponse)(nil).EncodingID()

// appendResponse writes the PublishResponse: field by field, because its
// NotificationMessage is already encoded.
func (p *parkedPublish) appendResponse(dst []byte) []byte {
	header := p.call.responseHeader()
	dst = uabinary.NumericID(0, publishResponseID).Append(dst)
	dst = header.Append(dst)
	dst = uabinary.AppendUint32(dst, p.sub)
	dst = uabinary.AppendInt32(dst, int32(len(p.available)))
	for _, n := range p.available {
		dst = uabinary.AppendUint32(dst, n)
	}
	dst = uabinary.AppendBool(dst, p.more)
	dst = append(dst, p.message...)
	dst = uabinary.AppendInt32(dst, int32(len(p.results)))
	for _, code := range p.results {
		dst = uabinary.AppendUint32(dst, uint32(code))
	}
	return uabinary.AppendInt32(dst, 0) // diagnosticInfos
}

// expire closes a Subscription whose client fell silent; the client hears of it
// with its next Publish request (Part 4 (1.05), 5.14.1.2, transition 27).
func (subs *sessionSubscriptions) expire(sub *subscription) []*monitoredItem {
	items := subs.remove(sub)
	if len(subs.statusChanges) >= subs.server.limits().MaxSubscriptionsPerSession {
		subs.statusChanges = slices.Delete(subs.statusChanges, 0, 1)
	}
	subs.statusChanges = append(subs.statusChanges, statusChange{
		id: sub.id, sequence: sub.sequence, status: ua.StatusBadTimeout,
	})
	subs.pair(subs.now())
	return items
}

// remove takes a Subscription out of the Session and returns its items, whose
// Watches the caller ends after unlocking.
func (subs *sessionSubscriptions) remove(sub *subscription) []*monitoredItem {
	sub.closed = true
	sub.timer.Stop()
	items := make([]*monitoredItem, 0, len(sub.items))
	for _, item := range sub.items {
		items = append(items, item)
	}
	for _, item := range items {
		sub.dropItem(item)
	}
	for len(sub.retained) > 0 {
		sub.forget(0)
	}
	for i, other := range subs.all {
		if other == sub {
			subs.all = append(subs.all[:i], subs.all[i+1:]...)
			break
		}
	}
	subs.server.totals.subscriptions.Add(-1)
	return items
}

// end closes everything with the Session. Parked requests are answered with
// code unless it is Good, which means that nobody is there to hear it.
//
// Subscriptions end with their Session even if the client asked to keep them:
// without TransferSubscriptions nobody could ever reach them again.
func (subs *sessionSubscriptions) end(code ua.StatusCode) {
	unwatchAll(subs.empty(code))
	subs.flush()
}

func (subs *sessionSubscriptions) empty(code ua.StatusCode) (items []*monitoredItem) {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	subs.ended = true
	subs.statusChanges = nil
	for len(subs.all) > 0 {
		items = append(items, subs.remove(subs.all[0])...)
	}
	subs.dropRequests(code)
	return items
}

// channelLost forgets the parked requests of a SecureChannel that is gone.
// Those that came on the Session's next channel stay.
func (subs *sessionSubscriptions) channelLost(lost *connection) {
	subs.mu.Lock()
	defer subs.mu.Unlock()
	now := subs.now()
	for n := subs.requests.len(); n > 0; n-- {
		if p := subs.requests.pop(); p.call.conn == lost {
			subs.release(p)
		} else {
			subs.requests.push(p, now)
		}
	}
	for _, sub := range subs.all {
		sub.alive(now)
		sub.arm(now)
	}
}

// dropRequests answers all parked requests with code, or, if it is Good,
// forgets them because nobody is there to hear it.
func (subs *sessionSubscriptions) dropRequests(code ua.StatusCode) {
	for subs.requests.len() > 0 {
		p := subs.requests.pop()
		if code == ua.StatusOK {
			subs.release(p)
			continue
		}
		p.fault = code
		subs.outbox = append(subs.outbox, p)
	}
	subs.requests.stop()
}

// unwatchAll ends what start began for many items, also without mu.
func unwatchAll(items []*monitoredItem) {
	gone := make(map[addressspace.Watcher]bool, len(items))
	variables := make(map[*addressspace.Variable]bool)
	for _, item := range items {
		if item.pushes() {
			gone[item] = true
			variables[item.node.Variable] = true
		}
	}
	for v := range variables {
		v.UnwatchAll(gone)
	}
}
