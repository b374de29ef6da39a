package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
)

// devices are the channels of a gateway and what the address space shows of
// them. They have one namespace, so that adding one moves no index.
type devices struct {
	log      *slog.Logger
	tree     *drivers.Tree
	crew     *crew // nil: not yet
	channels map[string]*channel
}

// channel is one at work.
type channel struct {
	driver drivers.Driver
	remove func() // the nodes that are not those of tags
	stop   func() // nil: not begun
}

func newDevices(space *addressspace.Space, applicationURI string, log *slog.Logger) *devices {
	ns := space.AddNamespace(applicationURI + devicesSuffix)
	return &devices{log: log, tree: drivers.NewTree(space, ns), channels: map[string]*channel{}}
}

// devicesSuffix behind the ApplicationURI is the namespace of the devices.
const devicesSuffix = ":devices"

// apply stops and starts those channels; all is what there is afterwards.
func (d *devices) apply(all []drivers.Channel, stop, start []string) error {
	d.stop(stop)
	var shown []drivers.Device
	byName := map[string]drivers.Channel{}
	for _, c := range all {
		shown = append(shown, c.Devices()...)
		byName[c.Name()] = c
	}
	if err := d.tree.Update(shown); err != nil {
		return err
	}
	var faults []error
	for _, name := range start {
		if err := d.start(byName[name]); err != nil {
			faults = append(faults, fmt.Errorf("channel %s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

// stop ends channels, all at the same time: each of them may take its two seconds.
func (d *devices) stop(names []string) {
	var stopping sync.WaitGroup
	for _, name := range names {
		if c := d.channels[name]; c != nil && c.stop != nil {
			stopping.Go(c.stop)
		}
	}
	stopping.Wait()
	for _, name := range names {
		if c := d.channels[name]; c != nil {
			c.remove()
			delete(d.channels, name)
		}
	}
}

func (d *devices) start(c drivers.Channel) error {
	driver := c.New(d.log)
	d.tree.Bind(driver, c.Devices())
	remove, err := d.tree.AddNodes(driver)
	started := &channel{driver: driver, remove: remove}
	d.channels[c.Name()] = started
	d.begin(started)
	return err
}

func (d *devices) begin(c *channel) {
	if d.crew != nil {
		c.stop = d.crew.begin(func(ctx context.Context) error { return c.driver.Run(ctx) })
	}
}

// run lets all of them work, and from now on those that come.
func (d *devices) run(c *crew) {
	d.crew = c
	for _, ch := range d.channels {
		d.begin(ch)
	}
}
