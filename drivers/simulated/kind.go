package simulated

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Kind is the row of the table of drivers for a channel without any field bus.
func Kind() drivers.Kind {
	return drivers.Kind{Type: "Simulated", Parse: parse}
}

// bare is a channel of which every device is simulated.
type bare struct {
	name    string
	devices []Device
}

func parse(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
	s := r.Settings(e)
	c := &bare{name: s.Required("Name")}
	s.Required("Type")
	s.Done()
	for _, d := range devices {
		c.devices = append(c.devices, parseDevice(r, d, conversions))
	}
	return c
}

func parseDevice(r *xmltree.Report, e *xmltree.Element, conversions drivers.Conversions) Device {
	w, rest := takeWords(r, e)
	s := r.Settings(rest)
	d := drivers.Device{Name: drivers.ReadDeviceName(s), Description: s.String("Description", "")}
	s.Required("Channel")
	s.Bool("Disabled", false) // a simulated device has nothing that could be switched off
	p := tagParser{report: r, conversions: conversions, names: drivers.NewTagNames()}
	for _, group := range s.Children("Group") {
		g := r.Settings(group)
		g.Required("Name")
		p.period = g.Millis("Period", time.Second, minPeriod, maxPeriod)
		for _, tag := range g.Children("Tag") {
			d.Tags = append(d.Tags, p.tag(tag))
		}
		g.Done()
	}
	s.Done()
	return device(r, d, &w)
}

type tagParser struct {
	report      *xmltree.Report
	conversions drivers.Conversions
	period      time.Duration
	names       *drivers.TagNames
}

// types are the words for Type: those of OPC UA that are numbers, texts or times.
func types() map[string]uabinary.TypeID {
	return map[string]uabinary.TypeID{
		"Boolean": uabinary.TypeBoolean, "SByte": uabinary.TypeSByte, "Byte": uabinary.TypeByte,
		"Int16": uabinary.TypeInt16, "UInt16": uabinary.TypeUint16, "Int32": uabinary.TypeInt32, "UInt32": uabinary.TypeUint32,
		"Int64": uabinary.TypeInt64, "UInt64": uabinary.TypeUint64, "Float": uabinary.TypeFloat, "Double": uabinary.TypeDouble,
		"String": uabinary.TypeString, "DateTime": uabinary.TypeDateTime,
	}
}

const maxLength = 1000 // of an array

func (p *tagParser) tag(e *xmltree.Element) drivers.Tag {
	s := p.report.Settings(e)
	defer s.Done()
	words := []string{"Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String", "DateTime"}
	t := drivers.Tag{
		Name: p.names.Read(s), Description: s.String("Description", ""), Period: p.period,
		Type:   types()[s.Choice("Type", "Double", words...)],
		Length: s.Int("Length", 0, 0, maxLength),
		Access: map[string]drivers.Access{"Read": drivers.ReadOnly, "ReadWrite": drivers.ReadWrite}[s.Choice("Access", "Read", "Read", "ReadWrite")],
	}
	if t.Length > 0 && (t.Type < uabinary.TypeInt16 && t.Type != uabinary.TypeBoolean || t.Type == uabinary.TypeString) {
		s.Error("Length", "there are no arrays of this type here")
	}
	p.convert(s, &t)
	return t
}

// convert reads unit, range and names of values; there is no raw value to scale.
func (p *tagParser) convert(s *xmltree.Settings, t *drivers.Tag) {
	c := p.conversions.Read(s)
	t.Unit, t.Range, t.Enum = c.Unit, c.Range, c.Enum
	whole := t.Type >= uabinary.TypeBoolean && t.Type <= uabinary.TypeUint64
	switch {
	case t.Range.Valid() && !isNumber(t.Type):
		s.Error("EULow", "is only for numbers")
	case len(t.Enum) > 0 && (!whole || t.Length > 0):
		s.Error("Enum", "is only for whole numbers that are no array")
	case len(t.Enum) > 0 && t.Type == uabinary.TypeBoolean && (t.Enum[0].Value != 0 || t.Enum[len(t.Enum)-1].Value != 1):
		s.Error("Enum", "of a Boolean names 0 and 1, as in 0=Off;1=On")
	}
}

// Name is the name of the channel.
func (c *bare) Name() string { return c.name }

// Summary counts.
func (c *bare) Summary() string {
	tags := 0
	for i := range c.devices {
		tags += len(c.devices[i].Tags)
	}
	return fmt.Sprintf("simulated, %d devices, %d tags", len(c.devices), tags)
}

// Devices are those of the channel.
func (c *bare) Devices() []drivers.Device {
	all := make([]drivers.Device, len(c.devices))
	for i := range c.devices {
		all[i] = c.devices[i].Device
	}
	return all
}

// New makes the driver.
func (c *bare) New(*slog.Logger) drivers.Driver { return newDriver(c.devices) }
