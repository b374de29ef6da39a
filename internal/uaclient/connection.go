package uaclient

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// What a server may make us hold and wait for.
const (
	maxResponse    = 4 << 20 // bytes of a response
	maxChunks      = 512     // of a response
	maxRequests    = 32      // under way at the same time, those that nobody waits for any more among them
	requestTimeout = 10 * time.Second
	frameTimeout   = 30 * time.Second
	closeTimeout   = time.Second // for the server to close after CloseSecureChannel
)

// connection is one SecureChannel with the requests that are under way on it. Its methods may be called concurrently.
type connection struct {
	channel *securechannel.ClientChannel
	session uabinary.NodeID // AuthenticationToken; set before requests are made from several goroutines
	slots   chan struct{}   // holds one for each request under way
	ended   chan struct{}   // closed by the reading goroutine when it ends

	mu      sync.Mutex
	pending map[uint32]*call // guarded by mu; by RequestId
	err     error            // why the connection ended; written before ended is closed
}

// call is a request that was sent.
type call struct {
	response uabinary.Structure // where to; guarded by connection.mu; nil when nobody waits any more
	err      error              // written before the call goes to done
	done     chan<- *call       // has room for it
}

// connect opens a SecureChannel on nc and starts to read. On failure nc is closed.
func connect(ctx context.Context, nc net.Conn, url string, cfg securechannel.ClientConfig) (*connection, error) {
	transport := uatcp.Config{
		MaxMessageSize: maxResponse, MaxChunkCount: maxChunks,
		HelloTimeout: requestTimeout, FrameTimeout: frameTimeout, WriteTimeout: requestTimeout,
	}
	conn, err := uatcp.Connect(ctx, nc, transport, url)
	if err != nil {
		return nil, explain(err)
	}
	cfg.Timeout = requestTimeout
	cfg.Limits = securechannel.MessageLimits{MaxMessageSize: maxResponse, MaxChunkCount: maxChunks}
	channel, err := securechannel.Connect(ctx, conn, cfg)
	if err != nil {
		return nil, explain(err)
	}
	c := &connection{
		channel: channel,
		slots:   make(chan struct{}, maxRequests),
		ended:   make(chan struct{}),
		pending: make(map[uint32]*call),
	}
	go c.read() // close waits for it
	return c, nil
}

// close ends the connection in order, and without the server's help if that takes too long.
func (c *connection) close() {
	c.channel.Close()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		c.channel.HangUp()
		<-c.ended
	}
}

// read hands out responses until the connection ends.
func (c *connection) read() {
	var fault error
	for {
		response, err := c.channel.Next()
		if err != nil {
			if fault == nil {
				fault = err
			}
			break
		}
		if fault == nil {
			if fault = c.deliver(response); fault != nil {
				c.channel.HangUp() // Next fails soon and gives back its buffers
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.pending = explain(fault), nil
	close(c.ended)
}

// deliver gives a response to whoever waits for it.
func (c *connection) deliver(response *securechannel.Response) error {
	c.mu.Lock()
	waiting, ok := c.pending[response.ID]
	if !ok {
		c.mu.Unlock()
		return failure(ua.StatusBadUnknownResponse, "response to a request that was not made", nil)
	}
	delete(c.pending, response.ID)
	into := waiting.response
	c.mu.Unlock()
	<-c.slots
	if into != nil {
		waiting.err = decode(response, into)
		waiting.done <- waiting
	}
	return nil
}

// decode reads a response, or the reason why there is none.
func decode(response *securechannel.Response, into uabinary.Structure) error {
	if a := response.Aborted; a != nil {
		return &ServerError{Code: a.Code, Reason: a.Reason}
	}
	r := uabinary.NewReader(response.Body, nil)
	kind := r.MessageType()
	body := response.Body[r.Offset():]
	if kind != into.EncodingID() && kind != id.ServiceFault_Encoding_DefaultBinary {
		return failure(ua.StatusBadUnknownResponse, "response of another type than was asked for", r.Err())
	}
	var header uabinary.ResponseHeader // every response begins with one; a fault is nothing else
	r.Reset(body)
	header.Parse(r)
	switch {
	case r.Err() != nil:
	case isBad(header.ServiceResult):
		return &ServerError{Code: header.ServiceResult}
	case kind == id.ServiceFault_Encoding_DefaultBinary:
		return failure(ua.StatusBadUnknownResponse, "fault without a reason", nil)
	default:
		r.Reset(body)
		into.Parse(r)
	}
	if err := r.Err(); err != nil {
		return failure(uatcp.StatusCodeOf(err), "response", err)
	}
	return nil
}

// isBad reports the severity of a StatusCode. Part 4 (1.05), 7.38
func isBad(code ua.StatusCode) bool { return code&0x80000000 != 0 }

// start sends a request, whose header is part of it. When the response has arrived the call goes to done, which must have
// room. If the connection ends first, nothing comes.
func (c *connection) start(ctx context.Context, header *uabinary.RequestHeader, request, response uabinary.Structure, done chan<- *call) (*call, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.ended:
		return nil, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	requestID := c.channel.NextRequestID()
	header.AuthenticationToken = c.session
	header.Timestamp, header.RequestHandle = uabinary.DateTimeOf(time.Now()), requestID
	waiting := &call{response: response, done: done}
	if !c.expect(requestID, waiting) {
		return nil, c.err
	}
	err := c.channel.Send(requestID, func(dst []byte) []byte { return uabinary.AppendMessage(dst, request) })
	if err != nil {
		return nil, c.unsent(requestID, err)
	}
	return waiting, nil
}

// expect notes that a response will come. It reports false when the connection has ended.
func (c *connection) expect(requestID uint32, waiting *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		return false
	}
	c.pending[requestID] = waiting
	return true
}

// unsent forgets a request that could not be sent because of err. A broken connection breaks for the reader too, who may
// have read why.
func (c *connection) unsent(requestID uint32, err error) error {
	c.mu.Lock()
	if _, ok := c.pending[requestID]; ok {
		delete(c.pending, requestID)
		<-c.slots
	}
	c.mu.Unlock()
	if uatcp.StatusCodeOf(err) == ua.StatusBadRequestTooLarge {
		return err
	}
	c.channel.HangUp()
	<-c.ended
	if _, refused := errors.AsType[*ServerError](c.err); refused {
		return c.err
	}
	return explain(err)
}

// abandon says that nobody waits for the response any more. It keeps its slot until it comes.
func (c *connection) abandon(waiting *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting.response = nil
}

// invoke sends a request and waits for the response, no longer than requestTimeout.
func (c *connection) invoke(ctx context.Context, header *uabinary.RequestHeader, request, response uabinary.Structure) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errSilent)
	defer cancel()
	header.TimeoutHint = uint32(requestTimeout.Milliseconds())
	done := make(chan *call, 1)
	waiting, err := c.start(ctx, header, request, response, done)
	if err != nil {
		return err
	}
	select {
	case <-done:
		return waiting.err
	case <-ctx.Done():
		c.abandon(waiting)
		return context.Cause(ctx)
	case <-c.ended:
	}
	select {
	case <-done: // it came just before the end
		return waiting.err
	default:
		return c.err
	}
}
