//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/reverseconnect"
)

// gopcua's client on the listener, with every policy and mode, anonymous and with a password.
func TestGopcua_Direct(t *testing.T) {
	port := freePort(t)
	startTCPSlave(t, port)
	g := newGateway(t, setup{channel: tcpChannel(port), listen: true})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, c := range []struct {
		policy string
		mode   ua.MessageSecurityMode
	}{
		{"None", ua.MessageSecurityModeNone},
		{"Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt},
		{"Aes128_Sha256_RsaOaep", ua.MessageSecurityModeSignAndEncrypt},
		{"Aes256_Sha256_RsaPss", ua.MessageSecurityModeSign},
		{"Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt},
	} {
		t.Run(c.policy+c.mode.String(), func(t *testing.T) {
			client := g.visit(ctx, c.policy, c.mode, nil)
			waitStatus(ctx, t, client, counter, true, 10*time.Second)
			browseBoiler(ctx, t, client)
			if err := client.Close(ctx); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	t.Run("password", func(t *testing.T) {
		g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, &login{"operator", "secret"})
		eventually(t, "refusal", 5*time.Second, func() error {
			_, err := g.tryVisit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, &login{"operator", "wrong"})
			if !errors.Is(err, ua.StatusBadIdentityTokenRejected) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		})
	})
}

// browseBoiler finds the device and its tags below Objects.
func browseBoiler(ctx context.Context, t *testing.T, c *opcua.Client) {
	t.Helper()
	node := c.Node(ua.NewNumericNodeID(0, 85))
	for _, name := range []string{"Boiler", "Counter"} {
		references, err := node.References(ctx, 33, ua.BrowseDirectionForward, ua.NodeClassAll, true)
		if err != nil {
			t.Fatalf("Browse %v: %v", node.ID, err)
		}
		var found *ua.NodeID
		for _, r := range references {
			if r.BrowseName.Name == name {
				found = r.NodeID.NodeID
			}
		}
		if found == nil {
			t.Fatalf("%s is not below %v", name, node.ID)
		}
		node = c.Node(found)
	}
	if node.ID.String() != counter {
		t.Errorf("found %v, want %s", node.ID, counter)
	}
}

// gopcua's client on the gateway's call, which opens no port at all.
func TestGopcua_Reverse(t *testing.T) {
	port := freePort(t)
	startTCPSlave(t, port)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	listener, err := reverseconnect.Listen(ctx, "opc.tcp://127.0.0.1:0", reverseconnect.ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	g := newGateway(t, setup{channel: tcpChannel(port), reverse: []string{"opc.tcp://" + listener.Addr().String()}})
	g.serve()
	call, err := listener.Accept(ctx, reverseconnect.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if call.ServerURI != serverURI || call.EndpointURL != g.url() {
		t.Errorf("called by %q, %q", call.ServerURI, call.EndpointURL)
	}
	endpoints, err := reverseconnect.Discover(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		if e.EndpointURL != call.EndpointURL {
			t.Errorf("GetEndpoints says %q, the ReverseHello %q", e.EndpointURL, call.EndpointURL)
		}
	}
	client, err := reverseconnect.NewClient(call, g.clientOptions(endpoints, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	checkValues(ctx, t, client.Client)

	// Part 6 (1.04), 7.1.3: the next ReverseHello follows the close at once.
	closing := time.Now()
	if err := client.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := listener.Accept(ctx, reverseconnect.Filter{}); err != nil {
		t.Fatal(err)
	}
	pause := time.Since(closing)
	t.Logf("next ReverseHello %v after CloseSession was sent", pause)
	if pause > time.Second {
		t.Errorf("next ReverseHello after %v, want less than 1 s", pause)
	}
	g.stop(10 * time.Second)
}
