package instrument

import (
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// turn serves a task that is due. A device that is demoted, or has no link, costs nothing but a look at its tags.
func (d *driver) turn(ctx context.Context, t *task, now time.Duration) {
	before := t.slot.Overruns
	if t.poll.period == 0 {
		d.schedule.Remove(t.slot)
	} else {
		d.schedule.Served(t.slot, now)
	}
	d.line.total.add(overruns, int(t.slot.Overruns-before))
	t.unit.tally.add(overruns, int(t.slot.Overruns-before))
	switch {
	case d.line.link == nil, t.unit.demoted(), !t.unit.ready:
		t.fail(drivers.NoCommunication)
		t.cutOff = true
		d.again(t)
	default:
		d.poll(ctx, t, t.tries())
	}
}

// tries is how often a device may be asked. One that failed last time gets no second chance: a dead one is shown sooner
// and costs the others less.
func (t *task) tries() int {
	if t.unit.health.State() == drivers.HealthSuspect {
		return 1
	}
	return 1 + t.poll.retries
}

func (u *unit) demoted() bool { return u.health.State() == drivers.HealthDemoted }

// fail counts a failed reading of what a poll asks for.
func (t *task) fail(f drivers.Fault) {
	for _, m := range t.poll.expect {
		t.unit.each(m, func(p *point) { p.fail(f) })
	}
}

// poll sends a request and judges what came of it. What came well was published when it came.
func (d *driver) poll(ctx context.Context, t *task, tries int) {
	u := t.unit
	err := d.persist(ctx, u, &t.poll.exchange, t.poll.expect, nil, tries)
	var no *refusal
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !d.connect.Failing() && t.anew(drivers.FaultOf(err)): // a new link may be there in a moment
		d.schedule.At(t.slot, d.now())
		return
	case err == nil && (t.alive || len(t.poll.expect) == 0):
	case err == nil:
		d.alive(u)
	case errors.As(err, &no):
		d.alive(u)
		u.tally.Failed(err)
		now := uabinary.DateTimeOf(time.Now())
		for _, m := range t.poll.expect {
			u.each(m, func(p *point) {
				d.read(p, &uabinary.DataValue{Status: no.status, SourceTimestamp: now, ServerTimestamp: now})
			})
		}
	default:
		d.log.Debug("poll failed", "device", u.dev.name, "poll", t.poll.name, "err", err)
		d.judge(u, err)
		t.fail(drivers.FaultOf(err))
		d.again(t)
	}
	t.cutOff = err != nil && drivers.FaultOf(err).CutOff()
	if err == nil {
		t.good = d.now()
	}
}

// anew tells whether a poll is sent again as soon as there is a link: if nothing was sent at all, or once.
func (t *task) anew(f drivers.Fault) bool {
	second := t.cutOff
	t.cutOff = f.CutOff()
	return f == drivers.NoCommunication || f == drivers.LinkLost && !second
}

// again schedules what is wanted once and has not come.
func (d *driver) again(t *task) {
	if t.poll.period == 0 {
		d.schedule.At(t.slot, d.now()+againOnce)
	}
}

// persist sends a request and repeats it when it failed by chance.
func (d *driver) persist(ctx context.Context, u *unit, x *exchange, expect []int, value func(verb string) string, tries int) error {
	request := x.send.fill(&d.channel.spec, &d.channel.sum, value)
	for repeated := false; ; repeated = true {
		err := d.roundTrip(ctx, &question{unit: u, x: x, expect: expect, request: request}, repeated)
		tries--
		var no *refusal
		if errors.As(err, &no) {
			d.count(u, refusals)
		}
		if err == nil || no != nil || tries <= 0 || d.line.link == nil || ctx.Err() != nil {
			return err
		}
		d.count(u, retries)
	}
}

// judge holds a failure against the device. The end of the link says nothing about any device.
func (d *driver) judge(u *unit, err error) {
	u.tally.Failed(err)
	f := drivers.FaultOf(err)
	if f.CutOff() || len(u.dev.polls) == 0 {
		return
	}
	demoted := u.health.Failed(d.now())
	u.tally.Follow(&u.health, d.start)
	if demoted {
		d.log.Warn("device does not answer and is left alone", "device", u.dev.name, "reason", f.String())
		d.reopen()
	}
}

// alive notes an answer; a device that comes back is asked everything.
func (d *driver) alive(u *unit) {
	demoted := u.health.Good()
	u.tally.Follow(&u.health, d.start)
	if !demoted {
		return
	}
	d.log.Info("device answers again", "device", u.dev.name)
	d.hasten(u)
}

// hasten makes all that a device is asked for due.
func (d *driver) hasten(u *unit) {
	for _, t := range u.tasks {
		if t.slot.Scheduled() && !t.alive {
			d.schedule.Hasten(t.slot, d.now())
		}
	}
}

// reopenAfter is how often a port is opened anew when none of its devices answers.
const reopenAfter = time.Minute

// reopen suspects the port when no device answers.
func (d *driver) reopen() {
	if d.channel.line == nil || d.line.streams || d.now()-d.connect.Opened() < reopenAfter {
		return
	}
	for _, u := range d.units {
		if !u.demoted() {
			return
		}
	}
	_ = d.drop(errors.New("no device answers")) // what went wrong is kept as the cause
}

// probe asks one demoted device, once.
func (d *driver) probe(ctx context.Context, now time.Duration) bool {
	if d.line.link == nil {
		return false
	}
	for _, u := range d.units {
		if u.demoted() && u.health.ProbeAt() <= now && u.ready {
			for _, t := range u.tasks {
				if !t.alive {
					d.poll(ctx, t, 1)
					d.reopen()
					return true
				}
			}
		}
	}
	return false
}

// initialise sends what a device needs first on each connection.
func (d *driver) initialise(ctx context.Context, now time.Duration) bool {
	if d.line.link == nil {
		return false
	}
	for _, u := range d.units {
		if u.ready || u.initAt > now {
			continue
		}
		for i := range u.dev.inits {
			if err := d.persist(ctx, u, &u.dev.inits[i], nil, nil, 1); err != nil {
				d.log.Debug("device was not set up", "device", u.dev.name, "err", err)
				u.tally.Failed(err)
				u.initAt = d.now() + u.pause.Next()
				return true
			}
		}
		u.ready = true
		u.pause.Reset()
		d.hasten(u)
		return true
	}
	return false
}

// watch ends a trace, and warns once of a line that has too much to do.
func (d *driver) watch() {
	if d.line.trace != nil && d.now() >= d.traceEnd {
		d.line.trace = nil
	}
	if percent, ok := d.line.total.Load.TooHigh(); ok {
		d.log.Warn("the line has too much to do; poll less often", "where", d.channel.where(), "load_percent", percent)
	}
}
