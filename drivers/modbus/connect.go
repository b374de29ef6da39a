package modbus

import (
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
)

// connecting is the way to a link, and what is remembered of the last one.
type connecting struct {
	*drivers.Dialling
	before   uint64        // replies on the bus when it came
	used     time.Duration // when it was last used
	requests uint64        // on the bus at that time
}

// dial starts an attempt if there is no link and it is time for one.
func (d *driver) dial(ctx context.Context) {
	if d.bus.link == nil && d.connect.Up() {
		d.lost()
	}
	if d.bus.link != nil || len(d.units) == 0 || d.bus.rests() && !d.needed() {
		return
	}
	d.connect.Begin(ctx, d.now())
}

// holding tells whether what is due waits for a link.
func (d *driver) holding() bool { return d.bus.link == nil && d.connect.Holding(d.now()) }

// rests tells whether the channel closes when it has nothing to do.
func (w *wiring) rests() bool { return w.idleClose > 0 }

// needed tells whether a channel that rests has something to do.
func (d *driver) needed() bool {
	return d.held != nil || len(d.writes) > 0 || len(d.asked) > 0 || d.nextUse() <= d.now()
}

// restAt is when a channel without requests is closed.
func (d *driver) restAt() time.Duration { return d.connect.used + d.bus.idleClose }

// rest closes a channel that has had nothing to do for long enough.
func (d *driver) rest() {
	c := &d.connect
	if n := d.bus.total.get(requests); n != c.requests {
		c.requests, c.used = n, d.now()
	}
	if d.bus.rests() && d.bus.link != nil && d.now() >= d.restAt() && !d.needed() {
		d.bus.drop(errIdle)
	}
}

// errIdle says that we ended the link ourselves, because nothing was to be sent.
var errIdle = errors.New("nothing to do")

// connected takes the result of an attempt. What failed for want of a link is read at once.
func (d *driver) connected(r drivers.Dialled) {
	c := &d.connect
	first := c.Opened() == 0
	link, err := c.Take(r, d.now())
	if err != nil {
		d.bus.total.Failed(err)
		return
	}
	c.before, c.used = d.bus.total.get(replies), c.Opened()
	d.bus.total.Up(true)
	if !first {
		d.bus.count(reconnects)
	}
	d.bus.attach(link)
	d.open.Store(&link)
	d.port.Attach(link)
	for _, u := range d.units {
		u.rejoin.Reset()
		u.rejoinAt = min(u.rejoinAt, c.Opened()+rejoinMin)
		if u.known { // it may be another one now
			u.identify = u.asks
		}
	}
	for _, b := range d.blocks {
		if b.group.once && !b.slot.Scheduled() {
			d.schedule.At(b.slot, d.now())
		}
		if b.cutOff && b.slot.Scheduled() && b.unit.health.State() != drivers.HealthDemoted {
			d.schedule.Hasten(b.slot, d.now())
		}
	}
}

// lost notes that the link has ended.
func (d *driver) lost() {
	cause := d.bus.cause
	d.bus.total.Up(false)
	if cause != nil {
		d.bus.total.Failed(cause)
	}
	ofUse := d.bus.total.get(replies) != d.connect.before || errors.Is(cause, errRenewed) || errors.Is(cause, errIdle)
	d.connect.Lost(d.now(), cause, ofUse)
}
