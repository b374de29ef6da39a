package securechannel

import (
	"context"
	"crypto/rsa"
	"io"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// Channel is the server's side of one SecureChannel.
//
// Next belongs to one goroutine, which calls it until it fails. Send, SetSessionActive, Close and the accessors may be
// called from any goroutine.
//
//	Open: waiting for OPN(Issue) --checks passed, answered--> open
//	open: OPN(Renew) -> open, MSG -> open, CLO -> closed, anything wrong -> ERR, closed
type Channel struct {
	conversation
	cfg Config

	// owned by the reading goroutine
	clientNonce []byte // of the newest token
	tokenID     uint32 // of the newest token

	session     atomic.Bool  // a Session is active
	sessionless atomic.Int64 // when the last one ended, as a duration since opened
	opened      time.Time
}

// Request is one complete message from the client: its RequestId, which the response carries too, and its decrypted
// Body from the NodeID of the encoding on, valid until Next is called again.
type Request message

// Open waits for the client's OpenSecureChannel request on conn, checks it and answers. On failure an Error message has been
// sent where one is due and conn is closed; an Error message from the peer comes back as *uatcp.Error.
// Ending ctx closes conn for as long as Open runs.
func Open(ctx context.Context, conn *uatcp.Conn, cfg *Config) (*Channel, error) {
	c := &Channel{cfg: cfg.withDefaults(), opened: time.Now()}
	c.conn, c.tooLarge = conn, errResponseTooLarge
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.LimitFrames(maxOpenSize, c.cfg.BeforeSession.FrameTimeout, false)
	conn.SetIdleDeadline(c.opened.Add(c.cfg.OpenTimeout))
	chunk, err := conn.ReadChunk()
	if err == nil {
		err = c.handleFirst(chunk)
	}
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		conn.Close()
		return nil, context.Cause(ctx)
	}
	return nil, c.end(err)
}

func (c *Channel) handleFirst(chunk uatcp.Chunk) error {
	if chunk.Type != uatcp.TypeOpenSecureChannel {
		return &Error{Code: ua.StatusBadTCPMessageTypeInvalid, Op: chunk.Type.String() + " before a SecureChannel is open"}
	}
	return c.handleOpen(chunk)
}

var errResponseTooLarge = &Error{Code: ua.StatusBadResponseTooLarge, Op: "response larger than the client accepts"}

// ClientCertificate returns the DER of the client's application instance certificate, without issuers; nil under None.
func (c *Channel) ClientCertificate() []byte { return c.leaf }

// ClientKey returns the public key in the client's certificate, nil under None.
func (c *Channel) ClientKey() *rsa.PublicKey { return c.peerKey }

// EndpointURL returns the URL in the client's Hello.
func (c *Channel) EndpointURL() string { return c.conn.EndpointURL() }

// SetSessionActive tells whether a Session is active on the channel: that raises the limits for requests, and
// without one the channel has only Config.SessionlessTimeout to live.
func (c *Channel) SetSessionActive(active bool) {
	if c.session.Swap(active) && !active {
		c.sessionless.Store(int64(time.Since(c.opened)))
	}
}

// limits returns the limits that apply to requests now.
func (c *Channel) limits() *MessageLimits {
	if c.session.Load() {
		return &c.cfg.InSession
	}
	return &c.cfg.BeforeSession
}

// Close ends the channel and makes Next fail. Unless code is Good, the peer is sent an Error message with it.
func (c *Channel) Close(code ua.StatusCode) {
	if code == ua.StatusGood {
		c.conn.Close()
		return
	}
	c.fail(&Error{Code: code, Op: "closed by server"})
}

// fail sends an Error message and closes the connection. When a response is just being sent to a client that
// does not read, there is no use in waiting to tell it.
func (c *Channel) fail(err error) {
	if !c.mu.TryLock() {
		c.conn.Close()
		return
	}
	defer c.mu.Unlock()
	c.conn.Fail(err)
}

// end closes the channel because of err and gives back what it holds.
func (c *Channel) end(err error) error {
	c.partial.discard()
	if err == io.EOF && c.id != 0 {
		c.conn.Close()
		return err
	}
	c.fail(err)
	return err
}
