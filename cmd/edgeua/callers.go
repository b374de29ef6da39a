package main

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/status"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
	"github.com/edgeua/edgeua/server"
)

// callers keeps the manager of reverse connections and their nodes in step with
// the configuration and with what directories know.
type callers struct {
	server    *server.Server
	log       *slog.Logger
	manager   *reverseconnect.Manager
	nodes     *status.ReverseConnections
	directory *directory

	mu  sync.Mutex     // held while targets change
	cfg *config.Config // guarded by mu; whose clients are called
}

// newCallers makes the nodes of the reverse connections, behind the devices'
// namespace, and the manager whose clients they show.
func newCallers(cfg *config.Config, ids []identity, s *server.Server, space *addressspace.Space, log *slog.Logger) (*callers, error) {
	c := &callers{server: s, log: log, cfg: cfg}
	c.directory = newDirectory(c, ids)
	targets := c.targets(cfg)
	var err error
	if c.nodes, err = status.NewReverseConnections(space, c.connectNow); err != nil {
		return nil, err
	}
	c.manager, err = reverseconnect.NewManager(reverseconnect.ManagerConfig{
		Targets: targets, MaxSockets: cfg.MaxSockets, Changed: c.changed, Log: log,
	})
	if err != nil {
		return nil, err
	}
	for _, s := range c.manager.Snapshot() {
		if err := c.nodes.Add(reverseClient(s)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// run calls the clients until ctx ends.
func (c *callers) run(ctx context.Context) error {
	var looking sync.WaitGroup
	looking.Go(func() { c.directory.run(ctx) })
	defer looking.Wait()
	return c.manager.Run(ctx)
}

// changed hears of every change of a client's state.
func (c *callers) changed(s reverseconnect.TargetStatus) {
	c.nodes.Update(reverseClient(s))
	c.directory.heard(s)
}

// targets lists the clients of all endpoints.
func (c *callers) targets(cfg *config.Config) []reverseconnect.Target {
	var all []reverseconnect.Target
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		for j := range ep.ReverseClients {
			client := &ep.ReverseClients[j]
			t := c.target(cfg, ep, client)
			t.URL = client.URL
			all = append(all, t)
		}
		for j := range ep.DirectoryClients {
			client := &ep.DirectoryClients[j]
			t := c.target(cfg, ep, client)
			if urls := c.directory.urls(lookupKey(ep, client)); len(urls) > 0 {
				t.URL, t.Alternatives = urls[0], urls[1:]
				all = c.appendFound(all, t)
			}
		}
	}
	return all
}

// appendFound leaves out a client that a directory has sent to where it cannot
// be called, or where another one is called.
func (c *callers) appendFound(all []reverseconnect.Target, t reverseconnect.Target) []reverseconnect.Target {
	address, err := t.Address()
	if err != nil {
		c.log.Warn("directory knows no usable address", "application_uri", t.ApplicationURI, "urls", t.URL, "err", err)
		return all
	}
	for i := range all {
		if taken, _ := all[i].Address(); taken == address && all[i].EndpointURL == t.EndpointURL {
			c.log.Warn("directory knows an address that is called already", "application_uri", t.ApplicationURI, "url", t.URL)
			return all
		}
	}
	return append(all, t)
}

// target says in the words of package reverseconnect how a client is called.
func (c *callers) target(cfg *config.Config, ep *config.Endpoint, client *config.ReverseClient) reverseconnect.Target {
	t := &client.Tuning
	endpoint := c.server.EndpointByURL(ep.URL)
	peer := server.Peer{ApplicationURI: client.ApplicationURI, AllowUnverified: client.AllowUnverified}
	if client.EndpointURL != ep.URL {
		peer.EndpointURL = client.EndpointURL
	}
	return reverseconnect.Target{
		Disabled: client.Disabled, ServerURI: cfg.Application.URI, EndpointURL: client.EndpointURL,
		ConnectTimeout: t.ConnectTimeout, HelloTimeout: t.HelloTimeout,
		BackoffMin: t.BackoffMin, BackoffMax: t.BackoffMax, RejectDelay: t.RejectDelay,
		KeepAlive: t.KeepAlive, SocketsPerClient: t.SocketsPerClient,
		Path: reverseconnect.Path{
			SourceAddress: t.Path.SourceAddress, Interface: t.Path.Interface,
			Proxy: t.Path.Proxy, ProxyCredentials: t.Path.ProxyCredentials, UserTimeout: t.Path.UserTimeout,
		},
		ApplicationURI: client.ApplicationURI, AllowUnverified: client.AllowUnverified,
		Serve: func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			return c.server.ServePeer(ctx, nc, endpoint, peer, progress)
		},
	}
}

// check tells whether apply could take over the clients of cfg.
func (c *callers) check(cfg *config.Config) error {
	return c.manager.Check(c.targets(cfg), cfg.MaxSockets)
}

// apply takes over the clients of cfg, whose endpoints are those of the server
// by now.
func (c *callers) apply(cfg *config.Config, ids []identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg = cfg
	c.directory.update(cfg, ids)
	return c.update(cfg)
}

// learned takes over what a directory has told.
func (c *callers) learned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.update(c.cfg); err != nil {
		c.log.Warn("addresses from the directory are not usable", "err", err)
	}
}

// nodeKey tells the nodes of clients apart.
type nodeKey struct{ url, endpointURL string }

// update changes targets and nodes. New nodes come before and old ones go
// after what they show. c.mu is held.
func (c *callers) update(cfg *config.Config) error {
	targets := c.targets(cfg)
	before := map[nodeKey]bool{}
	for _, s := range c.manager.Snapshot() {
		before[nodeKey{s.URL, s.EndpointURL}] = true
	}
	var added []nodeKey
	for i := range targets {
		k := nodeKey{targets[i].URL, targets[i].EndpointURL}
		if before[k] {
			delete(before, k)
			continue
		}
		first := status.ReverseClient{URL: k.url, EndpointURL: k.endpointURL, State: reverseconnect.Waiting.String()}
		if err := c.nodes.Add(first); err != nil {
			c.removeNodes(added)
			return err
		}
		added = append(added, k)
	}
	if err := c.manager.Update(targets, cfg.MaxSockets); err != nil {
		c.removeNodes(added)
		return err
	}
	for k := range before {
		c.nodes.Remove(k.url, k.endpointURL)
	}
	return nil
}

func (c *callers) removeNodes(keys []nodeKey) {
	for _, k := range keys {
		c.nodes.Remove(k.url, k.endpointURL)
	}
}

// connectNow serves the Method of that name.
func (c *callers) connectNow(url, user string) ua.StatusCode {
	c.log.Info("reverse connect asked for", "url", url, "user", user)
	if c.manager.ConnectNow(url) {
		return ua.StatusOK
	}
	return ua.StatusBadInvalidState // there is a socket, or soon will be
}

// clients lists what is known about the clients.
func (c *callers) clients() []status.ReverseClient {
	var all []status.ReverseClient
	for _, s := range c.manager.Snapshot() {
		all = append(all, reverseClient(s))
	}
	return all
}

// reverseClient says in the words of package status what the manager knows.
func reverseClient(s reverseconnect.TargetStatus) status.ReverseClient {
	return status.ReverseClient{
		URL: s.URL, EndpointURL: s.EndpointURL, State: s.State.String(), StateSince: s.StateSince,
		RemoteAddress: s.RemoteAddress, Sockets: s.Sockets, Attempts: s.Attempts,
		LastError: s.LastError, LastErrorTime: s.LastErrorTime, LastSuccess: s.LastSuccess, NextAttempt: s.NextAttempt,
		RejectCode: s.RejectCode, RejectReason: s.RejectReason,
	}
}
