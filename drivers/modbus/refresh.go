package modbus

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
)

// ask is somebody who waits for new values of some tags.
type ask struct {
	points []*point
	left   int           // blocks still to be read; owned by the goroutine of the bus
	done   chan struct{} // closed when there is none
	gone   atomic.Bool   // nobody waits any more
}

// Refresh implements addressspace.Refresher: it reads the blocks of the tags once each, before the polls that are due.
// Whoever else waits for the same block shares the request.
func (d *driver) Refresh(ctx context.Context, variables []*addressspace.Variable) {
	a := &ask{done: make(chan struct{})}
	for _, v := range variables {
		if p := d.byVariable[v]; p != nil {
			a.points = append(a.points, p)
		}
	}
	select {
	case d.asks <- a:
		d.nudge()
	case <-ctx.Done():
		return
	case <-d.stopped:
		return
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		a.gone.Store(true)
	case <-d.stopped:
	}
}

// enlist puts the blocks of the tags into the queue.
func (d *driver) enlist(a *ask) {
	a.left = 1 // so that it does not end before it has begun
	for _, p := range a.points {
		d.askFor(a, p.block)
	}
	a.less()
}

// askFor makes an ask wait for a block.
func (d *driver) askFor(a *ask, b *block) {
	if b == nil || slices.Contains(b.asks, a) {
		return
	}
	a.left++
	if b.asks = append(b.asks, a); !b.queued {
		b.queued = true
		d.asked = append(d.asked, b)
	}
}

func (a *ask) less() {
	if a.left--; a.left == 0 {
		close(a.done)
	}
}

// answered tells all who waited for a block that it has been read, or cannot be.
func (b *block) answered() {
	for _, a := range b.asks {
		a.less()
	}
	b.asks = nil
}

// inherit makes who waited for a block that is gone wait for those that its tags are in now.
func (d *driver) inherit(b *block) {
	for _, a := range b.asks {
		for _, p := range b.points {
			d.askFor(a, p.block)
		}
	}
	b.answered()
}

// firstAsked returns the block that somebody waits for, nil if there is none. It stays in the queue.
func (d *driver) firstAsked() *block {
	for len(d.asked) > 0 {
		b := d.asked[0]
		if slices.ContainsFunc(b.asks, func(a *ask) bool { return !a.gone.Load() }) {
			return b
		}
		d.unqueue()
		b.answered()
	}
	return nil
}

// unqueue takes the first block out of the queue.
func (d *driver) unqueue() {
	d.asked[0].queued = false
	if d.asked = d.asked[1:]; len(d.asked) == 0 {
		d.asked = nil
	}
}

// answer reads the first block that somebody waits for.
func (d *driver) answer(ctx context.Context, b *block) {
	d.unqueue()
	if d.bus.link == nil || b.unit.health.State() == drivers.HealthDemoted {
		b.fail(drivers.NoCommunication, time.Now())
		b.answered()
		return
	}
	d.poll(ctx, b, b.tries())
}

// age makes a value that was read although nobody watches tell when it has become old.
func (d *driver) age(b *block) {
	b.idle = d.now() - demandLinger
	if b.idle == 0 {
		b.idle = -1
	}
	d.schedule.At(b.slot, b.staleAt())
}
