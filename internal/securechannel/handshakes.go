package securechannel

import (
	"cmp"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

// HandshakeConfig bounds the OpenSecureChannel requests of all peers. A zero field takes its default.
type HandshakeConfig struct {
	Workers  int           // handshakes with RSA at the same time, default 1
	Queue    int           // handshakes waiting for their turn, default 8
	Wait     time.Duration // longest wait, default 10 s
	Rate     int           // attempts per second and address, default 5
	Failures int           // failed attempts within Window that lock an address, default 10
	Window   time.Duration // default 60 s
	Lock     time.Duration // how long an address stays locked, default 60 s
}

// maxPeers is how many addresses are remembered; the longest silent is forgotten first.
const maxPeers = 1024

// Handshakes limits how much of the processor strangers can make the RSA handshakes of all channels take. One value is shared by
// all channels of a server; nil does not limit.
type Handshakes struct {
	cfg    HandshakeConfig
	worker chan struct{}
	queue  chan struct{}

	mu    sync.Mutex
	peers map[netip.Addr]*peer // guarded by mu
}

// peer is what is remembered of one address.
type peer struct {
	tokens      float64 // attempts that it may make now
	seen        time.Time
	failures    int
	windowStart time.Time
	lockedUntil time.Time
}

// NewHandshakes returns the limits for one server.
func NewHandshakes(cfg HandshakeConfig) *Handshakes {
	cfg.Workers = cmp.Or(cfg.Workers, 1)
	cfg.Queue = cmp.Or(cfg.Queue, 8)
	cfg.Wait = cmp.Or(cfg.Wait, 10*time.Second)
	cfg.Rate = cmp.Or(cfg.Rate, 5)
	cfg.Failures = cmp.Or(cfg.Failures, 10)
	cfg.Window = cmp.Or(cfg.Window, time.Minute)
	cfg.Lock = cmp.Or(cfg.Lock, time.Minute)
	return &Handshakes{
		cfg:    cfg,
		worker: make(chan struct{}, cfg.Workers),
		queue:  make(chan struct{}, cfg.Queue+cfg.Workers),
		peers:  make(map[netip.Addr]*peer),
	}
}

var errTooBusy = &Error{Code: ua.StatusBadTCPServerTooBusy, Op: "too many handshakes"}

// admit counts one attempt of an address and refuses it when there were too many, or too many that failed.
func (h *Handshakes) admit(addr netip.Addr) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	p := h.peer(addr, now)
	if now.Before(p.lockedUntil) || p.tokens < 1 {
		return errTooBusy
	}
	p.tokens--
	return nil
}

// failed notes that an admitted attempt failed.
func (h *Handshakes) failed(addr netip.Addr) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	p := h.peer(addr, now)
	if now.Sub(p.windowStart) > h.cfg.Window {
		p.windowStart, p.failures = now, 0
	}
	if p.failures++; p.failures >= h.cfg.Failures {
		p.lockedUntil, p.failures = now.Add(h.cfg.Lock), 0
	}
}

// peer returns the record of an address with its attempts refilled up to now. mu is held.
func (h *Handshakes) peer(addr netip.Addr, now time.Time) *peer {
	p := h.peers[addr]
	if p == nil {
		if len(h.peers) >= maxPeers {
			h.forget()
		}
		p = &peer{tokens: float64(h.cfg.Rate), seen: now, windowStart: now}
		h.peers[addr] = p
	}
	p.tokens = min(float64(h.cfg.Rate), p.tokens+now.Sub(p.seen).Seconds()*float64(h.cfg.Rate))
	p.seen = now
	return p
}

// forget drops the address that has been silent for longest. mu is held.
func (h *Handshakes) forget() {
	var oldest netip.Addr
	var seen time.Time
	for addr, p := range h.peers {
		if seen.IsZero() || p.seen.Before(seen) {
			oldest, seen = addr, p.seen
		}
	}
	delete(h.peers, oldest)
}

// do runs handshake when its turn has come.
func (h *Handshakes) do(handshake func() error) error {
	if h == nil {
		return handshake()
	}
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return errTooBusy
	}
	timer := time.NewTimer(h.cfg.Wait)
	defer timer.Stop()
	select {
	case h.worker <- struct{}{}:
		defer func() { <-h.worker }()
		return handshake()
	case <-timer.C:
		return errTooBusy
	}
}

// addressOf returns the IP address that limits apply to: of IPv6 the network of 64 bits, since one host has all of it.
// Addresses that are no IP addresses, as of connections in memory, are all the same.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap()
	if addr.Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().Addr()
	}
	return addr
}
