package drivers

import (
	"sync/atomic"
	"time"
)

// Vitals are how a channel, or a unit on it, is doing: what diagnostics show besides counters. One goroutine writes, any
// may read.
type Vitals struct {
	Trips Trips // of a unit
	Load  Load  // of a channel

	lastError atomic.Pointer[string]
	lastGood  atomic.Int64 // UnixNano; 0: never
	state     atomic.Int32 // HealthState of a unit, 1 of a channel that is up
	since     atomic.Int64 // UnixNano
	until     atomic.Int64 // of a demotion, UnixNano; 0: is none
}

// Failed notes what went wrong last.
func (v *Vitals) Failed(err error) {
	text := err.Error()
	v.lastError.Store(&text)
}

// Answered notes when something good came.
func (v *Vitals) Answered(at time.Time) { v.lastGood.Store(at.UnixNano()) }

// Up notes that a channel has a link, or has none any more.
func (v *Vitals) Up(up bool) {
	if up {
		v.enter(1)
	} else {
		v.enter(0)
	}
}

// Enter notes the state of a unit.
func (v *Vitals) Enter(s HealthState) { v.enter(int32(s)) }

// Follow notes the state of a unit, and until when it is left alone. The times of h count from start.
func (v *Vitals) Follow(h *Health, start time.Time) {
	v.Enter(h.State())
	if h.State() == HealthDemoted {
		v.until.Store(start.Add(h.ProbeAt()).UnixNano())
	} else {
		v.until.Store(0)
	}
}

func (v *Vitals) enter(state int32) {
	if v.state.Swap(state) != state || v.since.Load() == 0 {
		v.since.Store(time.Now().UnixNano())
	}
}

// ChannelGauges show a channel. Where names its port or address, waiting is the length of its queue; both are safe for
// concurrent use.
func (v *Vitals) ChannelGauges(where func() string, waiting func() int) []Gauge {
	return append(v.gauges(),
		TextGauge("State", "up or down", func() string { return [...]string{"down", "up"}[v.state.Load()] }),
		TextGauge("Where", "the port or address", where),
		NumberGauge("BusLoad", "time in which the bus is busy, in percent, over ten seconds", func() float64 { return v.Load.Percent(time.Now()) }),
		CountGauge("QueueLength", "writes and commands that wait", func() uint64 { return uint64(waiting()) }),
	)
}

// UnitGauges show a unit.
func (v *Vitals) UnitGauges() []Gauge {
	return append(append(v.gauges(), v.Trips.Gauges()...),
		TextGauge("State", "unknown, online, suspect or demoted", func() string { return HealthState(v.state.Load()).String() }),
		MomentGauge("DemotedUntil", "when a demoted unit is asked again", v.until.Load),
	)
}

func (v *Vitals) gauges() []Gauge {
	return []Gauge{
		MomentGauge("StateSince", "when the state began", v.since.Load),
		MomentGauge("LastGood", "when the last good reply or message came", v.lastGood.Load),
		TextGauge("LastError", "what went wrong last", func() string {
			if text := v.lastError.Load(); text != nil {
				return *text
			}
			return ""
		}),
	}
}
