package server

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	serverURI = "urn:test:server"
	clientURI = "urn:test:client"
	secure    = ua.SecurityPolicyURIAes128Sha256RsaOaep
	none      = ua.SecurityPolicyURINone
)

var (
	serverIdentity = sync.OnceValue(func() *securechannel.Identity { return newIdentity(serverURI) })
	clientIdentity = sync.OnceValue(func() *securechannel.Identity { return newIdentity(clientURI) })
	otherIdentity  = sync.OnceValue(func() *securechannel.Identity { return newIdentity("urn:test:other") })
)

func newIdentity(uri string) *securechannel.Identity {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: uri},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		URIs:         []*url.URL{parsed},
		DNSNames:     []string{"gateway.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &securechannel.Identity{Chain: [][]byte{der}, Key: key}
}

// rig is a Server with an address space, reached over pipes.
type rig struct {
	*Server
	t testing.TB
}

func testConfig() Config {
	return Config{
		ApplicationURI:  serverURI,
		ApplicationName: "test",
		Anonymous:       true,
		UserName:        true,
		Users:           []User{{Name: AnonymousUser}, {Name: "joe", Password: "secret"}},
		Endpoints: []EndpointConfig{{
			URL:      securechanneltest.EndpointURL,
			Identity: serverIdentity(),
			Trust: func(der []byte) error {
				if bytes.Equal(der, clientIdentity().Chain[0]) || bytes.Equal(der, otherIdentity().Chain[0]) {
					return nil
				}
				return ua.StatusBadCertificateUntrusted
			},
			Security: []SecuritySetting{
				{none, []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
				{secure, []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}},
			},
			Visible: true, Discovery: true,
		}},
		Limits: Limits{Handshakes: securechannel.HandshakeConfig{Rate: 10000, Queue: 100}},
	}
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, testSpace(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Server: s, t: t}
	t.Cleanup(func() { // t.Context has ended
		s.serving.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, sess := range s.sessions {
			sess.timer.Stop()
		}
		if n := s.counters.panics.Load(); n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return r
}

// testSpace has a folder of Variables in namespace 2.
func testSpace(t testing.TB) *addressspace.Space {
	t.Helper()
	space := addressspace.New(serverURI)
	space.AddNamespace("urn:test:devices")
	add := func(o addressspace.VariableOptions, value any) {
		t.Helper()
		o.BrowseName = uabinary.QualifiedName{NamespaceIndex: 2, Name: o.ID.Text}
		o.Parent = uabinary.StringID(2, "Device")
		o.Value = &uabinary.DataValue{Value: uabinary.VariantOf(value), SourceTimestamp: 42}
		if _, err := space.AddVariable(o); err != nil {
			t.Fatal(err)
		}
	}
	_, err := space.AddObject(addressspace.ObjectOptions{
		ID:         uabinary.StringID(2, "Device"),
		BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Device"},
		Parent:     uabinary.NumericID(0, id.ObjectsFolder),
	})
	if err != nil {
		t.Fatal(err)
	}
	variable := func(name string, dataType uint32, access uint8, dims []uint32) addressspace.VariableOptions {
		return addressspace.VariableOptions{
			ID: uabinary.StringID(2, name), DataType: uabinary.NumericID(0, dataType), AccessLevel: access, ArrayDimensions: dims,
		}
	}
	add(variable("Int16", id.Int16, accessRead|accessWrite, nil), int16(7))
	add(variable("Double", id.Double, accessRead, nil), 1.5)
	add(variable("Text", id.String, accessRead|accessWrite, nil), "grüße")
	add(variable("Secret", id.Int32, accessWrite, nil), int32(1))
	add(variable("Array", id.Int32, accessRead|accessWrite, []uint32{0}), []int32{10, 11, 12, 13, 14})
	add(variable("Bytes", id.Byte, accessRead|accessWrite, []uint32{0}), uabinary.ByteArray{1, 2})
	add(variable("Number", id.Number, accessRead|accessWrite, nil), 1.0)
	add(variable("Device16", id.UInt16, accessRead|accessWrite, nil), uint16(1))
	return space
}

// served is a connection: its report is there when done is closed.
type served struct {
	done   chan struct{}
	report uatcp.Report
}

func (s *served) wait() uatcp.Report {
	<-s.done
	return s.report
}

// pipe starts a connection and returns the client's end.
func (r *rig) pipe() (net.Conn, *served) {
	client, server := net.Pipe()
	s := &served{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.report = r.Serve(r.t.Context(), server, r.Endpoint(0), nil)
	}()
	return client, s
}

// client is a channel and, when session was called, a Session on it.
type client struct {
	*securechanneltest.Client
	t      testing.TB
	rig    *rig
	token  uabinary.NodeID
	id     uabinary.NodeID
	nonce  []byte // of the server
	handle uint32
	info   string // AdditionalInfo of the last fault
	served *served
}

// channel opens a channel; mode None is policy None.
func (r *rig) channel(mode ua.MessageSecurityMode) *client {
	return r.channelAs(mode, clientIdentity())
}

func (r *rig) channelAs(mode ua.MessageSecurityMode, identity *securechannel.Identity) *client {
	r.t.Helper()
	policy := secure
	if mode == ua.MessageSecurityModeNone {
		policy = none
	}
	nc, served := r.pipe()
	c, err := securechanneltest.Dial(nc, policy, mode, identity, serverIdentity().Chain[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close(); served.wait() })
	return &client{Client: c, t: r.t, rig: r, served: served}
}

// session is an anonymous Session on a channel of its own.
func (r *rig) session(mode ua.MessageSecurityMode) *client {
	r.t.Helper()
	c := r.channel(mode)
	c.mustCreate()
	c.wantOK(c.activate(anonymousToken(), c.signature()))
	return c
}

// do sends req, whose RequestHeader is *h, and reads the answer into resp. The
// status is that of the fault, if there is one.
func (c *client) do(h *uabinary.RequestHeader, req, resp uabinary.Structure) ua.StatusCode {
	c.t.Helper()
	code, err := c.try(h, req, resp)
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

func (c *client) try(h *uabinary.RequestHeader, req, resp uabinary.Structure) (ua.StatusCode, error) {
	c.handle++
	h.AuthenticationToken, h.RequestHandle = c.token, c.handle
	c.Net.SetDeadline(time.Time{}) // the handshake leaves one
	body, err := c.Request(uabinary.AppendMessage(nil, req))
	if err != nil {
		return 0, err
	}
	r := uabinary.NewReader(body, nil)
	switch r.MessageType() {
	case resp.EncodingID():
		resp.Parse(r)
		return ua.StatusOK, r.Err()
	case id.ServiceFault_Encoding_DefaultBinary:
		var f uabinary.ServiceFault
		f.Parse(r)
		if f.ResponseHeader.RequestHandle != c.handle {
			return 0, errors.New("fault without the request handle")
		}
		c.info = f.ResponseHeader.ServiceDiagnostics.AdditionalInfo
		return f.ResponseHeader.ServiceResult, r.Err()
	}
	return 0, errors.New("unexpected response")
}

func (c *client) want(code, got ua.StatusCode) {
	c.t.Helper()
	if got != code {
		c.t.Errorf("got %v, want %v", got, code)
	}
}

func (c *client) wantOK(got ua.StatusCode) {
	c.t.Helper()
	if got != ua.StatusOK {
		c.t.Fatalf("got %v", got)
	}
}

func (c *client) createRequest() *uabinary.CreateSessionRequest {
	req := &uabinary.CreateSessionRequest{
		ClientDescription:       uabinary.ApplicationDescription{ApplicationURI: clientURI},
		EndpointURL:             securechanneltest.EndpointURL,
		SessionName:             "test",
		ClientNonce:             randomBytes(32),
		RequestedSessionTimeout: 60_000,
	}
	if c.Identity != nil {
		req.ClientCertificate = c.Identity.Chain[0]
	}
	return req
}

func (c *client) create(req *uabinary.CreateSessionRequest) (resp uabinary.CreateSessionResponse, code ua.StatusCode) {
	c.t.Helper()
	c.token = uabinary.NodeID{}
	code = c.do(&req.RequestHeader, req, &resp)
	if code == ua.StatusOK {
		c.token, c.id, c.nonce = resp.AuthenticationToken, resp.SessionID, resp.ServerNonce
	}
	return resp, code
}

func (c *client) mustCreate() {
	c.t.Helper()
	_, code := c.create(c.createRequest())
	c.wantOK(code)
}

// signature proves the client's key for the last ServerNonce.
func (c *client) signature() uabinary.SignatureData {
	if c.Identity == nil {
		return uabinary.SignatureData{}
	}
	policy, _ := securechannel.PolicyByURI(c.PolicyURI)
	sig, err := policy.Sign(c.Identity.Key, serverIdentity().Chain[0], c.nonce)
	if err != nil {
		c.t.Fatal(err)
	}
	return uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: sig}
}

func (c *client) activate(token uabinary.ExtensionObject, sig uabinary.SignatureData) ua.StatusCode {
	c.t.Helper()
	req := &uabinary.ActivateSessionRequest{ClientSignature: sig, UserIdentityToken: token}
	var resp uabinary.ActivateSessionResponse
	code := c.do(&req.RequestHeader, req, &resp)
	if code == ua.StatusOK {
		c.nonce = resp.ServerNonce
	}
	return code
}

func anonymousToken() uabinary.ExtensionObject {
	return uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: anonymousPolicyID})
}

// userToken encrypts a password for the policy that goes with the channel.
func (c *client) userToken(name, password string) *uabinary.UserNameIdentityToken {
	c.t.Helper()
	policy, _ := securechannel.PolicyByURI(c.PolicyURI)
	if policy.IsNone() {
		policy = c.rig.settings().tokenPolicy
	}
	plain := uabinary.AppendUint32(nil, uint32(len(password)+len(c.nonce)))
	plain = append(append(plain, password...), c.nonce...)
	secret, err := policy.Encrypt(&serverIdentity().Key.PublicKey, plain)
	if err != nil {
		c.t.Fatal(err)
	}
	return &uabinary.UserNameIdentityToken{
		PolicyID:            userNamePolicyIDPrefix + policyName(policy),
		UserName:            name,
		Password:            secret,
		EncryptionAlgorithm: policy.EncryptionAlgorithm(),
	}
}

func (c *client) login(token *uabinary.UserNameIdentityToken) ua.StatusCode {
	c.t.Helper()
	return c.activate(uabinary.ExtensionObjectOf(token), c.signature())
}

func (c *client) read(nodes ...uabinary.ReadValueID) []uabinary.DataValue {
	c.t.Helper()
	req := &uabinary.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes}
	var resp uabinary.ReadResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	if len(resp.Results) != len(nodes) {
		c.t.Fatalf("%d results for %d nodes", len(resp.Results), len(nodes))
	}
	return resp.Results
}

func valueOf(name string) uabinary.ReadValueID {
	return uabinary.ReadValueID{NodeID: uabinary.StringID(2, name), AttributeID: ua.AttributeIDValue}
}

// quiet is a socket that, once muted, swallows what the server sends: a pipe
// would measure its own allocations.
type quiet struct {
	net.Conn
	muted bool
}

func (q *quiet) Write(b []byte) (int, error) {
	if q.muted {
		return len(b), nil
	}
	return q.Conn.Write(b)
}

func (q *quiet) SetWriteDeadline(t time.Time) error {
	if q.muted {
		return nil
	}
	return q.Conn.SetWriteDeadline(t)
}

// mutedConnection opens a channel whose requests are answered by calling
// answer, at the seam below decryption.
func (r *rig) mutedConnection(t testing.TB, policy string, mode ua.MessageSecurityMode) *connection {
	t.Helper()
	nc, server := net.Pipe()
	socket := &quiet{Conn: server}
	conn := newConnection(r.Server, socket, r.Endpoint(0), nil)
	opened := make(chan error, 1)
	go func() { opened <- conn.open(r.t.Context()) }()
	if _, err := securechanneltest.Dial(nc, policy, mode, clientIdentity(), serverIdentity().Chain[0]); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	socket.muted = true
	t.Cleanup(func() { nc.Close() })
	return conn
}

// bareSession is an activated Session on conn that no client asked for.
func (r *rig) bareSession(t testing.TB, conn *connection) *session {
	t.Helper()
	sess := &session{
		server: r.Server, endpoint: conn.ep, id: newSessionID(), token: newToken(),
		activated: true, timeout: time.Hour, created: time.Now(), seen: time.Now(),
	}
	sess.user = r.withRights(r.settings(), user{})
	sess.subs.init(sess)
	sess.subs.userChanged(sess.user)
	if code := r.addSession(sess, conn); code != ua.StatusOK {
		t.Fatal(code)
	}
	return sess
}

// benchCall returns how to answer a Read of n values on an encrypted channel.
func (r *rig) benchCall(t testing.TB, n int) (call func(body []byte), body []byte) {
	t.Helper()
	conn := r.mutedConnection(t, secure, ua.MessageSecurityModeSignAndEncrypt)
	req := &uabinary.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth}
	req.RequestHeader.AuthenticationToken = r.bareSession(t, conn).token
	for range n {
		req.NodesToRead = append(req.NodesToRead, valueOf("Int16"))
	}
	request := &securechannel.Request{ID: 1}
	return func(body []byte) {
		request.Body = body
		if err := conn.answer(r.t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}, uabinary.AppendMessage(nil, req)
}
