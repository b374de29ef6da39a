package config

import (
	"log/slog"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// testChannel is a driver's channel that only knows names.
type testChannel struct {
	name    string
	devices []drivers.Device
}

func (c testChannel) Name() string                    { return c.name }
func (c testChannel) Summary() string                 { return c.name + " (test)" }
func (c testChannel) Devices() []drivers.Device       { return c.devices }
func (c testChannel) New(*slog.Logger) drivers.Driver { return nil }

// testKinds is a table of drivers with one strict kind.
func testKinds() []drivers.Kind {
	return []drivers.Kind{{Type: "Test", Parse: parseTestChannel}, {Type: "Other", Parse: parseTestChannel}}
}

func parseTestChannel(r *xmltree.Report, channel *xmltree.Element, devices []*xmltree.Element, _ drivers.Conversions) drivers.Channel {
	s := r.Settings(channel)
	c := testChannel{name: s.Required("Name")}
	s.String("Type", "")
	s.Done()
	for _, e := range devices {
		d := r.Settings(e)
		device := drivers.Device{Name: d.Required("Name")}
		d.String("Channel", "")
		for _, tag := range d.Children("Tag") {
			device.Tags = append(device.Tags, drivers.Tag{Name: r.Settings(tag).Required("Name")})
		}
		d.Done()
		c.devices = append(c.devices, device)
	}
	return c
}
