package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/gds"
	"github.com/edgeua/edgeua/reverseconnect"
)

// directoryName is the file, in the state directory, with the last answers.
const directoryName = "directory.json"

// directory looks up the clients whose addresses are not configured.
type directory struct {
	lookup *gds.Lookup

	mu     sync.Mutex
	access map[string]gds.Access // guarded by mu; by Url of the endpoint that asks
}

func newDirectory(c *callers, ids []identity) *directory {
	d := &directory{}
	d.lookup = gds.New(gds.Config{
		Query: d.query, Learned: c.learned, Log: c.log,
		File: filepath.Join(c.cfg.StateDir, directoryName),
	})
	d.update(c.cfg, ids)
	return d
}

// query asks with the identity of the client's endpoint.
func (d *directory) query(ctx context.Context, client gds.Client) ([]string, error) {
	d.mu.Lock()
	access := d.access[client.Endpoint]
	d.mu.Unlock()
	if access.Identity == nil {
		return nil, errors.New("the endpoint has no certificate")
	}
	return access.Query(ctx, client.Directory, client.ApplicationURI)
}

// update says which clients to look up, and with which identities.
func (d *directory) update(cfg *config.Config, ids []identity) {
	access := map[string]gds.Access{}
	var clients []gds.Client
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		access[ep.URL] = gds.Access{
			Dial:     (&net.Dialer{}).DialContext,
			Identity: ids[i].own, Trust: ids[i].trust, ApplicationURI: cfg.Application.URI,
		}
		for j := range ep.DirectoryClients {
			if client := &ep.DirectoryClients[j]; !client.Disabled {
				clients = append(clients, lookupKey(ep, client))
			}
		}
	}
	d.mu.Lock()
	d.access = access
	d.mu.Unlock()
	d.lookup.Update(clients)
}

func lookupKey(ep *config.Endpoint, client *config.ReverseClient) gds.Client {
	return gds.Client{Directory: client.Directory, Endpoint: ep.URL, ApplicationURI: client.ApplicationURI}
}

func (d *directory) run(ctx context.Context) { d.lookup.Run(ctx) }

func (d *directory) urls(client gds.Client) []string { return d.lookup.URLs(client) }

// heard asks again for a client that cannot be reached where it was.
func (d *directory) heard(s reverseconnect.TargetStatus) {
	switch {
	case s.State == reverseconnect.Active:
		d.lookup.Reached(s.URL)
	case s.State == reverseconnect.Waiting && s.LastErrorTime.After(s.LastSuccess):
		d.lookup.Failed(s.URL)
	}
}
