package reverseconnect

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Defaults of a ListenerConfig.
const (
	DefaultReadTimeout = 10 * time.Second
	DefaultHoldTimeout = 30 * time.Second
	DefaultMaxReading  = 64
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
	// Allow lists the ServerUris that may call, byte for byte; empty is everyone.
	Allow []string
	// ReadTimeout bounds the arrival of the ReverseHello, default 10 s, at most 2 min.
	ReadTimeout time.Duration
	// HoldTimeout is how long a call is kept that nobody waits for, default 30 s. Then the socket is closed without an
	// Error, so that the server calls again at once.
	HoldTimeout time.Duration
	// MaxReading and MaxHeld bound the sockets whose ReverseHello is awaited and those that are held, default 64 each.
	// The oldest makes room.
	MaxReading, MaxHeld int
	// Log gets a line for each call; nil discards.
	Log *slog.Logger
}

func (cfg ListenerConfig) withDefaults() (ListenerConfig, error) {
	if cfg.ReadTimeout < 0 || cfg.ReadTimeout > maxReadTimeout {
		return cfg, fmt.Errorf("reverseconnect: ReadTimeout is %v, must be at most %v", cfg.ReadTimeout, maxReadTimeout)
	}
	if cfg.HoldTimeout < 0 || cfg.MaxReading < 0 || cfg.MaxHeld < 0 {
		return cfg, errors.New("reverseconnect: HoldTimeout, MaxReading and MaxHeld must not be negative")
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = DefaultReadTimeout
	}
	if cfg.HoldTimeout == 0 {
		cfg.HoldTimeout = DefaultHoldTimeout
	}
	if cfg.MaxReading == 0 {
		cfg.MaxReading = DefaultMaxReading
	}
	if cfg.MaxHeld == 0 {
		cfg.MaxHeld = DefaultMaxHeld
	}
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

func (f Filter) matches(rhe uatcp.ReverseHello) bool {
	return (f.ServerURI == "" || f.ServerURI == rhe.ServerURI) &&
		(f.EndpointURL == "" || f.EndpointURL == rhe.EndpointURL)
}

// Listener is the client's end: servers call it. Each accepted socket has one goroutine until it is handed out.
type Listener struct {
	nl    net.Listener
	cfg   ListenerConfig
	log   *slog.Logger
	pace  sharedPacer   // of lines
	done  chan struct{} // closed by Close
	tasks sync.WaitGroup

	mu      sync.Mutex
	reading *list.List // of *call, guarded by mu, oldest first
	held    *list.List // of *call, guarded by mu, oldest first
	waiters *list.List // of *waiter, guarded by mu, in the order of asking
	closed  bool       // guarded by mu
}

// Listen accepts the calls of servers at url, such as opc.tcp://0.0.0.0:48061; port 0 is any free port.
// The caller closes the Listener.
func Listen(ctx context.Context, url string, cfg ListenerConfig) (*Listener, error) {
	address, err := listenAddress(url)
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: %w", err)
	}
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	// A server behind a dead NAT mapping must not look as if it waited.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: DefaultKeepAlive, Interval: 5 * time.Second, Count: keepAliveProbes}}
	nl, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: %w", err)
	}
	return newListener(nl, cfg), nil
}

// newListener serves nl with a complete cfg.
func newListener(nl net.Listener, cfg ListenerConfig) *Listener {
	l := &Listener{
		nl: nl, cfg: cfg, log: cfg.Log,
		pace:    sharedPacer{pacer: pacer{interval: lineInterval, burst: lineBurst}},
		done:    make(chan struct{}),
		reading: list.New(), held: list.New(), waiters: list.New(),
	}
	l.tasks.Go(l.run)
	return l
}

// Addr returns the address that servers call.
func (l *Listener) Addr() net.Addr { return l.nl.Addr() }

// Close stops listening, hangs up on everybody not handed out and lets waiting Accepts return ErrListenerClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	err := l.nl.Close()
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

// run accepts sockets until the Listener is closed.
func (l *Listener) run() {
	const shortest, longest = 100 * time.Millisecond, time.Second
	delay := time.Duration(0)
	for {
		nc, err := l.nl.Accept()
		switch {
		case err == nil:
			delay = 0
			l.receive(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default: // such as no descriptors left: others may free some
			delay = min(max(2*delay, shortest), longest)
			l.tell(slog.LevelError, "reverse connect listener cannot accept", "err", err)
			select {
			case <-time.After(delay):
			case <-l.done:
			}
		}
	}
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
		l.reading.Front().Value.(*call).nc.Close()
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

// tell logs a line unless there are too many.
func (l *Listener) tell(level slog.Level, msg string, args ...any) {
	switch {
	case !l.pace.allow(time.Now()):
		l.log.Debug(msg, args...)
	case level == slog.LevelInfo:
		l.log.Info(msg, args...)
	default:
		l.log.Warn(msg, args...)
	}
}
