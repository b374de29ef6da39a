package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// connection is one TransportConnection with its SecureChannel. It belongs to
// the goroutine in Serve; channel.Send may be called from any.
type connection struct {
	server      *Server
	endpointURL string    // of ep, whatever its settings are
	ep          *Endpoint // as configured when the connection said Hello
	nc          net.Conn
	remote      string // host of the peer
	log         *slog.Logger
	progress    func(uatcp.Stage)
	inbound     bool // came by Listen: gives way when channels run out
	peer        Peer // whom the connection is for

	stage          uatcp.Stage
	refused        bool   // by verifyChannel or verifySession
	url            string // EndpointUrl of the Hello
	channel        *securechannel.Channel
	reader         uabinary.Reader
	call           call                    // the request being answered
	readRequest    uabinary.ReadRequest    // reused by Read
	write          writeScratch            // reused by Write
	publishRequest uabinary.PublishRequest // reused by Publish
	aside          sync.WaitGroup          // calls answered by another goroutine

	ended    atomic.Pointer[error]
	live     atomic.Pointer[securechannel.Channel] // channel, for end
	sessions map[*session]struct{}                 // guarded by Server.mu: Sessions bound to the channel
	opened   time.Time                             // guarded by Server.mu: when the channel was admitted
}

func newConnection(s *Server, nc net.Conn, ep *Endpoint, progress func(uatcp.Stage)) *connection {
	if progress == nil {
		progress = func(uatcp.Stage) {}
	}
	c := &connection{
		server:      s,
		endpointURL: ep.cfg.URL,
		ep:          ep,
		nc:          nc,
		remote:      hostOf(nc.RemoteAddr()),
		log:         s.log.With("remote", nc.RemoteAddr().String()),
		progress:    progress,
		sessions:    make(map[*session]struct{}),
	}
	c.call = call{server: s, conn: c}
	c.reader = *uabinary.NewReader(nil, &s.limits().Encoding)
	c.reader.Borrow = true
	return c
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// run takes the connection through Hello and OpenSecureChannel and answers
// requests until it ends.
func (c *connection) run(ctx context.Context) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	for {
		req, err := c.channel.Next()
		if err != nil {
			return err
		}
		if err := c.answer(ctx, req); err != nil {
			c.end(err) // and Next fails
		}
	}
}

// runSafely makes a panic end this connection only.
func (c *connection) runSafely(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			if c.channel != nil {
				_, err = c.channel.Next() // fails, and gives back what it held
			}
		}
	}()
	return c.run(ctx)
}

// panicked turns a panic into the end of the connection.
func (c *connection) panicked(p any) {
	c.server.counters.panics.Add(1)
	c.log.Error("connection closed by a panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.end(fmt.Errorf("server: panic: %v", p))
}

func (c *connection) open(ctx context.Context) error {
	tcp, err := uatcp.Accept(ctx, c.nc, c.server.settings().transport)
	if err != nil {
		return err
	}
	if c.ep = c.server.settings().endpoint(c.endpointURL); c.ep == nil {
		tcp.Fail(errRemoved)
		return errRemoved
	}
	c.url = tcp.EndpointURL()
	c.advance(uatcp.StageHello)
	if !c.server.admitChannel(c) {
		tcp.Fail(errNoChannel)
		return errNoChannel
	}
	c.channel, err = securechannel.Open(ctx, tcp, &c.ep.channel)
	if err != nil {
		c.logRefusal(err)
		return err
	}
	c.live.Store(c.channel)
	c.log = c.log.With("channel_id", c.channel.ID())
	if err := c.verifyChannel(); err != nil {
		c.end(err)
		_, _ = c.channel.Next() // fails, and gives back what it held
		return err
	}
	c.advance(uatcp.StageChannel)
	c.log.Info("secure channel open", "policy", c.channel.Policy().URI(), "mode", c.channel.Mode().String())
	return nil
}

// logRefusal tells the administrator what the peer may not know. Whoever calls
// out hears of it from the report.
func (c *connection) logRefusal(err error) {
	if refusal, ok := errors.AsType[*securechannel.Error](err); ok && c.inbound {
		c.log.Warn("secure channel refused", "status", refusal.Code, "err", err)
	}
}

func (c *connection) advance(stage uatcp.Stage) {
	c.stage = stage
	c.progress(stage)
}

// Why this side ends connections.
var (
	errNoChannel = &uatcp.StatusError{Code: ua.StatusBadTCPServerTooBusy, Op: "all SecureChannels are in use"}
	errGaveWay   = &uatcp.StatusError{Code: ua.StatusBadSecureChannelClosed, Op: "gave way to a newer connection"}
	errNoHello   = &uatcp.StatusError{Code: ua.StatusBadTimeout, Op: "no Hello in time"}
	errStopping  = &uatcp.StatusError{Code: ua.StatusBadShutdown, Op: "server stopping"}
)

// end closes the connection, from any goroutine; the first cause is the one
// reported, and told to the peer if there is a channel. It may wait for a
// peer that does not read, for about a second.
func (c *connection) end(cause error) {
	if !c.ended.CompareAndSwap(nil, &cause) {
		return
	}
	if channel := c.live.Load(); channel != nil {
		channel.Close(statusOf(cause))
	}
	c.nc.Close()
}

// drop closes the connection at once, from any goroutine.
func (c *connection) drop(cause error) {
	c.ended.CompareAndSwap(nil, &cause)
	c.nc.Close()
}

// report says how far the connection got and why it ended.
func (c *connection) report(err error) uatcp.Report {
	if cause := c.ended.Load(); cause != nil {
		err = *cause
	}
	r := uatcp.Report{Stage: c.stage, Err: err, Refused: c.refused}
	if c.stage == uatcp.StageChannel && errors.Is(err, io.EOF) {
		r.Err = nil // CloseSecureChannel
	}
	var peer *uatcp.Error
	if errors.As(err, &peer) {
		r.PeerError = peer
	}
	c.log.Debug("connection ended", "stage", r.Stage, "err", r.Err)
	return r
}

// answer dispatches one request. An error ends the connection.
func (c *connection) answer(ctx context.Context, req *securechannel.Request) error {
	r, call := &c.reader, &c.call
	r.Reset(req.Body)
	encoding := r.MessageType()
	start := r.Offset()
	call.requestID, call.session, call.aside, call.end, call.info = req.ID, nil, nil, nil, ""
	call.arrived = time.Now()
	call.header = uabinary.RequestHeader{}
	call.header.Parse(r)
	if err := r.Err(); err != nil {
		return err
	}
	service, ok := c.server.services[encoding]
	if !ok {
		call.fault(ua.StatusBadServiceUnsupported)
		return nil
	}
	if c.server.tooOld(call) {
		call.fault(ua.StatusBadInvalidTimestamp)
		return nil
	}
	if service.session {
		if code := c.server.enterSession(call); code != ua.StatusOK {
			call.fault(code)
			return nil
		}
	}
	r.Reset(req.Body[start:])
	service.handle(c.server, call, r)
	c.trim()
	if call.aside != nil {
		c.goAside(ctx, call.aside)
	}
	return call.end
}

// trim forgets the request, so that an idle connection holds neither its bytes
// nor what a large one, answered or refused, was decoded into.
func (c *connection) trim() {
	c.reader.Reset(nil)
	c.call.header = uabinary.RequestHeader{}
	c.readRequest = uabinary.ReadRequest{NodesToRead: reusable(c.readRequest.NodesToRead)}
	c.write.request = uabinary.WriteRequest{NodesToWrite: reusable(c.write.request.NodesToWrite)}
	c.write.response = uabinary.WriteResponse{Results: reusable(c.write.response.Results)}
	c.publishRequest = uabinary.PublishRequest{SubscriptionAcknowledgements: reusable(c.publishRequest.SubscriptionAcknowledgements)}
}

// reusable empties a slice, and drops one that is too large to be kept.
func reusable[T any](s []T) []T {
	if cap(s) > maxScratch {
		return nil
	}
	clear(s)
	return s[:0]
}

// goAside runs the rest of a call on its own goroutine; run's caller waits.
func (c *connection) goAside(ctx context.Context, f func(context.Context)) {
	c.aside.Go(func() {
		defer c.recovered()
		f(ctx)
	})
}

// recovered is deferred where a panic shall end the connection, not the process.
func (c *connection) recovered() {
	if p := recover(); p != nil {
		c.panicked(p)
	}
}

// statusOf picks the StatusCode that err carries for the wire.
func statusOf(err error) ua.StatusCode {
	var code ua.StatusCode
	if errors.As(err, &code) {
		return code
	}
	return ua.StatusBadInternalError
}
