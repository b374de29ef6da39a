package reverseconnect

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Defaults of a ListenerConfig.
const (
	DefaultReadTimeout = 10 * time.Second
	DefaultHoldTimeout = 30 * time.Second
	DefaultMaxReading  = 256
	DefaultMaxHeld     = 64
)

// maxReadTimeout is the longest that an acceptor may wait for the first message by default. Part 6 (1.05), 7.1.3
const maxReadTimeout = 2 * time.Minute

// What strangers cause is told in bursts of at most lineBurst lines, then one per lineInterval.
const (
	lineInterval = 200 * time.Millisecond
	lineBurst    = 20
)

// ListenerConfig is what a Listener needs. A zero field takes its default.
type ListenerConfig struct {
	// URLs are addresses to listen on besides the one given to Listen.
	URLs []string
	// Allow lists the ServerUris that may call, byte for byte; empty is everyone.
	Allow []string
	// ReadTimeout bounds the arrival of the ReverseHello, default 10 s, at most 2 min.
	ReadTimeout time.Duration
	// HoldTimeout is how long a call is kept that nobody waits for, default 30 s. Then the socket is closed without an
	// Error, so that the server calls again at once.
	HoldTimeout time.Duration
	// MaxReading and MaxHeld bound the sockets whose ReverseHello is awaited, default 256, and those that are held, default
	// 64. The oldest makes room; of held ones the oldest of the same server, if it has any, so that no server can push
	// out all others.
	MaxReading, MaxHeld int
	// Events, if set, is told of each step of each call: in order for one call, from several goroutines for several.
	// It must not block.
	Events func(Event)
	// Log gets a line for each step; nil discards.
	Log *slog.Logger

	screen func(ReverseHello) *CallError // a last look at a server that is allowed, may be nil
}

func (cfg ListenerConfig) withDefaults() (ListenerConfig, error) {
	if cfg.ReadTimeout < 0 || cfg.ReadTimeout > maxReadTimeout {
		return cfg, fmt.Errorf("reverseconnect: ReadTimeout is %v, must be at most %v", cfg.ReadTimeout, maxReadTimeout)
	}
	if cfg.HoldTimeout < 0 || cfg.MaxReading < 0 || cfg.MaxHeld < 0 {
		return cfg, errors.New("reverseconnect: HoldTimeout, MaxReading and MaxHeld must not be negative")
	}
	if slices.Contains(cfg.Allow, "") {
		return cfg, errors.New("reverseconnect: an empty ServerUri cannot be allowed")
	}
	cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, DefaultReadTimeout)
	cfg.HoldTimeout = cmp.Or(cfg.HoldTimeout, DefaultHoldTimeout)
	cfg.MaxReading = cmp.Or(cfg.MaxReading, DefaultMaxReading)
	cfg.MaxHeld = cmp.Or(cfg.MaxHeld, DefaultMaxHeld)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// ErrListenerClosed is returned by Accept when the Listener was closed.
var ErrListenerClosed = errors.New("reverseconnect: listener closed")

// Filter says which server is waited for. An empty field is any.
type Filter struct {
	ServerURI   string
	EndpointURL string
}

func (f Filter) matches(rhe ReverseHello) bool {
	return (f.ServerURI == "" || f.ServerURI == rhe.ServerURI) &&
		(f.EndpointURL == "" || f.EndpointURL == rhe.EndpointURL)
}

// Listener is the client's end: servers call it. Each accepted socket has one goroutine until it is handed out.
type Listener struct {
	nls     []net.Listener
	cfg     ListenerConfig
	log     *slog.Logger
	allowed map[string]bool // empty: everyone
	pace    sharedPacer     // of lines
	done    chan struct{}   // closed by Close
	tasks   sync.WaitGroup

	mu      sync.Mutex
	reading *list.List // of *call, guarded by mu, oldest first
	held    *list.List // of *call, guarded by mu, oldest first
	waiters *list.List // of *waiter, guarded by mu, in the order of asking
	closed  bool       // guarded by mu
}

// Listen accepts the calls of servers at url, such as opc.tcp://0.0.0.0:48061; port 0 is any free port.
// The caller closes the Listener.
func Listen(ctx context.Context, url string, cfg ListenerConfig) (*Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, url := range slices.Concat([]string{url}, cfg.URLs) {
		address, err := listenAddress(url)
		if err != nil {
			return nil, fmt.Errorf("reverseconnect: %w", err)
		}
		addresses = append(addresses, address)
	}
	nls, err := listenAll(ctx, forServers(), addresses)
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: %w", err)
	}
	return newListener(cfg, nls...), nil
}

// newListener serves nls with a complete cfg.
func newListener(cfg ListenerConfig, nls ...net.Listener) *Listener {
	l := &Listener{
		nls: nls, cfg: cfg, log: cfg.Log, allowed: make(map[string]bool),
		pace:    sharedPacer{pacer: pacer{interval: lineInterval, burst: lineBurst}},
		done:    make(chan struct{}),
		reading: list.New(), held: list.New(), waiters: list.New(),
	}
	for _, uri := range cfg.Allow {
		l.allowed[uri] = true
	}
	for _, nl := range nls {
		l.tasks.Go(func() {
			acceptAll(nl, l.done, l.receive, func(err error) {
				l.log.Error("reverse connect listener cannot accept", "addr", nl.Addr().String(), "err", err)
			})
		})
	}
	return l
}

// Addr returns the address that servers call, the first if there are several.
func (l *Listener) Addr() net.Addr { return l.nls[0].Addr() }

// Addrs returns all addresses that servers call, in the order of their URLs.
func (l *Listener) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(l.nls))
	for i, nl := range l.nls {
		addrs[i] = nl.Addr()
	}
	return addrs
}

// Held returns how many calls that filter lets through wait to be handed out.
func (l *Listener) Held(filter Filter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for e := l.held.Front(); e != nil; e = e.Next() {
		if filter.matches(e.Value.(*call).rhe) {
			n++
		}
	}
	return n
}

// Close stops listening, hangs up on everybody not handed out and lets waiting Accepts return ErrListenerClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	err := closeAll(l.nls)
	for l.waiters.Len() > 0 {
		close(l.waiters.Remove(l.waiters.Front()).(*waiter).session)
	}
	for _, calls := range []*list.List{l.reading, l.held} {
		for e := calls.Front(); e != nil; e = e.Next() {
			e.Value.(*call).nc.Close()
		}
	}
	l.mu.Unlock()
	l.tasks.Wait()
	return err
}

// receive starts reading what nc has to say. Too many silent sockets push out the oldest.
func (l *Listener) receive(nc net.Conn) {
	c := &call{nc: nc}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		nc.Close()
		return
	}
	l.place(c, l.reading)
	if l.reading.Len() > l.cfg.MaxReading {
		oldest := l.reading.Front().Value.(*call)
		l.place(oldest, nil)
		oldest.evicted = true
		oldest.nc.Close()
	}
	l.tasks.Go(func() { l.serve(c) })
}

// Accept returns the next call of a server that filter lets through: one that is held already, the youngest first,
// or the next to come. Who asked first is served first.
func (l *Listener) Accept(ctx context.Context, filter Filter) (*Session, error) {
	s, err := l.accept(ctx.Done(), filter)
	if err == errGivenUp {
		err = context.Cause(ctx)
	}
	return s, err
}

// errGivenUp is returned when done was closed before a call came.
var errGivenUp = errors.New("reverseconnect: given up waiting for the server to call")

// accept is Accept until done is closed.
func (l *Listener) accept(done <-chan struct{}, filter Filter) (*Session, error) {
	w := &waiter{filter: filter, session: make(chan *Session, 1)}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrListenerClosed
	}
	l.enqueue(w)
	l.mu.Unlock()
	select {
	case s, ok := <-w.session:
		if !ok {
			return nil, ErrListenerClosed
		}
		return s, nil
	case <-done:
		return l.withdraw(w)
	}
}

// waiter is one Accept.
type waiter struct {
	filter  Filter
	session chan *Session // one Session is sent, or it is closed

	place *list.Element // in Listener.waiters, nil when a call is on its way; guarded by Listener.mu
	gone  bool          // gave up; guarded by Listener.mu
}

// enqueue finds a held call for w, or lets it wait. l.mu is held.
func (l *Listener) enqueue(w *waiter) {
	for e := l.held.Back(); e != nil; e = e.Prev() {
		if c := e.Value.(*call); w.filter.matches(c.rhe) {
			l.claim(c, w)
			return
		}
	}
	w.place = l.waiters.PushBack(w)
}

// claim promises c, which is held, to w. l.mu is held.
func (l *Listener) claim(c *call, w *waiter) {
	l.place(c, nil)
	c.claimant = w
	c.wake()
}

// withdraw ends the waiting of w, unless a call is just being handed over.
func (l *Listener) withdraw(w *waiter) (*Session, error) {
	l.mu.Lock()
	w.gone = true
	if w.place != nil {
		l.waiters.Remove(w.place)
		w.place = nil
		l.mu.Unlock()
		return nil, errGivenUp
	}
	l.mu.Unlock()
	if s, ok := <-w.session; ok {
		return s, nil
	}
	return nil, errGivenUp
}
