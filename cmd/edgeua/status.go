package main

import (
	"context"
	"net"

	"github.com/edgeua/edgeua/internal/status"
)

// bindMetrics opens the port of the metrics, if they are asked for.
func (g *gateway) bindMetrics(ctx context.Context) error {
	address := g.cfg.MetricsAddress
	if address == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		g.unbind()
		return listenError(address, err)
	}
	g.metrics = l
	return nil
}

// serveMetrics answers until ctx ends.
func (g *gateway) serveMetrics(ctx context.Context) error {
	if g.metrics == nil {
		return nil
	}
	return status.Serve(ctx, g.metrics, status.Handler(status.Sources{Server: g.counts, Reverse: g.callers.clients}), g.log)
}

func (g *gateway) counts() status.Server {
	c := g.server.Counts()
	return status.Server{
		Connections: c.Connections, Sessions: c.Sessions, Subscriptions: c.Subscriptions, MonitoredItems: c.MonitoredItems,
		CumulatedSessions: uint64(c.CumulatedSessions), RejectedSessions: uint64(c.RejectedSessions),
		SecurityRejectedSessions: uint64(c.SecurityRejectedSessions), TimedOutSessions: uint64(c.SessionTimeouts),
		RejectedRequests: uint64(c.RejectedRequests), SecurityRejectedRequests: uint64(c.SecurityRejectedRequests),
		RefusedConnections: uint64(c.RefusedConnections), Panics: uint64(c.Panics),
	}
}
