package gds

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Client is one client to look up.
type Client struct {
	Directory      string // URL of the GDS
	Endpoint       string // URL of the endpoint whose identity asks
	ApplicationURI string
}

// How often a directory is asked for a client: every hour, and after a failure, its own or the client's, at intervals that
// double from a minute on.
const (
	refreshInterval = time.Hour
	retryInterval   = time.Minute
	queryTimeout    = 30 * time.Second
)

// jitter is the part of an interval by which it is shortened at random, so that gateways do not ask in step.
const jitter = 0.2

// Config is what a Lookup needs.
type Config struct {
	// Query asks a directory, such as Access.Query.
	Query func(ctx context.Context, c Client) ([]string, error)
	// Learned is told that the addresses of a client have changed.
	Learned func()
	// File keeps the answers; empty: nothing is kept.
	File string
	Log  *slog.Logger
}

// Lookup knows the addresses of clients.
type Lookup struct {
	cfg   Config
	woken chan struct{} // room for one

	mu      sync.Mutex
	kept    map[record][]string // guarded by mu; answers of the file
	clients map[Client]*entry   // guarded by mu
}

// entry is what is known about a client.
type entry struct {
	urls    []string
	asked   time.Time     // last, zero: never
	due     time.Time     // to be asked next
	retry   time.Duration // after the next failure
	missing bool          // the directory has said that it knows nothing
}

// New makes a Lookup that knows what the file says.
func New(cfg Config) *Lookup {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lookup{cfg: cfg, woken: make(chan struct{}, 1), clients: map[Client]*entry{}}
	var err error
	if l.kept, err = readFile(cfg.File); err != nil {
		cfg.Log.Warn("kept answers of the directory are not usable", "file", cfg.File, "err", err)
	}
	return l
}

// Update says which clients to look up from now on. What is known about the others is forgotten.
func (l *Lookup) Update(clients []Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.clients {
		if !slices.Contains(clients, c) {
			delete(l.clients, c)
		}
	}
	for _, c := range clients {
		if l.clients[c] == nil {
			l.clients[c] = &entry{urls: l.kept[recordOf(c)], retry: retryInterval}
		}
	}
	l.wake()
}

func (l *Lookup) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// URLs returns the addresses of a client, best first, as far as they are known.
func (l *Lookup) URLs(c Client) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.clients[c]; e != nil {
		return slices.Clone(e.urls)
	}
	return nil
}

// Failed says that the client at url could not be reached: the directory may know a new address.
func (l *Lookup) Failed(url string) {
	l.each(url, func(e *entry) {
		if soon := e.asked.Add(e.retry); soon.Before(e.due) {
			e.due = soon
			l.wake()
		}
	})
}

// Reached says that there is a SecureChannel to the client at url.
func (l *Lookup) Reached(url string) {
	l.each(url, func(e *entry) { e.retry = retryInterval })
}

// each calls do, under the lock, for the clients that are called at url first.
func (l *Lookup) each(url string, do func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.clients {
		if len(e.urls) > 0 && e.urls[0] == url {
			do(e)
		}
	}
}

// Run asks the directories, one client after the other, until ctx is done.
func (l *Lookup) Run(ctx context.Context) {
	for ctx.Err() == nil {
		c, wait := l.next()
		if wait <= 0 {
			l.ask(ctx, c)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.woken:
		}
		timer.Stop()
	}
}

// next returns the client that is due first, and when.
func (l *Lookup) next() (first Client, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = refreshInterval
	for c, e := range l.clients {
		if left := time.Until(e.due); left < wait {
			first, wait = c, left
		}
	}
	return first, wait
}

// ask looks up one client.
func (l *Lookup) ask(ctx context.Context, c Client) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	urls, err := l.cfg.Query(limited, c)
	cancel()
	if ctx.Err() != nil {
		return
	}
	log := l.cfg.Log.With("directory", c.Directory, "application_uri", c.ApplicationURI)
	if err != nil {
		used := l.failed(c)
		log.Warn("directory did not answer", "err", err, "addresses_kept", used)
		return
	}
	changed, missing := l.answered(c, urls)
	if missing {
		log.Warn("directory knows no address at which the client can be called")
	}
	if !changed {
		return
	}
	log.Info("directory knows the client", "urls", urls)
	l.cfg.Learned()
	if err := l.save(); err != nil {
		log.Warn("answers of the directory cannot be kept", "file", l.cfg.File, "err", err)
	}
}

// failed sets when to ask again and returns the number of addresses that are known from before.
func (l *Lookup) failed(c Client) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.clients[c]
	if e == nil {
		return 0 // removed meanwhile
	}
	e.asked = time.Now()
	e.due = e.asked.Add(spread(e.retry))
	e.retry = min(2*e.retry, refreshInterval)
	return len(e.urls)
}

// answered takes over an answer. It reports whether it is another than before, and whether there is news of nothing.
func (l *Lookup) answered(c Client, urls []string) (changed, missing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.clients[c]
	if e == nil {
		return false, false
	}
	if len(e.urls) > 0 { // an address that still holds stays first: somebody may be connected there
		if i := slices.Index(urls, e.urls[0]); i > 0 {
			urls = slices.Insert(slices.Delete(slices.Clone(urls), i, i+1), 0, e.urls[0])
		}
	}
	changed = !slices.Equal(e.urls, urls)
	missing = len(urls) == 0 && !e.missing
	e.urls, e.missing = urls, len(urls) == 0
	e.asked = time.Now()
	e.due = e.asked.Add(spread(refreshInterval))
	e.retry = min(2*e.retry, refreshInterval) // until the client is reached
	if changed {
		e.retry = retryInterval
	}
	return changed, missing
}

func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter*rand.Float64()))
}
