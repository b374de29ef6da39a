package drivers

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// tripSamples is how many round trips are remembered.
const tripSamples = 64

// Trips are the last 64 round trips, and how long the device took to begin its replies. One goroutine adds; Low, High and
// Average may be read by any.
type Trips struct {
	Low, High, Average atomic.Int64 // nanoseconds

	whole, think [tripSamples]time.Duration
	n            int
}

// Add notes a round trip.
func (t *Trips) Add(whole, think time.Duration) {
	t.whole[t.n%tripSamples], t.think[t.n%tripSamples] = whole, max(0, think)
	t.n++
	seen := t.whole[:min(t.n, tripSamples)]
	var sum time.Duration
	for _, d := range seen {
		sum += d
	}
	t.Low.Store(int64(slices.Min(seen)))
	t.High.Store(int64(slices.Max(seen)))
	t.Average.Store(int64(sum) / int64(len(seen)))
}

// Thinking is the lower quartile of what the device took before its replies; ok is false as long as too few were seen.
func (t *Trips) Thinking() (d time.Duration, ok bool) {
	if t.n < tripSamples {
		return 0, false
	}
	sorted := t.think
	slices.Sort(sorted[:])
	return sorted[tripSamples/4], true
}

// Forget starts anew.
func (t *Trips) Forget() { t.n = 0 }

// Gauges show the round trips in milliseconds.
func (t *Trips) Gauges() []Gauge {
	milliseconds := func(v *atomic.Int64) func() float64 { return func() float64 { return float64(v.Load()) / 1e6 } }
	return []Gauge{
		NumberGauge("RoundTripMin", "milliseconds, over the last 64 replies", milliseconds(&t.Low)),
		NumberGauge("RoundTripAvg", "milliseconds, over the last 64 replies", milliseconds(&t.Average)),
		NumberGauge("RoundTripMax", "milliseconds, over the last 64 replies", milliseconds(&t.High)),
	}
}

// loadWindow is the time over which the load of a bus is measured.
const loadWindow = 10 * time.Second

// Limits between which a warning about the load is given, and may be given again, in thousandths.
const (
	highLoad = 800
	lowLoad  = 600
)

// Load is the share of time in which a bus is busy. One goroutine adds and asks TooHigh; Percent may be asked by any.
type Load struct {
	began atomic.Int64 // UnixNano of the window under way
	busy  atomic.Int64 // in it
	last  atomic.Int64 // thousandths, of the one before
	high  bool         // as far as TooHigh has told
}

// Add counts busy time that ended now.
func (l *Load) Add(busy time.Duration, now time.Time) {
	began := l.began.Load()
	if began == 0 {
		l.began.Store(now.Add(-busy).UnixNano())
		l.busy.Store(int64(busy))
		return
	}
	total := l.busy.Add(int64(busy))
	elapsed := now.UnixNano() - began
	if elapsed < int64(loadWindow) {
		return
	}
	l.last.Store(1000 * total / elapsed)
	l.began.Store(now.UnixNano())
	l.busy.Store(0)
}

// TooHigh is for a warning: it tells once that a window has ended in which the bus had too much to do, and tells it again
// only when it was better in between.
func (l *Load) TooHigh() (percent int64, ok bool) {
	load := l.last.Load()
	switch {
	case load < lowLoad:
		l.high = false
	case load >= highLoad && !l.high:
		l.high = true
		return load / 10, true
	}
	return 0, false
}

// Percent is the load of the last window, or of the one under way if that has lasted long because nothing was sent.
func (l *Load) Percent(now time.Time) float64 {
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

// ThinkingTime is what devices take before they answer, for want of a measurement.
const ThinkingTime = 10 * time.Millisecond

// Share is how much of the time one task is going to keep a line busy.
type Share struct {
	Task string // what may be done less often, as in: read group "Fast" of "Boiler"
	Part float64
}

// Estimate is the load of a line before anything runs.
type Estimate []Share

// muchLoad is what a line should not be asked for.
const muchLoad = 0.8

// Total is the share of time in which the line is going to be busy; more than 1 cannot be.
func (e Estimate) Total() float64 {
	total := 0.0
	for _, s := range e {
		total += s.Part
	}
	return total
}

// Suffix is for the end of the summary of a channel; empty where there is nothing to estimate.
func (e Estimate) Suffix() string {
	if len(e) == 0 {
		return ""
	}
	return fmt.Sprintf(", bus load about %.0f %%", 100*e.Total())
}

// Warn says when the line cannot carry what it is asked for, and what to do less often.
func (e Estimate) Warn(r *xmltree.Report, channel *xmltree.Element) {
	total := e.Total()
	if total <= muchLoad {
		return
	}
	most := slices.MaxFunc(e, func(a, b Share) int { return cmp.Compare(a.Part, b.Part) })
	r.Warn(channel, "the bus would be busy for about %.0f %% of the time; %s less often, which alone makes %.0f %%", 100*total, most.Task, 100*most.Part)
}
