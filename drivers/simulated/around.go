package simulated

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// The words that a Device may have whatever its channel is.
const (
	wordSimulated = "Simulated"
	wordStatus    = "SimulatedStatus"
	wordSignal    = "Signal"
)

// Around teaches drivers the words Simulated, SimulatedStatus and Signal in a Device. The driver itself never sees them:
// to it a simulated device is a disabled one.
func Around(kinds []drivers.Kind) []drivers.Kind {
	all := slices.Clone(kinds)
	for i := range all {
		parse := all[i].Parse
		all[i].Parse = func(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
			return parseAround(parse, r, e, devices, conversions)
		}
	}
	return all
}

// words are what the Device elements of a channel say about simulation.
type words struct {
	name, status string
	on           bool
	signals      []*xmltree.Element
}

func parseAround(parse func(*xmltree.Report, *xmltree.Element, []*xmltree.Element, drivers.Conversions) drivers.Channel,
	r *xmltree.Report, e *xmltree.Element, elements []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
	said, rest := make([]words, len(elements)), make([]*xmltree.Element, len(elements))
	any := false
	for i, device := range elements {
		said[i], rest[i] = takeWords(r, device)
		any = any || rest[i] != device
	}
	inner := parse(r, e, rest, conversions)
	if !any || inner == nil || r.HasErrors() {
		return inner
	}
	c := &channel{inner: inner}
	for i, d := range inner.Devices() {
		if i < len(said) && said[i].name == d.Name {
			c.devices = append(c.devices, device(r, d, &said[i]))
			c.on = append(c.on, said[i].on)
		}
	}
	return c
}

// takeWords reads what a Device says about simulation and returns the element without it, or the same if it says
// nothing.
func takeWords(r *xmltree.Report, e *xmltree.Element) (words, *xmltree.Element) {
	mine, rest := *e, *e
	mine.Attrs, rest.Attrs = partition(e.Attrs, func(a xmltree.Attr) bool { return isOurs(a.Name) })
	mine.Children, rest.Children = partition(e.Children, func(c *xmltree.Element) bool { return isOurs(c.Name) })
	mine.Text = ""
	s := r.Settings(&mine)
	w := words{
		name: value(e, "Name"), on: s.Bool(wordSimulated, false), signals: s.Children(wordSignal),
		status: s.Choice(wordStatus, "Uncertain", "Uncertain", "Good"),
	}
	s.Done()
	if len(mine.Attrs)+len(mine.Children) == 0 {
		return w, e
	}
	if disabled := value(e, "Disabled"); disabled == "1" || disabled == "true" {
		w.on = false
	}
	if w.on {
		_, rest.Attrs = partition(rest.Attrs, func(a xmltree.Attr) bool { return a.Name == "Disabled" })
		_, rest.Children = partition(rest.Children, func(c *xmltree.Element) bool { return c.Name == "Disabled" })
		rest.Attrs = append(rest.Attrs, xmltree.Attr{Name: "Disabled", Value: "1"})
	}
	return w, &rest
}

func isOurs(name string) bool {
	return name == wordSimulated || name == wordStatus || name == wordSignal
}

func partition[T any](all []T, take func(T) bool) (taken, rest []T) {
	for _, x := range all {
		if take(x) {
			taken = append(taken, x)
		} else {
			rest = append(rest, x)
		}
	}
	return taken, rest
}

// value peeks at a setting.
func value(e *xmltree.Element, name string) string {
	if v, ok := e.Attr(name); ok {
		return strings.TrimSpace(v)
	}
	if c := e.Child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// device gives every tag a signal: the one that is said, or the usual one of its kind.
func device(r *xmltree.Report, d drivers.Device, w *words) Device {
	all := withDefaults(d)
	if w.status == "Good" {
		all.Status = ua.StatusOK
	}
	seen := map[int]bool{}
	for _, e := range w.signals {
		s := r.Settings(e)
		name := s.Required("Tag")
		i := slices.IndexFunc(d.Tags, func(t drivers.Tag) bool { return t.Name == name })
		switch {
		case name == "":
			continue
		case i < 0:
			s.Error("Tag", "there is no tag %s in device %s%s", xmltree.Quote(name), xmltree.Quote(d.Name), xmltree.Suggest(name, names(d.Tags)))
			continue
		case seen[i]:
			s.Error("Tag", "%s has a Signal already", xmltree.Quote(name))
		}
		seen[i] = true
		all.Signals[i] = parseSignal(s, d.Tags, i)
		s.Done()
	}
	return all
}

func withDefaults(d drivers.Device) Device {
	all := Device{Device: d, Status: ua.StatusUncertainSimulatedValue, Signals: make([]Signal, len(d.Tags))}
	for i := range d.Tags {
		all.Signals[i] = defaultSignal(&d.Tags[i])
	}
	return all
}

func names(tags []drivers.Tag) []string {
	all := make([]string, len(tags))
	for i := range tags {
		all[i] = tags[i].Name
	}
	return all
}

// channel is a channel of another driver with devices that have signals.
type channel struct {
	inner   drivers.Channel
	devices []Device
	on      []bool // which of them are simulated; the signals of the others are for who asks [Signals]
}

// Name is that of the inner channel.
func (c *channel) Name() string { return c.inner.Name() }

// Summary is that of the inner channel, and how many of its devices are not real.
func (c *channel) Summary() string {
	if n := len(c.simulated()); n > 0 {
		return fmt.Sprintf("%s; %d of the devices simulated", c.inner.Summary(), n)
	}
	return c.inner.Summary()
}

// Devices are those of the inner channel.
func (c *channel) Devices() []drivers.Device { return c.inner.Devices() }

// New makes the driver.
func (c *channel) New(log *slog.Logger) drivers.Driver {
	if devices := c.simulated(); len(devices) > 0 {
		return pair{c.inner.New(log), newDriver(devices)}
	}
	return c.inner.New(log)
}

func (c *channel) simulated() []Device {
	var all []Device
	for i := range c.devices {
		if c.on[i] {
			all = append(all, c.devices[i])
		}
	}
	return all
}

// Signals takes a channel apart: what drives it, and all its devices with their signals, simulated or not.
func Signals(c drivers.Channel) (drivers.Channel, []Device) {
	ours, ok := c.(*channel)
	if !ok {
		var all []Device
		for _, d := range c.Devices() {
			all = append(all, withDefaults(d))
		}
		return c, all
	}
	return ours.inner, ours.devices
}
