package instrument

import (
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// unasked serves a frame that nobody waits for.
func (d *driver) unasked(f *framing.Frame, body []byte) {
	late := false
	for _, u := range d.units {
		for i := range u.dev.messages {
			m := &u.dev.messages[i]
			v, ok := m.find(body)
			switch {
			case !ok:
			case m.polled: // it may answer what was asked before, or something else
				late = true
			default:
				d.publish(u, i, v, f)
				return
			}
		}
	}
	if late {
		d.line.late()
		return
	}
	d.line.total.add(unmatched, 1)
	text := printable(body)
	d.line.total.lastUnmatched.Store(&text)
}

// publish sets all tags that a message feeds, with one time.
func (d *driver) publish(u *unit, message int, v *view, f *framing.Frame) {
	m := &u.dev.messages[message]
	d.count(u, messages)
	at, ok := m.stamp.of(v, f.First, f.Last)
	if !ok {
		d.count(u, badTimes)
		u.tally.Failed(errors.New("the time in message " + m.name + " is none, or too far off"))
	}
	stamp := uabinary.DataValue{SourceTimestamp: uabinary.DateTimeOf(at), ServerTimestamp: uabinary.DateTimeOf(f.Last)}
	for i := range m.fields {
		dv := stamp
		found := m.fields[i].decode(v, at, &dv)
		if code := m.overridden(i, v); code != ua.StatusOK {
			if dv.Status = code; code>>31 != 0 {
				found, dv.Value = true, uabinary.Variant{} // Part 8 (1.05), 7.3.2
			}
		}
		if found {
			d.read(u.points[m.fields[i].tag], &dv)
		}
	}
	if m.sequence >= 0 { // last, so that who sees it change finds the values of this event
		u.sequence[message]++
		moment, number := stamp, stamp
		moment.Value = uabinary.DateTimeVariant(stamp.SourceTimestamp)
		number.Value = uabinary.Uint64Variant(u.sequence[message])
		d.read(u.points[m.eventMoment], &moment)
		d.read(u.points[m.sequence], &number)
	}
	now := time.Now()
	u.tally.Answered(now)
	d.line.total.Answered(now)
	if len(u.dev.polls) == 0 {
		u.tally.Enter(drivers.HealthOnline)
	}
}

func (d *driver) read(p *point, dv *uabinary.DataValue) {
	p.fresh, p.live = d.now(), true
	p.Read(dv)
}

// invalid serves a frame with a wrong checksum. While something is asked it is the reply; otherwise it concerns the message
// that it looks like, whose reading has failed, and nobody else.
func (d *driver) invalid(f *framing.Frame, err error) {
	if q := d.line.asked; q != nil && !q.done {
		q.end(&drivers.Error{Fault: drivers.BadReply, Err: err})
		return
	}
	body := f.Body()
	for _, u := range d.units {
		for i := range u.dev.messages {
			m := &u.dev.messages[i]
			if m.polled {
				continue
			}
			if _, ok := m.find(body); ok {
				u.tally.Failed(err)
				u.each(i, func(p *point) { p.fail(drivers.BadReply) })
				return
			}
		}
	}
	d.doubt()
}

// doubt says of what never had a value that bytes come which are none.
func (d *driver) doubt() {
	for _, u := range d.units {
		for _, p := range u.points {
			if p.stream && p.Status() == ua.StatusBadWaitingForInitialData {
				p.fail(drivers.BadReply)
			}
		}
	}
}
