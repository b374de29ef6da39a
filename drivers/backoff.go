package drivers

import (
	"math/rand/v2"
	"time"
)

// Backoff is the pause between attempts: it doubles from Min to Max, each time 20 % more or less, so that devices
// which failed together are not tried together.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Next returns the pause before the next attempt.
func (b *Backoff) Next() time.Duration {
	d := max(b.next, b.Min)
	b.next = min(2*d, b.Max)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// Reset makes the next pause the shortest again.
func (b *Backoff) Reset() { b.next = 0 }
