package modbus

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/goburrow/modbus"
)

// turn serves a block that is due. A unit that is demoted, or has no link, costs nothing but a look at its tags.
func (d *driver) turn(ctx context.Context, b *block, now time.Duration) {
	if !d.take(b, now) {
		d.poll(ctx, b, b.tries())
	}
}

// take gives a block that is due its next regular time, and tells whether there is nothing to be read for it now.
func (d *driver) take(b *block, now time.Duration) (done bool) {
	before := b.slot.Overruns
	d.schedule.Served(b.slot, now)
	d.bus.unit = &b.unit.tally
	d.bus.add(overruns, int(b.slot.Overruns-before))
	switch {
	case b.group.subscribed && d.unwatched(b, now):
	case d.bus.link == nil, b.unit.health.State() == drivers.HealthDemoted:
		b.fail(drivers.NoCommunication, time.Now())
	default:
		return false
	}
	return true
}

// tries is how often a block may be asked for. A unit that failed last time gets no second chance: a dead one is shown
// sooner and costs the others less.
func (b *block) tries() int {
	if b.unit.health.State() == drivers.HealthSuspect {
		return 1
	}
	return 1 + b.device.Retries
}

// poll reads a block and publishes what came of it.
func (d *driver) poll(ctx context.Context, b *block, tries int) {
	data, err := d.persist(ctx, b, tries)
	defer d.bus.settle()
	if ctx.Err() != nil {
		return
	}
	if b.alone {
		d.tried(b, err == nil)
	}
	d.outcome(b, data, err)
}

// outcome publishes what came of a reading.
func (d *driver) outcome(b *block, data []byte, err error) {
	switch {
	case err == nil:
	case faultOf(err).CutOff() && !d.connect.Failing() && !b.again: // a new link may be there in a moment
		b.again = true
		d.repeat(b)
		return
	default:
		b.again = false
		d.failed(b, err)
		b.answered()
		return
	}
	d.spacing(b)
	b.good, b.cutOff, b.doubt, b.again = max(d.now(), 1), false, false, false
	b.trial = false
	if b.refused {
		b.refused, b.slot.Period = false, b.group.period
		d.schedule.At(b.slot, b.good+b.slot.Period)
	}
	if b.group.once {
		d.schedule.Remove(b.slot)
	}
	d.publish(b, data)
	b.answered()
	if b.group.onRequest || b.group.subscribed && !b.slot.Scheduled() {
		d.age(b)
	}
	d.alive(b.unit)
	d.learn(b.unit)
}

// repeat makes a block be read once more as soon as possible.
func (d *driver) repeat(b *block) {
	if len(b.asks) > 0 && !b.queued {
		b.queued = true
		d.asked = append(d.asked, b)
	}
	if b.slot.Scheduled() {
		d.schedule.Hasten(b.slot, d.now())
	}
}

// spacing notes the time between two readings of what a unit is asked for most often.
func (d *driver) spacing(b *block) {
	if b.good == 0 || b.group.period > b.unit.fastest {
		return
	}
	b.unit.shape.period.Store(int64(d.now() - b.good))
}

// persist repeats a read that failed by chance.
func (d *driver) persist(ctx context.Context, b *block, tries int) ([]byte, error) {
	for {
		data, err := d.read(ctx, b)
		tries--
		if err == nil || tries <= 0 || d.bus.link == nil {
			return data, err
		}
		switch faultOf(err) {
		case drivers.NoReply, drivers.BadReply:
		case drivers.Busy:
			if err := drivers.Rest(ctx, busyPause); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
		d.bus.count(retries)
	}
}

// failed judges the unit, and the block: a refusal may concern only some of its tags.
func (d *driver) failed(b *block, err error) {
	f := faultOf(err)
	b.unit.tally.Failed(err)
	var refused *modbus.ModbusError
	if errors.As(err, &refused) {
		b.unit.tally.exception(refused.ExceptionCode)
	}
	d.judge(b.unit, f)
	if f == drivers.IllegalAddress || f == drivers.IllegalValue {
		if d.refuse(b) {
			return
		}
	}
	d.log.Debug("read failed", "unit", b.unit.id, "area", b.area.String(), "from", b.start, "count", b.count, "err", err)
	b.fail(f, time.Now())
}

// refuse draws the consequence of a refusal. What could be read before is given a second chance, because some devices
// refuse everything for a moment. It returns true if the block is gone.
func (d *driver) refuse(b *block) bool {
	if b.good > 0 && !b.doubt && !b.trial {
		b.doubt = true
		return false
	}
	if d.split(b) {
		return true
	}
	d.quarantine(b)
	return false
}

// forget drops what was learned about a unit: its blocks are planned anew.
func (d *driver) forget(u *unit) {
	u.noMask, u.noBoth, u.split, u.learned, u.gap = false, false, false, false, 0
	u.tally.Trips.Forget()
	d.replan(u)
}

// replan makes the blocks of a unit anew. They are read at once.
func (d *driver) replan(u *unit) {
	for _, b := range slices.Clone(u.blocks) {
		d.schedule.Remove(b.slot)
	}
	old := u.blocks
	u.blocks = nil
	d.blocks = slices.DeleteFunc(d.blocks, func(b *block) bool { return b.unit == u })
	done := map[*device]bool{}
	for _, b := range old {
		if done[b.device] {
			continue
		}
		done[b.device] = true
		d.planDevice(b.device, b.all)
	}
	for _, b := range old {
		d.inherit(b)
	}
	for _, b := range u.blocks {
		b.good = d.now()
		if b.slot.Scheduled() || b.wanted() {
			d.schedule.At(b.slot, d.now())
		}
	}
}

// rejoin tries blocks that were split as they were planned first, because a device may know more registers than it did.
// When it refuses them again they are split again, which no tag shows.
func (d *driver) rejoin() {
	for _, u := range d.units {
		if !u.split || d.now() < u.rejoinAt || d.bus.link == nil || u.health.State() != drivers.HealthOnline {
			continue
		}
		d.log.Info("blocks that were split are tried joined again", "unit", u.id, "blocks", len(u.blocks))
		u.split, u.learned = false, false
		d.replan(u)
		for _, b := range u.blocks {
			b.trial = true
		}
	}
}

// split replaces a block that the device refused by smaller ones, which are tried at once.
func (d *driver) split(b *block) bool {
	parts := b.extent.split(b.device.tags, b.device.limits)
	if parts == nil {
		return false
	}
	d.log.Info("device refuses a block, which is split", "unit", b.unit.id, "area", b.area.String(),
		"from", b.start, "count", b.count, "parts", len(parts))
	if u := b.unit; !u.split {
		u.split, u.rejoinAt = true, d.now()+u.rejoin.Next()
	}
	d.schedule.Remove(b.slot)
	without := func(list []*block) []*block { return slices.DeleteFunc(list, func(x *block) bool { return x == b }) }
	d.blocks, b.unit.blocks = without(d.blocks), without(b.unit.blocks)
	for _, e := range parts {
		part := d.addBlock(e, b.device, b.group, b.all)
		part.good, part.trial = b.good, b.trial
		d.schedule.At(part.slot, d.now())
	}
	d.inherit(b)
	return true
}

// quarantine asks more rarely for a tag that the device refuses by itself.
func (d *driver) quarantine(b *block) {
	if !b.refused {
		b.refused, b.slot.Period = true, max(b.group.period, quarantineRetry)
	}
	d.schedule.At(b.slot, d.now()+b.slot.Period)
}

// judge holds a failure against the unit. The end of the link says nothing about any unit, and a refusal proves that
// the unit is alive.
func (d *driver) judge(u *unit, f drivers.Fault) {
	if f.CutOff() {
		return
	}
	if !f.Demotes() {
		d.alive(u)
		return
	}
	demoted := u.health.Failed(d.now())
	u.tally.Follow(&u.health, d.start)
	if demoted {
		d.log.Warn("unit does not answer and is left alone", "unit", u.id, "reason", f.String())
		d.reopen()
	}
}

// alive notes an answer; a unit that comes back is read completely, but not all at once.
func (d *driver) alive(u *unit) {
	demoted := u.health.Good()
	u.tally.Follow(&u.health, d.start)
	if !demoted {
		return
	}
	d.log.Info("unit answers again", "unit", u.id)
	for i, b := range u.blocks {
		if b.slot.Scheduled() && !b.refused {
			d.schedule.Hasten(b.slot, d.now()+recoverySpread*time.Duration(i)/time.Duration(len(u.blocks)))
		}
	}
}

// reopen suspects the port when no unit answers.
func (d *driver) reopen() {
	if d.bus.reopenAfter == 0 || d.now()-d.connect.Opened() < d.bus.reopenAfter {
		return
	}
	for _, u := range d.units {
		if u.health.State() != drivers.HealthDemoted {
			return
		}
	}
	d.bus.drop(errors.New("no unit answers"))
}

// probe asks one demoted unit, once, for its smallest block.
func (d *driver) probe(ctx context.Context, now time.Duration) bool {
	if d.bus.link == nil {
		return false
	}
	for _, u := range d.units {
		if u.health.State() == drivers.HealthDemoted && u.health.ProbeAt() <= now && len(u.blocks) > 0 {
			cheapest := slices.MinFunc(u.blocks, func(a, b *block) int { return a.cost() - b.cost() })
			d.poll(ctx, cheapest, 1)
			d.reopen()
			return true
		}
	}
	return false
}

// overdueProbe tells whether a demoted unit has waited long for its probe, because the bus is always busy.
func (d *driver) overdueProbe(now time.Duration) bool {
	return d.bus.link != nil && slices.ContainsFunc(d.units, func(u *unit) bool {
		return u.health.State() == drivers.HealthDemoted && u.health.ProbeAt()+probePatience <= now && len(u.blocks) > 0
	})
}

// cost is the size of the reply in bytes.
func (b *block) cost() int {
	if b.area.bits() {
		return (b.count + 7) / 8
	}
	return 2 * b.count
}

// unwatched tells whether a block need not be read because nobody watches its tags. Reading goes on for a while when
// the last watcher has gone, and when the values have become old they say so.
func (d *driver) unwatched(b *block, now time.Duration) bool {
	if b.wanted() {
		b.idle = 0
		return false
	}
	if b.idle == 0 {
		b.idle = max(now, 1)
	}
	if now-b.idle < demandLinger {
		return false
	}
	if now >= b.staleAt() {
		d.schedule.Remove(b.slot)
		b.fail(drivers.Stale, time.Now())
	}
	return true
}

func (b *block) wanted() bool {
	return slices.ContainsFunc(b.points, func(p *point) bool { return p.demand.Load() })
}

// staleAt is when the values of a block are too old to be called Good. One transaction that hangs is allowed for.
func (b *block) staleAt() time.Duration {
	return b.good + time.Duration(b.device.StaleAfter)*b.slot.Period + b.device.Timeout
}

// resume reads at once what somebody began to watch.
func (d *driver) resume() {
	for _, b := range d.blocks {
		if !b.group.subscribed || !b.wanted() {
			continue
		}
		if !b.slot.Scheduled() {
			d.begin(b, d.now())
		} else if b.idle != 0 {
			d.schedule.Hasten(b.slot, d.now())
		}
		b.idle = 0
	}
}

// sweep finds values that have become old because the channel cannot keep up.
func (d *driver) sweep(now time.Duration) {
	if now < d.sweepAt {
		return
	}
	d.sweepAt = now + sweepEvery
	for _, b := range d.blocks {
		if b.slot.Scheduled() && b.idle == 0 && b.good > 0 && now > b.staleAt() && b.points[0].Good() {
			b.fail(drivers.Stale, time.Now())
		}
	}
}
