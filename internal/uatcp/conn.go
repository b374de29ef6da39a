package uatcp

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Default values of Config.
const (
	DefaultBufferSize   = 65535
	DefaultFrameTimeout = 10 * time.Second
	DefaultWriteTimeout = 30 * time.Second
)

const (
	maxBufferSize = 16 << 20    // of a chunk, so that sizes fit an int of 32 bits with room to spare
	firstBuffer   = 2048        // bytes that every connection holds while idle
	helloLimit    = 8192        // bytes of a Hello, Acknowledge or Error during the handshake
	rejectTimeout = time.Second // for sending the last Error
	lingerTimeout = time.Second / 2
	lingerBytes   = 64 << 10
)

// Config holds the limits of TransportConnections. A zero field takes its default.
type Config struct {
	ReceiveBufferSize uint32        // largest chunk in bytes that we accept, default 65535, 8192 to 16 MiB
	SendBufferSize    uint32        // largest chunk in bytes that we send, default 65535, 8192 to 16 MiB
	MaxMessageSize    uint32        // announced to the peer: bytes of a message body, 0 = no limit
	MaxChunkCount     uint32        // announced to the peer: chunks of a message, 0 = no limit
	HelloTimeout      time.Duration // for the first byte of the Hello, 0 = wait for ever
	FrameTimeout      time.Duration // for a whole frame from its first byte on, default 10 s
	WriteTimeout      time.Duration // for a whole message, default 30 s
	// Unauthenticated bounds the bytes in frames of peers not yet authenticated, over all connections; nil is no limit.
	Unauthenticated *Budget
}

func (cfg Config) withDefaults() Config {
	if cfg.ReceiveBufferSize == 0 {
		cfg.ReceiveBufferSize = DefaultBufferSize
	}
	if cfg.SendBufferSize == 0 {
		cfg.SendBufferSize = DefaultBufferSize
	}
	cfg.ReceiveBufferSize = min(max(cfg.ReceiveBufferSize, MinBufferSize), maxBufferSize)
	cfg.SendBufferSize = min(max(cfg.SendBufferSize, MinBufferSize), maxBufferSize)
	if cfg.FrameTimeout <= 0 {
		cfg.FrameTimeout = DefaultFrameTimeout
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = DefaultWriteTimeout
	}
	return cfg
}

// state is where a TransportConnection is. Part 6 (1.05), 7.1.3
//
//	server: waiting for Hello -> open        client: waiting for Acknowledge -> open
type state uint8

const (
	stateAwaitHello state = iota
	stateAwaitAcknowledge
	stateServer // open; the peer is a client
	stateClient // open; the peer is a server
)

// expects reports whether a message of type t may arrive in state s. An Error may always arrive.
func (s state) expects(t MessageType) bool {
	switch t {
	case TypeError:
		return true
	case TypeHello:
		return s == stateAwaitHello
	case TypeAcknowledge:
		return s == stateAwaitAcknowledge
	case TypeOpenSecureChannel, TypeMessage:
		return s == stateServer || s == stateClient
	case TypeCloseSecureChannel:
		return s == stateServer
	}
	return false // a ReverseHello among them: a server never acts on one
}

// Conn is one TransportConnection. Reading belongs to one goroutine; Write needs the caller's lock.
type Conn struct {
	nc          net.Conn
	cfg         Config
	state       state
	endpointURL string

	// negotiated in the handshake, constant afterwards
	receiveSize     uint32 // largest chunk that we accept
	sendSize        uint32 // largest chunk that the peer accepts
	peerMessageSize uint32 // largest message body that the peer accepts, 0 = no limit
	peerChunkCount  uint32 // most chunks per message that the peer accepts, 0 = no limit

	frames frameReader // owned by the reading goroutine
}

// Accept waits for the client's Hello on nc and acknowledges it. From then on nothing tells whether the peer dialled
// or we did. On failure an Error message has been sent where one is due and nc is closed; an Error
// message from the peer comes back as *Error. Ending ctx closes nc for as long as Accept runs.
func Accept(ctx context.Context, nc net.Conn, cfg Config) (*Conn, error) {
	c := newConn(nc, cfg, stateAwaitHello)
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if cfg.HelloTimeout > 0 {
		c.SetIdleDeadline(time.Now().Add(cfg.HelloTimeout))
	}
	if err := c.acceptHello(); err != nil {
		return nil, c.refuse(ctx, err)
	}
	return c, nil
}

// Connect is the client's side of Accept: it says hello on nc and waits for the Acknowledge.
// The endpoint URL and the client's limits for responses come from hello and cfg.
func Connect(ctx context.Context, nc net.Conn, cfg Config, endpointURL string) (*Conn, error) {
	c := newConn(nc, cfg, stateAwaitAcknowledge)
	c.endpointURL = endpointURL
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if cfg.HelloTimeout > 0 {
		c.SetIdleDeadline(time.Now().Add(cfg.HelloTimeout))
	}
	if err := c.sayHello(); err != nil {
		return nil, c.refuse(ctx, err)
	}
	return c, nil
}

func newConn(nc net.Conn, cfg Config, s state) *Conn {
	cfg = cfg.withDefaults()
	c := &Conn{nc: nc, cfg: cfg, state: s}
	c.frames.limit, c.frames.timeout, c.frames.budget = helloLimit, cfg.FrameTimeout, cfg.Unauthenticated
	return c
}

// refuse ends a handshake that failed with err and returns what the caller shall see.
func (c *Conn) refuse(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		c.Close()
		return context.Cause(ctx)
	}
	c.Fail(err)
	return err
}

func (c *Conn) acceptHello() error {
	chunk, err := c.ReadChunk()
	if err != nil {
		return err
	}
	hello, err := ParseHello(chunk.Bytes[HeaderSize:])
	if err != nil {
		return err
	}
	if hello.ReceiveBufferSize < MinBufferSize || hello.SendBufferSize < MinBufferSize {
		return &StatusError{Code: ua.StatusBadTCPNotEnoughResources, Op: "client's chunk buffer below 8192 bytes"}
	}
	// Part 6 (1.05), 7.1.2.4: neither size is larger than what the client asked for.
	ack := Acknowledge{
		ReceiveBufferSize: min(c.cfg.ReceiveBufferSize, hello.SendBufferSize),
		SendBufferSize:    min(c.cfg.SendBufferSize, hello.ReceiveBufferSize),
		MaxMessageSize:    c.cfg.MaxMessageSize,
		MaxChunkCount:     c.cfg.MaxChunkCount,
	}
	c.endpointURL = hello.EndpointURL
	c.open(stateServer, ack.ReceiveBufferSize, ack.SendBufferSize, hello.MaxMessageSize, hello.MaxChunkCount)
	return c.Write(ack.Append(nil), c.WriteDeadline())
}

func (c *Conn) sayHello() error {
	hello := Hello{
		ReceiveBufferSize: c.cfg.ReceiveBufferSize,
		SendBufferSize:    c.cfg.SendBufferSize,
		MaxMessageSize:    c.cfg.MaxMessageSize,
		MaxChunkCount:     c.cfg.MaxChunkCount,
		EndpointURL:       c.endpointURL,
	}
	if err := c.Write(hello.Append(nil), c.WriteDeadline()); err != nil {
		return err
	}
	chunk, err := c.ReadChunk()
	if err != nil {
		return err
	}
	ack, err := ParseAcknowledge(chunk.Bytes[HeaderSize:])
	if err != nil {
		return err
	}
	if ack.ReceiveBufferSize < MinBufferSize || ack.ReceiveBufferSize > c.cfg.SendBufferSize || ack.SendBufferSize > c.cfg.ReceiveBufferSize {
		return &StatusError{Code: ua.StatusBadTCPInternalError, Op: "server acknowledged buffer sizes that were not offered"}
	}
	c.open(stateClient, c.cfg.ReceiveBufferSize, ack.ReceiveBufferSize, ack.MaxMessageSize, ack.MaxChunkCount)
	return nil
}

func (c *Conn) open(s state, receive, send, messageSize, chunkCount uint32) {
	c.state = s
	c.receiveSize, c.sendSize = receive, send
	c.peerMessageSize, c.peerChunkCount = messageSize, chunkCount
	c.frames.limit = receive
}

// EndpointURL returns the URL in the client's Hello.
func (c *Conn) EndpointURL() string { return c.endpointURL }

// ReceiveSize returns the size in bytes of the largest chunk that the peer may send.
func (c *Conn) ReceiveSize() uint32 { return c.receiveSize }

// SendSize returns the size in bytes of the largest chunk that may be sent to the peer.
func (c *Conn) SendSize() uint32 { return c.sendSize }

// PeerLimits returns the largest message body in bytes and the most chunks per message that the peer accepts;
// 0 is no limit.
func (c *Conn) PeerLimits() (messageSize, chunkCount uint32) {
	return c.peerMessageSize, c.peerChunkCount
}

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// WriteDeadline returns the time by which a message must be sent whose sending begins now.
func (c *Conn) WriteDeadline() time.Time { return time.Now().Add(c.cfg.WriteTimeout) }

// Write sends b before deadline. It closes the socket when it cannot: half a frame leaves nothing to go on with.
// Calls must not overlap.
func (c *Conn) Write(b []byte, deadline time.Time) error {
	err := c.nc.SetWriteDeadline(deadline)
	if err == nil {
		_, err = c.nc.Write(b)
	}
	if err != nil {
		c.nc.Close()
	}
	return err
}

// Close closes the socket. It may be called at any time and more than once.
func (c *Conn) Close() error { return c.nc.Close() }

// Fail ends the connection because of err. It sends an Error message with the StatusCode in err, unless the peer closed,
// fell silent or sent an Error itself, then closes the socket; all within 2 seconds. It must
// not overlap with Write. Part 6 (1.05), 7.1.5
func (c *Conn) Fail(err error) {
	defer c.nc.Close()
	if !answerable(err) {
		return
	}
	code := StatusCodeOf(err)
	if WriteError(c.nc, code, ua.StatusCodes[code].Text, rejectTimeout) != nil {
		return
	}
	c.linger()
}

// linger reads on for a moment: closing a socket with unread bytes makes the kernel reset it, and the peer
// would lose the Error that was just sent.
func (c *Conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() != nil {
			return
		}
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
	}
}
