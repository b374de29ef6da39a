package gds

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	gdsURL    = "opc.tcp://gds.test:4850"
	gdsURI    = "urn:test:gds"
	ownURI    = "urn:test:gateway"
	clientURI = "urn:test:client"
)

var (
	gdsIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("server2048", gdsURI) })
	ownIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("client2048", ownURI) })
)

// directory is a GDS on our own server, with the Object and the Method of Part 12.
type directory struct {
	*server.Server
	serving sync.WaitGroup

	mu      sync.Mutex
	answer  func(call *addressspace.MethodCall) []uabinary.Variant // guarded by mu
	dialled []string                                               // guarded by mu
}

func application(uri string, urls ...string) uabinary.ExtensionObject {
	return uabinary.ExtensionObjectOf(&uabinary.ApplicationDescription{ApplicationURI: uri, ApplicationType: ua.ApplicationTypeClient, DiscoveryURLs: urls})
}

func answering(apps ...uabinary.ExtensionObject) func(*addressspace.MethodCall) []uabinary.Variant {
	return func(*addressspace.MethodCall) []uabinary.Variant {
		return []uabinary.Variant{uabinary.DateTimeVariant(1), uabinary.Uint32Variant(1), uabinary.VariantOf(apps)}
	}
}

func newDirectory(t *testing.T, namespace string, change func(*server.Config)) *directory {
	t.Helper()
	d := &directory{}
	space := addressspace.New(gdsURI)
	space.AddNamespace("urn:test:other")
	ns := space.AddNamespace(namespace)
	directory := uabinary.NumericID(ns, directoryID)
	_, err := space.AddObject(addressspace.ObjectOptions{ID: directory,
		BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: "Directory"}, Parent: uabinary.NumericID(0, id.ObjectsFolder)})
	if err != nil {
		t.Fatal(err)
	}
	argument := func(name string, dataType uint32, rank int32) uabinary.Argument {
		return uabinary.Argument{Name: name, DataType: uabinary.NumericID(0, dataType), ValueRank: rank}
	}
	_, err = space.AddMethod(addressspace.MethodOptions{
		ID: uabinary.NumericID(ns, queryID), BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: "QueryApplications"}, Parent: directory,
		InputArguments: []uabinary.Argument{
			argument("StartingRecordId", id.UInt32, -1), argument("MaxRecordsToReturn", id.UInt32, -1),
			argument("ApplicationName", id.String, -1), argument("ApplicationUri", id.String, -1),
			argument("ApplicationType", id.UInt32, -1), argument("ProductUri", id.String, -1), argument("Capabilities", id.String, 1),
		},
		OutputArguments: []uabinary.Argument{
			argument("LastCounterResetTime", id.UtcTime, -1), argument("NextRecordId", id.UInt32, -1), argument("Applications", id.ApplicationDescription, 1),
		},
		Run: func(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.answer(call), ua.StatusOK, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{
		ApplicationURI: gdsURI, ApplicationName: "gds", Anonymous: true,
		Endpoints: []server.EndpointConfig{{
			URL: gdsURL, Identity: gdsIdentity(), Visible: true, Discovery: true,
			Trust: func(der []byte) error {
				if bytes.HasPrefix(der, ownIdentity().Chain[0]) {
					return nil
				}
				return ua.StatusBadCertificateUntrusted
			},
			Security: []server.SecuritySetting{
				{PolicyURI: ua.SecurityPolicyURINone, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
				{PolicyURI: ua.SecurityPolicyURIBasic256Sha256, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}},
			},
		}},
		Limits: server.Limits{Handshakes: securechannel.HandshakeConfig{Rate: 10000, Queue: 100}},
	}
	if change != nil {
		change(&cfg)
	}
	if d.Server, err = server.New(cfg, space, nil); err != nil {
		t.Fatal(err)
	}
	d.answer = answering(application(clientURI, "rcp+opc.tcp://client.test:48061"))
	t.Cleanup(func() {
		_ = d.Shutdown(context.Background())
		d.serving.Wait()
	})
	return d
}

func (d *directory) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	d.dialled = append(d.dialled, address)
	d.mu.Unlock()
	near, far := net.Pipe()
	d.serving.Go(func() { d.Serve(context.Background(), far, d.Endpoint(0), nil) })
	return near, nil
}

func (d *directory) access() *Access {
	return &Access{
		Dial: d.dial, Identity: ownIdentity(), ApplicationURI: ownURI,
		Trust: func(der []byte) error {
			if bytes.HasPrefix(der, gdsIdentity().Chain[0]) {
				return nil
			}
			return ua.StatusBadCertificateUntrusted
		},
	}
}

func TestQuery_Part12_6510(t *testing.T) {
	d := newDirectory(t, namespaceURI, nil)
	d.answer = func(call *addressspace.MethodCall) []uabinary.Variant {
		in := call.Inputs
		capabilities, _ := in[6].Any().([]string)
		if in[3].Any() != clientURI || !slices.Equal(capabilities, []string{"RCP"}) || in[2].Any() != "" || in[4].Any() != uint32(0) {
			t.Errorf("asked with %v", in)
		}
		return answering(
			application("urn:test:other", "rcp+opc.tcp://other.test:1"), // not asked for
			application(clientURI, "opc.tcp://client.test:4840", "rcp+opc.tcp://client.test:48061", "rcp+opc.tcp://[2001:db8::1]",
				"rcp+opc.wss://client.test:443", "rcp+https://client.test", "rcp+opc.tcp://me:pw@client.test:1", "rcp+opc.tcp://client.test:0",
				"rcp+opc.tcp://client.test:48061", "rcp+opc.tcp://"+strings.Repeat("x", 5000), "rcp+", ""),
			application(clientURI, "rcp+opc.tcp://second.test:1/path"),
		)(call)
	}
	urls, err := d.access().Query(t.Context(), gdsURL, clientURI)
	if want := []string{"opc.tcp://client.test:48061", "opc.tcp://[2001:db8::1]", "opc.tcp://second.test:1/path"}; err != nil || !slices.Equal(urls, want) {
		t.Errorf("%q, %v", urls, err)
	}
	for _, address := range d.dialled {
		if address != "gds.test:4850" {
			t.Errorf("dialled %s", address)
		}
	}
}

func TestQuery_ManyAddresses(t *testing.T) {
	d := newDirectory(t, namespaceURI, nil)
	var many []string
	for i := range 1000 {
		many = append(many, "rcp+opc.tcp://c"+strings.Repeat("c", i%100)+".test:"+string(rune('1'+i%9)))
	}
	d.answer = answering(application(clientURI, many...))
	urls, err := d.access().Query(t.Context(), gdsURL, clientURI)
	if err != nil || len(urls) != MaxURLs {
		t.Errorf("%d addresses, %v", len(urls), err)
	}
}

func TestQuery_Unknown(t *testing.T) {
	d := newDirectory(t, namespaceURI, nil)
	for _, answer := range []func(*addressspace.MethodCall) []uabinary.Variant{
		answering(), answering(application("urn:other", "rcp+opc.tcp://x:1")), answering(application(clientURI)),
		func(*addressspace.MethodCall) []uabinary.Variant { return make([]uabinary.Variant, 3) },
	} {
		d.answer = answer
		if urls, err := d.access().Query(t.Context(), gdsURL, clientURI); err != nil || len(urls) != 0 {
			t.Errorf("%v, %v", urls, err)
		}
	}
}

func TestQuery_Refused(t *testing.T) {
	argument := uabinary.ExtensionObjectOf(&uabinary.Argument{Name: "x"})
	for name, c := range map[string]struct {
		namespace string
		server    func(*server.Config)
		access    func(*Access)
		answer    func(*addressspace.MethodCall) []uabinary.Variant
		want      string
	}{
		"not trusted": {access: func(a *Access) { a.Trust = func([]byte) error { return ua.StatusBadCertificateUntrusted } }, want: "certificate of the directory"},
		"we are not": {server: func(c *server.Config) {
			c.Endpoints[0].Trust = func([]byte) error { return ua.StatusBadCertificateUntrusted }
		}, want: "BadSecurityChecksFailed"},
		"no security": {server: func(c *server.Config) { c.Endpoints[0].Security = c.Endpoints[0].Security[:1] }, want: "no endpoint with security"},
		"no GDS":      {namespace: "urn:test:nothing", want: "not a GDS"},
		"another URI": {server: func(c *server.Config) { c.ApplicationURI = "urn:test:liar" }, want: "another application"},
		"few results": {answer: func(*addressspace.MethodCall) []uabinary.Variant { return nil }, want: ""},
		"no applications": {answer: func(*addressspace.MethodCall) []uabinary.Variant {
			return append(answering()(nil)[:2:2], uabinary.StringVariant("x"))
		}, want: ""},
		"other structures": {answer: answering(argument), want: ""},
		"not an URL":       {want: "opc.tcp://host:port"},
		"cannot be reached": {access: func(a *Access) {
			a.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
		}, want: "no route"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDirectory(t, or(c.namespace, namespaceURI), c.server)
			if c.answer != nil {
				d.answer = c.answer
			}
			a := d.access()
			if c.access != nil {
				c.access(a)
			}
			target := gdsURL
			if name == "not an URL" {
				target = "https://gds.test"
			}
			urls, err := a.Query(t.Context(), target, clientURI)
			if err == nil || len(urls) > 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want %q", urls, err, c.want)
			}
		})
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
