package server

import (
	"log/slog"

	"github.com/edgeua/edgeua/internal/securechannel"
)

// connection is one TransportConnection with its SecureChannel, owned by the
// goroutine in Serve; channel.Send may be called from any goroutine.
type connection struct {
	server  *Server
	ep      *Endpoint
	channel *securechannel.Channel
	log     *slog.Logger
}

// sendFailed is told when a response could not be sent.
func (c *connection) sendFailed(_ *call, err error) {
	c.log.Debug("response not sent", "err", err)
}
