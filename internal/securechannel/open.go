package securechannel

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
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
	sequence   sequenceHeader
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
	if len(b) < securityHeader {
		return nil, errShortChunk
	}
	// Part 6 (1.05), 6.7.7: 0 opens a channel; any other must be the channel of this very connection.
	if binary.LittleEndian.Uint32(b[channelIDOffset:]) != c.id {
		return nil, errUnknownChannel
	}
	h, n, err := parseAsymmetricHeader(b[securityHeader:])
	if err != nil {
		return nil, err
	}
	policy, err := c.choosePolicy(h.policyURI)
	if err != nil {
		return nil, err
	}
	o := &opening{policy: policy, sender: h.sender, header: b[:securityHeader+n], ciphertext: b[securityHeader+n:]}
	if policy.IsNone() {
		return o, nil // Part 4 (1.05), 5.6.2.2: a certificate is ignored
	}
	own := c.cfg.Identity.Thumbprint()
	if subtle.ConstantTimeCompare(own[:], h.thumbprint) != 1 {
		return nil, denied("thumbprint is not that of our certificate", nil)
	}
	if o.leaf, o.key, err = parseSenderCertificate(h.sender); err != nil {
		return nil, err
	}
	if c.renewing() && !bytes.Equal(o.leaf, c.leaf) {
		return nil, denied("renewal with another certificate", nil)
	}
	return o, nil
}

var (
	errShortChunk     = &Error{Code: ua.StatusBadDecodingError, Op: "chunk shorter than its headers"}
	errUnknownChannel = &Error{Code: ua.StatusBadTCPSecureChannelUnknown, Op: "SecureChannelId is not that of this connection"}
)

// renewing reports whether the channel is open already.
func (c *Channel) renewing() bool { return c.id != 0 }

func (c *Channel) choosePolicy(uri string) (*Policy, error) {
	policy, ok := PolicyByURI(uri)
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
	var own *rsa.PrivateKey
	if c.cfg.Identity != nil {
		own = c.cfg.Identity.Key
	}
	content, err := o.policy.openAsymmetric(own, o.key, o.header, o.ciphertext)
	if err != nil {
		return err
	}
	if len(content) < sequenceHeaderSize {
		return errShortChunk
	}
	o.sequence = parseSequenceHeader(content)
	if !c.received.accept(o.sequence.number) {
		return errSequence
	}
	r := uabinary.NewReader(content[sequenceHeaderSize:], nil)
	if r.MessageType() != o.request.EncodingID() {
		return &Error{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "OPN is not an OpenSecureChannel request", Err: r.Err()}
	}
	o.request.Parse(r)
	if err := r.Err(); err != nil {
		return &Error{Code: uatcp.StatusCodeOf(err), Op: "OpenSecureChannel request", Err: err}
	}
	return nil
}

var errSequence = denied("sequence number", nil)

// maxNonceLength is the largest nonce in bytes that is taken; the policies ask for 32.
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
	case len(nonce) < nonceLength || len(nonce) > maxNonceLength || bytes.Equal(nonce, c.clientNonce):
		return &Error{Code: ua.StatusBadNonceInvalid, Op: "client nonce"}
	}
	return nil
}

// answerOpen creates the token and sends the response.
func (c *Channel) answerOpen(o *opening) error {
	var serverNonce []byte
	if !o.policy.IsNone() {
		serverNonce = make([]byte, nonceLength)
		rand.Read(serverNonce)
	}
	renewed := c.renewing()
	if !renewed {
		c.id = newChannelID()
		c.policy, c.mode, c.leaf, c.clientKey = o.policy, o.request.SecurityMode, bytes.Clone(o.leaf), o.key
	}
	c.tokenID++
	c.clientNonce = o.request.ClientNonce
	token := c.policy.newToken(c.tokenID, c.clientNonce, serverNonce, c.mode, c.reviseLifetime(o.request.RequestedLifetime))
	if !renewed {
		c.maxBody = token.out.maxBody(int(c.conn.SendSize()))
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	chunk, err := c.sealOpenResponse(o, token, serverNonce)
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

// sealOpenResponse builds the OPN chunk with the response. c.mu is held.
func (c *Channel) sealOpenResponse(o *opening, token *securityToken, nonce []byte) ([]byte, error) {
	response := uabinary.OpenSecureChannelResponse{
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
	h := asymmetricHeader{policyURI: c.policy.uri}
	var own *rsa.PrivateKey
	if !c.policy.IsNone() { // under None clients insist on both being null
		own = c.cfg.Identity.Key
		h.sender = c.cfg.Identity.senderCertificate(int(c.conn.SendSize()) / 2)
		thumbprint := sha1.Sum(c.leaf)
		h.thumbprint = thumbprint[:]
	}
	chunk := uatcp.Header{Type: uatcp.TypeOpenSecureChannel, IsFinal: uatcp.Final}.Append(nil)
	chunk = binary.LittleEndian.AppendUint32(chunk, c.id)
	chunk = h.append(chunk)
	header := len(chunk)
	chunk = sequenceHeader{c.sent.next(), o.sequence.requestID}.append(chunk)
	chunk = uabinary.AppendMessage(chunk, &response)
	return c.policy.sealAsymmetric(own, c.clientKey, chunk, header)
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
