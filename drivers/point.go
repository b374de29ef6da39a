package drivers

import (
	"math"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Severity bits of a StatusCode (Part 4, 7.38.1): 00 Good, 01 Uncertain, 10 Bad.
const (
	severityMask = 0xC0000000
	severityBad  = 0x80000000
)

func isBad(s ua.StatusCode) bool { return s&severityBad != 0 }

func isGood(s ua.StatusCode) bool { return s&severityMask == 0 }

// Point is a tag at work: its Variable, the last good value, and what is published now. One goroutine owns it, that of
// the channel.
type Point struct {
	Hold     int     // failed polls during which the last value is still shown, as Uncertain
	Deadband float64 // a number that is less than this away from the one shown is no other; 0: every one is

	variable *addressspace.Variable
	last     *uabinary.DataValue // the last value read; nil if there is none worth holding
	status   ua.StatusCode       // as published
	missed   int                 // failed polls since
}

// NewPoint starts with no value: BadWaitingForInitialData.
func NewPoint(v *addressspace.Variable, hold int, now time.Time) *Point {
	p := &Point{Hold: hold, variable: v}
	p.Fail(Waiting, now)
	return p
}

// Read publishes what was read. The DataValue is the Point's from then on and must not be changed any more.
func (p *Point) Read(dv *uabinary.DataValue) {
	if p.Deadband > 0 && p.last != nil && !isBad(dv.Status) && p.near(dv.Value) {
		dv.Value = p.last.Value // of now, all the same
	}
	p.missed, p.status = 0, dv.Status
	p.last = dv
	if isBad(dv.Status) {
		p.last = nil
	}
	p.variable.Set(dv)
}

// near tells whether a value is within the Deadband around the last one.
func (p *Point) near(v uabinary.Variant) bool {
	a, known := p.last.Value.Number()
	b, number := v.Number()
	return known && number && math.Abs(a-b) < p.Deadband
}

// Fail publishes a failed poll: the last value as Uncertain while it is held, then Bad with a null value, never an old
// value as Good. Nothing is set when the status stays the same.
func (p *Point) Fail(f Fault, now time.Time) {
	if f != Stale { // that is an old success, not a failure
		p.missed++
	}
	if p.missed > p.Hold {
		p.last = nil
	}
	status := f.Status()
	if p.last != nil {
		status = f.Held()
	}
	if isBad(status) {
		p.last = nil
	}
	if status == p.status {
		return
	}
	p.status = status
	p.variable.Set(p.failed(status, uabinary.DateTimeOf(now)))
}

// failed keeps value and SourceTimestamp of the last good reading; a Bad one carries the time of the failure.
func (p *Point) failed(status ua.StatusCode, now uabinary.DateTime) *uabinary.DataValue {
	dv := &uabinary.DataValue{Status: status, SourceTimestamp: now, ServerTimestamp: now}
	if p.last != nil {
		dv.Value, dv.SourceTimestamp = p.last.Value, p.last.SourceTimestamp
	}
	return dv
}

// Good tells whether the published status is Good.
func (p *Point) Good() bool { return isGood(p.status) }

// Status returns the published status.
func (p *Point) Status() ua.StatusCode { return p.status }
