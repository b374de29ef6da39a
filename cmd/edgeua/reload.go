package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/edgeua/edgeua/config"
)

// reloads reads the files again whenever hup says so, until ctx ends. A nil hup
// never does.
func (g *gateway) reloads(ctx context.Context, files *configFlags, hup <-chan os.Signal) error {
	running := g.cfg
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			running = g.reload(running, files)
		}
	}
}

// reload reads the files, applies what can be applied to a running gateway, and
// returns the configuration that holds from now on. Files with an error change
// nothing.
func (g *gateway) reload(running *config.Config, files *configFlags) *config.Config {
	g.log.Info("configuration is read again")
	cfg, report := files.load()
	tell(g.log, report)
	if cfg == nil || report.HasErrors() {
		g.log.Error("configuration not reloaded: nothing has changed", "reason", findings(report))
		return running
	}
	next, waiting := takeOver(running, cfg)
	if err := g.callers.apply(next); err != nil {
		g.log.Error("configuration not reloaded: nothing has changed", "reason", err)
		return running
	}
	for _, part := range waiting {
		g.log.Warn("change takes effect at the next start only", "part", part)
	}
	g.log.Info("configuration reloaded", "reverse_targets", len(g.callers.manager.Snapshot()), "waiting_for_restart", len(waiting))
	return next
}

// takeOver returns running with those parts of next that a running gateway can
// take over, and the names of the changed parts that it cannot. What is taken
// over is the reverse-connect part; another part joins it by being copied here.
func takeOver(running, next *config.Config) (*config.Config, []string) {
	merged := *running
	merged.Sources = next.Sources
	merged.MaxSockets = next.MaxSockets
	merged.Endpoints = slices.Clone(running.Endpoints)
	waiting := changedParts(running, next)
	for i := range next.Endpoints {
		ep := &next.Endpoints[i]
		at := slices.IndexFunc(merged.Endpoints, func(e config.Endpoint) bool { return e.URL == ep.URL })
		if at < 0 || !reflect.DeepEqual(bare(merged.Endpoints[at]), bare(*ep)) {
			waiting = append(waiting, "UaEndpoint "+ep.URL)
			continue
		}
		merged.Endpoints[at].ReverseClients = ep.ReverseClients
		merged.Endpoints[at].DirectoryClients = ep.DirectoryClients
	}
	for i := range running.Endpoints {
		url := running.Endpoints[i].URL
		if !slices.ContainsFunc(next.Endpoints, func(e config.Endpoint) bool { return e.URL == url }) {
			waiting = append(waiting, fmt.Sprintf("UaEndpoint %s, which is not there any more", url))
		}
	}
	return &merged, waiting
}

// bare is an endpoint without what can change while it runs, nor where it stands.
func bare(e config.Endpoint) config.Endpoint {
	e.Line, e.ReverseClients, e.DirectoryClients = 0, nil, nil
	return e
}

// changedParts names the fields of a Config that differ and that nothing takes
// over. A new field is among them until somebody does.
func changedParts(a, b *config.Config) []string {
	var names []string
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		switch name := x.Type().Field(i).Name; name {
		case "Sources", "MaxSockets", "Endpoints":
		default:
			if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
				names = append(names, name)
			}
		}
	}
	return names
}
