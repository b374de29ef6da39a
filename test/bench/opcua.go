//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// clientURI is the ApplicationUri of the bench's certificate.
const clientURI = "urn:edgeua:bench:client"

// reader is an OPC UA client that sends one Read again and again.
type reader struct {
	channel  *securechanneltest.Client
	identity *securechannel.Identity
	token    uabinary.NodeID
	request  []byte // the encoded ReadRequest
	counted  *countedConn
}

// countedConn counts what goes over the wire.
type countedConn struct {
	net.Conn
	read, written int
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += n
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written += n
	return n, err
}

// dialReader opens a session and prepares a Read of so many values.
func dialReader(url string, secure bool, identity *securechannel.Identity, serverCertificate []byte, values int) (*reader, error) {
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "opc.tcp://"))
	if err != nil {
		return nil, err
	}
	r := &reader{counted: &countedConn{Conn: nc}}
	policy, mode := ua.SecurityPolicyURINone, ua.MessageSecurityModeNone
	if secure {
		r.identity = identity
		policy, mode = ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt
	} else {
		serverCertificate = nil
	}
	r.channel, err = securechanneltest.Dial(r.counted, policy, mode, r.identity, serverCertificate)
	if err != nil {
		return nil, err
	}
	if err := r.openSession(url, policy, serverCertificate); err != nil {
		return nil, err
	}
	r.request = r.readRequest(values)
	return r, nil
}

func (r *reader) openSession(url, policyURI string, serverCertificate []byte) error {
	create := uabinary.CreateSessionRequest{
		ClientDescription:       uabinary.ApplicationDescription{ApplicationURI: clientURI, ApplicationType: ua.ApplicationTypeClient},
		EndpointURL:             url,
		ClientNonce:             make([]byte, 32),
		RequestedSessionTimeout: 600_000,
	}
	if _, err := rand.Read(create.ClientNonce); err != nil {
		return err
	}
	if r.identity != nil {
		create.ClientCertificate = r.identity.Chain[0]
	}
	var created uabinary.CreateSessionResponse
	if err := r.call(&create, &created); err != nil {
		return fmt.Errorf("CreateSession: %w", err)
	}
	r.token = created.AuthenticationToken
	activate := uabinary.ActivateSessionRequest{
		RequestHeader:     uabinary.RequestHeader{AuthenticationToken: r.token},
		UserIdentityToken: uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: anonymousPolicy(created.ServerEndpoints)}),
	}
	if r.identity != nil {
		policy, _ := securechannel.PolicyByURI(policyURI)
		signature, err := policy.Sign(r.identity.Key, serverCertificate, created.ServerNonce)
		if err != nil {
			return err
		}
		activate.ClientSignature = uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: signature}
	}
	var activated uabinary.ActivateSessionResponse
	if err := r.call(&activate, &activated); err != nil {
		return fmt.Errorf("ActivateSession: %w", err)
	}
	return nil
}

func anonymousPolicy(endpoints []uabinary.EndpointDescription) string {
	for _, e := range endpoints {
		for _, t := range e.UserIdentityTokens {
			if t.TokenType == ua.UserTokenTypeAnonymous {
				return t.PolicyID
			}
		}
	}
	return ""
}

// call sends a request and decodes the response, which may be a ServiceFault.
func (r *reader) call(request, response uabinary.Structure) error {
	body, err := r.channel.Request(uabinary.AppendMessage(nil, request))
	if err != nil {
		return err
	}
	in := uabinary.NewReader(body, nil)
	if kind := in.MessageType(); kind != response.EncodingID() {
		var fault uabinary.ServiceFault
		fault.Parse(in)
		return fault.ResponseHeader.ServiceResult
	}
	response.Parse(in)
	return in.Err()
}

func (r *reader) readRequest(values int) []byte {
	req := uabinary.ReadRequest{
		RequestHeader:      uabinary.RequestHeader{AuthenticationToken: r.token, TimeoutHint: 10_000},
		TimestampsToReturn: ua.TimestampsToReturnBoth,
	}
	for i := range values {
		req.NodesToRead = append(req.NodesToRead, uabinary.ReadValueID{
			NodeID: uabinary.StringID(2, fmt.Sprintf("D0.T%d", i)), AttributeID: ua.AttributeIDValue,
		})
	}
	return uabinary.AppendMessage(nil, &req)
}

// roundTrip sends the Read once.
func (r *reader) roundTrip() error {
	body, err := r.channel.Request(r.request)
	if err == nil && !bytes.HasPrefix(body, readResponsePrefix) {
		return fmt.Errorf("the server answered something else than a ReadResponse")
	}
	return err
}

// readResponsePrefix is the NodeId that every ReadResponse begins with.
var readResponsePrefix = uabinary.NumericID(0, (*uabinary.ReadResponse)(nil).EncodingID()).Append(nil)

// check reads once and makes sure that all values are good: a benchmark of
// errors would flatter.
func (r *reader) check() error {
	body, err := r.channel.Request(r.request)
	if err != nil {
		return err
	}
	in := uabinary.NewReader(body, nil)
	in.MessageType()
	var response uabinary.ReadResponse
	response.Parse(in)
	if in.Err() != nil {
		return in.Err()
	}
	for i := range response.Results {
		if dv := &response.Results[i]; dv.Status != ua.StatusOK || dv.Value.IsNull() {
			return fmt.Errorf("value %d: %w", i, dv.Status)
		}
	}
	return nil
}

func (r *reader) close() { _ = r.channel.Close() }

// serverCertificate asks for the endpoints and returns their certificate.
func serverCertificate(url string) ([]byte, error) {
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "opc.tcp://"))
	if err != nil {
		return nil, err
	}
	r := reader{}
	if r.channel, err = securechanneltest.Dial(nc, ua.SecurityPolicyURINone, ua.MessageSecurityModeNone, nil, nil); err != nil {
		return nil, err
	}
	defer r.close()
	var response uabinary.GetEndpointsResponse
	if err := r.call(&uabinary.GetEndpointsRequest{EndpointURL: url}, &response); err != nil {
		return nil, err
	}
	for _, e := range response.Endpoints {
		if len(e.ServerCertificate) > 0 {
			_, err := x509.ParseCertificate(e.ServerCertificate)
			return e.ServerCertificate, err
		}
	}
	return nil, fmt.Errorf("no endpoint of %s has a certificate", url)
}
