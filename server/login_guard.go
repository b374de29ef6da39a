package server

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxLoginClients bounds what loginGuard remembers.
const maxLoginClients = 1024

// loginGuard slows down who guesses passwords. It never locks a user
// name: only the client that fails waits.
type loginGuard struct {
	mu       sync.Mutex
	attempts int                         // guarded by mu
	window   time.Duration               // guarded by mu
	clients  map[loginClient]loginRecord // guarded by mu
}

// addressShare is how many times the attempts of one client an address has
// with all its certificates: new ones cost nothing where every certificate is
// trusted.
const addressShare = 4

// loginClient is who guesses: the address, or network of a subscriber, and the
// certificate proven on the channel, null on None. An application URI would be
// the client's own claim.
type loginClient struct {
	address     string
	certificate [sha256.Size]byte
	everyone    bool // at this address, with whatever certificate
}

type loginRecord struct {
	failures int
	first    time.Time // of the failures counted
	locked   time.Time // until when; zero if not
	proven   bool      // logged in before: does not suffer from others at its address
}

func newLoginGuard(l *Limits) *loginGuard {
	return &loginGuard{attempts: l.MaxBadLogins, window: l.BadLoginWindow, clients: make(map[loginClient]loginRecord)}
}

// setLimits holds for failures from now on.
func (g *loginGuard) setLimits(l *Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.attempts, g.window = l.MaxBadLogins, l.BadLoginWindow
}

// locked reports whether c has to wait before its next attempt counts.
func (g *loginGuard) locked(c loginClient, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.clients[c]
	return now.Before(rec.locked) || !rec.proven && now.Before(g.clients[loginClient{address: c.address, everyone: true}].locked)
}

// failed counts a wrong password and says how long the answer is held back:
// 1, 2, 4, 8 s; the last one allowed locks the client for the window.
func (g *loginGuard) failed(c loginClient, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(loginClient{address: c.address, everyone: true}, addressShare*g.attempts, now)
	return g.count(c, g.attempts, now)
}

// count counts one failure of so many. The caller holds mu.
func (g *loginGuard) count(c loginClient, attempts int, now time.Time) time.Duration {
	rec, known := g.clients[c]
	if now.Sub(rec.first) > g.window {
		rec = loginRecord{first: now, proven: rec.proven}
	}
	if !known {
		g.makeRoom(now)
	}
	rec.failures++
	delay := time.Second << min(rec.failures-1, 3)
	if rec.failures >= attempts {
		rec.locked = now.Add(g.window)
		delay = 0
	}
	g.clients[c] = rec
	return delay
}

// makeRoom keeps the table bounded: what is over goes, else the oldest.
func (g *loginGuard) makeRoom(now time.Time) {
	if len(g.clients) < maxLoginClients {
		return
	}
	var oldest loginClient
	var since time.Time
	for c, rec := range g.clients {
		if now.Sub(rec.first) > g.window && now.After(rec.locked) {
			delete(g.clients, c)
			continue
		}
		if since.IsZero() || rec.first.Before(since) {
			oldest, since = c, rec.first
		}
	}
	if len(g.clients) >= maxLoginClients {
		delete(g.clients, oldest)
	}
}

// succeeded forgets the failures of c, and remembers that it is no guesser.
func (g *loginGuard) succeeded(c loginClient, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.clients[c]; !known {
		g.makeRoom(now)
	}
	g.clients[c] = loginRecord{first: now, proven: true}
}
