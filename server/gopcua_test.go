package server

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// listen serves on a loopback port and returns the URL of the endpoint.
func listen(t *testing.T) (*rig, string) { return listenWith(t, func(*Config) {}) }

func listenWith(t *testing.T, change func(*Config)) (*rig, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "opc.tcp://" + ln.Addr().String()
	r := newRig(t, func(cfg *Config) {
		cfg.Endpoints[0].URL = url
		cfg.Limits.AcceptRate, cfg.Limits.AcceptBurst = 1000, 1000
		change(cfg)
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Listen(ctx, ln, r.Endpoint(0)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, url
}

// dial connects gopcua's client the way its users do: endpoints first.
func dial(t *testing.T, url, policy string, mode ua.MessageSecurityMode, token ua.UserTokenType, auth ...opcua.Option) (*opcua.Client, error) {
	t.Helper()
	endpoints, err := opcua.GetEndpoints(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := opcua.SelectEndpoint(endpoints, policy, mode)
	if err != nil {
		t.Fatal(err)
	}
	if ep.EndpointURL != url {
		t.Errorf("endpoint URL %q, want %q", ep.EndpointURL, url)
	}
	identity := clientIdentity()
	opts := []opcua.Option{opcua.AutoReconnect(false), opcua.ApplicationURI(clientURI), opcua.SecurityFromEndpoint(ep, token)}
	opts = append(opts, auth...)
	if mode != ua.MessageSecurityModeNone {
		opts = append(opts, opcua.Certificate(identity.Chain[0]), opcua.PrivateKey(identity.Key))
	}
	c, err := opcua.NewClient(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(t.Context()); err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c, nil
}

func TestForeignClient_Gopcua(t *testing.T) {
	_, url := listen(t)
	for _, tt := range []struct {
		name   string
		policy string
		mode   ua.MessageSecurityMode
		token  ua.UserTokenType
		auth   opcua.Option
	}{
		{"None, anonymous", none, ua.MessageSecurityModeNone, ua.UserTokenTypeAnonymous, opcua.AuthAnonymous()},
		{"Sign, anonymous", secure, ua.MessageSecurityModeSign, ua.UserTokenTypeAnonymous, opcua.AuthAnonymous()},
		{"SignAndEncrypt, user", secure, ua.MessageSecurityModeSignAndEncrypt, ua.UserTokenTypeUserName, opcua.AuthUsername("joe", "secret")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := dial(t, url, tt.policy, tt.mode, tt.token, tt.auth)
			if err != nil {
				t.Fatal(err)
			}
			exercise(t, c)
		})
	}
}

func exercise(t *testing.T, c *opcua.Client) {
	t.Helper()
	device, err := c.Node(ua.NewStringNodeID(2, "Device")).ReferencedNodes(t.Context(), id.HierarchicalReferences, ua.BrowseDirectionForward, ua.NodeClassVariable, true)
	if err != nil || len(device) != 8 {
		t.Errorf("browse: %d nodes, %v", len(device), err)
	}
	node := c.Node(ua.NewStringNodeID(2, "Int16"))
	resp, err := c.Write(t.Context(), &ua.WriteRequest{NodesToWrite: []*ua.WriteValue{{
		NodeID: node.ID, AttributeID: ua.AttributeIDValue,
		Value: &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(int16(99))},
	}}})
	if err != nil || resp.Results[0] != ua.StatusOK {
		t.Errorf("write: %v, %v", resp, err)
	}
	if v, err := node.Value(t.Context()); err != nil || v.Value() != int16(99) {
		t.Errorf("read: %v, %v", v, err)
	}
	if state, err := c.Node(ua.NewNumericNodeID(0, id.Server_ServerStatus_State)).Value(t.Context()); err != nil || state.Value() != int32(ua.ServerStateRunning) {
		t.Errorf("state: %v, %v", state, err)
	}
	if status, err := c.Node(ua.NewNumericNodeID(0, id.Server_ServerStatus)).Value(t.Context()); err != nil || status.ExtensionObject() == nil {
		t.Errorf("server status: %v, %v", status, err)
	}
	subscribe(t, c, node.ID)
}

// subscribe expects the first value of a node.
func subscribe(t *testing.T, c *opcua.Client, node *ua.NodeID) {
	t.Helper()
	notifications := make(chan *opcua.PublishNotificationData, 1)
	sub, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: 100 * time.Millisecond}, notifications)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Cancel(t.Context())
	if _, err := sub.Monitor(t.Context(), ua.TimestampsToReturnBoth, opcua.NewMonitoredItemCreateRequestWithDefaults(node, ua.AttributeIDValue, 7)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		select {
		case n := <-notifications:
			data, ok := n.Value.(*ua.DataChangeNotification)
			if !ok || len(data.MonitoredItems) != 1 || data.MonitoredItems[0].Value.Value.Value() != int16(99) {
				t.Errorf("notification %+v, %v", n.Value, n.Error)
			}
			return
		case <-time.After(4 * time.Second):
			// gopcua v0.9.0 publishes before there is a Subscription, and pauses when it is told so. If that answer
			// comes after Subscribe has resumed it, it pauses for good; another Subscribe resumes it again.
			again, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: time.Minute}, make(chan *opcua.PublishNotificationData, 10))
			if err != nil {
				t.Fatal(err)
			}
			defer again.Cancel(t.Context())
		}
	}
	t.Error("no notification")
}

func TestForeignClient_GopcuaWrongPassword(t *testing.T) {
	_, url := listen(t)
	_, err := dial(t, url, secure, ua.MessageSecurityModeSignAndEncrypt, ua.UserTokenTypeUserName, opcua.AuthUsername("joe", "wrong"))
	if !errors.Is(err, ua.StatusBadIdentityTokenRejected) {
		t.Errorf("got %v", err)
	}
}
