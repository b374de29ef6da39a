package uaclient_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverURI   = "urn:test:server"
	clientURI   = "urn:test:client"
	endpointURL = "opc.tcp://gateway.test:4840/edge"
)

var (
	serverIdentity = sync.OnceValue(func() *securechannel.Identity {
		return securechanneltest.NewIdentity("server2048", serverURI)
	})
	clientIdentity = sync.OnceValue(func() *securechannel.Identity {
		return securechanneltest.NewIdentity("client2048", clientURI)
	})
)

var (
	temperature = uabinary.StringID(2, "Temp")
	folder      = uabinary.StringID(2, "Folder")
	double      = uabinary.StringID(2, "Double")
)

// gateway is a real server that is reached over pipes.
type gateway struct {
	*server.Server
	temperature *addressspace.Variable
	serving     sync.WaitGroup
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	space := addressspace.New(serverURI)
	space.AddNamespace("urn:test:devices")
	value := uabinary.DataValue{Value: uabinary.DoubleVariant(21.5)}
	node, err := space.AddVariable(addressspace.VariableOptions{
		ID: temperature, BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Temp"},
		Parent: uabinary.NumericID(0, id.ObjectsFolder), DataType: uabinary.NumericID(0, id.Double),
		AccessLevel: uint8(ua.AccessLevelTypeCurrentRead | ua.AccessLevelTypeCurrentWrite), Value: &value,
	})
	if err != nil {
		t.Fatal(err)
	}
	addTree(t, space)
	g := &gateway{temperature: node.Variable}
	g.Server, err = server.New(config(), space, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.Shutdown(context.Background())
		g.serving.Wait()
	})
	return g
}

// addTree adds a folder of 2500 objects and a method.
func addTree(t testing.TB, space *addressspace.Space) {
	t.Helper()
	_, err := space.AddObject(addressspace.ObjectOptions{ID: folder,
		BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Folder"}, Parent: uabinary.NumericID(0, id.ObjectsFolder)})
	for i := uint32(1); i <= 2500 && err == nil; i++ {
		_, err = space.AddObject(addressspace.ObjectOptions{ID: uabinary.NumericID(2, i),
			BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Child"}, Parent: folder})
	}
	if err != nil {
		t.Fatal(err)
	}
	argument := func(name string) []uabinary.Argument {
		return []uabinary.Argument{{Name: name, DataType: uabinary.NumericID(0, id.Double), ValueRank: -1}}
	}
	_, err = space.AddMethod(addressspace.MethodOptions{
		ID: double, BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Double"}, Parent: folder,
		InputArguments: argument("x"), OutputArguments: argument("y"),
		Run: func(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			x, _ := call.Inputs[0].Number()
			return []uabinary.Variant{uabinary.DoubleVariant(2 * x)}, ua.StatusGood, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func config() server.Config {
	secured := []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}
	return server.Config{
		ApplicationURI: serverURI, ApplicationName: "test", Anonymous: true, UserName: true,
		Users: []server.User{{Name: server.AnonymousUser}, {Name: "joe", Password: "secret"}},
		Endpoints: []server.EndpointConfig{{
			URL: endpointURL, Identity: serverIdentity(), Visible: true, Discovery: true,
			Trust: func([]byte) error { return nil },
			Security: []server.SecuritySetting{
				{PolicyURI: ua.SecurityPolicyURINone, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
				{PolicyURI: ua.SecurityPolicyURIBasic256Sha256, Modes: secured},
				{PolicyURI: ua.SecurityPolicyURIAes128Sha256RsaOaep, Modes: secured},
				{PolicyURI: ua.SecurityPolicyURIAes256Sha256RsaPss, Modes: secured},
			},
		}},
		Limits: server.Limits{Handshakes: securechannel.HandshakeConfig{Rate: 10000, Queue: 100}},
	}
}

// pipe serves one connection and returns the client's end of it.
func (g *gateway) pipe() net.Conn {
	client, theirs := net.Pipe()
	g.serving.Go(func() { g.Serve(context.Background(), theirs, g.Endpoint(0), nil) })
	return client
}

// options are those of an encrypted anonymous session.
func options() uaclient.Options {
	return uaclient.Options{
		EndpointURL: endpointURL, SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256, Mode: ua.MessageSecurityModeSignAndEncrypt,
		Identity: clientIdentity(), ServerCertificate: serverIdentity().Chain[0], ApplicationURI: clientURI, SessionName: "test",
	}
}

// plain are the options of a session without security.
func plain() uaclient.Options {
	return uaclient.Options{EndpointURL: endpointURL, SecurityPolicyURI: ua.SecurityPolicyURINone, Mode: ua.MessageSecurityModeNone, SessionName: "test"}
}

func open(t testing.TB, nc net.Conn, o uaclient.Options) *uaclient.Client {
	t.Helper()
	c, err := uaclient.Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func value(node uabinary.NodeID) []uabinary.ReadValueID {
	return []uabinary.ReadValueID{{NodeID: node, AttributeID: ua.AttributeIDValue}}
}

func read(t testing.TB, c *uaclient.Client) float64 {
	t.Helper()
	values, err := c.Read(t.Context(), value(temperature))
	if err != nil {
		t.Fatal(err)
	}
	number, _ := values[0].Value.Number()
	return number
}

func hierarchical(node uabinary.NodeID) uabinary.BrowseDescription {
	return uabinary.BrowseDescription{
		NodeID: node, BrowseDirection: ua.BrowseDirectionForward, IncludeSubtypes: true,
		ReferenceTypeID: uabinary.NumericID(0, id.HierarchicalReferences), ResultMask: uint32(ua.BrowseResultMaskAll),
	}
}
