package reverseconnect

import "time"

// jitter is the part of a delay by which it is spread either way, so that the servers
// behind one recovered client do not call in step.
const jitter = 0.2

// retry decides when a target is dialled next.
type retry struct {
	min, max, reject time.Duration
	rand             func() float64
	beat             beat // on which calls are made that wait long anyway

	backoff time.Duration // before jitter: what the next failure waits
	pace    pacer         // of the calls that do not wait otherwise
	demand  pacer         // of the calls that somebody asks for
	due     time.Time     // no dial before
	urgent  bool          // a client that was there a moment ago: no waiting in line with the dead
}

// A client may close a channel and be called again at once this often in a row; one that does nothing else is
// called at this interval.
const (
	recallInterval = 100 * time.Millisecond
	recallBurst    = 20
)

// longDelay is what hardly differs when it lasts until the next beat.
const longDelay = 50 * dialBeat

// demandInterval is the least time between calls on demand.
const demandInterval = time.Second

func newRetry(t *Target, rand func() float64, beat beat) retry {
	return retry{
		min: t.BackoffMin, max: t.BackoffMax, reject: t.RejectDelay, rand: rand, beat: beat,
		backoff: t.BackoffMin,
		pace:    pacer{interval: recallInterval, burst: recallBurst},
		demand:  pacer{interval: demandInterval, burst: 1},
	}
}

// succeeded forgets earlier failures: a SecureChannel is open.
func (r *retry) succeeded() { r.backoff = r.min }

// atOnce makes the next dial due now, or soon for a client that keeps us busy.
func (r *retry) atOnce(now time.Time) {
	r.due, r.urgent = now.Add(r.pace.reserve(now)), true
}

// onDemand makes the next dial due as soon as it may be asked for. The delays to come stay as they are.
func (r *retry) onDemand(now time.Time) {
	if due := now.Add(r.demand.reserve(now)); due.Before(r.due) {
		r.due, r.urgent = due, true
	}
}

// failed makes the next dial due after the back-off, and the back-off longer.
func (r *retry) failed(now time.Time) {
	r.later(now, r.spread(r.backoff))
	r.backoff = min(2*r.backoff, r.max)
}

// rejected makes the next dial due after the reject delay. Part 6 (1.05), 7.1.3
func (r *retry) rejected(now time.Time) {
	r.later(now, r.spread(r.reject))
}

// later makes the next dial due after a delay, a long one on a beat.
func (r *retry) later(now time.Time, delay time.Duration) {
	r.due, r.urgent = now.Add(delay), false
	if delay >= longDelay {
		r.due = r.beat.from(r.due)
	}
}

// inLine makes the next dial due when its turn among those of all targets comes.
func (r *retry) inLine(now time.Time, wait time.Duration) {
	if wait > 0 {
		r.due = r.beat.from(now.Add(wait))
	}
}

func (r *retry) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*r.rand()))
}
