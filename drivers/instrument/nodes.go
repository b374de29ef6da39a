package instrument

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// AddNodes implements drivers.Noder: an object for the channel, Diagnostics below each device, and its commands as Methods.
func (d *driver) AddNodes(space *addressspace.Space, ns uint16) error {
	node, err := drivers.AddChannel(space, ns, d.channel.name)
	if err != nil {
		return err
	}
	if err := errors.Join(drivers.AddGauges(space, node, d.channelGauges()), d.addChannelMethods(space, node)); err != nil {
		return err
	}
	for i := range d.channel.devices {
		dev := &d.channel.devices[i]
		plate := func() drivers.Identity { return dev.plate }
		if err := drivers.AddIdentity(space, ns, dev.name, plate); err != nil {
			return fmt.Errorf("device %s: %w", dev.name, err)
		}
	}
	for _, u := range d.units {
		if err := d.addDeviceNodes(space, ns, u); err != nil {
			return fmt.Errorf("device %s: %w", u.dev.name, err)
		}
	}
	return nil
}

func (d *driver) addDeviceNodes(space *addressspace.Space, ns uint16, u *unit) error {
	parent := drivers.DeviceID(ns, u.dev.name, "")
	node, err := drivers.AddExtra(space, drivers.DeviceID(ns, u.dev.name, "Diagnostics"), parent, "Diagnostics")
	if err != nil {
		return err
	}
	err = errors.Join(drivers.AddGauges(space, node, u.gauges()), d.addUnitMethods(space, node, u))
	for i := range u.dev.commands {
		if c := &u.dev.commands[i]; c.tag < 0 {
			err = errors.Join(err, drivers.AddMethods(space, d.method(drivers.DeviceID(ns, u.dev.name, c.name), parent, u, c)))
		}
	}
	return err
}

// method is a command without a value.
func (d *driver) method(node, parent uabinary.NodeID, u *unit, c *command) addressspace.MethodOptions {
	return addressspace.MethodOptions{
		ID: node, Parent: parent, UsersOnly: true, Blocking: true,
		BrowseName:  uabinary.QualifiedName{NamespaceIndex: node.Namespace, Name: c.name},
		Description: uabinary.LocalizedText{Text: c.description},
		Run: func(ctx context.Context, _ *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			return nil, d.enqueue(ctx, &job{Ticket: drivers.NewTicket(), unit: u, command: c}), nil
		},
	}
}

func (d *driver) channelGauges() []drivers.Gauge {
	t := &d.line.total
	all := append(t.gauges(0),
		drivers.TextGauge("State", "up or down", func() string { return [...]string{"down", "up"}[t.state.Load()] }),
		drivers.TextGauge("Where", "the port or address", func() string { return d.channel.where() }),
		drivers.TextGauge("LastUnmatched", "the last frame that is no configured message", textOf(&t.lastUnmatched)),
		drivers.NumberGauge("BusLoad", "time in which the line is busy, in percent, over ten seconds", func() float64 { return t.load.Percent(time.Now()) }),
		drivers.CountGauge("QueueLength", "commands that wait", func() uint64 { return uint64(len(d.jobs)) }),
	)
	if d.channel.line == nil {
		return all
	}
	return append(all, serial.Gauges(func() serial.Counter {
		if port := d.port.Load(); port != nil {
			return *port
		}
		return nil
	})...)
}

func (u *unit) gauges() []drivers.Gauge {
	t := &u.tally
	return append(append(t.gauges(messages), t.trips.Gauges()...),
		drivers.TextGauge("State", "unknown, online, suspect or demoted", func() string { return drivers.HealthState(t.state.Load()).String() }),
		drivers.MomentGauge("DemotedUntil", "when a demoted device is asked again", t.until.Load),
	)
}

// order hands something to do to the goroutine of the line; it never waits.
func (d *driver) order(f func()) ua.StatusCode {
	select {
	case d.orders <- f:
		d.nudge()
		return ua.StatusOK
	default:
		return ua.StatusBadTooManyOperations
	}
}

// maxTrace is the longest that a trace runs.
const maxTrace = time.Hour

func (d *driver) addChannelMethods(space *addressspace.Space, node uabinary.NodeID) error {
	reset := drivers.Action("ResetCounters", "sets the counters of the channel to 0", node, func(*addressspace.MethodCall) ua.StatusCode {
		d.line.total.reset()
		return ua.StatusOK
	})
	trace := drivers.Action("SetTrace", "writes what passes the wire into the log for so many seconds; 0 ends it", node, func(call *addressspace.MethodCall) ua.StatusCode {
		n, _ := call.Inputs[0].Number()
		seconds := time.Duration(n) * time.Second
		if seconds > maxTrace {
			return ua.StatusBadOutOfRange
		}
		return d.order(func() { d.traceFor(seconds) })
	})
	trace.InputArguments = []uabinary.Argument{{
		Name: "Seconds", DataType: uabinary.NumericID(0, id.UInt32), ValueRank: -1,
		Description: uabinary.LocalizedText{Text: "0 to 3600"},
	}}
	return drivers.AddMethods(space, reset, trace)
}

func (d *driver) addUnitMethods(space *addressspace.Space, node uabinary.NodeID, u *unit) error {
	return drivers.AddMethods(space,
		drivers.Action("ResetCounters", "sets the counters of the device to 0", node, func(*addressspace.MethodCall) ua.StatusCode {
			u.tally.reset()
			return ua.StatusOK
		}),
		drivers.Action("Probe", "asks a demoted device now, and another one everything", node, func(*addressspace.MethodCall) ua.StatusCode {
			return d.order(func() {
				if u.demoted() {
					u.health.ProbeNow()
					return
				}
				d.hasten(u)
			})
		}),
	)
}
