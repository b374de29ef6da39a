// Package sysfs reads and writes numbers that the kernel shows as text files: temperatures, load, analog inputs, LEDs.
// It is the example of docs/adding-a-driver.md. Left out: whatever is not one number in one file.
package sysfs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// Kind is the row of this driver in the table of drivers.
func Kind() drivers.Kind { return drivers.Kind{Type: "SysFs", TagLists: true, Parse: parse} }

// channel is what the configuration says: plain data, so that a reload can tell what has changed.
type channel struct {
	name    string
	devices []drivers.Device
	files   []file
}

type file struct {
	drivers.Tag
	key, path string // key is Device.Tag
	linear    drivers.Linear
	disabled  bool
}

func parse(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, _ drivers.Conversions) drivers.Channel {
	s := r.Settings(e)
	c := &channel{name: s.Required("Name")}
	s.Required("Type")
	s.Done() // whatever was not asked for is an error with its line
	for _, e := range devices {
		s, names := r.Settings(e), drivers.NewTagNames()
		d, disabled := drivers.Device{Name: drivers.ReadDeviceName(s)}, s.Bool("Disabled", false)
		s.Required("Channel")
		for _, e := range s.Children("Group") {
			g := r.Settings(e)
			g.Required("Name")
			period := g.Millis("Period", 5*time.Second, 100*time.Millisecond, time.Hour)
			for _, e := range g.Children("Tag") {
				f := parseTag(r.Settings(e), names)
				f.key, f.disabled, f.Period = d.Name+"."+f.Name, disabled, period
				c.files, d.Tags = append(c.files, f), append(d.Tags, f.Tag)
			}
			g.Done()
		}
		s.Done()
		c.devices = append(c.devices, d)
	}
	return c
}

func parseTag(s *xmltree.Settings, names *drivers.TagNames) file {
	access := map[string]drivers.Access{"Read": drivers.ReadOnly, "ReadWrite": drivers.ReadWrite}[s.Choice("Access", "Read", "Read", "ReadWrite")]
	f := file{Tag: drivers.Tag{Name: names.Read(s), Description: s.String("Description", ""), Type: uabinary.TypeDouble, Unit: s.String("Unit", ""), Access: access}}
	if f.path = s.Required("Address"); strings.Contains(f.path, "..") || !strings.HasPrefix(f.path, "/sys/") && !strings.HasPrefix(f.path, "/proc/") {
		s.Error("Address", "%s is not a file below /sys or /proc", xmltree.Quote(f.path))
	}
	if f.linear = (drivers.Linear{Scale: s.Float("Scale", 1), Offset: s.Float("Offset", 0)}); !f.linear.Active() {
		s.Error("Scale", "0 would lose every value")
	}
	s.Choice("Type", "Float64", "Float64") // there is no other; lists of tags have the column
	s.Done()
	return f
}

func (c *channel) Name() string                    { return c.name }
func (c *channel) Summary() string                 { return fmt.Sprintf("SysFs, %d files", len(c.files)) }
func (c *channel) Devices() []drivers.Device       { return c.devices }
func (c *channel) New(*slog.Logger) drivers.Driver { return &driver{channel: c} }

// driver runs one channel. The goroutine of Run owns the schedule and the points.
type driver struct {
	*channel
	schedule drivers.Schedule[*point]
}

type point struct { // a tag at work
	*drivers.Point
	*file
}

// Bind connects the tags to their Variables and plans when to read them.
func (d *driver) Bind(vars map[string]*addressspace.Variable) {
	for i := range d.files {
		f := &d.files[i]
		p := &point{drivers.NewPoint(vars[f.key], 1, time.Now()), f}
		if f.disabled {
			p.Fail(drivers.OutOfService, time.Now())
			continue
		}
		vars[f.key].SetWriter(p)
		d.schedule.At(drivers.NewSlot(p, f.Period, i), 0)
	}
}

// Run reads each file when it is due, until ctx ends.
func (d *driver) Run(ctx context.Context) error {
	for start := time.Now(); ; {
		slot, due := d.schedule.Next(), (<-chan time.Time)(nil) // never, without tags
		if slot != nil {
			due = time.After(slot.Due() - time.Since(start))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			slot.Item.read()
			d.schedule.Served(slot, time.Since(start))
		}
	}
}

// read publishes the number in the file, or why there is none; never an old value as Good.
func (p *point) read() {
	n, now := 0.0, time.Now()
	f, err := os.Open(p.path)
	if err != nil {
		p.Fail(drivers.NoCommunication, now)
		return
	}
	defer f.Close()
	if _, err := fmt.Fscan(f, &n); err != nil {
		p.Fail(drivers.DeviceFailure, now)
		return
	}
	at := uabinary.DateTimeOf(now)
	p.Read(&uabinary.DataValue{Value: uabinary.DoubleVariant(p.linear.EU(n)), SourceTimestamp: at, ServerTimestamp: at})
}

// Write answers when the kernel has taken the number, which it wants to be whole.
func (p *point) Write(_ context.Context, dv uabinary.DataValue) ua.StatusCode {
	status := p.CheckWrite(dv)
	n, _ := dv.Value.Number()
	if status == ua.StatusOK && os.WriteFile(p.path, fmt.Appendf(nil, "%.0f", p.linear.Raw(n)), 0) != nil {
		status = drivers.DeviceFailure.WriteStatus()
	}
	return status
}
