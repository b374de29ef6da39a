package main

import (
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/status"
	"github.com/edgeua/edgeua/server"
)

// shutdownTimeout bounds how long clients are told and drained at the end.
const shutdownTimeout = 5 * time.Second

// gateway is everything a configuration asks for, put together. Each part knows
// how to become that of another configuration while it runs; see apply.
type gateway struct {
	log       *slog.Logger
	devices   *devices
	server    *server.Server
	callers   *callers
	ports     *ports
	registrar *registrar
	follow    func(*config.Config) // of the log
	// tasks run beside the rest, until ctx ends.
	tasks []func(ctx context.Context) error

	mu  sync.Mutex
	cfg *config.Config // guarded by mu; what holds
	ids []identity     // guarded by mu; of the endpoints of cfg
}

// newGateway builds all parts in the order of their start: certificates,
// address space, drivers, server, reverse connections; ports are bound last.
// Nothing runs yet, and on failure nothing is left behind.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gateway, error) {
	g := &gateway{log: log, cfg: cfg, follow: func(*config.Config) {}}
	var err error
	if g.ids, err = identities(cfg, nil, log); err != nil {
		return nil, err
	}
	users, err := userTrust(cfg, g.ids, log)
	if err != nil {
		return nil, err
	}
	space := addressspace.New(cfg.Application.URI)
	g.devices = newDevices(space, cfg.Application.URI, log)
	var channels []string
	for _, c := range cfg.Channels {
		channels = append(channels, c.Name())
	}
	if err := g.devices.apply(cfg.Channels, nil, channels); err != nil {
		return nil, err
	}
	if g.server, err = server.New(serverConfig(cfg, g.ids, users), space, log); err != nil {
		return nil, err
	}
	if g.callers, err = newCallers(cfg, g.ids, g.server, space, log); err != nil {
		return nil, err
	}
	g.registrar = &registrar{log: log}
	g.registrar.apply(cfg, g.ids)
	g.ports = &ports{log: log, serve: g.serve, open: map[socket]*port{}}
	bound, err := g.ports.change(ctx, sockets(cfg))
	if err != nil {
		return nil, err
	}
	bound.commit()
	return g, nil
}

// serve answers on a port until ctx ends.
func (g *gateway) serve(ctx context.Context, s socket, l net.Listener) error {
	if s.endpoint == "" {
		return status.Serve(ctx, l, status.Handler(status.Sources{Server: g.counts, Reverse: g.callers.clients}), g.log)
	}
	return g.server.Listen(ctx, l, g.server.EndpointByURL(s.endpoint))
}

// run starts everything, logs that it is up, and returns when ctx is done and
// all of it has stopped: first who dials and accepts, then the sessions, then
// the drivers.
func (g *gateway) run(ctx context.Context) error {
	inField, stopField := context.WithCancel(context.WithoutCancel(ctx))
	defer stopField()
	field, wire := newCrew(inField), newCrew(ctx)
	g.devices.run(field)
	g.ports.run(wire)
	wire.begin(g.callers.run)
	g.registrar.run(wire)
	wire.begin(g.remind)
	g.announce()
	debug.FreeOSMemory() // what reading and building took is several times what running takes
	for _, task := range g.tasks {
		wire.begin(task)
	}

	err := wire.wait()
	g.log.Info("server stopping")
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if shutdown := g.server.Shutdown(drained); shutdown != nil {
		g.log.Warn("some clients had to be cut off", "err", shutdown)
	}
	stopField()
	if failed := field.wait(); err == nil {
		err = failed
	}
	g.log.Info("server stopped")
	return err
}

// holds returns what the gateway goes by.
func (g *gateway) holds() (*config.Config, []identity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg, g.ids
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
	for s, l := range g.ports.open {
		if s.endpoint != "" {
			listening = append(listening, l.Addr().String())
		}
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
