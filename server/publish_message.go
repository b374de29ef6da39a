package server

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// retainedMessage is one sent NotificationMessage in its encoded form, kept for
// Republish until the client acknowledges it (Part 4 (1.05), 5.14.1.1).
type retainedMessage struct {
	sequence uint32
	bytes    []byte
	sending  bool // a response that uses bytes is on its way
	dropped  bool // acknowledged or pushed out while sending
}

// dataChangeID is the encoding id of DataChangeNotification.
var dataChangeID = (*uabinary.DataChangeNotification)(nil).EncodingID()

// notificationMessage takes the queued values of the ready items, as many as
// one message may hold, into a message that is kept for Republish. It returns
// nil if there is nothing to report.
//
// The message is written field by field: a DataChangeNotification built as a
// struct first would be copied and allocated for nothing on the hottest path.
func (sub *subscription) notificationMessage(now time.Duration) *retainedMessage {
	if !sub.enabled || !sub.ready.anyDue(now) {
		return nil
	}
	m := sub.owner.newMessage()
	m.sequence = sub.nextSequence()

	dst := uabinary.AppendUint32(m.bytes[:0], m.sequence)
	dst = uabinary.AppendDateTime(dst, uabinary.DateTimeOf(time.Now()))
	dst = uabinary.AppendInt32(dst, 1) // notificationData: one ExtensionObject
	dst = uabinary.NumericID(0, dataChangeID).Append(dst)
	dst = append(dst, 1) // the body is a ByteString
	length := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // its length, the number of items
	dst, count := sub.appendItems(dst, now)
	dst = uabinary.AppendInt32(dst, 0) // diagnosticInfos
	binary.LittleEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
	binary.LittleEndian.PutUint32(dst[length+4:], uint32(count))

	m.bytes = dst
	sub.retain(m)
	return m
}

// fullMessage is the size from which on a message takes no further value, in
// bytes: it leaves in one chunk, and no client finds it too large.
const fullMessage = 32 << 10

// appendItems writes MonitoredItemNotifications until the message is full or
// nothing is due. Items that have more to say stay in the ready list.
func (sub *subscription) appendItems(dst []byte, now time.Duration) ([]byte, int) {
	count := 0
	maxBytes := min(fullMessage, sub.owner.server.limits().MaxRetransmissionBytes/2)
	for item := sub.ready.first; item != nil && count < sub.maxNotifications; {
		following := item.next
		item.settle(now)
		for item.reports() && count < sub.maxNotifications && len(dst) < maxBytes {
			dst = item.appendNotification(dst)
			count++
		}
		if !item.hasMore() {
			sub.ready.remove(item)
		}
		item = following
	}
	return dst, count
}

// keepAlive is a NotificationMessage without data: it carries the number that
// the next real one will have and is not retained (Part 4 (1.05), 5.14.1.1).
func (sub *subscription) keepAlive(dst []byte) []byte {
	dst = uabinary.AppendUint32(dst, sub.sequence)
	dst = uabinary.AppendDateTime(dst, uabinary.DateTimeOf(time.Now()))
	return uabinary.AppendInt32(dst, 0)
}

// retain puts a message into the retransmission queue and drops the oldest ones
// that no longer fit, by number per Subscription and by bytes per Session.
func (sub *subscription) retain(m *retainedMessage) {
	subs := sub.owner
	limits := subs.server.limits()
	sub.retained = append(sub.retained, m)
	subs.retainedBytes += len(m.bytes)
	total := &subs.server.totals.retainedBytes
	total.Add(int64(len(m.bytes)))
	for len(sub.retained) > 1 && (len(sub.retained) > limits.MaxRetransmissionQueue ||
		subs.retainedBytes > limits.MaxRetransmissionBytes || total.Load() > limits.MaxRetransmissionBytesTotal) {
		sub.forget(0)
	}
}

// forget drops the i-th retained message.
func (sub *subscription) forget(i int) {
	m := sub.retained[i]
	sub.retained = slices.Delete(sub.retained, i, i+1)
	sub.owner.retainedBytes -= len(m.bytes)
	sub.owner.server.totals.retainedBytes.Add(-int64(len(m.bytes)))
	m.dropped = true
	if !m.sending {
		sub.owner.recycle(m)
	}
}

// acknowledge drops a message that the client has, and tells whether there was
// one.
func (sub *subscription) acknowledge(sequence uint32) bool {
	for i, m := range sub.retained {
		if m.sequence == sequence {
			sub.forget(i)
			return true
		}
	}
	return false
}

// newMessage takes a message buffer from the Session's spares.
func (subs *sessionSubscriptions) newMessage() *retainedMessage {
	if n := len(subs.spare); n > 0 {
		m := subs.spare[n-1]
		subs.spare = subs.spare[:n-1]
		return m
	}
	return &retainedMessage{}
}

// recycle keeps a few small buffers for the next messages.
func (subs *sessionSubscriptions) recycle(m *retainedMessage) {
	const spares, largest = 4, 64 << 10
	if len(subs.spare) < spares && cap(m.bytes) <= largest {
		*m = retainedMessage{bytes: m.bytes[:0]}
		subs.spare = append(subs.spare, m)
	}
}
