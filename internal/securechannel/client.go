package securechannel

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// ClientConfig is what a client opens a SecureChannel with. Identity and ServerCertificate are required for any policy but
// None. A zero limit takes its default.
type ClientConfig struct {
	Policy   *Policy
	Mode     ua.MessageSecurityMode
	Identity *Identity
	// ServerCertificate is the certificate whose key the server has to have, in DER; issuers may follow it.
	// The caller has decided that it trusts it.
	ServerCertificate []byte

	Lifetime time.Duration // of a SecurityToken, as requested, default 1 h
	Timeout  time.Duration // for the answer to the first OpenSecureChannel to begin, default 10 s
	Limits   MessageLimits // of responses, default 4 MiB, 512 chunks, 30 s, 60 s
}

func (cfg ClientConfig) withDefaults() ClientConfig {
	cfg.Lifetime = cmp.Or(cfg.Lifetime, time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.Limits = cfg.Limits.or(MessageLimits{4 << 20, 512, 30 * time.Second, 60 * time.Second})
	return cfg
}

// ClientChannel is the client's side of one SecureChannel.
//
// Next belongs to one goroutine, which calls it until it fails; it renews the SecurityToken as well. Send, NextRequestID,
// Close, HangUp and the accessors may be called from any goroutine.
//
//	Connect: OPN(Issue) sent --answered--> open
//	open: at 75 % of a token's lifetime OPN(Renew) sent, MSG both ways; CLO sent, or anything wrong -> closed
type ClientChannel struct {
	conversation
	cfg     ClientConfig
	request atomic.Uint32 // the RequestId used last

	// owned by the reading goroutine
	asked    *asking // the OpenSecureChannel request that is not answered yet, or nil
	response Response
}

// Response is one complete message from the server.
type Response struct {
	ID   uint32 // RequestId of the request
	Body []byte // decrypted, from the NodeID of the encoding on; valid until Next is called again
	// Aborted says why the server gave the response up half-way; nil if it did not. Part 6 (1.05), 6.7.3
	Aborted *uatcp.Error
}

// Connect asks the server on conn for a SecureChannel. On failure conn is closed; an Error message from the server comes
// back as *uatcp.Error. Ending ctx closes conn for as long as Connect runs.
func Connect(ctx context.Context, conn *uatcp.Conn, cfg ClientConfig) (*ClientChannel, error) {
	c := &ClientChannel{cfg: cfg.withDefaults()}
	c.conn, c.policy, c.mode, c.tooLarge, c.tokens.eager = conn, cfg.Policy, cfg.Mode, errRequestTooLarge, true
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err := c.open()
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	conn.Close()
	return nil, err
}

var (
	errRequestTooLarge = &Error{Code: ua.StatusBadRequestTooLarge, Op: "request larger than the server accepts"}
	errNoAnswer        = &Error{Code: ua.StatusBadTimeout, Op: "no answer to OpenSecureChannel"}
	errHungUp          = &Error{Code: ua.StatusBadConnectionClosed, Op: "server closed the connection"}
)

// ServerCertificate returns the DER of the server's certificate, without issuers; nil under None.
func (c *ClientChannel) ServerCertificate() []byte { return c.leaf }

// ServerKey returns the public key in the server's certificate, nil under None.
func (c *ClientChannel) ServerKey() *rsa.PublicKey { return c.peerKey }

// NextRequestID returns a RequestId for Send that is not in use.
func (c *ClientChannel) NextRequestID() uint32 {
	for {
		if id := c.request.Add(1); id != 0 {
			return id
		}
	}
}

// Next returns the next complete response. It fails when the connection is closed by either side; an Error message from the
// server comes back as *uatcp.Error. After a failure the connection is closed.
func (c *ClientChannel) Next() (*Response, error) {
	if c.partial.complete {
		c.partial.discard()
	}
	for {
		complete, err := c.step()
		if err != nil {
			c.partial.discard()
			c.conn.Close()
			return nil, err
		}
		if complete {
			return &c.response, nil
		}
	}
}

// step reads and processes one chunk and reports whether it completed a response.
func (c *ClientChannel) step() (bool, error) {
	chunk, err := c.readChunk()
	if err != nil {
		return false, err
	}
	if chunk.Type == uatcp.TypeOpenSecureChannel {
		return false, c.handleOpen(chunk.Bytes)
	}
	content, err := c.unlockChunk(chunk.Bytes)
	if err != nil {
		return false, err
	}
	complete, err := c.assemble(chunk.IsFinal, content, &c.cfg.Limits, nil)
	if err == nil && chunk.IsFinal == uatcp.Abort {
		return true, c.aborted(content)
	}
	c.response = Response{ID: c.whole.ID, Body: c.whole.Body}
	return complete, err
}

// aborted makes a response of the chunk by which the server gives one up.
func (c *ClientChannel) aborted(content []byte) error {
	reason, err := uatcp.ParseError(content[sequenceHeaderSize:])
	c.response = Response{ID: parseSequenceHeader(content).requestID, Aborted: reason}
	return err
}

// readChunk waits for a chunk, and renews the token in the meantime.
func (c *ClientChannel) readChunk() (uatcp.Chunk, error) {
	for {
		deadline, reason := c.deadline()
		switch now := time.Now(); {
		case !now.Before(deadline):
			return uatcp.Chunk{}, reason
		case c.asked != nil:
		case !now.Before(c.tokens.newest().renewal()):
			if err := c.ask(ua.SecurityTokenRequestTypeRenew); err != nil {
				return uatcp.Chunk{}, err
			}
		case c.tokens.newest().renewal().Before(deadline):
			deadline = c.tokens.newest().renewal()
		}
		c.conn.SetIdleDeadline(deadline)
		chunk, err := c.conn.ReadChunk()
		if err != uatcp.ErrIdle {
			return chunk, hungUp(err)
		}
	}
}

// hungUp says in words what a server did that closed the connection; other errors stay as they are.
func hungUp(err error) error {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return errHungUp
		}
	}
	return err
}

// closeTimeout is how long a server may take to receive the last message.
const closeTimeout = time.Second

// Close tells the server that the channel is no longer needed, whereupon the server closes the connection and Next fails.
// When it cannot be told, the connection is closed at once. Part 4 (1.05), 5.6.3
func (c *ClientChannel) Close() {
	if !c.mu.TryLock() { // a request is being sent to a server that does not read
		c.conn.Close()
		return
	}
	defer c.mu.Unlock()
	now := time.Now()
	token := c.tokens.sending(now)
	if token == nil {
		c.conn.Close()
		return
	}
	request := uabinary.CloseSecureChannelRequest{RequestHeader: uabinary.RequestHeader{Timestamp: uabinary.DateTimeOf(now)}}
	chunk := uabinary.AppendMessage(make([]byte, symmetricBody, 256), &request)
	header := uatcp.Header{Type: uatcp.TypeCloseSecureChannel, IsFinal: uatcp.Final}
	_ = c.conn.Write(c.sealChunk(token, header, c.NextRequestID(), chunk), now.Add(closeTimeout)) // closes if it fails
}

// HangUp closes the connection without a word.
func (c *ClientChannel) HangUp() { c.conn.Close() }
