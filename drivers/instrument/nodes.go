package instrument

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
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
	all := append(t.ChannelGauges(d.channel.where, func() int { return len(d.jobs) }), t.counterGauges(0)...)
	all = append(all, drivers.TextGauge("LastUnmatched", "the last frame that is no configured message", func() string {
		if text := t.lastUnmatched.Load(); text != nil {
			return *text
		}
		return ""
	}))
	if d.channel.line != nil {
		all = append(all, d.port.Gauges()...)
	}
	return all
}

func (u *unit) gauges() []drivers.Gauge {
	return append(u.tally.UnitGauges(), u.tally.counterGauges(messages)...)
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

func (d *driver) addChannelMethods(space *addressspace.Space, node uabinary.NodeID) error {
	return drivers.AddMethods(space, drivers.ResetAction(node, d.line.total.reset),
		drivers.TraceAction(node, func(long time.Duration) ua.StatusCode { return d.order(func() { d.traceFor(long) }) }))
}

func (d *driver) addUnitMethods(space *addressspace.Space, node uabinary.NodeID, u *unit) error {
	return drivers.AddMethods(space, drivers.ResetAction(node, u.tally.reset),
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
