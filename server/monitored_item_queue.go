package server

import (
	"sync/atomic"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// overflowBits mark a value beside which others were lost: InfoType DataValue
// and Overflow (Part 4 (1.05), 7.39.1).
const overflowBits ua.StatusCode = 0x0480

// valueQueue is the queue of one MonitoredItem (Part 4 (1.05), 5.13.1.5). The
// usual queue of one value needs no memory beside the item's own.
type valueQueue struct {
	one    queuedValue   // the only slot while size is 1
	ring   []queuedValue // the slots while size is above 1, grown on demand
	head   int32
	length int32
	size   uint32 // as negotiated
}

// queuedValue shares the immutable DataValue of the Variable.
type queuedValue struct {
	dv       *uabinary.DataValue
	overflow bool
}

func (q *valueQueue) len() int { return int(q.length) }

// push adds a value that was already counted in budget. A full queue loses its
// oldest value, or, if the client wants to keep those, the newest.
func (q *valueQueue) push(dv *uabinary.DataValue, discardOldest bool, budget *atomic.Int64) {
	switch {
	case uint32(q.length) < q.size:
		q.grow()
		*q.slot(q.length) = queuedValue{dv: dv}
		q.length++
	case discardOldest || q.size == 1:
		q.drop(budget)
		*q.slot(q.length) = queuedValue{dv: dv}
		q.length++
		q.slot(0).overflow = q.size > 1
	default:
		newest := q.slot(q.length - 1)
		budget.Add(-valueSize(newest.dv))
		*newest = queuedValue{dv: dv, overflow: true}
	}
}

// pop takes the oldest value out, with the overflow bits if they apply. The
// DataValue is a copy that the caller may change.
func (q *valueQueue) pop(budget *atomic.Int64) uabinary.DataValue {
	oldest := q.slot(0)
	dv := *oldest.dv
	if oldest.overflow {
		dv.Status |= overflowBits
	}
	q.drop(budget)
	return dv
}

// drop removes the oldest value.
func (q *valueQueue) drop(budget *atomic.Int64) {
	oldest := q.slot(0)
	budget.Add(-valueSize(oldest.dv))
	*oldest = queuedValue{}
	q.length--
	if q.ring != nil {
		q.head = (q.head + 1) % int32(len(q.ring))
	}
}

func (q *valueQueue) clear(budget *atomic.Int64) {
	for q.length > 0 {
		q.drop(budget)
	}
}

// resize changes the size. Values beyond it go by the discard policy.
func (q *valueQueue) resize(size uint32, discardOldest bool, budget *atomic.Int64) {
	kept := make([]queuedValue, 0, q.length)
	for i := range q.length {
		kept = append(kept, *q.slot(i))
	}
	*q = valueQueue{size: size}
	for _, v := range kept {
		q.push(v.dv, discardOldest, budget)
		q.slot(q.length - 1).overflow = q.slot(q.length-1).overflow || v.overflow && size > 1
	}
}

// shrinkTo makes room when the server's byte budget is used up: the queue acts
// as if it were full.
func (q *valueQueue) shrinkTo(length int, budget *atomic.Int64) {
	for q.length > 0 && q.len() >= length {
		q.drop(budget)
		if q.length > 0 {
			q.slot(0).overflow = true
		}
	}
}

func (q *valueQueue) slot(i int32) *queuedValue {
	if q.ring == nil {
		return &q.one
	}
	return &q.ring[(q.head+i)%int32(len(q.ring))]
}

// grow makes sure that one more value fits.
func (q *valueQueue) grow() {
	if q.size == 1 || q.len() < len(q.ring) {
		return
	}
	ring := make([]queuedValue, min(max(2, 2*uint32(len(q.ring))), q.size))
	for i := range q.length {
		ring[i] = *q.slot(i)
	}
	q.ring, q.head = ring, 0
}

// valueSize estimates what a queued value holds in memory, in bytes.
func valueSize(dv *uabinary.DataValue) int64 {
	const fixed = 96
	v := &dv.Value
	if n := v.Len(); n > 0 {
		return fixed + int64(n)*16
	}
	if s, ok := v.Text(); ok {
		return fixed + int64(len(s))
	}
	if v.Type() == uabinary.TypeByteString {
		b, _ := v.Any().([]byte)
		return fixed + int64(len(b))
	}
	return fixed
}
