package drivers

import "time"

// HealthState is how well a unit on a bus answers.
type HealthState uint8

// The states of [Health].
const (
	HealthUnknown HealthState = iota // never answered, never failed
	HealthOnline                     // answered last time
	HealthSuspect                    // failed last time; is asked as usual but without retries
	HealthDemoted                    // failed several times; only probed now and then
)

// String is the word used in logs and diagnostics.
func (s HealthState) String() string {
	return [...]string{"unknown", "online", "suspect", "demoted"}[s]
}

// Health decides when a unit that does not answer is left alone, so that it costs the others on its bus little:
//
//	Unknown --good--> Online --failed--> Suspect --n in a row--> Demoted --probe good--> Online
//	                    ^----- good -------+                       | probe after Suspend, doubling to MaxSuspend
//
// Times are durations from one start, so that a clock that jumps does not matter.
type Health struct {
	DemoteAfter int     // failures in a row
	Suspend     Backoff // pause before a probe

	state    HealthState
	failures int
	probeAt  time.Duration
}

// State returns the present state.
func (h *Health) State() HealthState { return h.state }

// ProbeAt is when a Demoted unit is to be asked again.
func (h *Health) ProbeAt() time.Duration { return h.probeAt }

// ProbeNow makes a Demoted unit be asked again at once.
func (h *Health) ProbeNow() { h.probeAt = 0 }

// Good records an answer; it returns true if the unit had been Demoted.
func (h *Health) Good() bool {
	was := h.state
	h.state, h.failures = HealthOnline, 0
	h.Suspend.Reset()
	return was == HealthDemoted
}

// Failed records a failure at that time; it returns true if this one demoted the unit.
func (h *Health) Failed(now time.Duration) bool {
	was := h.state
	h.failures++
	h.state = HealthSuspect
	if h.failures >= h.DemoteAfter {
		h.state = HealthDemoted
		h.probeAt = now + h.Suspend.Next()
	}
	return h.state == HealthDemoted && was != HealthDemoted
}
