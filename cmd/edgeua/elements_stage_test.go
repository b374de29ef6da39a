package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/config/configtest"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	stageURI  = "urn:gw-7:plant"
	stageURL  = "opc.tcp://gw-7:4840"
	operator  = "op"
	secret    = "secret"
	policyURI = "http://opcfoundation.org/UA/SecurityPolicy#"
)

// stage is a gateway that runs on a main file, and what its clients need.
type stage struct {
	t       *testing.T
	dir     string
	g       *gateway
	log     *watched
	said    string // about the files
	ctx     context.Context
	clients sync.WaitGroup // connections over pipes
	quit    func()
}

// stageFile is the main file that the others differ from: two endpoints' worth of security, nothing listening.
func stageFile() *configtest.Node {
	n := configtest.New()
	n.Set("UaServerConfig/ServerUri", stageURI)
	n.Set("UaServerConfig/ServerName", "Plant")
	n.Set("UaServerConfig/RejectedCertificatesDirectory", "rejected")
	const endpoint = "UaServerConfig/UaEndpoint/"
	n.Set(endpoint+"Url", stageURL)
	stageStore(n, endpoint+"CertificateStore/", "")
	n.Set(endpoint+"SecuritySetting/SecurityPolicy", policyURI+"Basic256Sha256")
	n.Set(endpoint+"SecuritySetting/MessageSecurityMode", "SignAndEncrypt")
	none := n.Add(endpoint+"SecuritySetting", "")
	none.Set("SecurityPolicy", policyURI+"None")
	none.Set("MessageSecurityMode", "None")
	n.Set(endpoint+"ReverseConnect/Url", "opc.tcp://127.0.0.1:1") // nobody is there
	n.Set("UaServerConfig/UserIdentityTokens/EnableAnonymous", "true")
	return n
}

// stageStore names the files of a certificate store; the own certificate may stand in a block of its own.
func stageStore(n *configtest.Node, at, own string) {
	n.Set(at+"OpenSSLStore/CertificateTrustListLocation", "trusted")
	n.Set(at+"OpenSSLStore/CertificateRevocationListLocation", "crl")
	n.Set(at+"OpenSSLStore/IssuersCertificatesLocation", "issuers")
	n.Set(at+"OpenSSLStore/IssuersRevocationListLocation", "issuercrl")
	n.Set(at+own+"OpenSSLStore/ServerCertificate", "own.der")
	n.Set(at+own+"OpenSSLStore/ServerPrivateKey", "own.pem")
}

const (
	stageUsers = `<TcUaSecurityConfig><Users><User Name="op" IsRoot="true" Auth="Server" Password="secret"/>` +
		`<User Name="` + personName + `" IsRoot="true" Auth="Certificate"/><User Name="Anonymous" IsRoot="true" Auth="None"/></Users></TcUaSecurityConfig>`
	deaf = `<EdgeUa><Listeners Enabled="0"/></EdgeUa>`
)

// openStage starts a gateway on a main file. The files of dir are there already; the own certificate is laid down if the file
// does not ask for one to be created.
func openStage(t *testing.T, dir, main, edge string) (*stage, error) {
	t.Helper()
	for name, text := range map[string]string{config.MainName: main, config.UsersName: stageUsers, config.EdgeName: edge} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	return startStage(t, dir)
}

// startStage starts a gateway on the files of a directory.
func startStage(t *testing.T, dir string) (*stage, error) {
	t.Helper()
	s := &stage{t: t, dir: dir, log: &watched{}}
	cfg, report := config.Load(config.Options{Main: filepath.Join(dir, config.MainName), Hostname: "gw-7", Kinds: driverKinds()})
	if s.said = problems(report); cfg == nil {
		return nil, errors.New(s.said)
	}
	log, err := (&logFlags{format: "text"}).journal(s.log)
	if err != nil {
		return nil, err
	}
	log.follow(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	if s.g, err = newGateway(ctx, cfg, log.Logger); err != nil {
		cancel()
		log.close()
		return nil, err
	}
	s.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- s.g.run(ctx) }()
	s.quit = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
		s.clients.Wait()
		log.close()
	})
	t.Cleanup(s.quit)
	return s, nil
}

// pipe connects a client to an endpoint.
func (s *stage) pipe(endpoint int) net.Conn {
	client, server := net.Pipe()
	s.clients.Go(func() { s.g.server.Serve(s.ctx, server, s.g.server.Endpoint(endpoint), nil) })
	s.t.Cleanup(func() { client.Close() })
	_ = client.SetDeadline(time.Now().Add(30 * time.Second)) // a pipe takes it
	return client
}

// peer is a client with a SecureChannel and perhaps a session.
type peer struct {
	*securechanneltest.Client
	s         *stage
	token     uabinary.NodeID
	nonce     []byte // of the server
	server    []byte // certificate of the server
	handle    uint32
	timestamp uabinary.DateTime
}

// channel opens a SecureChannel under a policy.
func (s *stage) channel(endpoint int, policy string, mode ua.MessageSecurityMode, own *securechannel.Identity) (*peer, error) {
	var certificate []byte
	if policy != "None" {
		certificate = s.endpoints("")[0].ServerCertificate
	}
	return s.channelTo(endpoint, policy, mode, own, certificate)
}

func (s *stage) channelTo(endpoint int, policy string, mode ua.MessageSecurityMode, own *securechannel.Identity, server []byte) (*peer, error) {
	if leaf, err := firstOf(server); err == nil {
		server = leaf
	}
	nc := s.pipe(endpoint)
	c, err := securechanneltest.Dial(nc, policyURI+policy, mode, own, server)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &peer{Client: c, s: s, server: server}, nil
}

// stranger is a client without any security, on the first endpoint.
func (s *stage) stranger() *peer {
	s.t.Helper()
	p, err := s.channelTo(0, "None", ua.MessageSecurityModeNone, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// visitor is a stranger with an anonymous session.
func (s *stage) visitor() *peer {
	s.t.Helper()
	p := s.stranger()
	p.ok(p.create(p.createRequest()))
	p.ok(p.activate(anonymously(), nil))
	return p
}

// call sends a request and reads the response; a fault is its status code.
func (p *peer) call(h *uabinary.RequestHeader, req, resp uabinary.Structure) ua.StatusCode {
	p.s.t.Helper()
	p.handle++
	h.AuthenticationToken, h.RequestHandle, h.Timestamp = p.token, p.handle, p.timestamp
	body, err := p.Request(uabinary.AppendMessage(nil, req))
	if err != nil {
		return codeOf(err)
	}
	r := uabinary.NewReader(body, nil)
	var fault uabinary.ServiceFault
	switch r.MessageType() {
	case resp.EncodingID():
		resp.Parse(r)
	case id.ServiceFault_Encoding_DefaultBinary:
		fault.Parse(r)
	default:
		p.s.t.Fatal("another response")
	}
	if r.Err() != nil {
		p.s.t.Fatal(r.Err())
	}
	return fault.ResponseHeader.ServiceResult
}

func (p *peer) ok(code ua.StatusCode) {
	p.s.t.Helper()
	if code != ua.StatusOK {
		p.s.t.Fatal(code)
	}
}

func (p *peer) createRequest() *uabinary.CreateSessionRequest {
	r := &uabinary.CreateSessionRequest{
		ClientDescription: uabinary.ApplicationDescription{ApplicationURI: visitorURI}, EndpointURL: stageURL, SessionName: "test",
		ClientNonce: make([]byte, 32), RequestedSessionTimeout: 60_000,
	}
	if p.Identity != nil {
		for _, der := range p.Identity.Chain {
			r.ClientCertificate = append(r.ClientCertificate, der...)
		}
	}
	return r
}

// create creates a session.
func (p *peer) create(req *uabinary.CreateSessionRequest) ua.StatusCode {
	p.s.t.Helper()
	_, code := p.created(req)
	return code
}

func (p *peer) created(req *uabinary.CreateSessionRequest) (resp uabinary.CreateSessionResponse, code ua.StatusCode) {
	p.s.t.Helper()
	p.token = uabinary.NodeID{}
	if code = p.call(&req.RequestHeader, req, &resp); code == ua.StatusOK {
		p.token, p.nonce, p.server = resp.AuthenticationToken, resp.ServerNonce, resp.ServerCertificate
	}
	return resp, code
}

// activate logs in; sign makes the UserTokenSignature, if there has to be one.
func (p *peer) activate(token uabinary.ExtensionObject, sign func(server, nonce []byte) uabinary.SignatureData) ua.StatusCode {
	p.s.t.Helper()
	req := &uabinary.ActivateSessionRequest{UserIdentityToken: token}
	if p.Identity != nil {
		req.ClientSignature = p.sign(p.PolicyURI, p.Identity)
	}
	if sign != nil {
		leaf, _ := firstOf(p.server)
		req.UserTokenSignature = sign(leaf, p.nonce)
	}
	var resp uabinary.ActivateSessionResponse
	return p.call(&req.RequestHeader, req, &resp)
}

// sign proves a key for the last nonce of the server.
func (p *peer) sign(policy string, own *securechannel.Identity) uabinary.SignatureData {
	p.s.t.Helper()
	leaf, err := firstOf(p.server)
	if err != nil {
		p.s.t.Fatal(err)
	}
	known, ok := securechannel.PolicyByURI(policy)
	if !ok {
		known, _ = securechannel.DeprecatedPolicyByURI(policy)
	}
	signature, err := known.Sign(own.Key, leaf, p.nonce)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return uabinary.SignatureData{Algorithm: known.SignatureAlgorithm(), Signature: signature}
}

func anonymously() uabinary.ExtensionObject {
	return uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: "Anonymous"})
}

// endpoints asks the first endpoint for what there is under an address.
func (s *stage) endpoints(url string) []uabinary.EndpointDescription {
	s.t.Helper()
	p := s.stranger()
	defer p.Close()
	req := &uabinary.GetEndpointsRequest{EndpointURL: or(url, stageURL)}
	var resp uabinary.GetEndpointsResponse
	p.ok(p.call(&req.RequestHeader, req, &resp))
	return resp.Endpoints
}

// servers asks for all servers that the gateway knows.
func (s *stage) servers() []uabinary.ApplicationDescription {
	s.t.Helper()
	p := s.stranger()
	defer p.Close()
	req := &uabinary.FindServersRequest{EndpointURL: stageURL}
	var resp uabinary.FindServersResponse
	p.ok(p.call(&req.RequestHeader, req, &resp))
	return resp.Servers
}

// value reads a node of namespace 0.
func (p *peer) value(node uint32) any {
	p.s.t.Helper()
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{{NodeID: uabinary.NumericID(0, node), AttributeID: ua.AttributeIDValue}}}
	var resp uabinary.ReadResponse
	p.ok(p.call(&req.RequestHeader, req, &resp))
	return resp.Results[0].Value.Any()
}

// published reads what the gateway publishes in a node of namespace 0.
func published(node uint32) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.leave()
		return fmt.Sprint(p.value(node))
	}
}

// leave ends the session and the connection.
func (p *peer) leave() {
	p.closeSession()
	p.Close()
}

func (p *peer) closeSession() {
	p.timestamp = 0
	req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
	p.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{})
}

// outcome names the status code in an error, or gives its text.
func outcome(err error) string {
	if err == nil {
		return good
	}
	return uatcp.StatusName(codeOf(err))
}

// codeOf finds the status code in an error of a connection.
func codeOf(err error) ua.StatusCode {
	var told *uatcp.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return uatcp.StatusCodeOf(err)
}
