package modbus

import (
	"slices"
	"sync/atomic"
	"time"
)

// counter is one thing that is counted on a bus, for all of it and for each unit.
type counter uint8

// The counters.
const (
	requests counter = iota
	replies
	timeouts
	checksums // frames with a wrong CRC or LRC, or none at all among the bytes that came
	protocol  // whole frames that answer something else
	lateReplies
	strays // bytes or frames that nobody asked for
	echoes // faults of the local echo
	overflows
	retries
	reconnects
	overruns
	counters
)

// samples is how many round trips are remembered.
const samples = 64

// tally is what has happened. One goroutine writes, any may read.
type tally struct {
	counts     [counters]atomic.Uint64
	exceptions [12]atomic.Uint64 // by code; 0 for those without a name
	lastError  atomic.Pointer[string]
	lastGood   atomic.Int64 // UnixNano; 0: never
	state      atomic.Int32 // drivers.HealthState of a unit, 1 if a channel is up
	since      atomic.Int64 // UnixNano
	until      atomic.Int64 // of a demotion, UnixNano
	trips      trips
	load       load
}

func (t *tally) get(c counter) uint64 { return t.counts[c].Load() }

func (t *tally) enter(state int32) {
	if t.state.Swap(state) != state || t.since.Load() == 0 {
		t.since.Store(time.Now().UnixNano())
	}
}

func (t *tally) failed(err error) {
	text := err.Error()
	t.lastError.Store(&text)
}

func (t *tally) exception(code byte) {
	if int(code) >= len(t.exceptions) {
		code = 0
	}
	t.exceptions[code].Add(1)
}

// reset sets everything that is counted to 0.
func (t *tally) reset() {
	for i := range t.counts {
		t.counts[i].Store(0)
	}
	for i := range t.exceptions {
		t.exceptions[i].Store(0)
	}
}

// trips are the last round trips, and how long the device took to begin its reply.
type trips struct {
	whole, think [samples]time.Duration // owned by the goroutine of the bus
	n            int
	low          atomic.Int64
	high         atomic.Int64
	average      atomic.Int64
}

func (t *trips) add(whole, think time.Duration) {
	t.whole[t.n%samples], t.think[t.n%samples] = whole, max(0, think)
	t.n++
	seen := t.whole[:min(t.n, samples)]
	var sum time.Duration
	for _, d := range seen {
		sum += d
	}
	t.low.Store(int64(slices.Min(seen)))
	t.high.Store(int64(slices.Max(seen)))
	t.average.Store(int64(sum) / int64(len(seen)))
}

// thinking is the lower quartile of what the device took before its replies; ok is false as long as too few were seen.
func (t *trips) thinking() (d time.Duration, ok bool) {
	if t.n < samples {
		return 0, false
	}
	sorted := t.think
	slices.Sort(sorted[:])
	return sorted[samples/4], true
}

// loadWindow is the time over which the load of a bus is measured.
const loadWindow = 10 * time.Second

// load is the share of time in which a bus is busy.
type load struct {
	began atomic.Int64 // UnixNano of the window under way
	busy  atomic.Int64 // in it
	last  atomic.Int64 // thousandths, of the one before
}

// add counts busy time that ended now; it returns true when a window ended.
func (l *load) add(busy time.Duration, now time.Time) bool {
	began := l.began.Load()
	if began == 0 {
		l.began.Store(now.Add(-busy).UnixNano())
		l.busy.Store(int64(busy))
		return false
	}
	total := l.busy.Add(int64(busy))
	elapsed := now.UnixNano() - began
	if elapsed < int64(loadWindow) {
		return false
	}
	l.last.Store(1000 * total / elapsed)
	l.began.Store(now.UnixNano())
	l.busy.Store(0)
	return true
}

// percent is the load of the last window, or of the one under way if that has lasted long because nothing was sent.
func (l *load) percent(now time.Time) float64 {
	began := l.began.Load()
	elapsed := now.UnixNano() - began
	if began == 0 {
		return 0
	}
	if elapsed < int64(loadWindow) {
		return float64(l.last.Load()) / 10
	}
	return 100 * float64(l.busy.Load()) / float64(elapsed)
}
