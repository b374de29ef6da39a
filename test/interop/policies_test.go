//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// security is one SecurityPolicy in one mode.
type security struct {
	policy string
	mode   ua.MessageSecurityMode
}

func (s security) modeName() string {
	return strings.TrimPrefix(s.mode.String(), "MessageSecurityMode")
}

// everySecurity is each of the six policies in each of its modes.
func everySecurity() []security {
	all := []security{{"None", ua.MessageSecurityModeNone}}
	for _, policy := range []string{"Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"} {
		all = append(all, security{policy, ua.MessageSecurityModeSign}, security{policy, ua.MessageSecurityModeSignAndEncrypt})
	}
	return all
}

// holder is a certificate with its key.
type holder struct {
	der []byte
	key *rsa.PrivateKey
	at  clientFiles // the same as files, for node-opcua
}

// caller is who comes to the gateway: an application, and the user that it brings along.
type caller struct {
	security
	application    *holder
	uri            string
	user, password string
	certificate    *holder // of the user
}

// guarded is a gateway that offers everything, and the applications and users who come to it.
type guarded struct {
	*gateway
	application *holder
	ann         *holder // a user with a certificate
	pace        *time.Ticker
	taps        byte // so far
}

func newGuarded(t *testing.T, change func(config string) string) *guarded {
	t.Helper()
	// A gateway takes no more than 10 connections per second.
	g := &guarded{gateway: newGateway(t, setup{channel: tcpChannel(freePort(t)), listen: true}), pace: time.NewTicker(110 * time.Millisecond)}
	t.Cleanup(g.pace.Stop)
	var more strings.Builder
	for _, s := range everySecurity() {
		fmt.Fprintf(&more, "<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#%s</SecurityPolicy>"+
			"<MessageSecurityMode>%s</MessageSecurityMode></SecuritySetting>\n", s.policy, s.modeName())
	}
	config := g.serverConfig(setup{})
	from, to := strings.Index(config, "<SecuritySetting>"), strings.LastIndex(config, "</SecuritySetting>")+len("</SecuritySetting>")
	config = config[:from] + more.String() + config[to:]
	config = strings.NewReplacer(
		"</CertificateRevocationListLocation>", `</CertificateRevocationListLocation>
			<IssuersCertificatesLocation>[ApplicationPath]\PKI\CA\issuers\certs\</IssuersCertificatesLocation>
			<IssuersRevocationListLocation>[ApplicationPath]\PKI\CA\issuers\crl\</IssuersRevocationListLocation>`,
		"<UaEndpoint>", "<AllowDeprecatedSecurityPolicies>true</AllowDeprecatedSecurityPolicies><UaEndpoint>",
		"</UserIdentityTokens>", `<EnableCertificate>true</EnableCertificate>
			<DefaultUserCertificateStore><CertificateTrustListLocation>pkiuser/trusted/certs</CertificateTrustListLocation></DefaultUserCertificateStore>
			<RejectedUserCertificatesDirectory>pkiuser/rejected</RejectedUserCertificatesDirectory></UserIdentityTokens>`,
	).Replace(config)
	g.write("TcUaServerConfig.xml", change(config))
	g.write("TcUaSecurityConfig.xml", `<TcUaSecurityConfig><Users>
		<User Name="Anonymous" Auth="None" IsRoot="true"/><User Name="operator" Auth="Server" Password="secret" IsRoot="true"/>
		<User Name="ann" Auth="Certificate" IsRoot="true"/></Users></TcUaSecurityConfig>`)
	g.application = &holder{der: g.client.DER, key: g.client.Key, at: clientFiles{g.clientPEM(), g.files.key}}
	g.ann = g.issue("ann", nil, func(c *x509.Certificate) { c.URIs, c.KeyUsage = nil, x509.KeyUsageDigitalSignature })
	g.write("pkiuser/trusted/certs/ann.der", string(g.ann.der))
	return g
}

// issue makes a certificate of the application clientURI, changed, signed by an authority, or by itself if there is none.
func (g *guarded) issue(name string, by *holder, change func(*x509.Certificate)) *holder {
	g.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		g.t.Fatal(err)
	}
	uri, err := url.Parse(clientURI)
	if err != nil {
		g.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		g.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		signer = by.key
		if parent, err = x509.ParseCertificate(by.der); err != nil {
			g.t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		g.t.Fatal(err)
	}
	h := &holder{der: der, key: key}
	for _, file := range []struct {
		path  *string
		name  string
		block pem.Block
	}{
		{&h.at.certificate, name + "-certificate.pem", pem.Block{Type: "CERTIFICATE", Bytes: der}},
		{&h.at.key, name + "-key.pem", pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}},
	} {
		*file.path = filepath.Join(g.dir, "client", file.name)
		g.write(filepath.Join("client", file.name), string(pem.EncodeToMemory(&file.block)))
	}
	return h
}

// authority makes a certificate that may issue others.
func (g *guarded) authority(name string, change func(*x509.Certificate)) *holder {
	return g.issue(name, nil, func(c *x509.Certificate) {
		c.URIs, c.ExtKeyUsage, c.IsCA, c.KeyUsage = nil, nil, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		change(c)
	})
}

// revoke makes the revocation list of an authority.
func (g *guarded) revoke(by *holder, revoked ...*holder) []byte {
	g.t.Helper()
	issuer, err := x509.ParseCertificate(by.der)
	if err != nil {
		g.t.Fatal(err)
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, h := range revoked {
		c, err := x509.ParseCertificate(h.der)
		if err != nil {
			g.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	crl, err := x509.CreateRevocationList(rand.Reader, list, issuer, by.key)
	if err != nil {
		g.t.Fatal(err)
	}
	return crl
}

// tap is a way to the gateway from an address of its own, because attempts are counted per address. It notes what the gateway
// sends: no client tells which Error message it got.
type tap struct {
	net.Listener
	relays sync.WaitGroup

	mu      sync.Mutex
	clients []net.Conn
	sent    [][]byte // by the gateway, on one connection each
}

func (g *guarded) newTap() *tap {
	g.t.Helper()
	g.taps++
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, g.taps)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	p := &tap{Listener: listener}
	p.relays.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.clients = append(p.clients, client)
			p.mu.Unlock()
			<-g.pace.C
			p.relays.Go(func() { p.relay(client, from, fmt.Sprintf("127.0.0.1:%d", g.port)) })
		}
	})
	g.t.Cleanup(func() { listener.Close(); p.relays.Wait() })
	return p
}

func (p *tap) relay(client net.Conn, from *net.TCPAddr, to string) {
	defer client.Close()
	server, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", to)
	if err != nil {
		return
	}
	var up sync.WaitGroup
	defer up.Wait()
	defer server.Close()
	up.Go(func() {
		_, _ = io.Copy(server, client) // ends with either side
		server.Close()
	})
	var sent bytes.Buffer
	_, _ = io.Copy(client, io.TeeReader(server, &sent))
	p.mu.Lock()
	p.sent = append(p.sent, sent.Bytes())
	p.mu.Unlock()
}

// refusal is the code of the Error message that ended a connection (Part 6 (1.05), 7.1.2.5); Good if there was none. The client
// has gone.
func (p *tap) refusal() ua.StatusCode {
	p.Close()
	p.mu.Lock()
	for _, client := range p.clients {
		client.Close() // gopcua leaves some open
	}
	p.mu.Unlock()
	p.relays.Wait()
	for _, sent := range p.sent {
		for len(sent) >= 12 {
			if string(sent[:3]) == "ERR" {
				return ua.StatusCode(binary.LittleEndian.Uint32(sent[8:]))
			}
			sent = sent[min(len(sent), int(binary.LittleEndian.Uint32(sent[4:]))):]
		}
	}
	return ua.StatusOK
}

func (p *tap) url() string { return "opc.tcp://" + p.Addr().String() }

// gopcua opens a session, reads, and closes it. It returns the Error message of the gateway as well.
func (g *guarded) gopcua(ctx context.Context, c caller) (refusal ua.StatusCode, err error) {
	g.t.Helper()
	if g.endpoints == nil {
		if g.endpoints, err = opcua.GetEndpoints(ctx, g.url()); err != nil {
			return 0, err
		}
	}
	p := g.newTap()
	client, err := opcua.NewClient(p.url(), g.gopcuaOptions(c)...)
	if err != nil {
		return 0, err
	}
	if err = client.Connect(ctx); err == nil {
		_, err = client.Node(ua.NewNumericNodeID(0, 2256)).Value(ctx) // Server_ServerStatus
	}
	_ = client.Close(context.WithoutCancel(ctx)) // it may be closed
	return p.refusal(), err
}

func (g *guarded) gopcuaOptions(c caller) []opcua.Option {
	options := []opcua.Option{opcua.AutoReconnect(false), opcua.RequestTimeout(15 * time.Second)}
	token := ua.UserTokenTypeAnonymous
	switch {
	case c.certificate != nil:
		token = ua.UserTokenTypeCertificate
		options = append(options, opcua.AuthCertificate(c.certificate.der), opcua.AuthPrivateKey(c.certificate.key))
	case c.user != "":
		token = ua.UserTokenTypeUserName
		options = append(options, opcua.AuthUsername(c.user, c.password))
	}
	if c.mode != ua.MessageSecurityModeNone {
		options = append(options, opcua.PrivateKey(c.application.key), opcua.Certificate(c.application.der))
	}
	for _, e := range g.endpoints {
		if strings.HasSuffix(e.SecurityPolicyURI, "#"+c.policy) && e.SecurityMode == c.mode {
			return append(options, opcua.SecurityFromEndpoint(e, token), opcua.ApplicationURI(c.uri)) // behind Certificate, which sets another
		}
	}
	g.t.Fatalf("%s is not offered in mode %v", c.policy, c.mode)
	return nil
}

// nodeAnswer is what policies.js prints about one visit.
type nodeAnswer struct {
	Status, Error string
	refusal       ua.StatusCode // the Error message of the gateway
}

// allowPadding has Node decrypt the padding of Basic128Rsa15. The versions with this flag refuse to do it by themselves; others
// do not know the flag, and need none.
const allowPadding = "--security-revert=CVE-2023-46809"

func refusesPadding() bool { return exec.Command("node", allowPadding, "--eval", "0").Run() == nil }

// nodeOPCUA does all visits in one process, so many at a time, and returns what it says besides.
func (g *guarded) nodeOPCUA(callers []caller, parallel int, flags ...string) (all []nodeAnswer, log string) {
	g.t.Helper()
	pki := g.t.TempDir()
	var jobs []map[string]string
	var taps []*tap
	for _, c := range callers {
		taps = append(taps, g.newTap())
		job := map[string]string{
			"url": taps[len(taps)-1].url(), "policy": c.policy, "mode": c.modeName(), "applicationUri": c.uri,
			"certificate": c.application.at.certificate, "key": c.application.at.key, "pki": pki,
			"user": c.user, "password": c.password, "node": "i=2256",
		}
		if c.certificate != nil {
			job["userCertificate"], job["userKey"] = c.certificate.at.certificate, c.certificate.at.key
		}
		jobs = append(jobs, job)
	}
	text, err := json.Marshal(jobs)
	if err != nil {
		g.t.Fatal(err)
	}
	log = run(g.t, 3*time.Minute, "node", append(flags, "policies.js", string(text), strconv.Itoa(parallel))...)
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "{") {
			continue // node-opcua logs to the standard output
		}
		var a nodeAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			g.t.Fatalf("%v in %q", err, line)
		}
		if len(all) < len(taps) {
			a.refusal = taps[len(all)].refusal()
		}
		all = append(all, a)
	}
	if len(all) != len(callers) {
		g.t.Fatalf("%d answers to %d visits: %s", len(all), len(callers), log)
	}
	return all, log
}

// admitted is every way to come that the gateway accepts, by name.
func (g *guarded) admitted() (names []string, all []caller) {
	for _, s := range everySecurity() {
		for _, user := range []struct {
			name           string
			user, password string
			certificate    *holder
		}{{"anonymous", "", "", nil}, {"password", "operator", "secret", nil}, {"certificate", "", "", g.ann}} {
			names = append(names, s.policy+" "+s.modeName()+" "+user.name)
			all = append(all, caller{s, g.application, clientURI, user.user, user.password, user.certificate})
		}
	}
	return names, all
}

func unchanged(config string) string { return config }

// TestPolicies_Gopcua: each of the six policies in each mode, with each kind of user.
func TestPolicies_Gopcua(t *testing.T) {
	g := newGuarded(t, unchanged)
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	names, all := g.admitted()
	for i, c := range all {
		t.Run(names[i], func(t *testing.T) {
			if refusal, err := g.gopcua(ctx, c); err != nil {
				t.Errorf("%v, %v", err, refusal)
			}
		})
	}
}

// TestPolicies_NodeOPCUA is the same for node-opcua.
func TestPolicies_NodeOPCUA(t *testing.T) {
	g := newGuarded(t, unchanged)
	g.serve()
	names, all := g.admitted()
	var flags []string
	if refusesPadding() {
		flags = append(flags, allowPadding)
	}
	answers, log := g.nodeOPCUA(all, 2, flags...)
	for i, a := range answers {
		t.Run(names[i], func(t *testing.T) {
			if a.Status != "Good" {
				t.Errorf("%+v\n%s", a, log)
			}
		})
	}
}

// TestPolicies_NodeWithoutPadding: Node may refuse to decrypt what Basic128Rsa15 sends. Nothing on our side can change that; it is
// written down here so that it is noticed when it does change.
func TestPolicies_NodeWithoutPadding(t *testing.T) {
	g := newGuarded(t, unchanged)
	g.serve()
	answers, log := g.nodeOPCUA([]caller{{security{"Basic128Rsa15", ua.MessageSecurityModeSign}, g.application, clientURI, "", "", nil}}, 1)
	const known = "RSA_PKCS1_PADDING is no longer supported for private decryption"
	if refuses := refusesPadding(); refuses != strings.Contains(log, known) || refuses == (answers[0].Status == "Good") {
		t.Errorf("Node refuses the padding: %t; %+v\n%s", refuses, answers, log)
	}
}

// refusal is a way to come that the gateway turns away, and its answer.
type refusal struct {
	name string
	caller
	channel bool // by an Error message, before there is a SecureChannel
	want    ua.StatusCode
}

// refused is every way to come that the gateway turns away: before it trusts an application it says nothing but
// BadSecurityChecksFailed, then what the application can do something about.
func (g *guarded) refused() []refusal {
	best := security{"Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt}
	nothing := func(*x509.Certificate) {}
	trusted := func(h *holder, name string) *holder {
		g.write("PKI/CA/trusted/certs/"+name+".der", string(h.der))
		return h
	}
	var all []refusal
	stranger := g.issue("stranger", nil, nothing)
	for _, s := range everySecurity()[1:] {
		all = append(all, refusal{"stranger " + s.policy + " " + s.modeName(), caller{s, stranger, clientURI, "", "", nil}, true, ua.StatusBadSecurityChecksFailed})
	}
	site := trusted(g.authority("site", nothing), "site")
	revoked := g.issue("revoked", site, nothing)
	g.write("PKI/CA/trusted/crl/site.crl", string(g.revoke(site, revoked)))
	silent := trusted(g.authority("silent", nothing), "silent") // has no revocation list
	old := trusted(g.authority("old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "old")
	g.write("PKI/CA/trusted/crl/old.crl", string(g.revoke(old)))
	for _, a := range []struct {
		name        string
		application *holder
		want        ua.StatusCode
	}{
		{"issuer unknown", g.issue("orphan", g.authority("elsewhere", nothing), nothing), ua.StatusBadSecurityChecksFailed},
		{"revoked", revoked, ua.StatusBadSecurityChecksFailed},
		{"revocation unknown", g.issue("unlisted", silent, nothing), ua.StatusBadCertificateRevocationUnknown},
		{"expired", trusted(g.issue("late", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "late"), ua.StatusBadCertificateTimeInvalid},
		{"issuer expired", g.issue("ofOld", old, nothing), ua.StatusBadCertificateIssuerTimeInvalid},
		{"wrong usage", trusted(g.issue("signer", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "signer"), ua.StatusBadCertificateUseNotAllowed},
	} {
		all = append(all, refusal{a.name, caller{best, a.application, clientURI, "", "", nil}, true, a.want})
	}
	user := func(c *x509.Certificate) { c.URIs, c.KeyUsage = nil, x509.KeyUsageDigitalSignature }
	impostor, other := *g.ann, g.issue("other", nil, user)
	impostor.key, impostor.at.key = other.key, other.at.key
	own := g.application
	return append(all,
		refusal{"another application", caller{best, own, clientURI + ":other", "", "", nil}, false, ua.StatusBadCertificateURIInvalid},
		refusal{"wrong password", caller{best, own, clientURI, "operator", "wrong", nil}, false, ua.StatusBadIdentityTokenRejected},
		refusal{"unknown user", caller{best, own, clientURI, "nobody", "secret", nil}, false, ua.StatusBadIdentityTokenRejected},
		refusal{"name without password", caller{best, own, clientURI, "ann", "ann", nil}, false, ua.StatusBadIdentityTokenRejected},
		refusal{"user certificate not trusted", caller{best, own, clientURI, "", "", g.issue("ann2", nil, user)}, false, ua.StatusBadIdentityTokenRejected},
		refusal{"user without the key", caller{best, own, clientURI, "", "", &impostor}, false, ua.StatusBadUserSignatureInvalid},
		refusal{"application as user", caller{best, own, clientURI, "", "", own}, false, ua.StatusBadIdentityTokenRejected},
	)
}

func codeName(code ua.StatusCode) string {
	return strings.TrimPrefix(ua.StatusCodes[code].Name, "Status")
}

// TestPolicies_GopcuaRefused and its twin hold the refusals against the rule above.
func TestPolicies_GopcuaRefused(t *testing.T) {
	g := newGuarded(t, unchanged)
	all := g.refused()
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			got, err := g.gopcua(ctx, c.caller)
			if c.channel && (got != c.want || err == nil) || !c.channel && (got != ua.StatusOK || !errors.Is(err, c.want)) {
				t.Errorf("got %v, %v, want %s", err, got, codeName(c.want))
			}
		})
	}
}

func TestPolicies_NodeOPCUARefused(t *testing.T) {
	g := newGuarded(t, unchanged)
	all := g.refused()
	g.serve()
	var flags []string
	if refusesPadding() {
		flags = append(flags, allowPadding)
	}
	var callers []caller
	for _, c := range all {
		callers = append(callers, c.caller)
	}
	answers, log := g.nodeOPCUA(callers, 8, flags...)
	for i, c := range all {
		t.Run(c.name, func(t *testing.T) {
			got := answers[i]
			if c.want == ua.StatusBadCertificateURIInvalid {
				if got.Status != "Good" {
					t.Errorf("%+v: node-opcua always says it is who its certificate says, and cannot be refused for that", got)
				}
				return
			}
			if c.channel && (got.refusal != c.want || got.Error == "") || !c.channel && (got.refusal != ua.StatusOK || !strings.Contains(got.Error, codeName(c.want))) {
				t.Errorf("got %+v, want %s\n%s", got, codeName(c.want), log)
			}
		})
	}
}

// TestPolicies_NotOffered: what the file does not offer cannot be had, whatever the client knows about it.
func TestPolicies_NotOffered(t *testing.T) {
	g := newGuarded(t, unchanged)
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	only := security{"Aes128_Sha256_RsaOaep", ua.MessageSecurityModeSignAndEncrypt}
	if _, err := g.gopcua(ctx, caller{only, g.application, clientURI, "", "", nil}); err != nil {
		t.Fatal(err)
	}
	g.stop(10 * time.Second)
	config := g.serverConfig(setup{})
	from, to := strings.Index(config, "<SecuritySetting>"), strings.LastIndex(config, "</SecuritySetting>")+len("</SecuritySetting>")
	config = config[:from] + "<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#" + only.policy +
		"</SecurityPolicy><MessageSecurityMode>SignAndEncrypt</MessageSecurityMode></SecuritySetting>" + config[to:]
	g.write("TcUaServerConfig.xml", strings.NewReplacer("<EnableAnonymous>true", "<EnableAnonymous>false", "<EnableUserPw>true", "<EnableUserPw>false").Replace(config))
	g.serve() // the client still has the endpoints of before
	for _, s := range everySecurity() {
		if s == only {
			continue
		}
		t.Run(s.policy+" "+s.modeName(), func(t *testing.T) {
			got, err := g.gopcua(ctx, caller{s, g.application, clientURI, "", "", nil})
			switch {
			case s.mode == ua.MessageSecurityModeNone: // opens for discovery; there is no session
				if !errors.Is(err, ua.StatusBadSecurityPolicyRejected) {
					t.Errorf("got %v, %v", err, got)
				}
			case s.policy == only.policy: // the mode stands in a request that is signed already
				if got != ua.StatusBadSecurityModeRejected {
					t.Errorf("got %v, %v", err, got)
				}
			case err == nil || got != ua.StatusBadSecurityChecksFailed:
				t.Errorf("got %v, %v", err, got)
			}
		})
	}
	for name, c := range map[string]caller{
		"anonymous": {only, g.application, clientURI, "", "", nil}, "password": {only, g.application, clientURI, "operator", "secret", nil},
		"certificate": {only, g.application, clientURI, "", "", g.ann},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := g.gopcua(ctx, c); !errors.Is(err, ua.StatusBadIdentityTokenRejected) {
				t.Errorf("got %v", err)
			}
		})
	}
}
