package instrument

import (
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/gopcua/opcua/ua"
)

// connecting is the way to a link, and what is remembered of the last one.
type connecting struct {
	*drivers.Dialling
	told   bool          // what comes unasked was told that there is no link
	lost   time.Duration // when the link ended
	before uint64        // bytes that had come when it began
	cause  error         // why it was dropped
}

// dial starts an attempt if there is no link and it is time for one.
func (d *driver) dial(ctx context.Context) {
	if d.line.link == nil && d.connect.Up() {
		d.lost()
	}
	if d.line.link == nil && len(d.units) > 0 {
		d.connect.Begin(ctx, d.now())
	}
}

// holding tells whether what is due waits for a link.
func (d *driver) holding() bool { return d.line.link == nil && d.connect.Holding(d.now()) }

// connected takes the result of an attempt.
func (d *driver) connected(r drivers.Dialled) {
	c := &d.connect
	first := c.Opened() == 0
	link, err := c.Take(r, d.now())
	if err != nil {
		d.line.total.Failed(err)
		d.failStreams()
		return
	}
	if !first {
		d.line.total.add(reconnects, 1)
	}
	c.told, c.before = false, d.line.total.get(received)
	d.line.attach(link)
	d.open.Store(&link)
	d.port.Attach(link)
	for _, u := range d.units {
		d.welcome(u)
	}
}

// welcome begins with a device on a new link: what failed for want of one is asked for at once, and so is what is asked
// for once on each link, but not all the time if the other side closes the link whenever it has answered.
func (d *driver) welcome(u *unit) {
	u.ready, u.initAt = len(u.dev.inits) == 0, d.now()
	for _, t := range u.tasks {
		switch {
		case t.poll.period == 0 && t.good > 0:
			d.schedule.At(t.slot, max(d.now(), t.good+againOnce))
		case t.poll.period == 0, t.cutOff && !u.demoted() && !t.alive:
			d.schedule.At(t.slot, d.now())
		}
	}
	for _, p := range u.points {
		if p.stream && p.Status() == ua.StatusBadNoCommunication {
			p.fail(drivers.Waiting)
		}
	}
}

// lost notes that the link has ended.
func (d *driver) lost() {
	c := &d.connect
	d.open.Store(nil)
	c.lost = d.now()
	d.line.total.Up(false)
	if c.cause != nil {
		d.line.total.Failed(c.cause)
	}
	c.Lost(d.now(), c.cause, d.line.total.get(received) != c.before)
}

// drop ends the use of the link and keeps the cause; the channel will connect again.
func (d *driver) drop(cause error) error {
	l := d.line.link
	if l == nil {
		return nil
	}
	d.line.link = nil
	d.connect.cause = cause
	err := l.Close()
	d.connect.cause = errors.Join(cause, err)
	return err
}

// missStreams tells what comes unasked that the link has been away for longer than a moment.
func (d *driver) missStreams(now time.Duration) {
	c := &d.connect
	if d.line.link == nil && c.Opened() != 0 && !c.told && now >= c.lost+drivers.Grace {
		d.failStreams()
	}
}

// failStreams counts a failed reading of everything that comes unasked: there is no link.
func (d *driver) failStreams() {
	d.connect.told = true
	for _, u := range d.units {
		for _, p := range u.points {
			if p.stream {
				p.fail(drivers.NoCommunication)
			}
		}
		if len(u.dev.polls) == 0 {
			u.tally.Enter(drivers.HealthSuspect)
		}
	}
}
