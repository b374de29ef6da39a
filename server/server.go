package server

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// Server answers OPC UA clients on any number of connections.
//
// Locks nest in this order: Server.mu, session.mu.
type Server struct {
	current         atomic.Pointer[settings]
	space           *addressspace.Space
	log             *slog.Logger
	services        map[uint32]service
	started         time.Time
	counters        counters
	totals          subscriptionTotals
	points          atomic.Int64 // continuation points of all Sessions
	logins          *loginGuard
	handshakes      *securechannel.Handshakes
	unauthenticated *uatcp.Budget  // frames of strangers
	reassembly      *uatcp.Budget  // incomplete messages
	responses       *uatcp.Budget  // large responses on their way
	serving         sync.WaitGroup // Serve calls
	ending          sync.WaitGroup // connections being told why they end

	mu          sync.RWMutex
	sessions    map[uabinary.NodeID]*session // guarded by mu; by authentication token
	connections map[*connection]struct{}     // guarded by mu
	admissions  admissions                   // guarded by mu
	stopping    bool                         // guarded by mu
}

// New checks cfg and makes a Server on space, where it publishes its status,
// limits and counters. A nil log discards.
func New(cfg Config, space *addressspace.Space, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = slog.New(limitLog(log.Handler()))
	s := &Server{
		space:       space,
		log:         log,
		services:    services(),
		started:     time.Now(),
		sessions:    make(map[uabinary.NodeID]*session),
		connections: make(map[*connection]struct{}),
	}
	l := cfg.Limits.withDefaults()
	s.unauthenticated = uatcp.NewBudget(l.UnauthenticatedBytes)
	s.reassembly = uatcp.NewBudget(l.ReassemblyBytesTotal)
	s.responses = uatcp.NewBudget(l.ResponseBytesTotal)
	s.handshakes = securechannel.NewHandshakes(l.Handshakes)
	s.logins = newLoginGuard(&l)
	st, err := s.newSettings(cfg, nil)
	if err != nil {
		return nil, err
	}
	s.current.Store(st)
	s.admissions.init(&st.limits)
	s.setState(ua.ServerStateRunning, 0)
	s.publishCapabilities()
	s.publishDiagnostics()
	s.implementMethods()
	return s, nil
}

// Endpoint returns the endpoint at position i of Config.Endpoints. It stands
// for the endpoint with its URL, whatever the settings of that are later.
func (s *Server) Endpoint(i int) *Endpoint { return s.settings().endpoints[i] }

// EndpointByURL is Endpoint for the one with this URL, nil if there is none.
func (s *Server) EndpointByURL(url string) *Endpoint { return s.settings().endpoint(url) }

// Serve answers one TransportConnection until it ends, whoever dialled it, and
// closes it. progress, which may be nil, is called as the connection advances.
// Serve waits for Hello as long as nc and ctx let it: who owns the socket
// bounds that silence.
func (s *Server) Serve(ctx context.Context, nc net.Conn, ep *Endpoint, progress func(uatcp.Stage)) uatcp.Report {
	return s.serve(ctx, newConnection(s, nc, ep, progress))
}

func (s *Server) serve(ctx context.Context, c *connection) uatcp.Report {
	if !s.register(c) {
		c.nc.Close()
		return uatcp.Report{Err: errStopping}
	}
	defer s.serving.Done()
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.end(errStopping); close(told) })
	err := c.runSafely(ctx)
	if !stop() {
		<-told
	}
	cancel()
	c.nc.Close()
	c.aside.Wait()
	s.deregister(c)
	return c.report(err)
}

func (s *Server) register(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.serving.Add(1)
	s.connections[c] = struct{}{}
	if !c.inbound {
		s.admissions.others++
	}
	return true
}

// deregister forgets c. Its activated Sessions stay, to be activated on
// another channel within their timeout.
func (s *Server) deregister(c *connection) {
	s.mu.Lock()
	delete(s.connections, c)
	if !c.inbound {
		s.admissions.others--
	}
	s.admissions.leave(c)
	left := make([]*session, 0, len(c.sessions))
	for sess := range c.sessions {
		left = append(left, sess)
	}
	clear(c.sessions)
	s.mu.Unlock()
	for _, sess := range left {
		s.channelLost(sess, c)
	}
}

// Shutdown publishes the state Shutdown, closes all Sessions and then all
// connections, and waits for them until ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	sessions := make([]*session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		sessions = append(sessions, sess)
	}
	s.mu.Unlock()
	left := time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	s.setState(ua.ServerStateShutdown, left)
	for _, sess := range sessions {
		s.closeSession(sess, true)
	}
	s.mu.RLock()
	for c := range s.connections {
		s.ending.Go(func() { c.end(errStopping) })
	}
	s.mu.RUnlock()
	done := make(chan struct{})
	go func() { s.serving.Wait(); s.ending.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
