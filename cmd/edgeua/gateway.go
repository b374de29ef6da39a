package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/server"
)

// shutdownTimeout bounds how long clients are told and drained at the end.
const shutdownTimeout = 5 * time.Second

// gateway is everything a configuration asks for, put together.
type gateway struct {
	cfg       *config.Config
	log       *slog.Logger
	drivers   []drivers.Driver
	server    *server.Server
	listeners []boundListener
	callers   *callers
	metrics   net.Listener // nil: not asked for
	// tasks run beside the rest, until ctx ends.
	tasks []func(ctx context.Context) error
}

// boundListener is a bound port and the endpoint that it serves.
type boundListener struct {
	net.Listener
	endpoint *server.Endpoint
}

// newGateway builds all parts in the order of their start: certificates,
// address space, drivers, server, reverse connections; ports are bound last.
// Nothing runs yet, and on failure nothing is left behind.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log}
	ids, err := identities(cfg, log)
	if err != nil {
		return nil, err
	}
	users, err := userTrust(cfg, ids, log)
	if err != nil {
		return nil, err
	}
	space := addressspace.New(cfg.Application.URI)
	if err := g.addDevices(space); err != nil {
		return nil, err
	}
	if g.server, err = server.New(serverConfig(cfg, ids, users), space, log); err != nil {
		return nil, err
	}
	if g.callers, err = newCallers(cfg, ids, g.server, space, log); err != nil {
		return nil, err
	}
	g.register(ids)
	if err := g.bind(ctx); err != nil {
		return nil, err
	}
	if err := g.bindMetrics(ctx); err != nil {
		g.unbind()
		return nil, err
	}
	return g, nil
}

// addDevices gives all devices one namespace, so that adding one moves no
// index, and binds each driver to the Variables of its tags.
func (g *gateway) addDevices(space *addressspace.Space) error {
	ns := space.AddNamespace(g.cfg.Application.URI + ":devices")
	for _, channel := range g.cfg.Channels {
		variables, err := drivers.AddToSpace(space, ns, channel.Devices())
		if err != nil {
			return fmt.Errorf("channel %s: %w", channel.Name(), err)
		}
		driver := channel.New(g.log)
		driver.Bind(variables)
		if n, ok := driver.(drivers.Noder); ok {
			if err := n.AddNodes(space, ns); err != nil {
				return fmt.Errorf("channel %s: %w", channel.Name(), err)
			}
		}
		g.drivers = append(g.drivers, driver)
	}
	return nil
}

// bind opens the listening ports.
func (g *gateway) bind(ctx context.Context) error {
	for i := range g.cfg.Endpoints {
		address := g.cfg.Endpoints[i].ListenAddress
		if address == "" {
			continue
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			g.unbind()
			return listenError(address, err)
		}
		g.listeners = append(g.listeners, boundListener{l, g.server.Endpoint(i)})
	}
	return nil
}

func (g *gateway) unbind() {
	for _, l := range g.listeners {
		l.Close()
	}
}

// run starts everything, logs that it is up, and returns when ctx is done and
// all of it has stopped: first who dials and accepts, then the sessions, then
// the drivers.
func (g *gateway) run(ctx context.Context) error {
	field, stopField := context.WithCancel(context.WithoutCancel(ctx))
	defer stopField()
	var fieldwork errgroup.Group
	for _, driver := range g.drivers {
		fieldwork.Go(func() error { return driver.Run(field) })
	}

	wire, stopWire := errgroup.WithContext(ctx)
	for _, l := range g.listeners {
		wire.Go(func() error { return g.server.Listen(stopWire, l.Listener, l.endpoint) })
	}
	wire.Go(func() error { return g.callers.run(stopWire) })
	wire.Go(func() error { return g.serveMetrics(stopWire) })
	for _, task := range g.tasks {
		wire.Go(func() error { return task(stopWire) })
	}
	g.announce()

	err := wire.Wait()
	g.log.Info("server stopping")
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if shutdown := g.server.Shutdown(drained); shutdown != nil {
		g.log.Warn("some clients had to be cut off", "err", shutdown)
	}
	stopField()
	if failed := fieldwork.Wait(); err == nil {
		err = failed
	}
	g.log.Info("server stopped")
	return err
}

// announce is the one line that says that everything is up, and with what.
func (g *gateway) announce() {
	var endpoints, listening, targets []string
	for i := range g.cfg.Endpoints {
		endpoints = append(endpoints, g.cfg.Endpoints[i].URL)
		for _, client := range g.cfg.Endpoints[i].ReverseClients {
			targets = append(targets, client.URL)
		}
	}
	for _, l := range g.listeners {
		listening = append(listening, l.Addr().String())
	}
	tags := 0
	for _, channel := range g.cfg.Channels {
		for _, device := range channel.Devices() {
			tags += len(device.Tags)
		}
	}
	g.log.Info("server running", "server_uri", g.cfg.Application.URI, "endpoints", endpoints,
		"listening", listening, "metrics", g.cfg.MetricsAddress, "reverse_targets", targets, "tags", tags, "version", softwareVersion())
}
