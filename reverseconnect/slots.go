package reverseconnect

import (
	"container/list"
	"sync"
	"time"
)

// turn is how long an announced socket keeps its slot without Hello while others wait for one. Known clients hold a
// socket for at most 15 to 30 s and answer within milliseconds if somebody wants it.
const turn = 10 * time.Second

// slots shares a number of sockets among the targets: who asks first is served first, and who holds one that
// nobody answers is asked to give way when others wait.
type slots struct {
	mu      sync.Mutex
	max     int        // guarded by mu; 0 is no limit
	used    int        // guarded by mu
	waiting *list.List // of *slot, guarded by mu; in the order of asking
	idle    *list.List // of *slot, guarded by mu; may be asked to give way, longest idle first
	asked   int        // guarded by mu; were asked to give way and have not answered
}

// slot is the right to one socket, or the place in the queue for it.
type slot struct {
	granted chan struct{} // closed when the slot may be used
	giveWay chan struct{} // closed when others need it

	// guarded by slots.mu
	in    *list.List // waiting, idle or nil
	place *list.Element
	held  bool // counts in used
	asked bool // counts in asked
}

func newSlots(limit int) *slots {
	return &slots{max: limit, waiting: list.New(), idle: list.New()}
}

// resize changes the number of slots. Who holds one too many keeps it until it is done.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max = limit
	s.settle()
}

// ask queues for a slot. The caller gives it back with leave, granted or not.
func (s *slots) ask() *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &slot{granted: make(chan struct{}), giveWay: make(chan struct{})}
	s.move(w, s.waiting)
	s.settle()
	return w
}

// leave gives the slot, or the place in the queue, to the next.
func (s *slots) leave(w *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(w, nil)
	s.unask(w)
	if w.held {
		w.held = false
		s.used--
	}
	s.settle()
}

// offer says that the holder would give way: its turn is over and nobody has answered. At most once per slot.
func (s *slots) offer(w *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(w, s.idle)
	s.settle()
}

// keep withdraws an offer, also one that was taken up just now: the socket is answered.
func (s *slots) keep(w *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(w, nil)
	s.unask(w)
	s.settle()
}

// settle grants free slots and asks idle holders to give way for those who still wait. s.mu is held.
func (s *slots) settle() {
	for s.waiting.Len() > 0 && (s.max == 0 || s.used < s.max) {
		w := s.waiting.Front().Value.(*slot)
		s.move(w, nil)
		w.held = true
		s.used++
		close(w.granted)
	}
	for s.waiting.Len() > s.asked && s.idle.Len() > 0 {
		w := s.idle.Front().Value.(*slot)
		s.move(w, nil)
		w.asked = true
		s.asked++
		close(w.giveWay)
	}
}

// move puts w at the end of one of the lists, or of none. s.mu is held.
func (s *slots) move(w *slot, to *list.List) {
	if w.in != nil {
		w.in.Remove(w.place)
	}
	w.in, w.place = to, nil
	if to != nil {
		w.place = to.PushBack(w)
	}
}

// unask forgets that w was asked to give way. s.mu is held.
func (s *slots) unask(w *slot) {
	if w.asked {
		w.asked = false
		s.asked--
	}
}
