package reverseconnect

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// world is a Manager among clients that exist only in memory. It lives in a synctest bubble.
type world struct {
	t       *testing.T
	m       *Manager
	calls   chan *peer // dials that were answered
	stop    context.CancelFunc
	stopped chan error
	log     *lines

	mu    sync.Mutex
	dials []dial                     // guarded by mu
	dial  func(address string) error // guarded by mu; refuses dials, nil answers all
	wrap  func(net.Conn) net.Conn    // guarded by mu; what the Manager gets of a pipe
}

type dial struct {
	address string
	at      time.Time
}

func testTarget(url string) Target {
	return Target{
		URL: url, ServerURI: "urn:edge:1", EndpointURL: "opc.tcp://edge.test:4840/edge",
		ConnectTimeout: DefaultConnectTimeout, BackoffMin: DefaultBackoffMin, BackoffMax: DefaultBackoffMax,
		RejectDelay: DefaultRejectDelay, KeepAlive: DefaultKeepAlive, SocketsPerClient: 1,
		Serve: serveUntilClosed,
	}
}

// serveUntilClosed is a server as far as the Manager can see: it says Hello, takes the first OpenSecureChannel as
// good and reads on until the connection ends.
func serveUntilClosed(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
	defer nc.Close()
	c, err := uatcp.Accept(ctx, nc, uatcp.Config{})
	if err != nil {
		return ending(uatcp.StageNoHello, err)
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	stage := uatcp.StageHello
	for {
		progress(stage)
		chunk, err := c.ReadChunk()
		if err != nil {
			c.Fail(err)
			return ending(stage, err)
		}
		if chunk.Type == uatcp.TypeOpenSecureChannel {
			stage = uatcp.StageChannel
		}
	}
}

func ending(stage uatcp.Stage, err error) uatcp.Report {
	r := uatcp.Report{Stage: stage, Err: err}
	if errors.As(err, &r.PeerError) || err == io.EOF {
		r.Err = nil
	}
	return r
}

// newWorld makes a world whose delays are not spread, unless configure changes that, and runs its Manager until the
// test ends.
func newWorld(t *testing.T, configure func(*world, *ManagerConfig), targets ...Target) *world {
	t.Helper()
	w := &world{t: t, calls: make(chan *peer, 1000), stopped: make(chan error, 1), log: &lines{}}
	cfg := ManagerConfig{Targets: targets, Dial: w.connect, Rand: func() float64 { return 0.5 }, Log: slog.New(w.log)}
	if configure != nil {
		configure(w, &cfg)
	}
	m, err := NewManager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.m = m
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.stopped <- m.Run(ctx) }()
	t.Cleanup(stop)
	return w
}

func (w *world) connect(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials = append(w.dials, dial{address, time.Now()})
	if w.dial != nil {
		if err := w.dial(address); err != nil {
			return nil, err
		}
	}
	server, client := net.Pipe()
	p := &peer{Conn: client, t: w.t, address: address, calledAt: time.Now()}
	var nc net.Conn = addressed{server, address}
	if w.wrap != nil {
		nc = w.wrap(nc)
	}
	w.calls <- p
	return nc, nil
}

// refusing configures a world where all dials fail.
func refusing(err error) func(*world, *ManagerConfig) {
	return func(w *world, _ *ManagerConfig) { w.refuse(err) }
}

// refuse makes all dials fail with err from now on, nil makes them succeed.
func (w *world) refuse(err error) { w.answer(func(string) error { return err }) }

// answer decides for each dial from now on.
func (w *world) answer(f func(address string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dial = f
}

// dialled returns all dials so far.
func (w *world) dialled() []dial {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dials)
}

// call waits for the next call and reads its ReverseHello.
func (w *world) call() *peer {
	w.t.Helper()
	p := w.ring()
	p.readReverseHello()
	synctest.Wait()
	return p
}

// ring waits for the next call.
func (w *world) ring() *peer {
	w.t.Helper()
	select {
	case p := <-w.calls:
		return p
	case <-time.After(24 * time.Hour):
		w.t.Fatal("no call within a day")
		return nil
	}
}

// idle checks that there is no call before d is over.
func (w *world) idle(d time.Duration) {
	w.t.Helper()
	select {
	case p := <-w.calls:
		w.t.Fatalf("unexpected call of %s", p.address)
	case <-time.After(d):
	}
}

// status returns the status of target i when everybody has done what there is to do.
func (w *world) status(i int) TargetStatus {
	synctest.Wait()
	return w.m.Snapshot()[i]
}

func (w *world) wantState(want State) TargetStatus {
	w.t.Helper()
	s := w.status(0)
	if s.State != want {
		w.t.Fatalf("state %v, want %v", s.State, want)
	}
	return s
}

// end stops the Manager and checks that it ends within limit.
func (w *world) end(limit time.Duration) {
	w.t.Helper()
	begin := time.Now()
	w.stop()
	if err := <-w.stopped; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > limit {
		w.t.Errorf("stopping took %v, want at most %v", took, limit)
	}
}

// addressed is a pipe with a remote address.
type addressed struct {
	net.Conn
	address string
}

func (a addressed) RemoteAddr() net.Addr { return a }
func (a addressed) Network() string      { return "tcp" }
func (a addressed) String() string       { return a.address }

// peer is the client's end of a call.
type peer struct {
	net.Conn
	t        *testing.T
	address  string
	calledAt time.Time
	rhe      uatcp.ReverseHello
}

func (p *peer) readReverseHello() {
	p.t.Helper()
	rhe, err := uatcp.ReadReverseHello(p, 0)
	if err != nil {
		p.t.Fatalf("ReverseHello: %v", err)
	}
	p.rhe = rhe
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// hello says Hello and reads the Acknowledge.
func (p *peer) hello() {
	p.t.Helper()
	p.send(helloFrame(p.rhe.EndpointURL))
	frame, err := readFrame(p, nil, 8192)
	if err != nil || frameType(frame) != uatcp.TypeAcknowledge {
		p.t.Fatalf("got %q, %v, want Acknowledge", frame, err)
	}
	synctest.Wait()
}

// openChannel goes all the way to an open channel.
func (p *peer) openChannel() {
	p.t.Helper()
	p.hello()
	p.send(frame("OPNF", "whatever"))
	synctest.Wait()
}

func (p *peer) sendError(code ua.StatusCode, reason string) {
	p.t.Helper()
	p.send((&uatcp.Error{Code: code, Reason: reason}).Append(nil))
}

func helloFrame(url string) []byte {
	h := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: url}
	return h.Append(nil)
}

// frame builds a frame of a type with its fourth byte, such as "MSGF".
func frame(kind, body string) []byte {
	n := 8 + len(body)
	return append([]byte{kind[0], kind[1], kind[2], kind[3], byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, body...)
}

// lines collects what is logged.
type lines struct {
	attrs []slog.Attr
	all   *collected
	once  sync.Once
}

type collected struct {
	mu      sync.Mutex
	records []line
}

type line struct {
	level slog.Level
	at    time.Time
	msg   string
	attrs map[string]string
}

func (l *lines) store() *collected {
	l.once.Do(func() {
		if l.all == nil {
			l.all = &collected{}
		}
	})
	return l.all
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lines{attrs: append(slices.Clone(l.attrs), attrs...), all: l.store()}
}

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	e := line{level: r.Level, at: r.Time, msg: r.Message, attrs: map[string]string{}}
	for _, a := range l.attrs {
		e.attrs[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.String()
		return true
	})
	all := l.store()
	all.mu.Lock()
	defer all.mu.Unlock()
	all.records = append(all.records, e)
	return nil
}

// at returns the lines of at least this level.
func (l *lines) at(level slog.Level) []line {
	all := l.store()
	all.mu.Lock()
	defer all.mu.Unlock()
	var found []line
	for _, e := range all.records {
		if e.level >= level {
			found = append(found, e)
		}
	}
	return found
}

// path returns the states that the lines of at least this level went through.
func (l *lines) path(level slog.Level) string {
	var states []string
	for _, e := range l.at(level) {
		if e.msg == "reverse connect state changed" {
			states = append(states, e.attrs["old"]+">"+e.attrs["new"])
		}
	}
	return strings.Join(states, " ")
}
