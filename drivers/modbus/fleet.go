package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
)

// fleet runs a channel over several connections. Each unit keeps to one of them, so that what is read and written
// there stays in order.
type fleet []*driver

// newFleet shares the units out, in turn.
func newFleet(c *channel, log *slog.Logger) drivers.Driver {
	parts := c.share()
	if len(parts) == 1 {
		return newDriver(c, c.wiring(), log)
	}
	all := make(fleet, len(parts))
	for i, part := range parts {
		all[i] = newDriver(part, part.wiring(), log.With("connection", i+1))
		all[i].label = fmt.Sprintf("%s.%d", c.name, i+1)
	}
	return all
}

// share makes a channel for each connection.
func (c *channel) share() []*channel {
	turn := map[byte]int{}
	var parts []*channel
	for _, d := range c.devices {
		i, known := turn[d.unit]
		if !known {
			i = len(turn) % max(1, c.bus.connections)
			turn[d.unit] = i
		}
		if i == len(parts) {
			part := *c
			part.devices = nil
			parts = append(parts, &part)
		}
		parts[i].devices = append(parts[i].devices, d)
	}
	if len(parts) == 0 {
		return []*channel{c}
	}
	return parts
}

// Bind implements drivers.Driver.
func (f fleet) Bind(vars map[string]*addressspace.Variable) {
	for _, d := range f {
		d.Bind(vars)
	}
}

// Run implements drivers.Driver.
func (f fleet) Run(ctx context.Context) error {
	failed := make([]error, len(f))
	var tasks sync.WaitGroup
	for i, d := range f {
		tasks.Go(func() { failed[i] = d.Run(ctx) })
	}
	tasks.Wait()
	return errors.Join(failed...)
}
