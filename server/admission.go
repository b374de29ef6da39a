package server

import (
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// admissions counts SecureChannels against MaxSecureChannels and inbound
// TransportConnections against their caps. All of it is guarded by Server.mu.
type admissions struct {
	limits   *Limits
	channels int
	inbound  int
	address  map[string]int // inbound connections by peer
	tokens   float64        // accepts allowed right now
	refilled time.Time      // monotonic
}

func (a *admissions) init(l *Limits) {
	*a = admissions{
		limits:   l,
		address:  make(map[string]int),
		tokens:   float64(l.AcceptBurst),
		refilled: time.Now(),
	}
}

// accept takes in one inbound connection from host, or refuses it for the
// rate, the total or the peer's own share.
func (a *admissions) accept(host string, now time.Time) bool {
	a.tokens += now.Sub(a.refilled).Seconds() * a.limits.AcceptRate
	a.tokens = min(a.tokens, float64(a.limits.AcceptBurst))
	a.refilled = now
	if a.tokens < 1 || a.inbound >= a.limits.MaxConnections ||
		a.address[host] >= a.limits.MaxConnectionsPerAddress {
		return false
	}
	a.tokens--
	a.inbound++
	a.address[host]++
	return true
}

func (a *admissions) leaveInbound(host string) {
	a.inbound--
	if a.address[host]--; a.address[host] == 0 {
		delete(a.address, host)
	}
}

// admitChannel makes room for the SecureChannel of c. When all are taken, the
// oldest inbound one without a Session gives way (Part 4 1.05, 5.6.2.1); a
// channel that this side dialled never does.
func (s *Server) admitChannel(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admissions.channels >= s.limits.MaxSecureChannels {
		victim := s.oldestUnused()
		if victim == nil {
			return false
		}
		s.admissions.leave(victim)
		victim.drop(errGaveWay)
	}
	s.admissions.channels++
	c.opened = time.Now()
	return true
}

func (s *Server) oldestUnused() (oldest *connection) {
	for c := range s.connections {
		if !c.inbound || c.opened.IsZero() || len(c.sessions) > 0 {
			continue
		}
		if oldest == nil || c.opened.Before(oldest.opened) {
			oldest = c
		}
	}
	return oldest
}

// leave gives the place of c back, once.
func (a *admissions) leave(c *connection) {
	if !c.opened.IsZero() {
		a.channels--
		c.opened = time.Time{}
	}
}

func transportConfig(l *Limits) uatcp.Config {
	return uatcp.Config{
		ReceiveBufferSize: l.BufferSize,
		SendBufferSize:    l.BufferSize,
		MaxMessageSize:    l.MaxMessageSize,
		MaxChunkCount:     l.MaxChunkCount,
		FrameTimeout:      l.FrameTimeout,
		WriteTimeout:      l.WriteTimeout,
		Unauthenticated:   uatcp.NewBudget(l.UnauthenticatedBytes),
	}
}

// channelConfig is what SecureChannels of e are opened with. The policy None
// always opens, for discovery (Part 4 1.05, 5.5.1); whether Sessions may use it
// is decided in CreateSession.
func (s *Server) channelConfig(e *Endpoint) securechannel.Config {
	l := &s.limits
	return securechannel.Config{
		Identity:           e.cfg.Identity,
		Allowed:            e.offers,
		Trust:              e.cfg.Trust,
		MinLifetime:        l.MinTokenLifetime,
		MaxLifetime:        l.MaxTokenLifetime,
		OpenTimeout:        l.OpenTimeout,
		SessionlessTimeout: l.ChannelIdleTime,
		BeforeSession: securechannel.MessageLimits{
			MaxMessageSize: int(l.MaxHandshakeMessageSize),
			MaxChunkCount:  int(l.MaxHandshakeChunkCount),
			FrameTimeout:   l.FrameTimeout,
		},
		InSession: securechannel.MessageLimits{
			MaxMessageSize: int(l.MaxMessageSize),
			MaxChunkCount:  int(l.MaxChunkCount),
		},
		Budget:     s.reassembly,
		Handshakes: s.handshakes,
		Log:        s.log,
	}
}
