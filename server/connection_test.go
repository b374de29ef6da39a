package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

func TestSessionGeneralServiceBehaviour_UnknownService(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	query := &uabinary.QueryFirstRequest{}
	c.want(ua.StatusBadServiceUnsupported, c.do(&query.RequestHeader, query, &uabinary.QueryFirstResponse{}))
	// A response sent as a request.
	odd := &uabinary.ReadResponse{}
	var header uabinary.RequestHeader
	c.want(ua.StatusBadServiceUnsupported, c.do(&header, headed{odd, &header}, odd))
	c.read(valueOf("Int16"))
}

// headed puts a RequestHeader before anything, so that only the service is wrong.
type headed struct {
	uabinary.Structure
	header *uabinary.RequestHeader
}

func (h headed) Append(dst []byte) []byte { return h.Structure.Append(h.header.Append(dst)) }

// R3: the header is readable, the rest is not: a fault with the handle.
func TestStrictMessageHandling_RequestCutAtEveryByte(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
	header := uabinary.RequestHeader{AuthenticationToken: c.token, RequestHandle: 77}
	req.RequestHeader = header
	body := uabinary.AppendMessage(nil, req)
	start := len(header.Append(uabinary.NumericID(0, req.EncodingID()).Append(nil)))
	for n := start; n < len(body); n++ {
		answer, err := c.Request(body[:n])
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		var f uabinary.ServiceFault
		rd := uabinary.NewReader(answer, nil)
		if rd.MessageType() != f.EncodingID() {
			t.Fatalf("cut at %d: no fault", n)
		}
		f.Parse(rd)
		if f.ResponseHeader.RequestHandle != 77 || f.ResponseHeader.ServiceResult != ua.StatusBadDecodingError {
			t.Fatalf("cut at %d: %+v", n, f.ResponseHeader)
		}
	}
	c.read(valueOf("Int16"))
}

// R1: without a readable header the connection ends with an ERR.
func TestStrictMessageHandling_HeaderCut(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	_, err := c.Request(uabinary.NumericID(0, (&uabinary.ReadRequest{}).EncodingID()).Append(nil))
	var peer *uatcp.Error
	if !errors.As(err, &peer) || peer.Code != ua.StatusBadDecodingError {
		t.Errorf("got %v", err)
	}
	if report := c.served.wait(); report.Stage != uatcp.StageChannel || report.PeerError != nil || report.Err == nil {
		t.Errorf("%+v", report)
	}
}

func TestServe_ReportsHowFarItGot(t *testing.T) {
	r := newRig(t, nil)
	nc, s := r.pipe()
	nc.Close()
	if report := s.wait(); report.Stage != uatcp.StageNoHello || report.Err == nil {
		t.Errorf("nothing: %+v", report)
	}
	nc, s = r.pipe()
	go func(nc net.Conn) {
		nc.Write((&uatcp.Error{Code: ua.StatusBadTCPMessageTypeInvalid, Reason: "no"}).Append(nil))
		nc.Close()
	}(nc)
	if report := s.wait(); report.Stage != uatcp.StageNoHello || report.PeerError == nil || report.PeerError.Code != ua.StatusBadTCPMessageTypeInvalid {
		t.Errorf("client error: %+v", report)
	}
	nc, s = r.pipe()
	if _, err := uatcp.Connect(r.t.Context(), nc, uatcp.Config{}, securechanneltest.EndpointURL); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if report := s.wait(); report.Stage != uatcp.StageHello {
		t.Errorf("hello: %+v", report)
	}
	c := r.session(ua.MessageSecurityModeNone)
	c.Close()
	if report := c.served.wait(); report.Stage != uatcp.StageChannel || report.Err != nil || report.PeerError != nil {
		t.Errorf("clean close: %+v", report)
	}
}

func TestServe_ProgressIsCalled(t *testing.T) {
	r := newRig(t, nil)
	client, server := net.Pipe()
	var stages []uatcp.Stage
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Serve(r.t.Context(), server, r.Endpoint(0), func(s uatcp.Stage) { stages = append(stages, s) })
	}()
	if _, err := securechanneltest.Dial(client, none, ua.MessageSecurityModeNone, nil, nil); err != nil {
		t.Fatal(err)
	}
	client.Close()
	<-done
	if len(stages) != 2 || stages[0] != uatcp.StageHello || stages[1] != uatcp.StageChannel {
		t.Errorf("stages %v", stages)
	}
}

func TestServe_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe()
		defer client.Close()
		done := make(chan uatcp.Report)
		go func() { done <- r.Serve(ctx, server, r.Endpoint(0), nil) }()
		cancel()
		if report := <-done; report.Err == nil {
			t.Errorf("%+v", report)
		}
	})
}

// A panic ends its connection; the process and the other connections go on.
func TestServe_PanicEndsOneConnection(t *testing.T) {
	r := newRig(t, nil)
	c, witness := r.session(ua.MessageSecurityModeNone), r.session(ua.MessageSecurityModeNone)
	r.space.Variable(uabinary.StringID(2, "Double")).SetSource(func() uabinary.DataValue { panic("test") })
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Double")}}
	if _, err := c.try(&req.RequestHeader, req, &uabinary.ReadResponse{}); err == nil {
		t.Error("the connection lives on")
	}
	if report := c.served.wait(); report.Err == nil {
		t.Errorf("%+v", report)
	}
	witness.read(valueOf("Int16"))
	if n := r.counters.panics.Swap(0); n != 1 {
		t.Errorf("%d panics counted", n)
	}
}

func TestServe_ResponseTooLarge(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	create := c.createRequest()
	create.MaxResponseMessageSize = 9000
	_, code := c.create(create)
	c.wantOK(code)
	c.wantOK(c.activate(anonymousToken(), c.signature()))
	req := &uabinary.ReadRequest{}
	for range 900 {
		req.NodesToRead = append(req.NodesToRead, uabinary.ReadValueID{NodeID: uabinary.NumericID(0, 84), AttributeID: ua.AttributeIDBrowseName})
	}
	c.want(ua.StatusBadResponseTooLarge, c.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
	c.read(valueOf("Int16"))
}

// the oldest inbound channel without a Session gives way; one that this
// side dialled does not.
func TestChannels_OldestUnusedInboundGivesWay(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxSecureChannels = 3 })
	dialled := r.channel(ua.MessageSecurityModeNone)
	oldest, younger := r.inbound(), r.inbound()
	r.inbound()
	if report := oldest.wait(); report.Err == nil {
		t.Errorf("%+v", report)
	}
	dialled.endpoints(uabinary.GetEndpointsRequest{})
	select {
	case <-younger.done:
		t.Error("the younger one was closed too")
	default:
	}
}

// inbound opens a channel as if Listen had accepted it.
func (r *rig) inbound() *served {
	r.t.Helper()
	nc, server := net.Pipe()
	s := &served{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		c := newConnection(r.Server, server, r.Endpoint(0), nil)
		c.inbound = true
		s.report = r.serve(r.t.Context(), c)
	}()
	r.t.Cleanup(func() { nc.Close(); s.wait() })
	if _, err := securechanneltest.Dial(nc, none, ua.MessageSecurityModeNone, nil, nil); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestChannels_RefusedWhenAllAreInUse(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxSecureChannels = 1 })
	r.session(ua.MessageSecurityModeNone)
	nc, s := r.pipe()
	defer nc.Close()
	_, err := securechanneltest.Dial(nc, none, ua.MessageSecurityModeNone, nil, nil)
	if err == nil {
		t.Fatal("a channel over the limit")
	}
	if report := s.wait(); report.Stage != uatcp.StageHello || !errors.Is(report.Err, errNoChannel) {
		t.Errorf("%+v", report)
	}
}

// One IPv6 subscriber has as many addresses as he likes.
func TestListen_IPv6CountsByNetwork(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"2001:db8:1:3::9": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64%eth0", "fe80::2%eth1": "fe80::/64%eth1", "pipe": "pipe",
	} {
		if got := subscriberOf(host); got != want {
			t.Errorf("%s counts as %s, want %s", host, got, want)
		}
	}
	for _, tt := range []struct {
		name, from, local, neighbour string
		refused                      int
	}{
		{"far", "[2001:db8:1:2::%x]:4000", "[2001:db8:9::1]:4840", "[2001:db8:1:3::1]:4000", 5},
		{"one link-local machine", "[fe80::1%%eth0]:400%x", "[fe80::9%eth0]:4840", "[fe80::2%eth0]:4000", 5},
		{"link-local machines", "[fe80::%x%%eth0]:4000", "[fe80::9%eth0]:4840", "[fe80::a%eth0]:4000", 0},
		{"machines on the link", "[2001:db8:9::%x]:4000", "[2001:db8:9::99]:4840", "[2001:db8:9::a]:4000", 0},
		{"machines of the site", "[fd00:1::%x]:4000", "[fd00:2::1]:4840", "[fd00:1::a]:4000", 0},
	} {
		t.Run(tt.name, func(t *testing.T) { acceptsEight(t, tt.from, tt.local, tt.neighbour, tt.refused) })
	}
}

// acceptsEight lets eight connections come, of which wantRefused find no place, and then another machine, which does.
func acceptsEight(t *testing.T, from, local, neighbour string, wantRefused int) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxConnections, cfg.Limits.MaxConnectionsPerAddress = 40, 3 })
	ctx, stop := context.WithCancel(t.Context())
	var served sync.WaitGroup
	defer served.Wait()
	defer stop()
	refused := func(from string) int {
		nc, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		before := r.counters.refusedConnections.Load()
		r.accepted(ctx, addressed{nc, from, local}, r.Endpoint(0), &served)
		return int(r.counters.refusedConnections.Load() - before)
	}
	total := 0
	for i := range 8 {
		total += refused(fmt.Sprintf(from, i))
	}
	if last := refused(neighbour); total != wantRefused || last != 0 {
		t.Errorf("%d of 8 refused, want %d; a neighbour %d", total, wantRefused, last)
	}
}

// addressed is a connection from somewhere else.
type addressed struct {
	net.Conn
	from, local string
}

func (a addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a.from))
}

func (a addressed) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a.local))
}

// The log says why a client is refused; the client hears less.
func TestListen_TheLogSaysWhyAClientIsRefused(t *testing.T) {
	cfg := testConfig()
	cfg.Endpoints[0].Trust = func([]byte) error { return errors.New("its issuer is revoked") }
	var log bytes.Buffer
	s, err := New(cfg, testSpace(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	nc, theirs := net.Pipe()
	defer theirs.Close()
	var served sync.WaitGroup
	s.accepted(t.Context(), addressed{nc, "192.0.2.7:4000", "192.0.2.1:4840"}, s.Endpoint(0), &served)
	if _, err := securechanneltest.Dial(theirs, secure, ua.MessageSecurityModeSign, clientIdentity(), serverIdentity().Chain[0]); err == nil {
		t.Fatal("not refused")
	}
	served.Wait()
	if text := log.String(); !strings.Contains(text, `msg="secure channel refused" remote=192.0.2.7:4000`) || !strings.Contains(text, "its issuer is revoked") {
		t.Errorf("log: %s", text)
	}
}

func TestListen_Caps(t *testing.T) {
	now := time.Now()
	var a admissions
	l := Limits{MaxConnections: 4, MaxConnectionsPerAddress: 2, AcceptBurst: 20, AcceptRate: 1}.withDefaults()
	a.init(&l)
	for i, tt := range []struct {
		host string
		want bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"c", true}, {"d", false}} {
		if got := a.accept(tt.host, now); got != tt.want {
			t.Errorf("%d: %s accepted: %v", i, tt.host, got)
		}
	}
	a.leaveInbound("a")
	if !a.accept("a", now) {
		t.Error("no place after one left")
	}
}

// I3: one address that connects as fast as it can leaves room for others.
func TestListen_RateIsShared(t *testing.T) {
	start := time.Now()
	var a admissions
	l := Limits{AcceptBurst: 4, AcceptRate: 10}.withDefaults()
	a.init(&l)
	accepted := map[string]int{}
	for ms := range 10_000 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		hosts := []string{"attacker"}
		if ms%1000 == 500 {
			hosts = append(hosts, "client")
		}
		for _, host := range hosts {
			if a.accept(host, now) {
				accepted[host]++
				a.leaveInbound(host)
			}
		}
	}
	if accepted["client"] != 10 || accepted["attacker"] < 50 || accepted["attacker"] > 53 {
		t.Errorf("accepted %v", accepted)
	}
}

func TestListen_PeersAreForgotten(t *testing.T) {
	start := time.Now()
	var a admissions
	l := Limits{AcceptRate: 1000}.withDefaults()
	a.init(&l)
	for i := range 10 * manyPeers {
		if a.accept(fmt.Sprint(i), start.Add(time.Duration(i)*10*time.Millisecond)) {
			a.leaveInbound(fmt.Sprint(i))
		}
	}
	if len(a.peers) > manyPeers {
		t.Errorf("%d peers remembered", len(a.peers))
	}
}

// fakeListener hands out pipes and errors.
type fakeListener struct {
	conns  chan net.Conn
	fail   int
	closed chan struct{}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	if l.fail > 0 {
		l.fail--
		return nil, context.DeadlineExceeded
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (*fakeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestListen_BacksOffServesAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ln := &fakeListener{conns: make(chan net.Conn), fail: 3, closed: make(chan struct{})}
		stopped := make(chan error)
		start := time.Now()
		go func() { stopped <- r.Listen(ctx, ln, r.Endpoint(0)) }()
		client, server := net.Pipe()
		ln.conns <- server
		if got := time.Since(start); got != 700*time.Millisecond { // 100 + 200 + 400 ms
			t.Errorf("accepted after %v", got)
		}
		if _, err := securechanneltest.Dial(client, none, ua.MessageSecurityModeNone, nil, nil); err != nil {
			t.Error(err)
		}
		silent, server := net.Pipe()
		ln.conns <- server
		start = time.Now()
		if _, err := silent.Read(make([]byte, 1)); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("a silent connection ended with %v after %v", err, time.Since(start))
		}
		cancel()
		client.Close()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// Connections that the owner of the Server brings, such as reverse ones, take
// part of MaxConnections, and an inbound flood cannot have it back.
func TestLimits_OtherConnectionsCount(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxConnections, cfg.Limits.MaxSecureChannels = 3, 3 })
	first, second := r.session(ua.MessageSecurityModeSign), r.channel(ua.MessageSecurityModeSign)
	admitted := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.admissions.accept("192.0.2.1", time.Now())
	}
	if !admitted() || admitted() {
		t.Error("two of three connections are taken: there is room for exactly one")
	}
	for range 5 { // and whoever gets in evicts no other
		flood := &connection{server: r.Server, inbound: true}
		r.admitChannel(flood)
		r.mu.Lock()
		r.admissions.leave(flood)
		r.mu.Unlock()
	}
	first.read(valueOf("Int16"))
	second.endpoints(uabinary.GetEndpointsRequest{})
	second.Net.Close()
	second.served.wait()
	if !admitted() {
		t.Error("the place of a connection that ended is not free")
	}
}
