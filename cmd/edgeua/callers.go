package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
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

	mu    sync.Mutex             // held while targets change
	cfg   *config.Config         // guarded by mu; whose clients are called
	lost  []status.ReverseClient // guarded by mu; what directories name no usable address of
	shown map[status.Key]bool    // guarded by mu; the clients with a node
}

// newCallers makes the nodes of the reverse connections, behind the devices'
// namespace, and the manager whose clients they show.
func newCallers(cfg *config.Config, ids []identity, s *server.Server, space *addressspace.Space, log *slog.Logger) (*callers, error) {
	c := &callers{server: s, log: log, cfg: cfg, shown: map[status.Key]bool{}}
	c.directory = newDirectory(c, ids)
	targets, lost := c.targets(cfg)
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
	c.lost = lost
	_, err = c.show(c.known())
	return c, err
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

// targets lists the clients of all endpoints, and those that cannot be called
// because no directory has named a usable address.
func (c *callers) targets(cfg *config.Config) (all []reverseconnect.Target, lost []status.ReverseClient) {
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		for j := range ep.ReverseClients {
			client := &ep.ReverseClients[j]
			t := c.target(cfg, ep, client)
			t.URL = client.URL
			all = append(all, t)
		}
	}
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		for j := range ep.DirectoryClients {
			client := &ep.DirectoryClients[j]
			t := c.target(cfg, ep, client)
			if reason := c.find(&t, c.directory.urls(lookupKey(ep, client)), all); reason != "" {
				lost = append(lost, lostClient(client, reason))
				continue
			}
			all = append(all, t)
		}
	}
	return all, lost
}

// noAddress is why a client is not called that is still looked up.
const noAddress = "the directory has named no address yet"

// find fills in where a directory has sent to. It says why if the client cannot
// be called there, or another one is.
func (c *callers) find(t *reverseconnect.Target, urls []string, others []reverseconnect.Target) string {
	if len(urls) == 0 {
		return noAddress
	}
	t.URL, t.Alternatives = urls[0], urls[1:]
	address, err := t.Address()
	if err != nil {
		return fmt.Sprintf("the directory names no usable address: %v", err)
	}
	for i := range others {
		if taken, _ := others[i].Address(); taken == address && others[i].EndpointURL == t.EndpointURL {
			return fmt.Sprintf("the directory names an address that is called already: %s", t.URL)
		}
	}
	return ""
}

// lostClient is what the nodes show of a client without an address.
func lostClient(client *config.ReverseClient, reason string) status.ReverseClient {
	state := reverseconnect.Waiting
	if client.Disabled {
		state, reason = reverseconnect.Disabled, ""
	}
	return status.ReverseClient{
		Name: client.ApplicationURI, EndpointURL: client.EndpointURL,
		State: state.String(), LastError: reason,
	}
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
	targets, _ := c.targets(cfg)
	return c.manager.Check(targets, cfg.MaxSockets)
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

// update changes targets and nodes. New nodes come before and old ones go
// after what they show. c.mu is held.
func (c *callers) update(cfg *config.Config) error {
	targets, lost := c.targets(cfg)
	wanted := slices.Clone(lost)
	for i := range targets {
		wanted = append(wanted, status.ReverseClient{
			URL: targets[i].URL, EndpointURL: targets[i].EndpointURL, State: reverseconnect.Waiting.String(),
		})
	}
	added, err := c.show(wanted)
	if err == nil {
		err = c.manager.Update(targets, cfg.MaxSockets)
	}
	if err != nil {
		c.hide(added)
		return err
	}
	c.lost = lost
	for i := range lost {
		c.nodes.Update(lost[i])
		if reason := lost[i].LastError; reason != noAddress && reason != "" {
			c.log.Warn("reverse client cannot be called", "application_uri", lost[i].Name, "reason", reason)
		}
	}
	gone := maps.Clone(c.shown)
	for i := range wanted {
		delete(gone, wanted[i].Key())
	}
	c.hide(gone)
	return nil
}

// show adds the nodes that are not there yet, and returns which.
func (c *callers) show(clients []status.ReverseClient) (map[status.Key]bool, error) {
	added := map[status.Key]bool{}
	for i := range clients {
		k := clients[i].Key()
		if c.shown[k] {
			continue
		}
		if err := c.nodes.Add(clients[i]); err != nil {
			return added, err
		}
		c.shown[k], added[k] = true, true
	}
	return added, nil
}

func (c *callers) hide(clients map[status.Key]bool) {
	for k := range clients {
		delete(c.shown, k)
		c.nodes.Remove(k)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known()
}

// known is clients while c.mu is held.
func (c *callers) known() []status.ReverseClient {
	all := slices.Clone(c.lost)
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
