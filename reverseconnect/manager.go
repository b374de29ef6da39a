package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/ua"
)

// First dials and retries of all targets together keep this pace, so that many dead clients cost neither bursts nor
// descriptors. Up to dialBurst targets are all dialled at once; calling a client again whose channel just
// closed does not wait in this line.
const (
	dialInterval = 50 * time.Millisecond
	dialBurst    = 10
	dialBeat     = 500 * time.Millisecond // of retries after long delays: each wakes the process up for all that are due
)

// ManagerConfig is what a Manager needs.
type ManagerConfig struct {
	Targets []Target
	// MaxSockets caps the sockets to all targets together, whatever their state; 0 is no cap. With fewer than
	// targets they are called in turn.
	MaxSockets int
	// Dial replaces the system's dialler; nil is a net.Dialer that tries all addresses of a name (RFC 8305) and sets
	// keepalive as the Target says.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Rand returns a number in [0, 1) to spread delays with; nil is math/rand/v2.
	Rand func() float64
	// Changed is told the new status of a Target whenever it changes, nil tells nobody. Calls for one Target come one
	// after the other, in order; it waits for them to return.
	Changed func(TargetStatus)
	// Log gets a line for each change of state; nil discards.
	Log *slog.Logger
}

// Manager calls the clients of a server, one goroutine per Target.
type Manager struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	rand    func() float64
	changed func(TargetStatus)
	log     *slog.Logger
	slots   *slots
	pace    sharedPacer
	beat    beat
	running atomic.Bool
	updated chan struct{} // tells Run that there are diallers to start, room for one

	mu       sync.Mutex
	diallers []*dialler              // guarded by mu; in the order of the targets
	leaving  map[key]<-chan struct{} // guarded by mu; when a dialler that was replaced is gone
}

// NewManager checks cfg and makes a Manager that does nothing before Run.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	if cfg.MaxSockets < 0 {
		return nil, errMaxSockets(cfg.MaxSockets)
	}
	m := &Manager{
		dial:    cfg.Dial,
		rand:    cfg.Rand,
		changed: cfg.Changed,
		log:     cfg.Log,
		slots:   newSlots(cfg.MaxSockets),
		pace:    sharedPacer{pacer: pacer{interval: dialInterval, burst: dialBurst}},
		beat:    beat{start: time.Now(), every: dialBeat},
		updated: make(chan struct{}, 1),
		leaving: make(map[key]<-chan struct{}),
	}
	if m.rand == nil {
		m.rand = rand.Float64
	}
	if m.changed == nil {
		m.changed = func(TargetStatus) {}
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if m.diallers, err = m.plan(cfg.Targets); err != nil {
		return nil, err
	}
	return m, nil
}

func errMaxSockets(n int) error {
	return fmt.Errorf("reverseconnect: MaxSockets is %d, must be zero (no cap) or more", n)
}

// Run calls the clients until ctx is done, then closes all sockets and returns nil when every goroutine has ended. Call
// it once, when the server is running: a client that is answered earlier would be told BadServerHalted.
func (m *Manager) Run(ctx context.Context) error {
	if !m.running.CompareAndSwap(false, true) {
		return errors.New("reverseconnect: Manager runs already")
	}
	var owners sync.WaitGroup
	for {
		m.start(ctx, &owners)
		select {
		case <-m.updated:
		case <-ctx.Done():
			owners.Wait()
			return nil
		}
	}
}

// list returns the diallers of this moment.
func (m *Manager) list() []*dialler {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.diallers // replaced as a whole, never changed
}

// ConnectNow dials the waiting Target with this URL without further delay, at most once a second. It reports false if
// there is none.
func (m *Manager) ConnectNow(url string) bool {
	found := false
	for _, d := range m.list() {
		if d.URL == url && d.snapshot().State == Waiting {
			d.hurry()
			found = true
		}
	}
	return found
}

// TargetStatus is what is known about a Target at one moment. Times are zero for what has not happened.
type TargetStatus struct {
	URL           string
	EndpointURL   string
	State         State // Active as long as any SecureChannel is open
	StateSince    time.Time
	Attempts      uint64        // dials since Run
	LastError     string        // why the last failed attempt failed, in words
	LastErrorTime time.Time     // when
	RejectCode    ua.StatusCode // of the last Error message of the client, 0 if it never sent one
	RejectReason  string        // its text, bounded, control characters escaped
	LastSuccess   time.Time     // when a SecureChannel last opened
	NextAttempt   time.Time     // when the next dial is due at the earliest; zero unless a delay runs
	RemoteAddress string        // of the newest socket, empty without one
	Sockets       int           // open now
}

// Snapshot returns the status of every target in the order in which they were given.
func (m *Manager) Snapshot() []TargetStatus {
	diallers := m.list()
	all := make([]TargetStatus, len(diallers))
	for i, d := range diallers {
		all[i] = d.snapshot()
	}
	return all
}
