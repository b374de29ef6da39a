package reverseconnect_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
	"github.com/edgeua/edgeua/server"
)

const (
	serverURI   = "urn:test:edge"
	endpointURL = "opc.tcp://gateway.behind.nat.test:4840/edge" // resolves nowhere
)

// gateway is a real server with one value, without any listening port.
type gateway struct {
	server   *server.Server
	distrust atomic.Bool
	identity *securechannel.Identity
	value    *addressspace.Variable
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	space := addressspace.New(serverURI)
	space.AddNamespace("urn:test:devices")
	node, err := space.AddVariable(addressspace.VariableOptions{
		ID:         uabinary.StringID(2, "Boiler.Temp"),
		BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Temp"},
		Parent:     uabinary.NumericID(0, id.ObjectsFolder),
		DataType:   uabinary.NumericID(0, id.Double),
		Value:      &uabinary.DataValue{Value: uabinary.VariantOf(21.5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{identity: securechanneltest.NewIdentity("server2048", serverURI), value: node.Variable}
	g.server, err = server.New(server.Config{
		ApplicationURI: serverURI, ApplicationName: "edge", Anonymous: true,
		Endpoints: []server.EndpointConfig{{
			URL: endpointURL, Identity: g.identity, Visible: true,
			Trust: func([]byte) error {
				if g.distrust.Load() {
					return ua.StatusBadCertificateUntrusted
				}
				return nil
			},
			Security: []server.SecuritySetting{
				{PolicyURI: ua.SecurityPolicyURIBasic256Sha256, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeSignAndEncrypt}},
			},
		}},
	}, space, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) target(url string) reverseconnect.Target {
	return reverseconnect.Target{
		URL: url, ServerURI: serverURI, EndpointURL: endpointURL,
		ConnectTimeout: 5 * time.Second, BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
		RejectDelay: 50 * time.Millisecond, KeepAlive: reverseconnect.DefaultKeepAlive, SocketsPerClient: 1,
		Serve: func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			return g.server.Serve(ctx, nc, g.server.Endpoint(0), progress)
		},
	}
}

// call runs a Manager until the test ends.
func (g *gateway) call(t *testing.T, targets ...reverseconnect.Target) *reverseconnect.Manager {
	t.Helper()
	m, err := reverseconnect.NewManager(reverseconnect.ManagerConfig{Targets: targets, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = g.server.Shutdown(context.Background())
	})
	return m
}

func listen(t *testing.T, url string) (*reverseconnect.Listener, string) {
	t.Helper()
	l, err := reverseconnect.Listen(t.Context(), url, reverseconnect.ListenerConfig{Allow: []string{serverURI}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, "opc.tcp://" + l.Addr().String()
}

// secured discovers over the call s and returns the options of a secured session.
func secured(t *testing.T, ctx context.Context, s *reverseconnect.Session, g *gateway) []opcua.Option {
	t.Helper()
	endpoints, err := reverseconnect.Discover(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	e, err := opcua.SelectEndpoint(endpoints, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt)
	if err != nil {
		t.Fatal(err)
	}
	if e.EndpointURL != endpointURL {
		t.Errorf("GetEndpoints returns %s, the ReverseHello announced %s", e.EndpointURL, endpointURL)
	}
	if !bytes.Equal(e.ServerCertificate, g.identity.Chain[0]) {
		t.Error("GetEndpoints returns another certificate")
	}
	own := securechanneltest.NewIdentity("client2048", "urn:test:client")
	return []opcua.Option{
		opcua.PrivateKey(own.Key), opcua.Certificate(own.Chain[0]),
		opcua.SecurityFromEndpoint(e, ua.UserTokenTypeAnonymous),
		opcua.ReconnectInterval(10 * time.Millisecond), opcua.RequestTimeout(5 * time.Second),
	}
}

func read(ctx context.Context, c *reverseconnect.Client) (any, error) {
	v, err := c.Node(ua.NewStringNodeID(2, "Boiler.Temp")).Value(ctx)
	if err != nil {
		return nil, err
	}
	return v.Value(), nil
}

func TestEndToEnd_ReadOverReverseEncryptedChannel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		g := newGateway(t)
		l, url := listen(t, "opc.tcp://127.0.0.1:0")
		m := g.call(t, g.target(url))
		s, err := l.Accept(ctx, reverseconnect.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if s.ServerURI != serverURI || s.EndpointURL != endpointURL {
			t.Errorf("call of %s at %s", s.ServerURI, s.EndpointURL)
		}
		c, err := reverseconnect.NewClient(s, secured(t, ctx, s, g)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		if v, err := read(ctx, c); err != nil || v != 21.5 {
			t.Fatalf("read %v, %v", v, err)
		}
		status := m.Snapshot()[0]
		if status.State != reverseconnect.Active || status.Sockets != 1 || status.LastSuccess.IsZero() {
			t.Errorf("status %+v", status)
		}
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
		// The server calls again once the channel is closed.
		if _, err := l.Accept(ctx, reverseconnect.Filter{ServerURI: serverURI}); err != nil {
			t.Error(err)
		}
	})
}

// Why the server refuses must reach the caller, who can do something about it.
func TestEndToEnd_UntrustedClientIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g := newGateway(t)
	g.distrust.Store(true)
	l, url := listen(t, "opc.tcp://127.0.0.1:0")
	m := g.call(t, g.target(url))
	s, err := l.Accept(ctx, reverseconnect.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := reverseconnect.NewClient(s, secured(t, ctx, s, g)...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.Connect(ctx); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
		t.Errorf("Connect: %v, want BadSecurityChecksFailed", err)
	}
	if _, err := l.Accept(ctx, reverseconnect.Filter{}); err != nil {
		t.Fatal(err)
	}
	if got := m.Snapshot()[0].LastError; !strings.Contains(got, "before SecureChannel") {
		t.Errorf("server: %q", got)
	}
}

// gopcua's own reconnection waits for the next call: here the server side of the socket is cut.
func TestEndToEnd_ClientReconnects(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g := newGateway(t)
	l, url := listen(t, "opc.tcp://127.0.0.1:0")
	target := g.target(url)
	sockets := make(chan net.Conn, 100)
	serve := target.Serve
	target.Serve = func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
		sockets <- nc
		return serve(ctx, nc, progress)
	}
	g.call(t, target)
	s, err := l.Accept(ctx, reverseconnect.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	options := secured(t, ctx, s, g)
	<-sockets // of the discovery
	connected := make(chan opcua.ConnState, 100)
	c, err := reverseconnect.NewClient(s, append(options, opcua.StateChangedCh(connected))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	wait(t, ctx, connected, opcua.Connected)
	(<-sockets).Close()
	wait(t, ctx, connected, opcua.Disconnected)
	wait(t, ctx, connected, opcua.Connected)
	if v, err := read(ctx, c); err != nil || v != 21.5 {
		t.Errorf("read after reconnecting: %v, %v", v, err)
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func wait(t *testing.T, ctx context.Context, states <-chan opcua.ConnState, want opcua.ConnState) {
	t.Helper()
	for {
		select {
		case got := <-states:
			if got == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("client does not become %v", want)
		}
	}
}

// Two gateways on one listening port are told apart.
func TestEndToEnd_SubscriptionOverReverseChannel(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g := newGateway(t)
	l, url := listen(t, "opc.tcp://127.0.0.1:0")
	g.call(t, g.target(url))
	s, err := l.Accept(ctx, reverseconnect.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := reverseconnect.NewClient(s, secured(t, ctx, s, g)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	changes := make(chan *opcua.PublishNotificationData, 10)
	sub, err := c.Subscribe(ctx, &opcua.SubscriptionParameters{Interval: 10 * time.Millisecond}, changes)
	if err != nil {
		t.Fatal(err)
	}
	item := opcua.NewMonitoredItemCreateRequestWithDefaults(ua.NewStringNodeID(2, "Boiler.Temp"), ua.AttributeIDValue, 1)
	if _, err := sub.Monitor(ctx, ua.TimestampsToReturnBoth, item); err != nil {
		t.Fatal(err)
	}
	for _, want := range []float64{21.5, 22, 23} {
		if want != 21.5 {
			g.value.Set(&uabinary.DataValue{Value: uabinary.VariantOf(want)})
		}
		select {
		case n := <-changes:
			data, ok := n.Value.(*ua.DataChangeNotification)
			if !ok || len(data.MonitoredItems) != 1 || data.MonitoredItems[0].Value.Value.Value() != want {
				t.Fatalf("got %+v, %v, want %v", n.Value, n.Error, want)
			}
		case <-ctx.Done():
			t.Fatalf("no notification of %v", want)
		}
	}
	// gopcua reconnects while it closes if publish requests are under way.
	if err := sub.Cancel(ctx); err != nil {
		t.Error(err)
	}
}
