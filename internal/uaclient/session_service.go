package uaclient

import (
	"bytes"
	"context"
	"crypto/rand"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

const (
	sessionTimeout = 120_000 // ms without a request
	nonceLength    = 32      // bytes
	maxNonceLength = 128     // bytes
)

// openSession creates a session and activates it. Part 4 (1.05), 5.7.2 and 5.7.3 (5.6 in 1.04)
func (c *Client) openSession(ctx context.Context, o *Options) error {
	created, err := c.createSession(ctx, o)
	if err != nil {
		return err
	}
	c.session = created.AuthenticationToken
	return c.activateSession(ctx, o, created)
}

// ownCertificate returns the client's certificate without issuers, nil under None.
func (o *Options) ownCertificate() []byte {
	if o.Mode == ua.MessageSecurityModeNone || o.Identity == nil {
		return nil
	}
	return o.Identity.Chain[0]
}

func (c *Client) createSession(ctx context.Context, o *Options) (*uabinary.CreateSessionResponse, error) {
	nonce := make([]byte, nonceLength)
	rand.Read(nonce)
	request := uabinary.CreateSessionRequest{
		ClientDescription: uabinary.ApplicationDescription{
			ApplicationURI:  o.ApplicationURI,
			ApplicationName: uabinary.LocalizedText{Text: o.SessionName},
			ApplicationType: ua.ApplicationTypeClient,
		},
		EndpointURL:             o.EndpointURL,
		SessionName:             o.SessionName,
		ClientNonce:             nonce,
		ClientCertificate:       o.ownCertificate(),
		RequestedSessionTimeout: sessionTimeout,
		MaxResponseMessageSize:  maxResponse,
	}
	response := &uabinary.CreateSessionResponse{}
	if err := c.invoke(ctx, &request.RequestHeader, &request, response); err != nil {
		return nil, err
	}
	return response, c.verifySession(&request, response)
}

// verifySession checks that the session is with whom the channel is: the server signs what we have just made up.
// Part 4 (1.05), 5.7.2.2
func (c *Client) verifySession(request *uabinary.CreateSessionRequest, response *uabinary.CreateSessionResponse) error {
	policy := c.channel.Policy()
	if policy.IsNone() {
		return nil
	}
	if n := len(response.ServerNonce); n < nonceLength || n > maxNonceLength {
		return failure(ua.StatusBadNonceInvalid, "server nonce of wrong length", nil)
	}
	if !bytes.HasPrefix(response.ServerCertificate, c.channel.ServerCertificate()) { // its issuers may follow
		return failure(ua.StatusBadSecurityChecksFailed, "server names another certificate than its channel has", nil)
	}
	signature := response.ServerSignature.Signature
	if err := policy.Verify(c.channel.ServerKey(), signature, request.ClientCertificate, request.ClientNonce); err != nil {
		return failure(ua.StatusBadApplicationSignatureInvalid, "server's signature of the session", err)
	}
	return nil
}

func (c *Client) activateSession(ctx context.Context, o *Options, created *uabinary.CreateSessionResponse) error {
	token, err := c.userToken(o, created)
	if err != nil {
		return err
	}
	request := uabinary.ActivateSessionRequest{UserIdentityToken: token}
	if policy := c.channel.Policy(); !policy.IsNone() {
		signature, err := policy.Sign(o.Identity.Key, c.channel.ServerCertificate(), created.ServerNonce)
		if err != nil {
			return err
		}
		request.ClientSignature = uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: signature}
	}
	var response uabinary.ActivateSessionResponse
	return c.invoke(ctx, &request.RequestHeader, &request, &response)
}

// closeSession ends the session. Part 4 (1.05), 5.7.4
func (c *Client) closeSession(ctx context.Context) error {
	request := uabinary.CloseSessionRequest{DeleteSubscriptions: true}
	var response uabinary.CloseSessionResponse
	return c.invoke(ctx, &request.RequestHeader, &request, &response)
}
