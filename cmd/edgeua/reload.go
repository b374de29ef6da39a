package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// reloads reads the files again whenever hup says so or they have changed,
// until ctx ends. watch has been made before they were read first.
func (g *gateway) reloads(ctx context.Context, files *configFlags, watch *fileWatch, hup <-chan os.Signal) error {
	look := time.NewTicker(watchInterval)
	defer look.Stop()
	var told *xmltree.Report
	watch.add(g.files(files, told), g.read())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		case <-look.C:
			if !watch.changed() {
				continue
			}
		}
		watch.take(g.files(files, told))
		told = g.reload(ctx, files)
		watch.add(g.files(files, told), g.read())
	}
}

// files lists what the configuration comes from: the files that are looked for,
// those that were read or found wrong, and the own certificates.
func (g *gateway) files(files *configFlags, told *xmltree.Report) []string {
	all := config.Files(files.options())
	cfg, _ := g.holds()
	for _, source := range cfg.Sources {
		all = append(all, source.Path)
	}
	for i := range cfg.Endpoints {
		if c := &cfg.Endpoints[i].Certificate; c.File != "" {
			all = append(all, c.File, c.KeyFile)
		}
	}
	if told != nil {
		for _, p := range told.Problems {
			all = append(all, p.File)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// read tells when the files of the configuration were modified, as they were read.
func (g *gateway) read() map[string]time.Time {
	cfg, _ := g.holds()
	at := make(map[string]time.Time, len(cfg.Sources))
	for _, source := range cfg.Sources {
		at[source.Path] = source.Modified
	}
	return at
}

// reload reads the files and applies what is different. Files with an error
// change nothing.
func (g *gateway) reload(ctx context.Context, files *configFlags) *xmltree.Report {
	g.log.Info("configuration is read again")
	after, report := files.load()
	tell(g.log, report)
	if after == nil || report.HasErrors() {
		g.log.Error("configuration not reloaded: nothing has changed", "reason", findings(report))
		return report
	}
	before, _ := g.holds()
	p := newPlan(before, after)
	if err := g.apply(ctx, p, after.Application.URI); err != nil {
		g.log.Error("configuration not reloaded: nothing has changed", "reason", err)
		return report
	}
	for _, c := range p.changes {
		if c.waits {
			g.log.Warn("configuration changed", "part", c.Change.String(), "effect", c.effect)
			continue
		}
		g.log.Info("configuration changed", "part", c.Change.String(), "effect", c.effect)
	}
	g.log.Info("configuration reloaded", "changes", len(p.changes), "waiting_for_restart", p.waiting())
	return report
}

// apply makes the gateway that of the plan. Everything that can fail comes
// first: with an error nothing has changed. In the files the gateway is called
// fileURI, which may count at the next start only.
func (g *gateway) apply(ctx context.Context, p *plan, fileURI string) error {
	_, before := g.holds()
	ids, err := identities(p.next, before, g.log)
	if err != nil {
		return err
	}
	users, err := userTrust(p.next, ids, g.log)
	if err != nil {
		return err
	}
	sc := serverConfig(p.next, ids, users)
	sc.Rights = renamed(sc.Rights, p.next.Application.URI, fileURI)
	changeServer, err := g.server.Prepare(sc)
	if err != nil {
		return err
	}
	if err := errors.Join(drivers.Check(p.next.Channels), g.callers.check(p.next)); err != nil {
		return err
	}
	bound, err := g.ports.change(ctx, sockets(p.next))
	if err != nil {
		return err
	}

	changeServer(p.reopen)
	if err := errors.Join(g.devices.apply(p.next.Channels, p.stop, p.start), g.callers.apply(p.next, ids)); err != nil {
		g.log.Error("some of the configuration is not applied", "err", err) // it has been checked
	}
	bound.commit()
	g.registrar.apply(p.next, ids)
	g.follow(p.next)
	g.mu.Lock()
	g.cfg, g.ids = p.next, ids
	g.mu.Unlock()
	return nil
}
