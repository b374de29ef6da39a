package reverseconnect_test

import (
	"context"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/reverseconnect"
)

// Ordinary clients, which know nothing of reverse connect, work with a gateway through a bridge: several at once, with the
// SecureChannel between them and the gateway.
func TestEndToEnd_OrdinaryClientsThroughBridge(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		b, err := reverseconnect.OpenBridge(ctx, "opc.tcp://127.0.0.1:0", reverseconnect.BridgeConfig{
			Routes: []reverseconnect.Route{{ServerURI: serverURI, Address: "127.0.0.1:0"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		g := newGateway(t)
		target := g.target("opc.tcp://" + b.Addrs()[0].String())
		target.SocketsPerClient = 3
		g.call(t, target)

		url := "opc.tcp://" + b.Status()[0].Addr.String()
		endpoints, err := opcua.GetEndpoints(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		e, err := opcua.SelectEndpoint(endpoints, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt)
		if err != nil {
			t.Fatal(err)
		}
		if e.EndpointURL != endpointURL { // the bridge changes nothing in what a server says, signed or not
			t.Errorf("GetEndpoints returns %s", e.EndpointURL)
		}
		own := securechanneltest.NewIdentity("client2048", "urn:test:client")
		for range 2 {
			c, err := opcua.NewClient(url, opcua.PrivateKey(own.Key), opcua.Certificate(own.Chain[0]),
				opcua.SecurityFromEndpoint(e, ua.UserTokenTypeAnonymous), opcua.AutoReconnect(false))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(ctx); err != nil {
				t.Fatal(err)
			}
			defer c.Close(ctx)
			v, err := c.Node(ua.NewStringNodeID(2, "Boiler.Temp")).Value(ctx)
			if err != nil || v.Value() != 21.5 {
				t.Fatalf("read %v, %v", v, err)
			}
		}
		if s := b.Status()[0]; s.Clients != 2 || s.Joined != 3 || s.EndpointURL != endpointURL || s.URL != url+"/edge" {
			t.Errorf("%+v", s)
		}
	})
}
