package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
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
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

const (
	strangerURI = "urn:test:stranger"
	honestURI   = "urn:test:honest"
	calledURL   = "opc.tcp://gateway.test:4840"
)

// stranger is a server that calls a listener and does what it should not.
type stranger struct {
	t        *testing.T
	addr     string
	identity *securechannel.Identity
	client   []byte // certificate of the listener
}

// call opens a socket to the listener and says who it is.
func call(t *testing.T, addr, uri string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := uatcp.WriteReverseHello(nc, uatcp.ReverseHello{ServerURI: uri, EndpointURL: calledURL}, time.Second); err != nil {
		t.Error(err)
	}
	return nc
}

// meet calls and opens a SecureChannel.
func (s *stranger) meet(policy string, mode ua.MessageSecurityMode) (*securechanneltest.Server, error) {
	nc := call(s.t, s.addr, strangerURI)
	p, err := securechanneltest.NewServer(nc, uatcp.Config{}, policy, mode, s.identity, s.client)
	if err == nil {
		err = p.Open()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return p, nc.SetDeadline(time.Time{})
}

// request reads one request into r.
func request(p *securechanneltest.Server, into uabinary.Structure) error {
	body, err := p.Receive()
	if err != nil {
		return err
	}
	r := uabinary.NewReader(body, nil)
	if r.MessageType() != into.EncodingID() {
		return errors.New("another request was expected")
	}
	into.Parse(r)
	return r.Err()
}

// reply answers the request read last.
func reply(p *securechanneltest.Server, response uabinary.Structure) error {
	return p.Send(uatcp.TypeMessage, uatcp.Final, p.ID, uabinary.AppendMessage(nil, response))
}

// introduce answers the first call properly, with that certificate.
func (s *stranger) introduce(certificate []byte) error {
	p, err := s.meet(ua.SecurityPolicyURINone, ua.MessageSecurityModeNone)
	if err != nil {
		return err
	}
	defer p.Net.Close()
	if err := request(p, &uabinary.GetEndpointsRequest{}); err != nil {
		return err
	}
	return reply(p, &uabinary.GetEndpointsResponse{Endpoints: []uabinary.EndpointDescription{{
		EndpointURL: calledURL, ServerCertificate: certificate,
		SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256, SecurityMode: ua.MessageSecurityModeSignAndEncrypt,
		UserIdentityTokens: []uabinary.UserTokenPolicy{{PolicyID: "a", TokenType: ua.UserTokenTypeAnonymous}},
	}}})
}

// session lets the listener open a session, unless spoil makes its server's answer unfit.
func (s *stranger) session(spoil func(*uabinary.CreateSessionResponse)) (*securechanneltest.Server, error) {
	if err := s.introduce(s.identity.Chain[0]); err != nil {
		return nil, err
	}
	p, err := s.meet(ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt)
	if err != nil {
		return nil, err
	}
	var create uabinary.CreateSessionRequest
	if err := request(p, &create); err != nil {
		return nil, err
	}
	policy, _ := securechannel.PolicyByURI(p.PolicyURI)
	signature, err := policy.Sign(s.identity.Key, create.ClientCertificate, create.ClientNonce)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 32)
	rand.Read(nonce)
	response := &uabinary.CreateSessionResponse{
		ServerNonce: nonce, ServerCertificate: s.identity.Chain[0], ServerSignature: uabinary.SignatureData{Signature: signature},
		ServerEndpoints: []uabinary.EndpointDescription{{SecurityPolicyURI: p.PolicyURI, SecurityMode: p.Mode,
			UserIdentityTokens: []uabinary.UserTokenPolicy{{PolicyID: "a", TokenType: ua.UserTokenTypeAnonymous}}}},
	}
	if spoil != nil {
		spoil(response)
	}
	if err := reply(p, response); err != nil {
		return nil, err
	}
	if err := request(p, &uabinary.ActivateSessionRequest{}); err != nil {
		return nil, err
	}
	return p, reply(p, &uabinary.ActivateSessionResponse{ServerNonce: nonce})
}

// hello calls, waits for Hello and sends bytes instead of an answer.
func (s *stranger) hello(answer ...byte) {
	nc := call(s.t, s.addr, strangerURI)
	defer nc.Close()
	if _, err := nc.Read(make([]byte, 4096)); err != nil {
		s.t.Error(err)
	}
	_, _ = nc.Write(answer)
	_, _ = nc.Read(make([]byte, 4096)) // until the listener hangs up
}

// endpoints opens a channel, waits for GetEndpoints and lets act answer it.
func (s *stranger) endpoints(act func(p *securechanneltest.Server)) {
	p, err := s.meet(ua.SecurityPolicyURINone, ua.MessageSecurityModeNone)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer p.Net.Close()
	if err := request(p, &uabinary.GetEndpointsRequest{}); err != nil {
		s.t.Error(err)
	}
	act(p)
	_, _ = p.Net.Read(make([]byte, 4096))
}

// reading opens a session, waits for Read and lets act answer it.
func (s *stranger) reading(act func(p *securechanneltest.Server)) {
	p, err := s.session(nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer p.Net.Close()
	if err := request(p, &uabinary.ReadRequest{}); err != nil {
		s.t.Error(err)
	}
	act(p)
	_, _ = p.Net.Read(make([]byte, 4096))
}

// body is the response to Read or GetEndpoints, byte for byte.
type body struct {
	id    uint32
	bytes []byte
}

func (b body) Append(dst []byte) []byte { return append(dst, b.bytes...) }
func (b body) Parse(*uabinary.Reader)   {}
func (b body) EncodingID() uint32       { return b.id }

// nested is a value that is 10,000 arrays deep.
func nested() body {
	b := (&uabinary.ResponseHeader{}).Append(nil)
	b = append(b, 1, 0, 0, 0, 1)
	return body{id.ReadResponse_Encoding_DefaultBinary, append(b, bytes.Repeat([]byte{24 | 1<<7, 1, 0, 0, 0}, 10_000)...)}
}

// honest is a gateway that calls until the test ends.
func honest(t *testing.T, addr string, trusted []byte) {
	t.Helper()
	s, err := server.New(server.Config{
		ApplicationURI: honestURI, ApplicationName: "honest", Anonymous: true,
		Endpoints: []server.EndpointConfig{{
			URL: calledURL, Identity: securechanneltest.NewIdentity("server2048", honestURI), Visible: true,
			Trust: func(der []byte) error {
				if !bytes.Equal(der, trusted) {
					return ua.StatusBadCertificateUntrusted
				}
				return nil
			},
			Security: []server.SecuritySetting{{PolicyURI: ua.SecurityPolicyURIBasic256Sha256, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeSignAndEncrypt}}},
		}},
	}, addressspace.New(honestURI), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // GetEndpoints, session
		if nc := call(t, addr, honestURI); nc != nil {
			s.Serve(t.Context(), nc, s.Endpoint(0), nil)
		}
	}
	_ = s.Shutdown(context.Background())
}

// Whatever a server does: listen says what it was, waits for the next call, and does its work with that.
func TestListen_HostileServers(t *testing.T) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "own.der"), filepath.Join(dir, "own.pem")
	own, _, err := pki.LoadOrCreate(pki.Locations{Certificate: certificate, PrivateKey: key}, pki.Request{ApplicationURI: "urn:test:given", CommonName: "test"}, true)
	if err != nil {
		t.Fatal(err)
	}
	endless := func(p *securechanneltest.Server) {
		for p.Send(uatcp.TypeMessage, uatcp.Intermediate, p.ID, make([]byte, 100)) == nil {
		}
	}
	var cases sync.WaitGroup
	defer cases.Wait()
	for name, tc := range map[string]struct {
		act  func(s *stranger)
		want string
	}{
		"closes at once": {func(s *stranger) { call(s.t, s.addr, strangerURI).Close() }, "closed the connection"},
		"web server":     {func(s *stranger) { s.hello([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...) }, "not expected"},
		"4 GiB frame":    {func(s *stranger) { s.hello('A', 'C', 'K', 'F', 255, 255, 255, 255) }, "above the buffer size"},
		"2 GiB frame":    {func(s *stranger) { s.hello('A', 'C', 'K', 'F', 0, 0, 0, 0x80) }, "above the buffer size"},
		"silent":         {func(s *stranger) { s.hello() }, "does not answer"},
		"half a frame": {func(s *stranger) {
			s.endpoints(func(p *securechanneltest.Server) { p.Net.Write([]byte("MSGF\x40\x00")) })
		}, "does not answer"},
		"long error": {func(s *stranger) {
			s.hello((&uatcp.Error{Code: ua.StatusBadTCPServerTooBusy, Reason: strings.Repeat("\x1b[2J", 1000)}).Append(nil)...)
		}, "BadTCPServerTooBusy"},
		"endless chunks": {func(s *stranger) { s.endpoints(endless) }, "too many chunks"},
		"wrong request": {func(s *stranger) {
			s.endpoints(func(p *securechanneltest.Server) { p.ID += 9; reply(p, &uabinary.GetEndpointsResponse{}) })
		}, "not made"},
		"wrong response": {func(s *stranger) {
			s.endpoints(func(p *securechanneltest.Server) { reply(p, &uabinary.ReadResponse{}) })
		}, "another type"},
		"no endpoints": {func(s *stranger) {
			s.endpoints(func(p *securechanneltest.Server) { reply(p, &uabinary.GetEndpointsResponse{}) })
		}, "does not offer"},
		"not a certificate": {func(s *stranger) { s.introduce([]byte("certificate")) }, "cannot be read"},
		"foreign certificate": {func(s *stranger) {
			s.introduce(securechanneltest.NewIdentity("server2048", "urn:test:somebody-else").Chain[0])
		}, "somebody-else"},
		"refuses the client": {func(s *stranger) {
			s.introduce(s.identity.Chain[0])
			s.hello(slices.Concat((&uatcp.Acknowledge{ReceiveBufferSize: 8192, SendBufferSize: 8192}).Append(nil),
				(&uatcp.Error{Code: ua.StatusBadSecurityChecksFailed}).Append(nil))...)
		}, "rejected directory"},
		"wrong signature": {func(s *stranger) {
			s.session(func(r *uabinary.CreateSessionResponse) { r.ServerSignature.Signature[7] ^= 1 })
		}, "signature"},
		"other key":    {func(s *stranger) { s.identity.Key = securechanneltest.Key("server4096"); s.session(nil) }, "opcua"},
		"nested value": {func(s *stranger) { s.reading(func(p *securechanneltest.Server) { reply(p, nested()) }) }, "nested"},
		"2^31 values": {func(s *stranger) {
			s.reading(func(p *securechanneltest.Server) {
				reply(p, body{id.ReadResponse_Encoding_DefaultBinary, append((&uabinary.ResponseHeader{}).Append(nil), 255, 255, 255, 0x7F)})
			})
		}, "read:"},
		"cut off": {func(s *stranger) {
			s.reading(func(p *securechanneltest.Server) { p.Net.Write([]byte("MSGF")); p.Net.Close() })
		}, "closed the connection"},
	} {
		cases.Go(func() {
			t.Run(name, func(t *testing.T) { // all at once: most of them wait
				addr, out, code := freeAddress(t), &watched{}, make(chan int, 1)
				go func() {
					code <- run(t.Context(), []string{"listen", "--addr", "opc.tcp://" + addr, "--cert", certificate, "--key", key, "--trust-any", "--read", "i=2259", "--duration", "60s"}, out, out)
				}()
				out.wait(t, "listening")
				s := &stranger{t: t, addr: addr, identity: securechanneltest.NewIdentity("client2048", strangerURI), client: own.DER}
				tc.act(s)
				out.wait(t, "waiting for the next call")
				if text := out.String(); !strings.Contains(text, tc.want) || strings.ContainsRune(text, 0x1b) {
					t.Errorf("%q is not in %q", tc.want, text)
				}
				honest(t, addr, own.DER)
				if got := <-code; got != exitOK {
					t.Errorf("exit code %d: %s", got, out)
				}
			})
		})
	}
}
