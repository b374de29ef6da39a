package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// maxLoginClients bounds what loginGuard remembers.
const maxLoginClients = 1024

// loginGuard checks passwords and slows down who guesses them. It never
// locks a user name: only the client that fails waits.
type loginGuard struct {
	attempts int
	window   time.Duration
	users    map[string]User
	dummy    []byte // hash compared for users without one; nil if none has one

	checking sync.Mutex // one bcrypt at a time: it is slow on purpose

	mu      sync.Mutex
	clients map[loginClient]loginRecord // guarded by mu
}

// loginClient is who guesses: the address and the certificate proven on the
// channel, null on None. An application URI would be the client's own claim.
type loginClient struct {
	address     string
	certificate [sha256.Size]byte
}

type loginRecord struct {
	failures int
	first    time.Time // of the failures counted
	locked   time.Time // until when; zero if not
}

func newLoginGuard(l *Limits, users []User) (*loginGuard, error) {
	g := &loginGuard{
		attempts: l.MaxBadLogins,
		window:   l.BadLoginWindow,
		users:    make(map[string]User, len(users)),
		clients:  make(map[loginClient]loginRecord),
	}
	cost := 0
	for _, u := range users {
		if _, twice := g.users[u.Name]; twice {
			return nil, fmt.Errorf("server: user %q twice", u.Name)
		}
		g.users[u.Name] = u
		if u.Hash == nil {
			continue
		}
		c, err := bcrypt.Cost(u.Hash)
		if err != nil {
			return nil, fmt.Errorf("server: user %q: %w", u.Name, err)
		}
		cost = max(cost, c)
	}
	if cost == 0 {
		return g, nil
	}
	var err error
	g.dummy, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return g, err
}

// knows reports whether name is a user at all.
func (g *loginGuard) knows(name string) bool {
	_, ok := g.users[name]
	return ok
}

// admits reports whether a user of that name may come with a certificate.
func (g *loginGuard) admits(name string) bool { return g.users[name].Certificate }

// check compares the password of the user name. It takes as long for an
// unknown user as for a known one.
func (g *loginGuard) check(name string, password []byte) bool {
	u, known := g.users[name]
	want, got := sha256.Sum256([]byte(u.Password)), sha256.Sum256(password)
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if g.dummy == nil {
		return known && u.hasPassword() && same
	}
	hash := u.Hash
	if hash == nil {
		hash = g.dummy
	}
	g.checking.Lock()
	hashed := bcrypt.CompareHashAndPassword(hash, password) == nil
	g.checking.Unlock()
	if u.Hash != nil {
		same = hashed
	}
	return known && u.hasPassword() && same
}

func (u *User) hasPassword() bool { return u.Hash != nil || u.Password != "" }

// locked reports whether c has to wait before its next attempt counts.
func (g *loginGuard) locked(c loginClient, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return now.Before(g.clients[c].locked)
}

// failed counts a wrong password and says how long the answer is held back:
// 1, 2, 4, 8 s; the last one allowed locks the client for the window.
func (g *loginGuard) failed(c loginClient, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec, known := g.clients[c]
	if now.Sub(rec.first) > g.window {
		rec = loginRecord{first: now}
	}
	if !known {
		g.makeRoom(now)
	}
	rec.failures++
	delay := time.Second << min(rec.failures-1, 3)
	if rec.failures >= g.attempts {
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

func (g *loginGuard) succeeded(c loginClient) {
	g.mu.Lock()
	delete(g.clients, c)
	g.mu.Unlock()
}
