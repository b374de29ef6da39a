package modbus

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// counterNames are the names and meanings of the counters as Variables.
func counterNames() [counters][2]string {
	return [counters][2]string{
		requests:    {"Requests", "requests sent"},
		replies:     {"Replies", "replies that were believed, exceptions among them"},
		timeouts:    {"Timeouts", "requests without any reply in time"},
		checksums:   {"CrcErrors", "replies with a wrong CRC or LRC, or bytes that make no frame"},
		protocol:    {"ProtocolErrors", "whole frames that are no valid answer to what was asked"},
		lateReplies: {"LateReplies", "replies that came after their time and were dropped"},
		strays:      {"StrayBytes", "bytes or frames that nobody asked for"},
		echoes:      {"EchoErrors", "echoes of our own requests that were missing or changed"},
		overflows:   {"RxOverflows", "times that bytes came faster than they were taken"},
		retries:     {"Retries", "requests that were repeated"},
		reconnects:  {"Reconnects", "connections after the first one"},
		overruns:    {"Overruns", "readings left out because the one before was late"},
	}
}

// AddNodes implements drivers.Noder: an object for the channel, and Diagnostics below each device.
func (d *driver) AddNodes(space *addressspace.Space, ns uint16) error {
	node, err := drivers.AddChannel(space, ns, d.label)
	if err != nil {
		return err
	}
	if err := errors.Join(drivers.AddGauges(space, node, d.channelGauges()), d.addChannelMethods(space, node)); err != nil {
		return err
	}
	for i := range d.channel.devices {
		if err := d.addDeviceNodes(space, ns, &d.channel.devices[i]); err != nil {
			return fmt.Errorf("device %s: %w", d.channel.devices[i].name, err)
		}
	}
	return nil
}

// AddNodes implements drivers.Noder.
func (f fleet) AddNodes(space *addressspace.Space, ns uint16) error {
	for _, d := range f {
		if err := d.AddNodes(space, ns); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) addDeviceNodes(space *addressspace.Space, ns uint16, dev *device) error {
	u := d.unitOf(dev)
	plate := func() drivers.Identity { return dev.plate }
	if u != nil {
		plate = func() drivers.Identity { return dev.plate.Or(u.plate()) }
	}
	if err := drivers.AddIdentity(space, ns, dev.name, plate); err != nil || u == nil {
		return err
	}
	node, err := drivers.AddExtra(space, drivers.DeviceID(ns, dev.name, "Diagnostics"), drivers.DeviceID(ns, dev.name, ""), "Diagnostics")
	if err != nil {
		return err
	}
	if err := errors.Join(drivers.AddGauges(space, node, u.gauges()), d.addUnitMethods(space, node, u)); err != nil || dev.broadcast {
		return err
	}
	return d.addFunctions(space, node, u, dev)
}

// unitOf finds the unit of a device; nil if it is disabled.
func (d *driver) unitOf(dev *device) *unit {
	for _, u := range d.units {
		if u.id == dev.unit && !dev.disabled {
			return u
		}
	}
	return nil
}

func (t *tally) counterGauges() []drivers.Gauge {
	var all []drivers.Gauge
	for c, row := range counterNames() {
		all = append(all, drivers.CountGauge(row[0], row[1], t.counts[c].Load))
	}
	return all
}

func (d *driver) channelGauges() []drivers.Gauge {
	t := &d.bus.total
	all := append(t.ChannelGauges(d.channel.where, func() int { return len(d.writes) }), t.counterGauges()...)
	if d.channel.line != nil {
		all = append(all, d.port.Gauges()...)
	}
	return all
}

func (u *unit) gauges() []drivers.Gauge {
	t := &u.tally
	milliseconds := func(load func() int64) func() float64 { return func() float64 { return float64(load()) / 1e6 } }
	return append(append(t.UnitGauges(), t.counterGauges()...),
		drivers.NumberGauge("EffectivePeriod", "milliseconds between the last two readings of what is read most often", milliseconds(u.shape.period.Load)),
		drivers.CountGauge("Blocks", "requests for one reading of everything", u.shape.blocks.Load),
		drivers.CountGauge("RegistersAsked", "registers, or sixteen bits, in those requests", u.shape.asked.Load),
		drivers.CountGauge("RegistersUsed", "of these, what tags need", u.shape.used.Load),
		drivers.Gauge{Name: "Exceptions", Description: "refusals by exception code, from 1; the first element counts codes above 11",
			Type: uabinary.TypeUint64, Array: true, Read: t.exceptionCounts},
	)
}

func (t *tally) exceptionCounts() uabinary.Variant {
	values := make([]uint64, len(t.exceptions))
	for i := range values {
		values[i] = t.exceptions[i].Load()
	}
	return uabinary.VariantOf(values)
}

// order hands something to do to the goroutine of the bus; it never waits.
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
	return drivers.AddMethods(space, drivers.ResetAction(node, d.bus.total.reset),
		drivers.TraceAction(node, func(long time.Duration) ua.StatusCode { return d.order(func() { d.trace(long) }) }))
}

func (d *driver) addUnitMethods(space *addressspace.Space, node uabinary.NodeID, u *unit) error {
	return drivers.AddMethods(space, drivers.ResetAction(node, u.tally.reset),
		drivers.Action("Probe", "asks a demoted device now, and reads everything of one that answers", node, func(*addressspace.MethodCall) ua.StatusCode {
			return d.order(func() { d.hasten(u) })
		}),
	)
}

// trace logs what passes the wire for a while.
func (d *driver) trace(long time.Duration) {
	d.bus.trace, d.traceEnd = nil, d.now()+long
	if long > 0 {
		d.bus.trace = func(direction string, b []byte) {
			d.log.Info("wire", "direction", direction, "bytes", hex.EncodeToString(b))
		}
	}
}

// hasten makes a demoted unit the next to be probed, and reads all of another one.
func (d *driver) hasten(u *unit) {
	if u.health.State() == drivers.HealthDemoted {
		u.health.ProbeNow()
		return
	}
	for _, b := range u.blocks {
		if b.slot.Scheduled() {
			d.schedule.Hasten(b.slot, d.now())
		}
	}
}

// watch ends a trace, and warns once of a bus that has too much to do.
func (d *driver) watch() {
	if d.bus.trace != nil && d.now() >= d.traceEnd {
		d.bus.trace = nil
	}
	if percent, ok := d.bus.total.Load.TooHigh(); ok {
		d.log.Warn("the bus has too much to do; read the largest group less often", "where", d.channel.where(), "load_percent", percent)
	}
}
