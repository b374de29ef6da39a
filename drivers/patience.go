package drivers

import (
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Patience is how long a device is waited for, and what becomes of it and of its values when it does not answer: the
// settings that are the same on every line and network.
type Patience struct {
	Timeout     time.Duration // to the first byte of a reply
	Retries     int           // of what may be repeated
	DemoteAfter int           // failures in a row
	Suspend     Backoff       // of a device that is demoted
	Hold        int           // failed polls during which the last value is shown as Uncertain
	StaleAfter  int           // periods
}

// maxSuspend bounds the first pause of a demoted device; the pauses grow to 24 times as much at most.
const maxSuspend = time.Hour

// ReadPatience reads Timeout, which is what is given here if it is not set, Retries, DemoteAfter, TimeSuspend, MaxSuspend,
// HoldPolls and StaleAfter of a device.
func ReadPatience(s *xmltree.Settings, timeout time.Duration) Patience {
	p := Patience{
		Timeout:     s.Millis("Timeout", timeout, time.Millisecond, time.Minute),
		Retries:     s.Int("Retries", 1, 0, 10),
		DemoteAfter: s.Int("DemoteAfter", 3, 1, 1000),
		Hold:        s.Int("HoldPolls", 1, 0, 1000),
		StaleAfter:  s.Int("StaleAfter", 3, 2, 1000),
	}
	p.Suspend.Min = s.Millis("TimeSuspend", 10*time.Second, 100*time.Millisecond, maxSuspend)
	p.Suspend.Max = s.Millis("MaxSuspend", max(2*time.Minute, p.Suspend.Min), p.Suspend.Min, 24*maxSuspend)
	return p
}

// Health begins with a device that nothing is known of.
func (p *Patience) Health() Health { return Health{DemoteAfter: p.DemoteAfter, Suspend: p.Suspend} }
