package reverseconnect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Defaults of a BridgeConfig.
const (
	DefaultWaitTimeout  = 15 * time.Second
	DefaultIdleTimeout  = time.Hour
	DefaultMaxClients   = 32
	DefaultMaxAutomatic = 64
	// DefaultBridgeHold and DefaultBridgeMaxHeld take the place of the Listener's own defaults: a bridge wants a call to be
	// there before a client comes.
	DefaultBridgeHold    = time.Hour
	DefaultBridgeMaxHeld = 1024
)

// Route offers a server on a port.
type Route struct {
	ServerURI   string // as the server announces it, byte for byte
	EndpointURL string // the same; empty is any
	Address     string // host:port where clients connect; port 0 is any free one
}

// PortRange is where a Bridge finds ports for servers that have no Route.
type PortRange struct {
	Host        string // an address of this machine
	First, Last uint16 // First 0: any free ports
}

// BridgeConfig is what a Bridge needs. A zero field takes its default.
type BridgeConfig struct {
	// Listener is how servers are let in. Those with a Route are allowed besides its Allow list. An empty list allows
	// everybody if there are Automatic ports, and otherwise nobody else. Its HoldTimeout and MaxHeld have other defaults.
	Listener ListenerConfig
	// Routes are the servers that have ports of their own.
	Routes []Route
	// Automatic gives every other server that may call the next port of a range, by its ServerUri; nil gives none.
	Automatic *PortRange
	// MaxAutomatic bounds the number of ports without a Route, default 64.
	MaxAutomatic int
	// WaitTimeout is how long a client waits for its server to call, default 15 s.
	WaitTimeout time.Duration
	// IdleTimeout is how long a client may say nothing, default 1 h. It is noticed at most a quarter later.
	IdleTimeout time.Duration
	// MaxClients bounds the connections to one server's port, default 32.
	MaxClients int
	// Changed, if set, is called after each change of what Status returns. It must not block, nor call the Bridge.
	Changed func()
	// Log gets a line for each connection; nil discards.
	Log *slog.Logger
}

func (cfg BridgeConfig) withDefaults() (BridgeConfig, error) {
	if cfg.WaitTimeout < 0 || cfg.IdleTimeout < 0 || cfg.MaxClients < 0 || cfg.MaxAutomatic < 0 {
		return cfg, errors.New("reverseconnect: WaitTimeout, IdleTimeout, MaxClients and MaxAutomatic must not be negative")
	}
	if len(cfg.Routes) == 0 && cfg.Automatic == nil {
		return cfg, errors.New("reverseconnect: a bridge needs routes or automatic ports")
	}
	if r := cfg.Automatic; r != nil && (r.Last < r.First || r.First == 0 && r.Last != 0) {
		return cfg, fmt.Errorf("reverseconnect: %d to %d is not a range of ports", r.First, r.Last)
	}
	if err := checkRoutes(cfg.Routes); err != nil {
		return cfg, err
	}
	cfg.WaitTimeout = cmp.Or(cfg.WaitTimeout, DefaultWaitTimeout)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, DefaultIdleTimeout)
	cfg.MaxClients = cmp.Or(cfg.MaxClients, DefaultMaxClients)
	cfg.MaxAutomatic = cmp.Or(cfg.MaxAutomatic, DefaultMaxAutomatic)
	cfg.Listener.HoldTimeout = cmp.Or(cfg.Listener.HoldTimeout, DefaultBridgeHold)
	cfg.Listener.MaxHeld = cmp.Or(cfg.Listener.MaxHeld, DefaultBridgeMaxHeld)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Listener.Log == nil {
		cfg.Listener.Log = cfg.Log
	}
	cfg.Listener.Allow = cfg.allowed()
	return cfg, nil
}

// checkRoutes refuses what can only be a mistake.
func checkRoutes(routes []Route) error {
	for i, r := range routes {
		if r.ServerURI == "" || len(r.ServerURI) > MaxTextLength {
			return fmt.Errorf("reverseconnect: route to %s has no ServerUri, or one that is too long", r.Address)
		}
		if r.EndpointURL != "" {
			if err := checkEndpointURL(r.EndpointURL); err != nil {
				return fmt.Errorf("reverseconnect: route of %q: %w", r.ServerURI, err)
			}
		}
		for _, other := range routes[:i] {
			if r.ServerURI == other.ServerURI && (r.EndpointURL == other.EndpointURL || r.EndpointURL == "" || other.EndpointURL == "") {
				return fmt.Errorf("reverseconnect: %q has two routes for the same calls", r.ServerURI)
			}
		}
	}
	return nil
}

// allowed returns who may call; nobody in it is everybody.
func (cfg *BridgeConfig) allowed() []string {
	if cfg.Automatic != nil && len(cfg.Listener.Allow) == 0 {
		return nil
	}
	allow := slices.Clone(cfg.Listener.Allow)
	for _, r := range cfg.Routes {
		allow = append(allow, r.ServerURI)
	}
	return allow
}

// Bridge lets clients without reverse connect reach the servers that call: each server has a port, and a client that
// connects there is joined with a call of that server. The bytes pass untouched but for the EndpointUrl in Hello, so that
// the SecureChannel is one between client and server. See docs/decisions/0007.
type Bridge struct {
	cfg      BridgeConfig
	log      *slog.Logger
	events   func(Event) // the caller's, may be nil
	listener *Listener
	ready    chan struct{} // closed when listener is there
	done     chan struct{} // closed by Close
	pace     sharedPacer   // of warnings
	tasks    sync.WaitGroup

	mu        sync.Mutex
	routes    []*route              // guarded by mu
	automatic int                   // guarded by mu; how many of them have no Route
	open      map[net.Conn]struct{} // guarded by mu; connections of clients, and those they are joined with
	closed    bool                  // guarded by mu
}

// OpenBridge listens for servers at url, such as opc.tcp://0.0.0.0:48061, and for clients on the ports of the routes.
// The caller closes the Bridge.
func OpenBridge(ctx context.Context, url string, cfg BridgeConfig) (*Bridge, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, r := range cfg.Routes {
		addresses = append(addresses, r.Address)
	}
	nls, err := listenAll(ctx, &net.ListenConfig{}, addresses)
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: %w", err)
	}
	b := newBridge(cfg)
	if b.listener, err = Listen(ctx, url, b.cfg.Listener); err != nil {
		_ = closeAll(nls)
		return nil, err
	}
	b.start(nls)
	return b, nil
}

// newBridge makes a Bridge of a complete cfg that still lacks its listener.
func newBridge(cfg BridgeConfig) *Bridge {
	b := &Bridge{
		cfg: cfg, log: cfg.Log, events: cfg.Listener.Events, open: make(map[net.Conn]struct{}),
		ready: make(chan struct{}), done: make(chan struct{}),
		pace: sharedPacer{pacer: pacer{interval: lineInterval, burst: lineBurst}},
	}
	b.cfg.Listener.screen, b.cfg.Listener.Events = b.screen, b.heard
	return b
}

// start serves the routes on nls.
func (b *Bridge) start(nls []net.Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range b.cfg.Routes {
		b.add(Filter{ServerURI: r.ServerURI, EndpointURL: r.EndpointURL}, nls[i])
	}
	close(b.ready)
}

// add serves a new route. b.mu is held.
func (b *Bridge) add(filter Filter, nl net.Listener) {
	r := &route{b: b, filter: filter, nl: nl}
	b.routes = append(b.routes, r)
	b.tasks.Go(func() { acceptAll(nl, b.done, r.receive, r.cannotAccept) })
}

// Addrs returns the addresses that servers call.
func (b *Bridge) Addrs() []net.Addr { return b.listener.Addrs() }

// Close hangs up on everybody and waits for the end of all connections.
func (b *Bridge) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	close(b.done)
	var nls []net.Listener
	for _, r := range b.routes {
		nls = append(nls, r.nl)
	}
	for nc := range b.open {
		nc.Close()
	}
	b.mu.Unlock()
	err := errors.Join(closeAll(nls), b.listener.Close())
	b.tasks.Wait()
	return err
}

// track notes an open connection, so that Close can end it. It reports false when the Bridge is closed.
func (b *Bridge) track(nc net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		nc.Close()
		return false
	}
	b.open[nc] = struct{}{}
	return true
}

func (b *Bridge) hangUpOn(nc net.Conn) {
	nc.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, nc)
}

// screen turns away a server that no client could reach. A new one gets a port, if there is one.
func (b *Bridge) screen(rhe ReverseHello) *CallError {
	<-b.ready
	b.mu.Lock()
	defer b.mu.Unlock()
	known := slices.ContainsFunc(b.cfg.Routes, func(r Route) bool { return r.ServerURI == rhe.ServerURI })
	switch {
	case b.closed, b.find(rhe) != nil:
		return nil
	case known:
		return refused(ErrNoRoute, ua.StatusBadTCPEndpointURLInvalid)
	case b.automatic == b.cfg.MaxAutomatic:
		return refused(ErrNoPort, statusBadServerTooBusy)
	}
	nl, err := b.cfg.Automatic.listen()
	if err != nil {
		return &CallError{Reason: ErrNoPort, Code: statusBadServerTooBusy, Err: err}
	}
	b.automatic++
	b.add(Filter{ServerURI: rhe.ServerURI}, nl)
	return nil
}

// find returns the route of a call, nil if there is none. b.mu is held.
func (b *Bridge) find(rhe ReverseHello) *route {
	for _, r := range b.routes {
		if r.filter.matches(rhe) {
			return r
		}
	}
	return nil
}

// heard keeps the status of the route that a call is for.
func (b *Bridge) heard(e Event) {
	if e.Kind == EventAccepted {
		b.mu.Lock()
		if r := b.find(ReverseHello{ServerURI: e.ServerURI, EndpointURL: e.EndpointURL}); r != nil {
			r.status.LastCall, r.status.RemoteAddr, r.status.EndpointURL = time.Now(), e.RemoteAddr, e.EndpointURL
		}
		b.mu.Unlock()
	}
	if b.events != nil {
		b.events(e)
	}
	b.changed()
}

func (b *Bridge) changed() {
	if b.cfg.Changed != nil {
		b.cfg.Changed()
	}
}

// listen takes the first port that is free.
func (r *PortRange) listen() (net.Listener, error) {
	var failure error
	for port := int(r.First); port <= int(r.Last); port++ {
		nl, err := net.Listen("tcp", net.JoinHostPort(r.Host, strconv.Itoa(port)))
		if err == nil {
			return nl, nil
		}
		failure = err
	}
	return nil, failure
}
