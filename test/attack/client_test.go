package attack

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// patience is how long the client's side waits for anything.
const patience = 30 * time.Second

// dialFrom opens a socket to the plant from one of the loopback addresses.
func (p *plant) dialFrom(address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	nc, err := d.DialContext(context.Background(), "tcp", p.address)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(patience))
	}
	return nc, err
}

// client is a SecureChannel and perhaps a Session on it.
type client struct {
	*securechanneltest.Client
	token  uabinary.NodeID
	nonce  []byte // of the server
	handle uint32
}

// openOn opens a channel on nc: encrypted with an identity, policy None without.
func openOn(nc net.Conn, identity *securechannel.Identity) (*client, error) {
	uri, mode := policy, ua.MessageSecurityModeSignAndEncrypt
	if identity == nil {
		uri, mode = none, ua.MessageSecurityModeNone
	}
	c, err := securechanneltest.Dial(nc, uri, mode, identity, gatewayIdentity().Chain[0])
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &client{Client: c}, nc.SetDeadline(time.Time{})
}

// open is a channel that shall succeed.
func (p *plant) open(address string, identity *securechannel.Identity) *client {
	p.t.Helper()
	nc, err := p.dialFrom(address)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := openOn(nc, identity)
	if err != nil {
		p.t.Fatal(err)
	}
	p.held = append(p.held, nc)
	return c
}

// session is an anonymous Session that shall succeed.
func (p *plant) session(address string, identity *securechannel.Identity) *client {
	p.t.Helper()
	c := p.open(address, identity)
	if err := c.login(); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// login creates and activates an anonymous Session.
func (c *client) login() error {
	if code, err := c.create(c.createRequest()); err != nil || code != ua.StatusOK {
		return failed("CreateSession", code, err)
	}
	if code, err := c.activate(anonymousToken()); err != nil || code != ua.StatusOK {
		return failed("ActivateSession", code, err)
	}
	return nil
}

// call sends req, whose RequestHeader is *h, and reads the answer into resp.
func (c *client) call(h *uabinary.RequestHeader, req, resp uabinary.Structure) (ua.StatusCode, error) {
	c.handle++
	h.AuthenticationToken, h.RequestHandle = c.token, c.handle
	return c.raw(uabinary.AppendMessage(nil, req), resp)
}

// raw sends a body, in as many chunks as it takes, and reads the answer into
// resp; nil if only a fault can come.
func (c *client) raw(body []byte, resp uabinary.Structure) (ua.StatusCode, error) {
	if err := c.sendBody(body); err != nil {
		return 0, err
	}
	c.Net.SetReadDeadline(time.Now().Add(patience))
	_, answer, err := c.Receive()
	if err != nil {
		return 0, err
	}
	return parseAnswer(answer, resp)
}

func (c *client) sendBody(body []byte) error {
	c.RequestID++
	chunkBody := int(c.Conn.SendSize()) - 200 // what is around it
	c.Net.SetWriteDeadline(time.Now().Add(patience))
	for len(body) > chunkBody {
		if err := c.Send(uatcp.TypeMessage, uatcp.Intermediate, c.RequestID, body[:chunkBody]); err != nil {
			return err
		}
		body = body[chunkBody:]
	}
	return c.Send(uatcp.TypeMessage, uatcp.Final, c.RequestID, body)
}

func parseAnswer(answer []byte, resp uabinary.Structure) (ua.StatusCode, error) {
	r := uabinary.NewReader(answer, &uabinary.Limits{MaxByteStringLength: 8 << 20, MaxAlloc: 64 << 20})
	switch got := r.MessageType(); {
	case got == id.ServiceFault_Encoding_DefaultBinary:
		var f uabinary.ServiceFault
		f.Parse(r)
		if h := &f.ResponseHeader; len(h.StringTable) > 0 || h.ServiceDiagnostics.AdditionalInfo != "" {
			return 0, fmt.Errorf("I6: the fault says more than a code: %+v", h)
		}
		return f.ResponseHeader.ServiceResult, r.Err()
	case resp != nil && got == resp.EncodingID():
		resp.Parse(r)
		return ua.StatusOK, r.Err()
	default:
		return 0, fmt.Errorf("unexpected answer of type %d", got)
	}
}

func (c *client) createRequest() *uabinary.CreateSessionRequest {
	req := &uabinary.CreateSessionRequest{
		EndpointURL: securechanneltest.EndpointURL, SessionName: "attack",
		ClientNonce: random(32), RequestedSessionTimeout: 30_000,
	}
	if c.Identity != nil {
		req.ClientCertificate = c.Identity.Chain[0]
		req.ClientDescription.ApplicationURI = uriOf(c.Identity)
	}
	return req
}

func uriOf(identity *securechannel.Identity) string {
	switch identity {
	case witnessIdentity():
		return witnessURI
	case insiderIdentity():
		return insiderURI
	}
	return strangerURI
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (c *client) create(req *uabinary.CreateSessionRequest) (ua.StatusCode, error) {
	var resp uabinary.CreateSessionResponse
	c.token = uabinary.NodeID{}
	code, err := c.call(&req.RequestHeader, req, &resp)
	if err == nil && code == ua.StatusOK {
		c.token, c.nonce = resp.AuthenticationToken, resp.ServerNonce
	}
	return code, err
}

// signature proves the client's key for the last ServerNonce.
func (c *client) signature() uabinary.SignatureData {
	if c.Identity == nil {
		return uabinary.SignatureData{}
	}
	p, _ := securechannel.PolicyByURI(c.PolicyURI)
	sig, err := p.Sign(c.Identity.Key, gatewayIdentity().Chain[0], c.nonce)
	if err != nil {
		panic(err)
	}
	return uabinary.SignatureData{Algorithm: p.SignatureAlgorithm(), Signature: sig}
}

func anonymousToken() uabinary.ExtensionObject {
	return uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: "Anonymous"})
}

func (c *client) activate(token uabinary.ExtensionObject) (ua.StatusCode, error) {
	req := &uabinary.ActivateSessionRequest{ClientSignature: c.signature(), UserIdentityToken: token}
	var resp uabinary.ActivateSessionResponse
	code, err := c.call(&req.RequestHeader, req, &resp)
	if err == nil && code == ua.StatusOK {
		c.nonce = resp.ServerNonce
	}
	return code, err
}

// userToken encrypts a password as the standard says.
func (c *client) userToken(name, secret string) *uabinary.UserNameIdentityToken {
	plain := uabinary.AppendUint32(nil, uint32(len(secret)+len(c.nonce)))
	return c.userTokenOf(name, append(append(plain, secret...), c.nonce...))
}

func (c *client) userTokenOf(name string, plain []byte) *uabinary.UserNameIdentityToken {
	p, _ := securechannel.PolicyByURI(policy)
	encrypted, err := p.Encrypt(&gatewayIdentity().Key.PublicKey, plain)
	if err != nil {
		panic(err)
	}
	return &uabinary.UserNameIdentityToken{
		PolicyID: "UserName_Basic256Sha256", UserName: name,
		Password: encrypted, EncryptionAlgorithm: p.EncryptionAlgorithm(),
	}
}

func valueOf(name string) uabinary.ReadValueID {
	return uabinary.ReadValueID{NodeID: uabinary.StringID(2, name), AttributeID: ua.AttributeIDValue}
}

func repeat[T any](n int, v T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = v
	}
	return all
}

func (c *client) read(nodes ...uabinary.ReadValueID) (uabinary.ReadResponse, ua.StatusCode, error) {
	req := &uabinary.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes}
	var resp uabinary.ReadResponse
	code, err := c.call(&req.RequestHeader, req, &resp)
	return resp, code, err
}

func (c *client) write(name string, value any) (ua.StatusCode, error) {
	req := &uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{{
		NodeID: uabinary.StringID(2, name), AttributeID: ua.AttributeIDValue, Value: uabinary.DataValue{Value: uabinary.VariantOf(value)},
	}}}
	var resp uabinary.WriteResponse
	code, err := c.call(&req.RequestHeader, req, &resp)
	if err == nil && code == ua.StatusOK {
		code = resp.Results[0]
	}
	return code, err
}

// subscribe makes a Subscription with one item for each node.
func (c *client) subscribe(interval float64, nodes ...uabinary.ReadValueID) (subscription uint32, items []uabinary.MonitoredItemCreateResult, err error) {
	req := &uabinary.CreateSubscriptionRequest{
		RequestedPublishingInterval: interval, RequestedLifetimeCount: 1000, RequestedMaxKeepAliveCount: 10, PublishingEnabled: true,
	}
	var resp uabinary.CreateSubscriptionResponse
	if code, err := c.call(&req.RequestHeader, req, &resp); err != nil || code != ua.StatusOK {
		return 0, nil, failed("CreateSubscription", code, err)
	}
	if len(nodes) == 0 {
		return resp.SubscriptionID, nil, nil
	}
	items, err = c.monitor(resp.SubscriptionID, 1, nodes...)
	return resp.SubscriptionID, items, err
}

func (c *client) monitor(subscription, queue uint32, nodes ...uabinary.ReadValueID) ([]uabinary.MonitoredItemCreateResult, error) {
	req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: subscription, TimestampsToReturn: ua.TimestampsToReturnBoth}
	for i, node := range nodes {
		req.ItemsToCreate = append(req.ItemsToCreate, uabinary.MonitoredItemCreateRequest{
			ItemToMonitor: node, MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{ClientHandle: uint32(i), QueueSize: queue, DiscardOldest: true},
		})
	}
	var resp uabinary.CreateMonitoredItemsResponse
	code, err := c.call(&req.RequestHeader, req, &resp)
	if err != nil || code != ua.StatusOK {
		return nil, failed("CreateMonitoredItems", code, err)
	}
	return resp.Results, nil
}

// publish sends a Publish request without waiting for its answer.
func (c *client) publish(acks ...uabinary.SubscriptionAcknowledgement) error {
	c.handle++
	return c.sendBody(uabinary.AppendMessage(nil, &uabinary.PublishRequest{
		RequestHeader:                uabinary.RequestHeader{AuthenticationToken: c.token, RequestHandle: c.handle},
		SubscriptionAcknowledgements: acks,
	}))
}

// failed says how a call failed: on the way, or by what it was answered.
func failed(service string, code ua.StatusCode, err error) error {
	if err == nil {
		err = code
	}
	return fmt.Errorf("%s: %w", service, err)
}

// wantCode asserts what a call was answered with.
func wantCode(t testing.TB, what string, got ua.StatusCode, err error, want ...ua.StatusCode) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range want {
		if got == w {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, uatcp.StatusName(got), want)
}
