package main

import (
	"context"
	"net"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/status"
	"github.com/edgeua/edgeua/reverseconnect"
)

// showReverse makes the nodes of the reverse connections, behind the devices'
// namespace, and the manager whose clients they show.
func (g *gateway) showReverse(space *addressspace.Space) error {
	nodes, err := status.NewReverseConnections(space, g.connectNow)
	if err != nil {
		return err
	}
	g.manager, err = g.newManager(func(s reverseconnect.TargetStatus) { nodes.Update(reverseClient(s)) })
	if err != nil {
		return err
	}
	for _, client := range g.reverseClients() {
		if err := nodes.Add(client); err != nil {
			return err
		}
	}
	return nil
}

// connectNow serves the Method of that name.
func (g *gateway) connectNow(url, user string) ua.StatusCode {
	g.log.Info("reverse connect asked for", "url", url, "user", user)
	if g.manager.ConnectNow(url) {
		return ua.StatusOK
	}
	return ua.StatusBadInvalidState // there is a socket, or soon will be
}

func (g *gateway) reverseClients() []status.ReverseClient {
	var all []status.ReverseClient
	for _, s := range g.manager.Snapshot() {
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
	return status.Serve(ctx, g.metrics, status.Handler(status.Sources{Server: g.counts, Reverse: g.reverseClients}), g.log)
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
