package drivers

import "time"

// Slot is one thing in a [Schedule]: something to do every Period.
type Slot[T any] struct {
	Item     T
	Period   time.Duration
	Overruns uint64 // runs left out because the one before was late

	due   time.Duration
	grid  time.Duration // the regular time of the next run; due may be earlier
	order int
	index int // in the heap; -1: not scheduled
}

// Due is when the slot is to run next.
func (s *Slot[T]) Due() time.Duration { return s.due }

// Scheduled tells whether the slot is waiting for its time.
func (s *Slot[T]) Scheduled() bool { return s.index >= 0 }

// Schedule is a heap of slots by due time; those due at the same time come by order, so that what belongs together
// stays together. It has one timer for all: the owner sleeps until Next is due. Times are durations from one start.
type Schedule[T any] struct{ heap []*Slot[T] }

// NewSlot makes a slot that is not scheduled yet.
func NewSlot[T any](item T, period time.Duration, order int) *Slot[T] {
	return &Slot[T]{Item: item, Period: period, order: order, index: -1}
}

// Next returns the slot with the earliest due time, nil if there is none.
func (q *Schedule[T]) Next() *Slot[T] {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// At schedules s, or moves it, to run at due and from then on at its period.
func (q *Schedule[T]) At(s *Slot[T], due time.Duration) {
	s.grid = due
	q.move(s, due)
}

// Hasten gives s a run in between, unless its next one is sooner. The regular times stay.
func (q *Schedule[T]) Hasten(s *Slot[T], due time.Duration) {
	if due < s.due {
		q.move(s, due)
	}
}

func (q *Schedule[T]) move(s *Slot[T], due time.Duration) {
	s.due = due
	if s.index < 0 {
		s.index = len(q.heap)
		q.heap = append(q.heap, s)
	}
	q.down(s.index)
	q.up(s.index)
}

// Served schedules s for its next turn at a fixed rate. Turns that passed in the meantime are counted, not made up for.
func (q *Schedule[T]) Served(s *Slot[T], now time.Duration) {
	if s.due == s.grid {
		s.grid += s.Period
	}
	if late := now - s.grid; late >= 0 && s.Period > 0 {
		missed := late/s.Period + 1
		s.Overruns += uint64(missed)
		s.grid += missed * s.Period
	}
	q.move(s, s.grid)
}

// Remove takes s out of the schedule.
func (q *Schedule[T]) Remove(s *Slot[T]) {
	i, last := s.index, len(q.heap)-1
	if i < 0 {
		return
	}
	q.swap(i, last)
	q.heap[last] = nil
	q.heap = q.heap[:last]
	s.index = -1
	if i < last {
		q.down(i)
		q.up(i)
	}
}

func (q *Schedule[T]) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	if a.due != b.due {
		return a.due < b.due
	}
	return a.order < b.order
}

func (q *Schedule[T]) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].index, q.heap[j].index = i, j
}

func (q *Schedule[T]) up(i int) {
	for i > 0 && q.less(i, (i-1)/2) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (q *Schedule[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if child+1 < len(q.heap) && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}
