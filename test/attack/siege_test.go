package attack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

// Bounds of the invariants.
const (
	longestGap   = 3 * time.Second // I2
	entryDuring  = 10 * time.Second
	entryAfter   = 5 * time.Second
	settleTime   = 20 * time.Second
	slack        = 3       // I5: goroutines and descriptors
	heapSlack    = 2 << 20 // I4, and a tenth of what there was
	attackMemory = 48 << 20
)

// siege is a plant with a witness inside, and what they held before.
type siege struct {
	*plant
	witness *witness
	before  holdings
	peak    *peak
}

// besiege starts a plant and its witness; at the end of the test the
// invariants are checked. change may alter the server's configuration.
func besiege(t *testing.T, change func(*server.Config)) *siege {
	t.Helper()
	p := newPlant(t, change)
	s := &siege{plant: p, witness: p.newWitness()}
	s.enter(entryAfter) // warms pools and keys
	s.before = hold()
	s.before.descriptors -= s.heldOpen()
	s.peak = watchPeak()
	t.Cleanup(func() { s.peak.stop() })
	return s
}

// over ends the attack and asserts the invariants, while the attackers do not
// close what they still hold.
func (s *siege) over() {
	s.t.Helper()
	peak := s.peak.stop()
	s.enter(entryAfter)
	s.settled()
	s.witness.check()
	s.log.check(s.t)
	if grown := int64(peak) - int64(s.before.heap); grown > attackMemory {
		s.t.Errorf("I4: the heap grew by %d MiB", grown>>20)
	}
}

// enter asserts that a new trusted client gets in and reads within the bound.
// It tries again as clients do.
func (s *siege) enter(bound time.Duration) {
	s.t.Helper()
	var err error
	for start := time.Now(); time.Since(start) < stretched(bound); pause(100 * time.Millisecond) {
		if err = s.tryEnter(); err == nil {
			return
		}
	}
	s.t.Errorf("I3: no entry within %v: %v", stretched(bound), err)
}

func (s *siege) tryEnter() error {
	nc, err := s.dialFrom(witnessAddress)
	if err != nil {
		return err
	}
	defer nc.Close()
	c, err := openOn(nc, witnessIdentity())
	if err != nil {
		return err
	}
	if err := c.login(); err != nil {
		return err
	}
	resp, code, err := c.read(valueOf("Counter"))
	switch {
	case err != nil:
		return err
	case code != ua.StatusOK || resp.Results[0].Status != ua.StatusOK:
		return errors.New("bad value")
	}
	var closed uabinary.CloseSessionResponse
	req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
	if _, err = c.call(&req.RequestHeader, req, &closed); err != nil {
		return err
	}
	return c.Close()
}

// pause lets others run.
func pause(d time.Duration) { <-time.After(d) }

// holdings are what an attack must not leave more of.
type holdings struct {
	goroutines, descriptors int
	heap                    uint64
}

func hold() holdings {
	runtime.GC()
	runtime.GC() // what sync.Pool kept
	return holdings{runtime.NumGoroutine(), descriptors(), heapInUse()}
}

// descriptors counts the open files where the system shows them.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// settled asserts I4 and I5.
func (s *siege) settled() {
	s.t.Helper()
	var now holdings
	for start := time.Now(); time.Since(start) < stretched(settleTime); pause(50 * time.Millisecond) {
		now = holdings{runtime.NumGoroutine(), descriptors() - s.heldOpen(), 0}
		if now.goroutines > s.before.goroutines+slack || now.descriptors > s.before.descriptors+slack {
			continue
		}
		if now = hold(); now.heap <= s.before.heap+s.before.heap/10+heapSlack {
			return
		}
	}
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	s.t.Errorf("I4, I5: before %+v, after %+v\n%.2500s", s.before, now, stacks.String())
}

// heldOpen counts the descriptors on the attackers' side of this process.
func (s *siege) heldOpen() (n int) {
	for _, nc := range s.held {
		if nc.SetDeadline(time.Time{}) == nil {
			n++
		}
	}
	return n
}

// peak watches the heap while the collector works as on the gateway, against a
// limit: what is above it then is not garbage.
type peak struct {
	cancel  context.CancelFunc
	watcher sync.WaitGroup
	most    uint64
	percent int
	limit   int64
	restore sync.Once
}

const gatewayMemory = 40 << 20 // beside what the test takes

func watchPeak() *peak {
	ctx, cancel := context.WithCancel(context.Background())
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	p := &peak{cancel: cancel, percent: debug.SetGCPercent(75)}
	p.limit = debug.SetMemoryLimit(int64(now.Sys-now.HeapReleased-now.HeapIdle) + gatewayMemory)
	p.watcher.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			p.most = max(p.most, heapInUse())
			<-tick.C
		}
	})
	return p
}

func (p *peak) stop() uint64 {
	p.cancel()
	p.watcher.Wait()
	p.restore.Do(func() {
		debug.SetGCPercent(p.percent)
		debug.SetMemoryLimit(p.limit)
	})
	return p.most
}

// witness is a trusted client with a Subscription that was there before.
type witness struct {
	t    testing.TB
	done chan struct{}

	mu   sync.Mutex
	last time.Time     // guarded by mu; of the newest value
	gap  time.Duration // guarded by mu; longest time without one
	err  error         // guarded by mu
	off  bool          // guarded by mu; its end is wanted
}

func (p *plant) newWitness() *witness {
	p.t.Helper()
	c := p.session(witnessAddress, witnessIdentity())
	if _, _, err := c.subscribe(100, valueOf("Counter")); err != nil {
		p.t.Fatal(err)
	}
	p.held = p.held[:len(p.held)-1] // it stays
	w := &witness{t: p.t, done: make(chan struct{}), last: time.Now()}
	go func() {
		defer close(w.done)
		err := w.follow(c)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}()
	p.t.Cleanup(func() {
		w.mu.Lock()
		w.off = true
		w.mu.Unlock()
		c.Net.Close()
		<-w.done
	})
	return w
}

// follow keeps Publish requests under way and holds each value against the last.
func (w *witness) follow(c *client) error {
	for range 3 {
		if err := c.publish(); err != nil {
			return err
		}
	}
	newest := uint32(0)
	for {
		c.Net.SetReadDeadline(time.Now().Add(patience))
		_, body, err := c.Receive()
		if err != nil {
			return err
		}
		var resp uabinary.PublishResponse
		if code, err := parseAnswer(body, &resp); err != nil || code != ua.StatusOK {
			return errors.Join(err, code)
		}
		for i := range resp.NotificationMessage.NotificationData {
			var change uabinary.DataChangeNotification
			if err := resp.NotificationMessage.NotificationData[i].Decode(&change, nil); err != nil {
				return err
			}
			for _, item := range change.MonitoredItems {
				n, ok := item.Value.Value.Number()
				if !ok || item.Value.Status != ua.StatusOK || uint32(n) <= newest && newest > 0 {
					return errors.New("wrong value")
				}
				newest = uint32(n)
				w.saw()
			}
		}
		ack := uabinary.SubscriptionAcknowledgement{SubscriptionID: resp.SubscriptionID, SequenceNumber: resp.NotificationMessage.SequenceNumber}
		if err := c.publish(ack); err != nil {
			return err
		}
	}
}

func (w *witness) saw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.gap, w.last = max(w.gap, now.Sub(w.last)), now
}

// check asserts I2.
func (w *witness) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		w.t.Errorf("I2: the witness lost its session: %v", w.err)
	}
	if gap := max(w.gap, time.Since(w.last)); gap > stretched(longestGap) {
		w.t.Errorf("I2: the witness had no value for %v", gap)
	}
}

// Answers that may end a connection: section 2.2 of the research.
var (
	transportCodes = []ua.StatusCode{
		ua.StatusBadTCPMessageTypeInvalid, ua.StatusBadTCPMessageTooLarge, ua.StatusBadTCPEndpointURLInvalid,
		ua.StatusBadTCPSecureChannelUnknown, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadRequestTooLarge,
		ua.StatusBadEncodingLimitsExceeded, ua.StatusBadDecodingError, ua.StatusBadTCPInternalError,
	}
	overloadCodes = []ua.StatusCode{
		ua.StatusBadTCPServerTooBusy, 0x80EE0000, ua.StatusBadTCPNotEnoughResources,
	}
	securityCodes = []ua.StatusCode{ua.StatusBadSecurityChecksFailed}
)

// internals is what no answer may show (I6).
var internals = regexp.MustCompile(`\.go\b|goroutine|/work|/home|runtime|panic|edgeua|uatcp|\bGo\b|x509|crypto`)

// ended waits for the server to end the connection with one of the codes, or
// with none, and asserts that it does in time and gives nothing away.
func (s *siege) ended(what string, nc net.Conn, within time.Duration, allowed ...ua.StatusCode) {
	s.t.Helper()
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(stretched(within)))
	in := bufio.NewReader(nc)
	for {
		var header [8]byte
		if _, err := io.ReadFull(in, header[:]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.t.Errorf("%s: still open after %v", what, within)
			}
			return // a bare close is as good
		}
		size := uint32(header[4]) | uint32(header[5])<<8 | uint32(header[6])<<16 | uint32(header[7])<<24
		if size < 8 || size > 65535 {
			s.t.Errorf("%s: answered %q", what, header)
			return
		}
		body := make([]byte, size-8)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if string(header[:3]) != "ERR" {
			continue // what was answered before
		}
		s.checkError(what, body, allowed)
	}
}

func (s *siege) checkError(what string, body []byte, allowed []ua.StatusCode) {
	s.t.Helper()
	e, err := uatcp.ParseError(body)
	if err != nil {
		s.t.Errorf("%s: unreadable Error: %v", what, err)
		return
	}
	if !slices.Contains(allowed, e.Code) {
		s.t.Errorf("%s: %s, want one of %v", what, uatcp.StatusName(e.Code), allowed)
	}
	if len(e.Reason) > uatcp.MaxReasonLength || internals.MatchString(e.Reason) {
		s.t.Errorf("I6: %s: the reason is %q", what, e.Reason)
	}
}

// keeps asserts that what the attackers hold open holds no more than that many
// bytes for each of n connections.
func (s *siege) keeps(n, each int) {
	s.t.Helper()
	if grown := int64(hold().heap) - int64(s.before.heap); grown > heapSlack+int64(n*each) {
		s.t.Errorf("I4: %d idle connections hold %d KiB", n, grown>>10)
	}
}

// leave closes what the attackers hold.
func (s *siege) leave() {
	for _, nc := range s.held {
		nc.Close()
	}
}

// attacker opens a raw socket from the attacker's address.
func (s *siege) attacker() net.Conn {
	s.t.Helper()
	nc, err := s.dialFrom(attackAddress)
	if err != nil {
		s.t.Fatal(err)
	}
	s.held = append(s.held, nc)
	return nc
}
