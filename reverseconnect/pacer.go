package reverseconnect

import (
	"sync"
	"time"
)

// pacer lets events happen in bursts of at most burst and otherwise one per interval.
// The zero value of next means that nothing has happened yet.
type pacer struct {
	interval time.Duration
	burst    int
	next     time.Time // when the next event would be due without bursts
}

// reserve counts one event and returns how long it has to wait.
func (p *pacer) reserve(now time.Time) time.Duration {
	if earliest := now.Add(-time.Duration(p.burst-1) * p.interval); p.next.Before(earliest) {
		p.next = earliest
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(p.interval)
	return max(wait, 0)
}

// allow counts one event if it need not wait.
func (p *pacer) allow(now time.Time) bool {
	if p.next.After(now) {
		return false
	}
	p.reserve(now)
	return true
}

// sharedPacer is a pacer for several goroutines.
type sharedPacer struct {
	mu    sync.Mutex
	pacer pacer // guarded by mu
}

func (p *sharedPacer) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pacer.reserve(now)
}

func (p *sharedPacer) allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pacer.allow(now)
}

// beat is a grid in time, so that things that have to wait anyway happen together: to wake a process up costs several
// times what a dial does.
type beat struct {
	start time.Time
	every time.Duration
}

// from returns the first beat at t or after it.
func (b beat) from(t time.Time) time.Time {
	if over := t.Sub(b.start) % b.every; over > 0 {
		return t.Add(b.every - over)
	}
	return t
}
