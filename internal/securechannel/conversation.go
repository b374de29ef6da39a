package securechannel

import (
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// conversation is what both sides of a SecureChannel do alike: sequence numbers, keys, and messages in chunks, both ways.
type conversation struct {
	conn *uatcp.Conn

	// constant once open
	id       uint32
	policy   *Policy
	mode     ua.MessageSecurityMode
	leaf     []byte         // certificate of the peer, nil under None
	peerKey  *rsa.PublicKey // nil under None
	maxBody  int            // bytes of body in one chunk to the peer
	tooLarge error          // what a message is answered with that the peer does not accept for its size

	// owned by the reading goroutine
	received sequence
	whole    message
	partial  partialMessage

	messageSize atomic.Int32 // bytes that recent messages to the peer took

	mu     sync.Mutex // one message is written at a time
	tokens tokens     // guarded by mu for writing, and for reading by others than the reading goroutine
	sent   sequence   // guarded by mu
}

// message is one complete message from the peer.
type message struct {
	ID   uint32
	Body []byte
}

// ID returns the SecureChannelId.
func (c *conversation) ID() uint32 { return c.id }

// Policy returns the security policy.
func (c *conversation) Policy() *Policy { return c.policy }

// Mode returns the MessageSecurityMode.
func (c *conversation) Mode() ua.MessageSecurityMode { return c.mode }

var (
	errShortChunk     = &Error{Code: ua.StatusBadDecodingError, Op: "chunk shorter than its headers"}
	errUnknownChannel = &Error{Code: ua.StatusBadTCPSecureChannelUnknown, Op: "SecureChannelId is not that of this connection"}
	errUnknownToken   = &Error{Code: ua.StatusBadSecureChannelTokenUnknown, Op: "TokenId unknown or expired"}
	errSequence       = denied("sequence number", nil)

	errTokenExpired   = errors.New("opcua: SecurityToken expired without renewal")
	errMessageTimeout = errors.New("opcua: message not completed in time")
)

// deadline returns until when the next chunk must begin, and what it means if it does not.
func (c *conversation) deadline() (time.Time, error) {
	end := c.tokens.newest().end()
	if c.partial.active() && c.partial.deadline.Before(end) {
		return c.partial.deadline, errMessageTimeout
	}
	return end, errTokenExpired
}

// unlockChunk decrypts and verifies a chunk under its token and returns sequence header and body.
// Part 6 (1.05), 6.7.7
func (c *conversation) unlockChunk(b []byte) ([]byte, error) {
	if len(b) < symmetricContent {
		return nil, errShortChunk
	}
	if binary.LittleEndian.Uint32(b[channelIDOffset:]) != c.id {
		return nil, errUnknownChannel
	}
	token := c.tokens.find(binary.LittleEndian.Uint32(b[securityHeader:]), time.Now())
	if token == nil {
		return nil, errUnknownToken
	}
	content, err := token.in.open(b)
	if err != nil {
		return nil, err
	}
	if !c.received.accept(parseSequenceHeader(content).number) {
		return nil, errSequence
	}
	if token == c.tokens.next {
		c.mu.Lock()
		c.tokens.current, c.tokens.next = token, nil
		c.mu.Unlock()
	}
	return content, nil
}
