package simulated

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// driver shows what models have. It implements drivers.Driver.
type driver struct {
	devices  []Device
	points   []*point
	schedule drivers.Schedule[*point]
}

// point is one tag at work.
type point struct {
	model    *Model
	index    int
	variable *addressspace.Variable
	mu       sync.Mutex // values are computed and shown in one go, so that a written one is not shown over by an older one
}

func newDriver(devices []Device) *driver { return &driver{devices: devices} }

// Bind implements drivers.Driver. There is a value from the beginning.
func (d *driver) Bind(vars map[string]*addressspace.Variable) {
	for i := range d.devices {
		dev := &d.devices[i]
		model := NewModel(dev)
		for j := range dev.Tags {
			t := &dev.Tags[j]
			p := &point{model: model, index: j, variable: vars[dev.Name+"."+t.Name]}
			if t.Access&drivers.WriteOnly != 0 {
				p.variable.SetWriter(p)
			}
			p.show()
			d.points = append(d.points, p)
			slot := drivers.NewSlot(p, max(t.Period, minPeriod), 0)
			d.schedule.At(slot, slot.Period)
		}
	}
}

// Run implements drivers.Driver.
func (d *driver) Run(ctx context.Context) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Since(start)
		next := d.schedule.Next()
		if next == nil {
			<-ctx.Done()
			return nil
		}
		for ; next.Due() <= now; next = d.schedule.Next() {
			next.Item.show()
			d.schedule.Served(next, now)
		}
		timer.Reset(next.Due() - now)
	}
}

// show publishes what the tag has now.
func (p *point) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := uabinary.DateTimeOf(time.Now())
	p.variable.Set(&uabinary.DataValue{
		Value: p.model.Value(p.index, p.model.Now()), Status: p.model.device.Status,
		SourceTimestamp: now, ServerTimestamp: now,
	})
}

// Write implements addressspace.Writer: the tag keeps what is written.
func (p *point) Write(_ context.Context, dv uabinary.DataValue) ua.StatusCode {
	if s := p.model.device.Tags[p.index].CheckWrite(dv); s != ua.StatusOK {
		return s
	}
	p.model.Write(p.index, dv.Value)
	p.show()
	return ua.StatusOK
}

// pair runs the driver of a channel beside the simulation of some of its devices.
type pair struct {
	inner     drivers.Driver
	simulated *driver
}

// Bind implements drivers.Driver. The inner driver takes the simulated devices for disabled ones; what it says of them
// is replaced.
func (p pair) Bind(vars map[string]*addressspace.Variable) {
	p.inner.Bind(vars)
	p.simulated.Bind(vars)
}

// Run implements drivers.Driver.
func (p pair) Run(ctx context.Context) error {
	var task sync.WaitGroup
	var failed error
	task.Go(func() { failed = p.simulated.Run(ctx) })
	err := p.inner.Run(ctx)
	task.Wait()
	return errors.Join(err, failed)
}

// AddNodes implements drivers.Noder for an inner driver that does.
func (p pair) AddNodes(space *addressspace.Space, ns uint16) error {
	if n, ok := p.inner.(drivers.Noder); ok {
		return n.AddNodes(space, ns)
	}
	return nil
}
