package server

import (
	"maps"
	"net"
	"net/netip"
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
	others   int              // connections that did not come by Listen: never refused, but counted
	rate     bucket           // of all peers
	peers    map[string]*peer // by address
}

// peerOf is what counts as one address of a connection. IPv6 gives each
// subscriber a /64 at least (RFC 4291, 2.5.4), in which he can take any address
// he likes. The machines of one site share a /64, however, as they share an
// IPv4 network: neighbours count one by one.
func peerOf(nc net.Conn) string {
	host := hostOf(nc.RemoteAddr())
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap(); neighbour(addr, hostOf(nc.LocalAddr())) {
		return addr.String()
	}
	return subscriberOf(host)
}

// neighbour reports whether addr is on the link of the address local, or on
// the site's own network (RFC 4193).
func neighbour(addr netip.Addr, local string) bool {
	if addr.Is4() || addr.IsLinkLocalUnicast() || addr.IsPrivate() {
		return true
	}
	own, err := netip.ParseAddr(local)
	if err != nil {
		return false
	}
	link, err := own.WithZone("").Prefix(64)
	return err == nil && link.Contains(addr.WithZone(""))
}

// subscriberOf is what guesses of passwords count by: the /64 of an IPv6
// address, also that of neighbours, link-local ones by interface. Within it
// clients are told apart by their certificates.
func subscriberOf(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap()
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	if addr.Zone() == "" {
		return prefix.String()
	}
	return prefix.String() + "%" + addr.Zone()
}

// peer is one address, or IPv6 network, that connections come from. It is
// remembered while any is open or its bucket is not full.
type peer struct {
	open int
	rate bucket
}

// manyPeers is from how many on those without a connection are looked through.
const manyPeers = 256

func (a *admissions) init(l *Limits) {
	*a = admissions{limits: l, peers: make(map[string]*peer)}
}

// accept takes in one inbound connection from host, or refuses it for the
// rate, the total or the peer's own share. One peer has half of the rate, so
// that it cannot keep others out.
func (a *admissions) accept(host string, now time.Time) bool {
	rate, burst := a.limits.AcceptRate, float64(a.limits.AcceptBurst)
	p := a.peers[host]
	if p == nil {
		p = &peer{}
	}
	a.rate.fill(now, rate, burst)
	p.rate.fill(now, rate/2, max(1, burst/2))
	if a.inbound+a.others >= a.limits.MaxConnections || p.open >= a.limits.MaxConnectionsPerAddress ||
		a.rate.tokens < 1 || p.rate.tokens < 1 {
		return false
	}
	a.rate.tokens--
	p.rate.tokens--
	a.inbound++
	p.open++
	a.remember(host, p, now)
	return true
}

func (a *admissions) remember(host string, p *peer, now time.Time) {
	if len(a.peers) >= manyPeers {
		full := time.Duration(float64(a.limits.AcceptBurst) / a.limits.AcceptRate * float64(time.Second))
		maps.DeleteFunc(a.peers, func(_ string, p *peer) bool {
			return p.open == 0 && now.Sub(p.rate.filled) > full
		})
	}
	a.peers[host] = p
}

func (a *admissions) leaveInbound(host string) {
	a.inbound--
	a.peers[host].open--
}

// bucket allows a rate with bursts. It starts full.
type bucket struct {
	tokens float64
	filled time.Time // monotonic
}

func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.filled.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+now.Sub(b.filled).Seconds()*rate)
	}
	b.filled = now
}

// admitChannel makes room for the SecureChannel of c. When all are taken, the
// oldest inbound one without a Session gives way (Part 4 1.05, 5.6.2.1); a
// channel that this side dialled never does.
func (s *Server) admitChannel(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admissions.channels >= s.limits().MaxSecureChannels {
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

func transportConfig(l *Limits, strangers *uatcp.Budget) uatcp.Config {
	return uatcp.Config{
		ReceiveBufferSize: l.BufferSize,
		SendBufferSize:    l.BufferSize,
		MaxMessageSize:    l.MaxMessageSize,
		MaxChunkCount:     l.MaxChunkCount,
		FrameTimeout:      l.FrameTimeout,
		WriteTimeout:      l.WriteTimeout,
		Unauthenticated:   strangers,
	}
}

// channelConfig is what SecureChannels of e are opened with. The policy None
// always opens, for discovery (Part 4 1.05, 5.5.1); whether Sessions may use it
// is decided in CreateSession.
func (s *Server) channelConfig(e *Endpoint, l *Limits) securechannel.Config {
	return securechannel.Config{
		Identity:           e.cfg.Identity,
		Allowed:            e.offers,
		AllowLongKeys:      e.cfg.AllowLongKeys,
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
