// Package attack puts a whole server under the attacks of the security
// research and watches, from inside the plant, that nobody else notices: a
// witness keeps its subscription, a new client gets in, nothing is left behind.
//
// A test is one row of the attack list and bears its number. What the
// protocol layers answer byte by byte is tested beside them; here everything
// runs together, on real sockets, with the certificate store in a directory.
package attack

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

const (
	serverURI   = "urn:plant:gateway"
	witnessURI  = "urn:plant:witness"
	insiderURI  = "urn:plant:insider"
	strangerURI = "urn:outside:stranger"

	policy = ua.SecurityPolicyURIBasic256Sha256
	none   = ua.SecurityPolicyURINone

	operator = "operator"
	password = "correct-horse-battery"

	// witnessAddress is where the plant's own clients come from, attackAddress
	// where the attackers do.
	witnessAddress = "127.0.0.1"
	attackAddress  = "127.0.0.2"
)

// Identities are made once: keys are expensive.
var (
	gatewayIdentity  = sync.OnceValue(func() *securechannel.Identity { return newIdentity(serverURI, nil) })
	witnessIdentity  = sync.OnceValue(func() *securechannel.Identity { return newIdentity(witnessURI, nil) })
	insiderIdentity  = sync.OnceValue(func() *securechannel.Identity { return newIdentity(insiderURI, nil) })
	strangerIdentity = sync.OnceValue(func() *securechannel.Identity { return newIdentity(strangerURI, nil) })
)

// newIdentity makes a self-signed application instance certificate.
func newIdentity(uri string, change func(*x509.Certificate)) *securechannel.Identity {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &securechannel.Identity{Chain: [][]byte{selfSigned(key, uri, change)}, Key: key}
}

func selfSigned(key *rsa.PrivateKey, uri string, change func(*x509.Certificate)) []byte {
	template := certificateTemplate(uri)
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return der
}

func certificateTemplate(uri string) *x509.Certificate {
	parsed, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: uri},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:         []*url.URL{parsed},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

// slowness is how much slower this machine is at the moment than an idle one of
// the usual kind, 1 at the least: it stretches what is measured in time.
var slowness = sync.OnceValue(func() time.Duration {
	const operations, usual = 16, 2 * time.Millisecond
	digest := make([]byte, 32)
	start := time.Now()
	for range operations {
		if _, err := rsa.SignPKCS1v15(nil, witnessIdentity().Key, crypto.SHA256, digest); err != nil {
			panic(err)
		}
	}
	return min(max(time.Since(start)/(operations*usual), 1), 8)
})

func stretched(d time.Duration) time.Duration { return d * slowness() }

// plant is a running gateway: address space with a moving value, server,
// listener and certificate store.
type plant struct {
	t       testing.TB
	dir     string // state of the certificate store
	space   *addressspace.Space
	server  *server.Server
	address string
	log     *logbook
	held    []net.Conn // the attackers' ends
	ctx     context.Context
	stop    func() // ends everything and waits
}

// shortLimits makes waiting part of a test of a second; what is a count or a
// size stays as it is shipped.
func shortLimits() server.Limits {
	return server.Limits{
		AcceptRate: 200, AcceptBurst: 100, // the tests of floods take the shipped ones
		HelloTimeout:          stretched(time.Second),
		OpenTimeout:           stretched(time.Second),
		FrameTimeout:          stretched(time.Second),
		WriteTimeout:          stretched(time.Second),
		ChannelIdleTime:       stretched(5 * time.Second),
		ActivationTime:        stretched(5 * time.Second),
		MinSessionTimeout:     time.Second,
		MinPublishingInterval: 50 * time.Millisecond,
		MinSamplingInterval:   10 * time.Millisecond,
		Handshakes:            securechannel.HandshakeConfig{Rate: 50, Window: 3 * time.Second, Lock: 3 * time.Second},
	}
}

func plantConfig(store *pki.Store) server.Config {
	return server.Config{
		ApplicationURI:  serverURI,
		ApplicationName: "gateway",
		Anonymous:       true,
		UserName:        true,
		Users:           []server.User{{Name: server.AnonymousUser}, {Name: operator, Password: password}},
		Endpoints: []server.EndpointConfig{{
			URL:      securechanneltest.EndpointURL,
			Identity: gatewayIdentity(),
			Trust:    func(der []byte) error { return store.Validate(der, time.Now()) },
			Security: []server.SecuritySetting{
				{PolicyURI: none, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
				{PolicyURI: policy, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}},
			},
			Visible: true, Discovery: true,
		}},
		Limits: shortLimits(),
	}
}

// newPlant starts a gateway; change may alter its configuration.
func newPlant(t testing.TB, change func(*server.Config)) *plant {
	t.Helper()
	p := &plant{t: t, dir: t.TempDir(), log: newLogbook()}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	cfg := plantConfig(p.trust(log))
	if change != nil {
		change(&cfg)
	}
	p.space = plantSpace(t)
	var err error
	if p.server, err = server.New(cfg, p.space, log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", witnessAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	p.ctx, p.address = ctx, ln.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.server.Listen(ctx, ln, p.server.Endpoint(0)); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() { p.work(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		drained, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		if err := p.server.Shutdown(drained); err != nil {
			t.Errorf("the server does not stop: %v", err)
		}
	})
	t.Cleanup(func() {
		p.stop()
		for _, nc := range p.held {
			nc.Close()
		}
	})
	return p
}

// trust makes the certificate store, which trusts the plant's own clients.
func (p *plant) trust(log *slog.Logger) *pki.Store {
	p.t.Helper()
	at := func(name string) string { return filepath.Join(p.dir, name) }
	for name, identity := range map[string]*securechannel.Identity{"witness": witnessIdentity(), "insider": insiderIdentity()} {
		if err := os.MkdirAll(at("trusted"), 0o700); err != nil {
			p.t.Fatal(err)
		}
		encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: identity.Chain[0]})
		if err := os.WriteFile(filepath.Join(at("trusted"), name+".pem"), encoded, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	store, err := pki.Open(pki.Locations{
		TrustedCerts: at("trusted"), TrustedCRLs: at("trusted-crl"), IssuerCerts: at("issuers"), IssuerCRLs: at("issuers-crl"),
		Rejected: at("rejected"), MaxRejected: 20,
	}, pki.Checks{}, gatewayIdentity().Chain[0], log)
	if err != nil {
		p.t.Fatal(err)
	}
	return store
}

// plantSpace has a folder of Variables in namespace 2.
func plantSpace(t testing.TB) *addressspace.Space {
	t.Helper()
	space := addressspace.New(serverURI)
	space.AddNamespace("urn:plant:devices")
	folder := uabinary.StringID(2, "Plant")
	_, err := space.AddObject(addressspace.ObjectOptions{
		ID: folder, BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Plant"},
		Parent: uabinary.NumericID(0, id.ObjectsFolder),
	})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, dataType uint32, access uint8, value any, dims ...uint32) {
		t.Helper()
		_, err := space.AddVariable(addressspace.VariableOptions{
			ID: uabinary.StringID(2, name), BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: name},
			Parent: folder, DataType: uabinary.NumericID(0, dataType), AccessLevel: access, ArrayDimensions: dims,
			Value: &uabinary.DataValue{Value: uabinary.VariantOf(value)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const read, readWrite = 1, 3
	add("Counter", id.UInt32, read, uint32(0))
	add("Number", id.Double, readWrite, 1.5)
	add("Text", id.String, readWrite, "text")
	add("Blob", id.ByteString, readWrite, []byte{1})
	add("Array", id.Double, readWrite, []float64{1, 2, 3}, 0)
	return space
}

// work moves the counter every 10 ms, as a driver does.
func (p *plant) work(ctx context.Context) {
	counter := p.space.Variable(uabinary.StringID(2, "Counter"))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := uint32(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			counter.Set(&uabinary.DataValue{Value: uabinary.Uint32Variant(n), SourceTimestamp: uabinary.DateTimeOf(time.Now())})
		}
	}
}
