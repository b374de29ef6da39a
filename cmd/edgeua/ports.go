package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"syscall"

	"github.com/edgeua/edgeua/config"
)

// socket is one listening socket that a configuration asks for.
type socket struct {
	address  string
	endpoint string // Url; empty: for the metrics
}

func sockets(cfg *config.Config) []socket {
	var all []socket
	for i := range cfg.Endpoints {
		if e := &cfg.Endpoints[i]; e.ListenAddress != "" {
			all = append(all, socket{e.ListenAddress, e.URL})
		}
	}
	if cfg.MetricsAddress != "" {
		all = append(all, socket{address: cfg.MetricsAddress})
	}
	return all
}

// ports are the listening sockets of a gateway.
type ports struct {
	log   *slog.Logger
	serve func(ctx context.Context, s socket, l net.Listener) error
	crew  *crew // nil: not yet
	open  map[socket]*port
}

type port struct {
	net.Listener
	stop func() // ends the connections as well
}

// run serves all of them, and from now on those that come.
func (p *ports) run(c *crew) {
	p.crew = c
	for s, opened := range p.open {
		p.begin(s, opened)
	}
}

func (p *ports) begin(s socket, opened *port) {
	p.open[s] = opened
	opened.stop = func() { opened.Close() }
	if p.crew != nil {
		opened.stop = p.crew.begin(func(ctx context.Context) error { return p.serve(ctx, s, opened.Listener) })
	}
}

func (p *ports) end(s socket) {
	p.open[s].stop()
	delete(p.open, s)
}

// portChange is a change of the ports that is ready: what is new is bound.
type portChange struct {
	ports  *ports
	opened map[socket]*port
	leave  []socket // open until the end of the change
	closed []socket // had to make room
}

// change binds the sockets that are not there yet. With an error everything is
// as it was, except that connections end whose port had to make room for one
// that could not be bound then.
func (p *ports) change(ctx context.Context, wanted []socket) (*portChange, error) {
	c := &portChange{ports: p, opened: map[socket]*port{}}
	for s := range p.open {
		if !slices.Contains(wanted, s) {
			c.leave = append(c.leave, s)
		}
	}
	for _, s := range wanted {
		if p.open[s] != nil {
			continue
		}
		l, err := listenTCP(ctx, s.address)
		if errors.Is(err, syscall.EADDRINUSE) && c.makeRoom(s) {
			l, err = listenTCP(ctx, s.address)
		}
		if err != nil {
			c.undo(ctx)
			return nil, listenError(s.address, err)
		}
		c.opened[s] = &port{Listener: l}
	}
	return c, nil
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", address)
}

// makeRoom closes what is going to be closed anyway and has the same port.
func (c *portChange) makeRoom(s socket) bool {
	_, wanted, _ := net.SplitHostPort(s.address)
	made := false
	c.leave = slices.DeleteFunc(c.leave, func(old socket) bool {
		if _, port, _ := net.SplitHostPort(old.address); port != wanted {
			return false
		}
		c.ports.end(old)
		c.closed = append(c.closed, old)
		made = true
		return true
	})
	return made
}

func (c *portChange) undo(ctx context.Context) {
	for _, opened := range c.opened {
		opened.Close()
	}
	for _, s := range c.closed {
		l, err := listenTCP(ctx, s.address)
		if err != nil {
			c.ports.log.Error("port lost: it made room for another one and cannot be opened again", "address", s.address, "err", err)
			continue
		}
		c.ports.begin(s, &port{Listener: l})
	}
}

// commit serves what is new and closes what is left over.
func (c *portChange) commit() {
	for _, s := range c.leave {
		c.ports.end(s)
	}
	for s, opened := range c.opened {
		c.ports.begin(s, opened)
	}
}
