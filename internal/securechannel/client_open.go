package securechannel

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// asking is an OpenSecureChannel request that was sent.
type asking struct {
	requestID uint32
	nonce     []byte
	at        time.Time
}

// minLifetime is the shortest lifetime of a token that a client puts up with: with less it would do nothing but renew.
const minLifetime = time.Second

// open asks for the first token and waits for it.
func (c *ClientChannel) open() error {
	if err := c.identify(); err != nil {
		return err
	}
	if err := c.ask(ua.SecurityTokenRequestTypeIssue); err != nil {
		return err
	}
	c.conn.LimitFrames(maxOpenSize, c.cfg.Limits.FrameTimeout, true)
	c.conn.SetIdleDeadline(c.asked.at.Add(c.cfg.Timeout))
	chunk, err := c.conn.ReadChunk()
	switch {
	case err == uatcp.ErrIdle:
		return errNoAnswer
	case err != nil:
		return hungUp(err)
	case chunk.Type != uatcp.TypeOpenSecureChannel:
		return &Error{Code: ua.StatusBadTCPMessageTypeInvalid, Op: chunk.Type.String() + " before the SecureChannel is open"}
	}
	if err := c.handleOpen(chunk.Bytes); err != nil {
		return err
	}
	c.maxBody = c.tokens.current.out.maxBody(int(c.conn.SendSize()))
	c.conn.LimitFrames(c.conn.ReceiveSize(), c.cfg.Limits.FrameTimeout, true)
	return nil
}

// identify checks what is needed to prove who both sides are.
func (c *ClientChannel) identify() (err error) {
	if c.policy.IsNone() != (c.mode == ua.MessageSecurityModeNone) || c.mode == ua.MessageSecurityModeInvalid {
		return &Error{Code: ua.StatusBadSecurityModeRejected, Op: "security mode does not fit the security policy"}
	}
	if c.policy.IsNone() {
		return nil
	}
	if c.cfg.Identity == nil {
		return &Error{Code: ua.StatusBadCertificateInvalid, Op: "no certificate of our own"}
	}
	if err := checkKey(&c.cfg.Identity.Key.PublicKey, maxKeyBits); err != nil {
		return err
	}
	c.leaf, c.peerKey, err = parseSenderCertificate(c.cfg.ServerCertificate, maxKeyBits)
	return err
}

// ask sends an OpenSecureChannel request.
func (c *ClientChannel) ask(kind ua.SecurityTokenRequestType) error {
	c.asked = &asking{requestID: c.NextRequestID(), nonce: c.policy.newNonce(), at: time.Now()}
	request := uabinary.OpenSecureChannelRequest{
		RequestHeader:     uabinary.RequestHeader{Timestamp: uabinary.DateTimeOf(c.asked.at), RequestHandle: c.asked.requestID},
		RequestType:       kind,
		SecurityMode:      c.mode,
		ClientNonce:       c.asked.nonce,
		RequestedLifetime: uint32(c.cfg.Lifetime.Milliseconds()),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	chunk, err := c.sealOpen(c.cfg.Identity, c.asked.requestID, &request)
	if err != nil {
		return err
	}
	return c.conn.Write(chunk, c.conn.WriteDeadline())
}

// handleOpen takes the token out of the answer to the request. Part 4 (1.05), 5.6.2; Part 6 (1.05), 6.7.4
func (c *ClientChannel) handleOpen(b []byte) error {
	if c.asked == nil {
		return &Error{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "OPN that was not asked for"}
	}
	h, header, ciphertext, err := parseOpen(b)
	if err != nil {
		return err
	}
	channel := binary.LittleEndian.Uint32(b[channelIDOffset:])
	if err := c.examine(&h, channel); err != nil {
		return err
	}
	sequence, body, err := c.unlockOpen(c.policy, c.cfg.Identity, c.peerKey, header, ciphertext)
	if err != nil {
		return err
	}
	if sequence.requestID != c.asked.requestID {
		return &Error{Code: ua.StatusBadUnknownResponse, Op: "OPN with another RequestId"}
	}
	response, err := parseOpenResponse(body)
	if err != nil {
		return err
	}
	if err := c.checkResponse(response); err != nil {
		return err
	}
	c.accept(channel, response)
	return nil
}

// examine makes the checks on the clear part of the answer.
func (c *ClientChannel) examine(h *asymmetricHeader, channel uint32) error {
	if channel == 0 || c.id != 0 && channel != c.id {
		return errUnknownChannel
	}
	if h.policyURI != c.policy.uri {
		return denied("answer under another security policy", nil)
	}
	if c.policy.IsNone() {
		return nil
	}
	own := c.cfg.Identity.Thumbprint()
	if subtle.ConstantTimeCompare(own[:], h.thumbprint) != 1 {
		return denied("thumbprint is not that of our certificate", nil)
	}
	leaf, err := splitChain(h.sender)
	if err != nil {
		return err
	}
	if !bytes.Equal(leaf, c.leaf) {
		return denied("server uses another certificate than its endpoint has", nil)
	}
	return nil
}

// parseOpenResponse reads the body of an OPN chunk, which may be a fault.
func parseOpenResponse(body []byte) (*uabinary.OpenSecureChannelResponse, error) {
	var response uabinary.OpenSecureChannelResponse
	r := uabinary.NewReader(body, nil)
	switch r.MessageType() {
	case response.EncodingID():
		response.Parse(r)
	case id.ServiceFault_Encoding_DefaultBinary:
		response.ResponseHeader.Parse(r)
		if r.Err() == nil && response.ResponseHeader.ServiceResult == ua.StatusGood {
			response.ResponseHeader.ServiceResult = ua.StatusBadUnexpectedError
		}
	default:
		return nil, &Error{Code: ua.StatusBadUnknownResponse, Op: "OPN is not an OpenSecureChannel response", Err: r.Err()}
	}
	if err := r.Err(); err != nil {
		return nil, &Error{Code: uatcp.StatusCodeOf(err), Op: "OpenSecureChannel response", Err: err}
	}
	if code := response.ResponseHeader.ServiceResult; code != ua.StatusGood {
		return nil, &Error{Code: code, Op: "server refuses OpenSecureChannel: " + uatcp.StatusName(code)}
	}
	return &response, nil
}

// checkResponse makes the checks on the body; the server is authenticated now.
func (c *ClientChannel) checkResponse(response *uabinary.OpenSecureChannelResponse) error {
	lifetime := time.Duration(response.SecurityToken.RevisedLifetime) * time.Millisecond
	n := len(response.ServerNonce)
	switch {
	case lifetime < minLifetime:
		return &Error{Code: ua.StatusBadSecureChannelTokenUnknown, Op: "lifetime of the SecurityToken below 1 s"}
	case c.policy.IsNone():
		return nil
	case n < c.policy.nonce || n > maxNonceLength || bytes.Equal(response.ServerNonce, c.asked.nonce):
		return &Error{Code: ua.StatusBadNonceInvalid, Op: "server nonce"}
	}
	return nil
}

// accept begins to use the token. Its lifetime counts from the request on, so that it does not end later here than with the
// server. A token that the server has never used is not forgotten for a third one.
func (c *ClientChannel) accept(channel uint32, response *uabinary.OpenSecureChannelResponse) {
	lifetime := min(time.Duration(response.SecurityToken.RevisedLifetime)*time.Millisecond, c.cfg.Lifetime)
	token := c.policy.newToken(response.SecurityToken.TokenID, response.ServerNonce, c.asked.nonce, c.mode, lifetime)
	token.created = c.asked.at
	c.asked = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == 0 {
		c.id, c.tokens.current = channel, token
		return
	}
	c.tokens.current, c.tokens.next = c.tokens.newest(), token
}
