package securechannel

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// opening is an OpenSecureChannel request on its way through the checks.
type opening struct {
	policy     *Policy
	sender     []byte         // certificate and issuers as sent; refers to the chunk
	leaf       []byte         // certificate alone; refers to the chunk
	key        *rsa.PublicKey // of leaf
	header     []byte         // the part of the chunk that is not encrypted
	ciphertext []byte
	requestID  uint32
	request    uabinary.OpenSecureChannelRequest
}

// handleOpen issues the first token or renews it. The order of the checks is deliberate: whatever costs a private key
// operation comes after all that a stranger cannot pass. Part 6 (1.05), 6.7.4 and 6.7.7; Part 4 (1.05), 5.6.2
func (c *Channel) handleOpen(chunk uatcp.Chunk) error {
	o, err := c.examine(chunk)
	if err != nil {
		return err
	}
	if err := c.authenticate(o); err != nil {
		return err
	}
	if err := c.checkRequest(o); err != nil {
		return err
	}
	return c.answerOpen(o)
}

// examine makes the checks that need no key: size, channel, policy, thumbprint, form of the certificate.
func (c *Channel) examine(chunk uatcp.Chunk) (*opening, error) {
	b := chunk.Bytes
	if len(b) > maxOpenSize {
		return nil, &Error{Code: ua.StatusBadTCPMessageTooLarge, Op: "OpenSecureChannel request"}
	}
	h, header, ciphertext, err := parseOpen(b)
	if err != nil {
		return nil, err
	}
	// Part 6 (1.05), 6.7.7: 0 opens a channel; any other must be the channel of this very connection.
	if binary.LittleEndian.Uint32(b[channelIDOffset:]) != c.id {
		return nil, errUnknownChannel
	}
	policy, err := c.choosePolicy(h.policyURI)
	if err != nil {
		return nil, err
	}
	o := &opening{policy: policy, sender: h.sender, header: header, ciphertext: ciphertext}
	if policy.IsNone() {
		return o, nil // Part 4 (1.05), 5.6.2.2: a certificate is ignored
	}
	own := c.cfg.Identity.Thumbprint()
	if subtle.ConstantTimeCompare(own[:], h.thumbprint) != 1 {
		return nil, denied("thumbprint is not that of our certificate", nil)
	}
	if o.leaf, o.key, err = parseSenderCertificate(h.sender, c.cfg.longestKey()); err != nil {
		return nil, err
	}
	if c.renewing() && !bytes.Equal(o.leaf, c.leaf) {
		return nil, denied("renewal with another certificate", nil)
	}
	return o, nil
}

// renewing reports whether the channel is open already.
func (c *Channel) renewing() bool { return c.id != 0 }

func (c *Channel) choosePolicy(uri string) (*Policy, error) {
	policy, ok := PolicyByURI(uri)
	if !ok {
		policy, ok = DeprecatedPolicyByURI(uri) // nobody offers it who was not told to
	}
	switch {
	case !ok:
		return nil, denied("unknown security policy", nil)
	case c.renewing() && policy != c.policy:
		return nil, denied("renewal with another security policy", nil)
	case !policy.IsNone() && !c.cfg.offers(uri):
		return nil, denied("security policy not offered", nil)
	}
	return policy, nil
}

// authenticate makes the checks that cost something: rate of attempts, trust, private key, signature, sequence number.
func (c *Channel) authenticate(o *opening) error {
	if o.policy.IsNone() {
		return c.unlock(o)
	}
	addr := addressOf(c.conn.RemoteAddr())
	if !c.renewing() { // an attacker at the same address shall not end channels that are open
		if err := c.cfg.Handshakes.admit(addr); err != nil {
			return err
		}
	}
	err := c.cfg.Trust(o.sender)
	if err != nil {
		err = distrusted(err)
	} else {
		err = c.cfg.Handshakes.do(func() error { return c.unlock(o) })
	}
	if err != nil && err != errTooBusy {
		c.cfg.Handshakes.failed(addr)
	}
	return err
}

// unlock decrypts and verifies the request and checks its sequence number.
func (c *Channel) unlock(o *opening) error {
	sequence, body, err := c.unlockOpen(o.policy, c.cfg.Identity, o.key, o.header, o.ciphertext)
	if err != nil {
		return err
	}
	o.requestID = sequence.requestID
	r := uabinary.NewReader(body, nil)
	if r.MessageType() != o.request.EncodingID() {
		return &Error{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "OPN is not an OpenSecureChannel request", Err: r.Err()}
	}
	o.request.Parse(r)
	if err := r.Err(); err != nil {
		return &Error{Code: uatcp.StatusCodeOf(err), Op: "OpenSecureChannel request", Err: err}
	}
	return nil
}

// maxNonceLength is the largest nonce in bytes that is taken; the policies ask for 16 or 32.
const maxNonceLength = 128

// checkRequest makes the checks on the body. The peer is authenticated now and may know what was wrong.
// Part 4 (1.05), 5.6.2.3
func (c *Channel) checkRequest(o *opening) error {
	want := ua.SecurityTokenRequestTypeIssue
	if c.renewing() {
		want = ua.SecurityTokenRequestTypeRenew
	}
	mode, nonce := o.request.SecurityMode, o.request.ClientNonce
	switch {
	case o.request.RequestType != want:
		return &Error{Code: ua.StatusBadRequestTypeInvalid, Op: "neither first issue nor renewal"}
	case c.renewing() && mode != c.mode:
		return &Error{Code: ua.StatusBadSecurityModeRejected, Op: "renewal with another security mode"}
	case o.policy.IsNone():
		if mode != ua.MessageSecurityModeNone {
			return &Error{Code: ua.StatusBadSecurityModeRejected, Op: "security mode without security policy"}
		}
		return nil
	case !c.cfg.allows(o.policy.uri, mode):
		return &Error{Code: ua.StatusBadSecurityModeRejected, Op: "security mode not offered"}
	case len(nonce) < o.policy.nonce || len(nonce) > maxNonceLength || bytes.Equal(nonce, c.clientNonce):
		return &Error{Code: ua.StatusBadNonceInvalid, Op: "client nonce"}
	}
	return nil
}

// answerOpen creates the token and sends the response.
func (c *Channel) answerOpen(o *opening) error {
	serverNonce := o.policy.newNonce()
	renewed := c.renewing()
	if !renewed {
		c.id = newChannelID()
		c.policy, c.mode, c.leaf, c.peerKey = o.policy, o.request.SecurityMode, bytes.Clone(o.leaf), o.key
	}
	c.tokenID++
	c.clientNonce = o.request.ClientNonce
	token := c.policy.newToken(c.tokenID, c.clientNonce, serverNonce, c.mode, c.reviseLifetime(o.request.RequestedLifetime))
	if !renewed {
		c.maxBody = token.out.maxBody(int(c.conn.SendSize()))
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	chunk, err := c.sealOpen(c.cfg.Identity, o.requestID, c.openResponse(o, token, serverNonce))
	if err != nil {
		return err
	}
	if err := c.conn.Write(chunk, c.conn.WriteDeadline()); err != nil {
		return err
	}
	if renewed {
		c.tokens.next = token
	} else {
		c.tokens.current = token
	}
	c.cfg.Log.Debug("SecureChannel token issued", slog.Uint64("channel_id", uint64(c.id)), slog.Uint64("token_id", uint64(token.id)),
		slog.String("policy", c.policy.uri), slog.String("mode", c.mode.String()), slog.Duration("lifetime", token.lifetime))
	return nil
}

// openResponse is the answer to o that hands out token.
func (c *Channel) openResponse(o *opening, token *securityToken, nonce []byte) *uabinary.OpenSecureChannelResponse {
	return &uabinary.OpenSecureChannelResponse{
		ResponseHeader: uabinary.ResponseHeader{
			Timestamp:     uabinary.DateTimeOf(time.Now()),
			RequestHandle: o.request.RequestHeader.RequestHandle,
		},
		SecurityToken: uabinary.ChannelSecurityToken{
			ChannelID:       c.id,
			TokenID:         token.id,
			CreatedAt:       uabinary.DateTimeOf(token.created),
			RevisedLifetime: uint32(token.lifetime.Milliseconds()),
		},
		ServerNonce: nonce,
	}
}

// reviseLifetime turns the requested lifetime in milliseconds into the granted one; 0 asks for the longest.
func (c *Channel) reviseLifetime(requested uint32) time.Duration {
	if requested == 0 {
		return c.cfg.MaxLifetime
	}
	return min(max(time.Duration(requested)*time.Millisecond, c.cfg.MinLifetime), c.cfg.MaxLifetime)
}

// newChannelID returns a random identifier: after a restart it is not one that an earlier client still uses.
// Part 6 (1.05), 6.7.2.2
func newChannelID() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:])
		if id := binary.LittleEndian.Uint32(b[:]); id != 0 {
			return id
		}
	}
}
