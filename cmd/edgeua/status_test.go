package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/pki"
)

// watchedGateway is a running gateway with one client that nobody answers for,
// called once an hour, a user and metrics.
type watchedGateway struct {
	url, client, metrics string
	stop                 func()
}

func startWatchedGateway(t *testing.T) watchedGateway {
	t.Helper()
	own, dead, metrics := freeAddress(t), freeAddress(t), freeAddress(t)
	g := watchedGateway{url: "opc.tcp://" + own, client: "opc.tcp://" + dead, metrics: "http://" + metrics}
	text := mainFile(g.url, "<AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates><ReverseConnect><Url>"+g.client+"</Url></ReverseConnect>")
	text = strings.NewReplacer("#None", "#Basic256Sha256", "<MessageSecurityMode>None", "<MessageSecurityMode>SignAndEncrypt",
		"<EnableUserPw>false", "<EnableUserPw>true").Replace(text)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml":   text,
		"TcUaSecurityConfig.xml": `<TcUaSecurityConfig><Groups><Group Name="Everything"><DefaultAccess Namespace="*" Access="0x3FF"/></Group></Groups><Users><User Name="joe" Auth="Server" Password="secret" MemberOf="Everything"/><User Name="Anonymous" Auth="None" MemberOf="Everything"/></Users></TcUaSecurityConfig>`,
		"edgeua.xml": fmt.Sprintf(`<EdgeUa><Metrics Listen="%s"/>
<ReverseConnect><Defaults BackoffMin="3600000" BackoffMax="3600000"/></ReverseConnect></EdgeUa>`, metrics),
	})
	ctx, cancel := context.WithCancel(t.Context())
	log := &watched{}
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", main}, io.Discard, log) }()
	g.stop = func() {
		cancel()
		if code := <-served; code != exitOK {
			t.Errorf("serve ended with %d:\n%s", code, log)
		}
	}
	log.wait(t, "server running")
	log.wait(t, "connection refused")
	return g
}

// connect opens a session as gopcua's users do.
func (g *watchedGateway) connect(t *testing.T, token ua.UserTokenType, auth opcua.Option) *opcua.Client {
	t.Helper()
	dir := t.TempDir()
	own, _, err := pki.LoadOrCreate(pki.Locations{Certificate: filepath.Join(dir, "own.der"), PrivateKey: filepath.Join(dir, "own.pem")},
		pki.Request{ApplicationURI: clientURI, CommonName: "test"}, true)
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := opcua.GetEndpoints(t.Context(), g.url)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := opcua.SelectEndpoint(endpoints, ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt)
	if err != nil {
		t.Fatal(err)
	}
	c, err := opcua.NewClient(g.url, opcua.AutoReconnect(false), opcua.ApplicationURI(clientURI), opcua.SecurityFromEndpoint(ep, token), auth,
		opcua.Certificate(own.DER), opcua.PrivateKey(own.Key))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (g *watchedGateway) node(name string) *ua.NodeID {
	return ua.NewStringNodeID(3, "ReverseConnections/"+g.client+name)
}

func TestServe_ReverseConnectionsAsNodes(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := startWatchedGateway(t)
	defer g.stop()
	c := g.connect(t, ua.UserTokenTypeUserName, opcua.AuthUsername("joe", "secret"))
	defer c.Close(context.Background())

	// NodeIds that clients write into their configuration must not move.
	namespaces, err := c.Node(ua.NewNumericNodeID(0, id.Server_NamespaceArray)).Value(t.Context())
	if list, _ := namespaces.Value().([]string); err != nil || len(list) != 4 || list[2] != "urn:test:gateway:devices" || list[3] != "urn:edgeua:diagnostics" {
		t.Errorf("namespaces %v, %v", list, err)
	}
	changes := make(chan *opcua.PublishNotificationData, 10)
	sub, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: 100 * time.Millisecond}, changes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Monitor(t.Context(), ua.TimestampsToReturnBoth, opcua.NewMonitoredItemCreateRequestWithDefaults(g.node("/Attempts"), ua.AttributeIDValue, 1)); err != nil {
		t.Fatal(err)
	}
	if n := nextValue(t, changes); n != uint64(1) {
		t.Errorf("%v attempts", n)
	}
	if v, err := c.Node(g.node("/LastError")).Value(t.Context()); err != nil || v.Value() != "connection refused" {
		t.Errorf("LastError: %v, %v", v, err)
	}
	result, err := c.Call(t.Context(), &ua.CallMethodRequest{ObjectID: g.node(""), MethodID: g.node("/ConnectNow")})
	if err != nil || result.StatusCode != ua.StatusOK {
		t.Fatalf("ConnectNow: %+v, %v", result, err)
	}
	if n := nextValue(t, changes); n != uint64(2) {
		t.Errorf("%v attempts after ConnectNow", n)
	}
}

func nextValue(t *testing.T, changes <-chan *opcua.PublishNotificationData) any {
	t.Helper()
	select {
	case n := <-changes:
		data, ok := n.Value.(*ua.DataChangeNotification)
		if !ok || len(data.MonitoredItems) != 1 {
			t.Fatalf("%+v, %v", n.Value, n.Error)
		}
		return data.MonitoredItems[0].Value.Value.Value()
	case <-time.After(10 * time.Second):
		t.Fatal("no notification")
	}
	return nil
}

func TestServe_ReverseConnectionsAreForUsers(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := startWatchedGateway(t)
	defer g.stop()
	c := g.connect(t, ua.UserTokenTypeAnonymous, opcua.AuthAnonymous())
	defer c.Close(context.Background())
	if _, err := c.Node(g.node("/State")).Value(t.Context()); err != ua.StatusBadUserAccessDenied {
		t.Errorf("State: %v", err)
	}
	result, err := c.Call(t.Context(), &ua.CallMethodRequest{ObjectID: g.node(""), MethodID: g.node("/ConnectNow")})
	if err != nil || result.StatusCode != ua.StatusBadUserAccessDenied {
		t.Errorf("ConnectNow: %+v, %v", result, err)
	}
}

func TestServe_Metrics(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := startWatchedGateway(t)
	defer g.stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string][]string{
		"/healthz": {"ok\n"},
		"/metrics": {
			"edgeua_connections 0\n", "go_goroutines ",
			`edgeua_reverse_state{url="` + g.client + `",endpoint_url="` + g.url + `",state="Waiting"} 1`,
			`edgeua_reverse_attempts_total{url="` + g.client + `",endpoint_url="` + g.url + `"} 1`,
		},
	} {
		resp, err := client.Get(g.metrics + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", path, resp.StatusCode, err)
		}
		for _, text := range want {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s lacks %q:\n%.600s", path, text, body)
			}
		}
	}
}
