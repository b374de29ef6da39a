package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// phone is a client that waits to be called.
type phone struct {
	t     *testing.T
	l     net.Listener
	calls chan ring
}

// ring is one call.
type ring struct {
	net.Conn
	hello uatcp.ReverseHello
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t, l: l, calls: make(chan ring, 10)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if hello, err := uatcp.ReadReverseHello(nc, 5*time.Second); err == nil {
				p.calls <- ring{nc, hello}
				continue
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for len(p.calls) > 0 {
			(<-p.calls).Close()
		}
	})
	return p
}

func (p *phone) url() string { return "opc.tcp://" + p.l.Addr().String() }

// answer waits for the next call.
func (p *phone) answer() ring {
	p.t.Helper()
	select {
	case r := <-p.calls:
		p.t.Cleanup(func() { r.Close() })
		return r
	case <-time.After(10 * time.Second):
		p.t.Fatal("no call")
		return ring{}
	}
}

// endpoints asks without security on a call.
func (p *phone) endpoints() []uabinary.EndpointDescription {
	p.t.Helper()
	r := p.answer()
	all, err := uaclient.Endpoints(p.t.Context(), r.Conn, r.hello.EndpointURL)
	if err != nil || len(all) == 0 {
		p.t.Fatalf("endpoints: %v", err)
	}
	return all
}

// open opens an encrypted session on a call.
func (p *phone) open(own *pki.Own, applicationURI string) (*uaclient.Client, error) {
	p.t.Helper()
	server := p.endpoints()[0]
	r := p.answer()
	return uaclient.Open(p.t.Context(), r.Conn, uaclient.Options{
		EndpointURL: r.hello.EndpointURL, SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256, Mode: ua.MessageSecurityModeSignAndEncrypt,
		Identity: &securechannel.Identity{Chain: own.Chain, Key: own.Key}, ServerCertificate: server.ServerCertificate,
		ApplicationURI: applicationURI, SessionName: "test",
	})
}

// identities made so far, by ApplicationUri: keys take their time.
var made sync.Map

// madeIdentity is a certificate with its key, and the files that hold them.
type madeIdentity struct {
	own      *pki.Own
	der, pem string
}

func makeIdentity(t *testing.T, applicationURI string) madeIdentity {
	t.Helper()
	if m, ok := made.Load(applicationURI); ok {
		return m.(madeIdentity)
	}
	dir := t.TempDir()
	at := pki.Locations{Certificate: filepath.Join(dir, "own.der"), PrivateKey: filepath.Join(dir, "own.pem")}
	own, _, err := pki.LoadOrCreate(at, pki.Request{ApplicationURI: applicationURI, CommonName: "test"}, true)
	if err != nil {
		t.Fatal(err)
	}
	m := madeIdentity{own: own}
	for file, text := range map[string]*string{at.Certificate: &m.der, at.PrivateKey: &m.pem} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		*text = string(data)
	}
	made.Store(applicationURI, m)
	return m
}

func newOwn(t *testing.T, applicationURI string) *pki.Own {
	t.Helper()
	return makeIdentity(t, applicationURI).own
}

// calling is a gateway that only calls out, and can be told to read its files again.
type calling struct {
	t    *testing.T
	main string
	log  *watched
	stop func()
}

// secureFile is a main file with an encrypted endpoint that trusts everybody, and these reverse clients.
func secureFile(more string, clients ...string) string {
	text := more + "<AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates><ReverseConnect>"
	for _, url := range clients {
		text += "<Url>" + url + "</Url>"
	}
	text = mainFile("opc.tcp://gateway.invalid:4840", text+"</ReverseConnect>")
	return strings.NewReplacer("#None", "#Basic256Sha256", "<MessageSecurityMode>None", "<MessageSecurityMode>SignAndEncrypt").Replace(text)
}

// edgeFile is a file of ours with these elements in ReverseConnect.
func edgeFile(elements string) string {
	return "<EdgeUa><Listeners Enabled=\"0\"/><ReverseConnect>\n<Defaults BackoffMin=\"50\" BackoffMax=\"100\" RejectDelay=\"3600000\"/>\n" + elements + "</ReverseConnect></EdgeUa>"
}

func startCalling(t *testing.T, main, edge string) *calling {
	t.Helper()
	own := makeIdentity(t, "urn:test:gateway")
	g := &calling{t: t, log: &watched{}, main: files(t, map[string]string{
		"TcUaServerConfig.xml": main, "edgeua.xml": edge, "own.der": own.der, "own.pem": own.pem,
	})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", g.main}, io.Discard, g.log) }()
	g.stop = func() {
		cancel()
		if code := <-served; code != exitOK {
			t.Errorf("serve ended with %d:\n%s", code, g.log)
		}
	}
	g.log.wait(t, "server running")
	return g
}

// rewrite changes a file and has the gateway read it.
func (g *calling) rewrite(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(g.main), name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		g.t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
}

func TestServe_ReverseClientMustBeWhoItIs(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	g := startCalling(t, secureFile("", p.url()), edgeFile(`<Client Url="`+p.url()+`" ApplicationUri="urn:test:client"/>`))
	defer g.stop()
	c, err := p.open(newOwn(t, "urn:test:client"), "urn:test:client")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.open(newOwn(t, "urn:test:other"), "urn:test:other"); err == nil {
		t.Error("another trusted application is served")
	} else if code := ua.StatusCode(0); !errors.As(err, &code) || code != ua.StatusBadCertificateURIInvalid {
		t.Errorf("refused with %v", err)
	}
	g.log.wait(t, "peer refused")
	g.log.wait(t, "refused the client: \\\"another application than the one that is configured")
	g.log.wait(t, "next_in=")
	select {
	case <-p.calls:
		t.Error("called again at once")
	case <-time.After(200 * time.Millisecond):
	}
}

func TestServe_AnnouncesAnotherURL(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	const nat = "opc.tcp://NAT.test:5000/x"
	g := startCalling(t, secureFile("<AlternativeEndpointUrls><Url>opc.tcp://nat.test:5000</Url><Url>"+nat+"</Url></AlternativeEndpointUrls>", p.url()),
		edgeFile(`<Client Url="`+p.url()+`" EndpointUrl="`+nat+`"/>`))
	defer g.stop()
	r := p.answer()
	if r.hello.EndpointURL != nat || r.hello.ServerURI != "urn:test:gateway" {
		t.Errorf("announced %+v", r.hello)
	}
	all, err := uaclient.Endpoints(t.Context(), r.Conn, nat)
	if err != nil || len(all) == 0 || all[0].EndpointURL != nat {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestServe_Reload(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	stays, goes, comes := newPhone(t), newPhone(t), newPhone(t)
	g := startCalling(t, secureFile("", stays.url(), goes.url()), edgeFile(""))
	defer g.stop()
	kept, lost := stays.answer(), goes.answer()

	g.rewrite("TcUaServerConfig.xml", secureFile("", comes.url(), stays.url()))
	comes.answer()
	if _, err := lost.Read(make([]byte, 1)); err == nil {
		t.Error("the removed client still has its socket")
	}
	g.log.wait(t, "configuration reloaded")
	// The one that stays is served on the socket that it had.
	if all, err := uaclient.Endpoints(t.Context(), kept.Conn, kept.hello.EndpointURL); err != nil || len(all) == 0 {
		t.Errorf("the socket of the client that stays: %v", err)
	}
	stays.answer() // closed by the client, called again
}

func TestServe_ReloadDisables(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	g := startCalling(t, secureFile("", p.url()), edgeFile(""))
	defer g.stop()
	r := p.answer()
	g.rewrite("edgeua.xml", edgeFile(`<Client Url="`+p.url()+`" Enabled="0"/>`))
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("the disabled client still has its socket")
	}
	edgeua(t, "dial", "--config", g.main, p.url()).want(t, exitFailure, "is disabled")
	g.rewrite("edgeua.xml", edgeFile(""))
	p.answer()
}

func TestServe_ReloadOfABadFileChangesNothing(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := newPhone(t)
	g := startCalling(t, secureFile("", p.url()), edgeFile(""))
	defer g.stop()
	kept := p.answer()
	g.rewrite("edgeua.xml", edgeFile(`<Client Url="`+p.url()+`" Enabled="perhaps"/>`))
	g.log.wait(t, "nothing has changed")
	g.log.wait(t, "edgeua.xml:3: error: EdgeUa/ReverseConnect/Client/Enabled")
	if all, err := uaclient.Endpoints(t.Context(), kept.Conn, kept.hello.EndpointURL); err != nil || len(all) == 0 {
		t.Errorf("the client's socket: %v", err)
	}
}

func TestDial(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	dead := "opc.tcp://" + freeAddress(t)
	g := startCalling(t, secureFile("", dead), strings.Replace(edgeFile(""), `BackoffMin="50" BackoffMax="100"`, `BackoffMin="3600000" BackoffMax="3600000"`, 1))
	g.log.wait(t, "connection refused")
	control := controlPath(filepath.Join(filepath.Dir(g.main), "edgeua-state"))
	for path, mode := range map[string]os.FileMode{control: 0o600, filepath.Dir(control): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	edgeua(t, "dial", "--config", g.main, dead).want(t, exitOK, dead+" is called now")
	edgeua(t, "dial", "--config", filepath.Dir(g.main), "rcp+"+dead).want(t, exitOK, dead+" is ")
	location := filepath.Join(t.TempDir(), config.LocationName)
	write(t, location, []byte("<TcUaConfigLocation><Location>"+filepath.Dir(g.main)+"</Location></TcUaConfigLocation>"))
	edgeua(t, "dial", "--config", location, dead).want(t, exitOK, dead+" is ")
	write(t, location, []byte("<TcUaConfigLocation/>"))
	edgeua(t, "dial", "--config", location, dead).want(t, exitFailure, "names no directory")
	edgeua(t, "dial", "--config", g.main, "opc.tcp://other:1").want(t, exitFailure, "is not a client; there are "+dead)
	edgeua(t, "dial", "--config", g.main, "opc.tcp://other:1\nmore").want(t, exitFailure, "not the URL")
	edgeua(t, "dial", "--config", g.main).want(t, exitConfig)
	for _, request := range []string{"stop now", "", strings.Repeat("x", 1000)} {
		if answer, err := ask(t.Context(), control, request); err != nil || !strings.HasPrefix(answer, "error ") {
			t.Errorf("%.20q: %q, %v", request, answer, err)
		}
	}
	if _, err := ask(t.Context(), control, strings.Repeat("x", 2*maxControlLine)); err == nil {
		t.Error("an endless request is answered")
	}
	// A second gateway leaves the first one's socket alone.
	if l, err := bindControl(t.Context(), filepath.Dir(control)); err == nil {
		l.Close()
		t.Error("the socket is taken from a running gateway")
	}
	g.stop()
	edgeua(t, "dial", "--config", g.main, dead).want(t, exitFailure, "no gateway runs")
}

// A socket that a killed gateway has left behind is replaced; another file is not.
func TestBindControl_LeftBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l, err := bindControl(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = bindControl(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(controlPath(dir), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bindControl(t.Context(), dir); err == nil {
		t.Error("a file is replaced")
	}
}
