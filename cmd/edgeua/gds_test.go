package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

// directoryServer is a GDS on our own server that knows one application. Part 12 (1.05), 6.5.10
type directoryServer struct {
	url  string
	stop func()

	mu   sync.Mutex
	urls []string // guarded by mu; DiscoveryUrls of the application
}

func (d *directoryServer) say(urls ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.urls = urls
}

func newDirectoryServer(t *testing.T, applicationURI string) *directoryServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &directoryServer{url: "opc.tcp://" + l.Addr().String()}
	space := addressspace.New("urn:test:gds")
	ns := space.AddNamespace("http://opcfoundation.org/UA/GDS/")
	directory := uabinary.NumericID(ns, 141)
	_, err = space.AddObject(addressspace.ObjectOptions{ID: directory, Parent: uabinary.NumericID(0, id.ObjectsFolder),
		BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: "Directory"}})
	if err != nil {
		t.Fatal(err)
	}
	argument := func(dataType uint32, rank int32) uabinary.Argument {
		return uabinary.Argument{Name: "x", DataType: uabinary.NumericID(0, dataType), ValueRank: rank}
	}
	_, err = space.AddMethod(addressspace.MethodOptions{
		ID: uabinary.NumericID(ns, 992), Parent: directory, BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: "QueryApplications"},
		InputArguments: []uabinary.Argument{
			argument(id.UInt32, -1), argument(id.UInt32, -1), argument(id.String, -1), argument(id.String, -1),
			argument(id.UInt32, -1), argument(id.String, -1), argument(id.String, 1),
		},
		Run: func(context.Context, *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			d.mu.Lock()
			defer d.mu.Unlock()
			app := uabinary.ExtensionObjectOf(&uabinary.ApplicationDescription{ApplicationURI: applicationURI, DiscoveryURLs: d.urls})
			return []uabinary.Variant{uabinary.DateTimeVariant(1), uabinary.Uint32Variant(1), uabinary.VariantOf([]uabinary.ExtensionObject{app})}, ua.StatusOK, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := newOwn(t, "urn:test:gds")
	s, err := server.New(server.Config{
		ApplicationURI: "urn:test:gds", ApplicationName: "gds", Anonymous: true,
		Endpoints: []server.EndpointConfig{{
			URL: d.url, Identity: &securechannel.Identity{Chain: own.Chain, Key: own.Key}, Visible: true,
			Trust:    func([]byte) error { return nil },
			Security: []server.SecuritySetting{{PolicyURI: ua.SecurityPolicyURIBasic256Sha256, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeSignAndEncrypt}}},
		}},
	}, space, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Listen(ctx, l, s.Endpoint(0)) })
	d.stop = func() { cancel(); serving.Wait(); _ = s.Shutdown(context.Background()) }
	t.Cleanup(d.stop)
	return d
}

// A client that is known by its ApplicationUri only is called where the GDS says, and, while the GDS is away, where it has
// said.
func TestServe_ClientFoundByGds(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	d := newDirectoryServer(t, "urn:test:client")
	d.say("opc.tcp://ignored.invalid:1", "rcp+"+p.url())
	g := startCalling(t, secureFile(""), edgeFile(`<Gds Url="`+d.url+`" ApplicationUri="urn:test:client"/>`))
	c, err := p.open(newOwn(t, "urn:test:client"), "urn:test:client")
	if err != nil {
		t.Fatalf("%v\n%s", err, g.log)
	}
	_ = c.Close(t.Context())
	edgeua(t, "dial", "--config", g.main, p.url()).want(t, exitOK, p.url())
	g.log.wait(t, "directory knows the client")
	g.stop()
	kept, err := os.ReadFile(filepath.Join(filepath.Dir(g.main), "edgeua-state", directoryName))
	if err != nil || !strings.Contains(string(kept), p.url()) || strings.Contains(string(kept), "ignored") {
		t.Errorf("%s, %v", kept, err)
	}

	d.stop()
	for len(p.calls) > 0 {
		(<-p.calls).Close()
	}
	again := &watched{}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", g.main}, again, again) }()
	p.answer()
	again.wait(t, "directory did not answer")
	cancel()
	<-served
}

// A GDS that is not trusted gets no say.
func TestServe_UntrustedGds(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	d := newDirectoryServer(t, "urn:test:client")
	d.say("rcp+" + p.url())
	strict := strings.Replace(secureFile(""), "<AutomaticallyTrustAllClientCertificates>true", "<AutomaticallyTrustAllClientCertificates>false", 1)
	g := startCalling(t, strict, edgeFile(`<Gds Url="`+d.url+`" ApplicationUri="urn:test:client"/>`))
	defer g.stop()
	g.log.wait(t, "certificate of the directory")
	if len(p.calls) > 0 {
		t.Error("the client of an untrusted GDS is called")
	}
}

// A client without an address is shown as well, with what it waits for, until it has one.
func TestGateway_ClientThatIsLookedUpIsShown(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	d := newDirectoryServer(t, "urn:test:client")
	d.say("rcp+" + p.url())
	own := makeIdentity(t, "urn:test:gateway")
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": secureFile(""), "own.der": own.der, "own.pem": own.pem,
		"edgeua.xml": edgeFile(`<Gds Url="` + d.url + `" ApplicationUri="urn:test:client"/><Gds Url="` + d.url + `" ApplicationUri="urn:test:off" Enabled="0"/>`),
	})
	cfg, report := config.Load(config.Options{Main: main, Kinds: driverKinds()})
	if cfg == nil {
		t.Fatal(report.Problems)
	}
	log := &watched{}
	ctx, cancel := context.WithCancel(t.Context())
	g, err := newGateway(ctx, cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	// what metrics tell, and nodes show
	told := func() string {
		var lines []string
		for _, c := range g.callers.clients() {
			g.callers.mu.Lock()
			shown := g.callers.shown[c.Key()]
			g.callers.mu.Unlock()
			lines = append(lines, fmt.Sprintf("%s %s %s %q %t", c.Name, c.URL, c.State, c.LastError, shown))
		}
		return strings.Join(lines, "\n")
	}
	const off = `urn:test:off  Disabled "" true`
	if got, want := told(), "urn:test:client  Waiting \""+noAddress+"\" true\n"+off; got != want {
		t.Errorf("at the start\n%s\nwant\n%s", got, want)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx) }()
	p.answer().Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := told(); !strings.HasPrefix(got, off+"\n "+p.url()+" ") || !strings.HasSuffix(got, " true") || len(g.callers.shown) != 2 {
		t.Errorf("when it is found\n%s\n%v", got, g.callers.shown)
	}
}
