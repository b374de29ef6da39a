package main

import (
	"github.com/edgeua/edgeua/internal/status"
)

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
