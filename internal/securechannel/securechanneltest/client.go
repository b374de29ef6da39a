// Package securechanneltest has both sides of SecureChannels for tests: small, synchronous, and easy to make misbehave.
//
// Its cryptography is that of github.com/gopcua/opcua/uapolicy, so that a test which uses it checks ours against an
// implementation that we did not write. It leaves out everything that a client in the field needs.
package securechanneltest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

// EndpointURL is what Dial says in its Hello.
const EndpointURL = "opc.tcp://127.0.0.1:4840"

// Client is the client's side of one SecureChannel. Its fields may be changed between calls to make it misbehave.
type Client struct {
	Net  net.Conn    // raw access to the socket
	Conn *uatcp.Conn // reads the server's frames

	PolicyURI  string
	Mode       ua.MessageSecurityMode
	Identity   *securechannel.Identity // of the client, nil under None
	ServerKey  *rsa.PublicKey          // nil under None
	Thumbprint []byte                  // of the server certificate, nil under None
	Lifetime   uint32                  // requested, in milliseconds

	ChannelID uint32
	TokenID   uint32
	Revised   uint32 // lifetime of the token in milliseconds
	Sequence  uint32 // of the last chunk sent
	RequestID uint32 // of the last request sent
	Received  uint32 // sequence number of the last chunk received; after 0 any will do
	UsedToken uint32 // TokenId of the last chunk received
	Nonce     []byte // sent with the last OpenSecureChannel

	// Response is the body of the last OpenSecureChannel response, and ResponseHeader what was in front of it.
	Response       uabinary.OpenSecureChannelResponse
	ResponseSender []byte
	ResponsePrint  []byte

	tokens map[uint32]*uapolicy.EncryptionAlgorithm
}

// New says Hello on nc and returns a Client that has no SecureChannel yet. serverCert is in DER, nil under None.
func New(nc net.Conn, policyURI string, mode ua.MessageSecurityMode, identity *securechannel.Identity, serverCert []byte) (*Client, error) {
	conn, err := uatcp.Connect(context.Background(), nc, uatcp.Config{}, EndpointURL)
	if err != nil {
		return nil, err
	}
	return NewOn(nc, conn, policyURI, mode, identity, serverCert)
}

// NewOn is New on a TransportConnection that has said Hello already.
func NewOn(nc net.Conn, conn *uatcp.Conn, policyURI string, mode ua.MessageSecurityMode, identity *securechannel.Identity, serverCert []byte) (*Client, error) {
	if err := nc.SetWriteDeadline(time.Time{}); err != nil { // that of the Hello
		return nil, err
	}
	c := &Client{Net: nc, Conn: conn, PolicyURI: policyURI, Mode: mode, Lifetime: 3600_000, tokens: map[uint32]*uapolicy.EncryptionAlgorithm{}}
	if policyURI == ua.SecurityPolicyURINone {
		return c, nil
	}
	cert, err := x509.ParseCertificate(serverCert)
	if err != nil {
		return nil, err
	}
	thumbprint := sha1.Sum(serverCert)
	c.Identity, c.ServerKey, c.Thumbprint = identity, cert.PublicKey.(*rsa.PublicKey), thumbprint[:]
	return c, nil
}

// Dial says Hello on nc and opens a SecureChannel. identity and serverCert, in DER, are nil under None.
func Dial(nc net.Conn, policyURI string, mode ua.MessageSecurityMode, identity *securechannel.Identity, serverCert []byte) (*Client, error) {
	c, err := New(nc, policyURI, mode, identity, serverCert)
	if err != nil {
		return nil, err
	}
	return c, c.Open(ua.SecurityTokenRequestTypeIssue)
}

// Renew asks for a new SecurityToken and uses it from then on.
func (c *Client) Renew() error { return c.Open(ua.SecurityTokenRequestTypeRenew) }

// Open sends an OpenSecureChannel request and reads the response.
func (c *Client) Open(kind ua.SecurityTokenRequestType) error {
	c.Nonce = nil
	if c.ServerKey != nil {
		c.Nonce = make([]byte, 32)
		rand.Read(c.Nonce)
	}
	chunk, err := c.SealOpen(c.OpenRequest(kind))
	if err != nil {
		return err
	}
	if _, err := c.Net.Write(chunk); err != nil {
		return err
	}
	return c.ReadOpen()
}

// OpenRequest returns the request that Open sends.
func (c *Client) OpenRequest(kind ua.SecurityTokenRequestType) *uabinary.OpenSecureChannelRequest {
	return &uabinary.OpenSecureChannelRequest{
		RequestHeader:     uabinary.RequestHeader{RequestHandle: 1},
		RequestType:       kind,
		SecurityMode:      c.Mode,
		ClientNonce:       c.Nonce,
		RequestedLifetime: c.Lifetime,
	}
}

// SealOpen returns the OPN chunk with a message.
func (c *Client) SealOpen(message uabinary.Structure) ([]byte, error) {
	return c.SealOpenBody(uabinary.AppendMessage(nil, message))
}

// SealOpenBody returns the OPN chunk with a body.
func (c *Client) SealOpenBody(body []byte) ([]byte, error) {
	var sender []byte
	if c.Identity != nil {
		for _, der := range c.Identity.Chain {
			sender = append(sender, der...)
		}
	}
	chunk := uatcp.Header{Type: uatcp.TypeOpenSecureChannel, IsFinal: uatcp.Final}.Append(nil)
	chunk = uabinary.AppendUint32(chunk, c.ChannelID)
	chunk = uabinary.AppendString(chunk, c.PolicyURI)
	chunk = uabinary.AppendByteString(chunk, sender)
	chunk = uabinary.AppendByteString(chunk, c.Thumbprint)
	header := len(chunk)
	c.RequestID++
	chunk = append(c.appendSequence(chunk, c.RequestID), body...)
	if c.ServerKey == nil {
		binary.LittleEndian.PutUint32(chunk[4:], uint32(len(chunk)))
		return chunk, nil
	}
	suite, err := uapolicy.Asymmetric(c.PolicyURI, c.Identity.Key, c.ServerKey)
	if err != nil {
		return nil, err
	}
	return seal(suite, chunk, header, true)
}

// ReadOpen reads an OpenSecureChannel response and uses its token from then on.
func (c *Client) ReadOpen() error {
	channelID, _, err := c.readOpen(&c.Response)
	if err != nil {
		return err
	}
	token := c.Response.SecurityToken
	if channelID != token.ChannelID {
		return errors.New("SecureChannelId differs between header and body")
	}
	c.ChannelID, c.TokenID, c.Revised = token.ChannelID, token.TokenID, token.RevisedLifetime
	return c.useToken(c.Nonce, c.Response.ServerNonce)
}

// readOpen reads an OPN chunk and returns the SecureChannelId and the RequestId in it.
func (c *Client) readOpen(message uabinary.Structure) (channelID, requestID uint32, err error) {
	chunk, err := c.Conn.ReadChunk()
	if err != nil {
		return 0, 0, err
	}
	if chunk.Type != uatcp.TypeOpenSecureChannel {
		return 0, 0, fmt.Errorf("got %s instead of OPN", chunk.Type)
	}
	r := uabinary.NewReader(chunk.Bytes[8:], nil)
	channelID, policyURI := r.Uint32(), r.String()
	c.ResponseSender, c.ResponsePrint = r.ByteString(), r.ByteString()
	if r.Err() != nil {
		return 0, 0, r.Err()
	}
	if policyURI != c.PolicyURI {
		return 0, 0, fmt.Errorf("OPN under policy %q", policyURI)
	}
	suite := &uapolicy.EncryptionAlgorithm{}
	if c.ServerKey != nil {
		if suite, err = uapolicy.Asymmetric(c.PolicyURI, c.Identity.Key, c.ServerKey); err != nil {
			return 0, 0, err
		}
	}
	requestID, body, err := c.unseal(suite, chunk.Bytes, 8+r.Offset(), c.ServerKey != nil)
	if err != nil {
		return 0, 0, err
	}
	r.Reset(body)
	if r.MessageType() != message.EncodingID() {
		return 0, 0, errors.New("OPN with an unexpected message")
	}
	if message.Parse(r); r.Err() != nil {
		return 0, 0, r.Err()
	}
	if n := r.Remaining(); n > 0 {
		return 0, 0, fmt.Errorf("%d bytes behind the message in OPN", n)
	}
	return channelID, requestID, nil
}

// useToken derives the keys of the token TokenID from the nonces.
func (c *Client) useToken(own, remote []byte) error {
	suite := &uapolicy.EncryptionAlgorithm{}
	if c.ServerKey != nil {
		var err error
		if suite, err = uapolicy.Symmetric(c.PolicyURI, own, remote); err != nil {
			return err
		}
	}
	c.tokens[c.TokenID] = suite
	return nil
}

// Request sends a request body in one chunk and returns the body of the response.
func (c *Client) Request(body []byte) ([]byte, error) {
	c.RequestID++
	if err := c.Send(uatcp.TypeMessage, uatcp.Final, c.RequestID, body); err != nil {
		return nil, err
	}
	id, response, err := c.Receive()
	if err == nil && id != c.RequestID {
		err = fmt.Errorf("response to request %d instead of %d", id, c.RequestID)
	}
	return response, err
}

// Close sends CloseSecureChannel and closes the socket.
func (c *Client) Close() error {
	defer c.Net.Close()
	c.RequestID++
	return c.Send(uatcp.TypeCloseSecureChannel, uatcp.Final, c.RequestID, uabinary.AppendMessage(nil, &uabinary.CloseSecureChannelRequest{}))
}

// Send sends one chunk.
func (c *Client) Send(t uatcp.MessageType, isFinal byte, requestID uint32, body []byte) error {
	chunk, err := c.Seal(t, isFinal, requestID, body)
	if err != nil {
		return err
	}
	_, err = c.Net.Write(chunk)
	return err
}

// Seal returns a secured chunk of type MSG or CLO, with the next sequence number.
func (c *Client) Seal(t uatcp.MessageType, isFinal byte, requestID uint32, body []byte) ([]byte, error) {
	chunk := uatcp.Header{Type: t, IsFinal: isFinal}.Append(nil)
	chunk = uabinary.AppendUint32(chunk, c.ChannelID)
	chunk = uabinary.AppendUint32(chunk, c.TokenID)
	header := len(chunk)
	chunk = append(c.appendSequence(chunk, requestID), body...)
	suite := c.tokens[c.TokenID]
	if suite == nil { // a token that nobody issued
		return seal(&uapolicy.EncryptionAlgorithm{}, chunk, header, false)
	}
	return seal(suite, chunk, header, c.Mode == ua.MessageSecurityModeSignAndEncrypt)
}

// Receive reads one message of any number of chunks and returns its RequestId and body. An Error message
// comes back as *uatcp.Error.
func (c *Client) Receive() (uint32, []byte, error) {
	var message []byte
	for {
		chunk, err := c.Conn.ReadChunk()
		if err != nil {
			return 0, nil, err
		}
		if chunk.Type != uatcp.TypeMessage || binary.LittleEndian.Uint32(chunk.Bytes[8:]) != c.ChannelID {
			return 0, nil, fmt.Errorf("got %s of another channel", chunk.Type)
		}
		c.UsedToken = binary.LittleEndian.Uint32(chunk.Bytes[12:])
		suite := c.tokens[c.UsedToken]
		if suite == nil {
			return 0, nil, errors.New("response under an unknown token")
		}
		id, body, err := c.unseal(suite, chunk.Bytes, 16, c.Mode == ua.MessageSecurityModeSignAndEncrypt)
		if err != nil {
			return 0, nil, err
		}
		if message = append(message, body...); chunk.IsFinal == uatcp.Final {
			return id, message, nil
		}
	}
}

func (c *Client) appendSequence(chunk []byte, requestID uint32) []byte {
	c.Sequence++
	return uabinary.AppendUint32(uabinary.AppendUint32(chunk, c.Sequence), requestID)
}

// seal pads, signs and encrypts chunk behind its header and fills in its size.
func seal(suite *uapolicy.EncryptionAlgorithm, chunk []byte, header int, encrypt bool) ([]byte, error) {
	size := len(chunk) + suite.SignatureLength()
	if encrypt {
		fixed, block := 1, suite.PlaintextBlockSize()
		extra := suite.RemoteSignatureLength() > 256
		if extra {
			fixed = 2
		}
		n := (block - (size-header+fixed)%block) % block
		for range n + 1 {
			chunk = append(chunk, byte(n))
		}
		if extra {
			chunk = append(chunk, byte(n>>8))
		}
		size = header + (len(chunk)-header+suite.SignatureLength())/block*suite.BlockSize()
	}
	binary.LittleEndian.PutUint32(chunk[4:], uint32(size))
	signature, err := suite.Signature(chunk)
	if err != nil {
		return nil, err
	}
	chunk = append(chunk, signature...)
	if !encrypt {
		return chunk, nil
	}
	ciphertext, err := suite.Encrypt(chunk[header:])
	return append(chunk[:header:header], ciphertext...), err
}

// unseal decrypts and verifies a chunk, and checks that its sequence number is the next one.
func (c *Client) unseal(suite *uapolicy.EncryptionAlgorithm, chunk []byte, header int, encrypted bool) (uint32, []byte, error) {
	content := chunk[header:]
	if encrypted {
		var err error
		if content, err = suite.Decrypt(content); err != nil {
			return 0, nil, err
		}
	}
	end := len(content) - suite.RemoteSignatureLength()
	if end < 8 {
		return 0, nil, errors.New("chunk too short")
	}
	if err := suite.VerifySignature(append(append([]byte(nil), chunk[:header]...), content[:end]...), content[end:]); err != nil {
		return 0, nil, err
	}
	content = content[:end]
	if encrypted {
		n := 1
		if suite.SignatureLength() > 256 { // our key, with which the server encrypts
			n += 1 + int(content[end-1])<<8 + int(content[end-2])
		} else {
			n += int(content[end-1])
		}
		content = content[:end-n]
	}
	number := binary.LittleEndian.Uint32(content)
	if c.Received != 0 && number != c.Received+1 {
		return 0, nil, fmt.Errorf("sequence number %d after %d", number, c.Received)
	}
	c.Received = number
	return binary.LittleEndian.Uint32(content[4:]), append([]byte(nil), content[8:]...), nil
}
