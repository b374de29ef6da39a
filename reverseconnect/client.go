package reverseconnect

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uacp"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Client is a gopcua client whose connections are the calls of a server. When its channel drops, gopcua's reconnection
// waits for the server to call again. Use its Connect and Close, not those of the embedded client.
type Client struct {
	*opcua.Client
	forwarder *forwarder
}

// NewClient makes a client for the server that made the call s. The first connection is s itself, unless a Client was
// made on it before; all others are the server's next calls. The option opcua.Dialer cannot be used.
func NewClient(s *Session, opts ...opcua.Option) (*Client, error) {
	f, err := newForwarder(s)
	if err != nil {
		return nil, err
	}
	// First, so that options which change the dialer's settings change ours and not gopcua's shared defaults.
	dialer := opcua.Dialer(&uacp.Dialer{
		Dialer: &net.Dialer{Control: f.expect},
		ClientACK: &uacp.Acknowledge{
			ReceiveBufSize: uacp.DefaultReceiveBufSize,
			SendBufSize:    uacp.DefaultSendBufSize,
		},
	})
	c, err := opcua.NewClient(f.url, slices.Concat([]opcua.Option{dialer}, opts)...)
	if err != nil {
		f.close()
		return nil, err
	}
	return &Client{Client: c, forwarder: f}, nil
}

// Connect opens a SecureChannel and a session on the server's call, and waits for the call if need be.
func (c *Client) Connect(ctx context.Context) error { return c.guard(ctx, c.Client.Connect) }

// Dial opens a SecureChannel without a session.
func (c *Client) Dial(ctx context.Context) error { return c.guard(ctx, c.Client.Dial) }

// guard runs one of gopcua's ways to connect. Ending ctx ends it also where gopcua waits without looking. gopcua v0.9.0
// trips over a nil session when the server's signature is wrong; that is the server's fault and no reason to fall.
func (c *Client) guard(ctx context.Context, connect func(context.Context) error) (err error) {
	stop := context.AfterFunc(ctx, c.forwarder.hangUp)
	defer stop()
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("reverseconnect: gopcua failed on the server's answer: %v", fault)
		}
	}()
	if err := connect(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return c.forwarder.explain(err)
	}
	return nil
}

// ServerError is the Error message with which a server has ended a connection. It unwraps to its StatusCode.
type ServerError struct {
	Code   ua.StatusCode
	Reason string // the server's words
}

// Error describes what the server said.
func (e *ServerError) Error() string {
	return fmt.Sprintf("reverseconnect: server answered %s: %s", uatcp.StatusName(e.Code), quote(e.Reason))
}

// Unwrap returns the StatusCode.
func (e *ServerError) Unwrap() error { return e.Code }

// Close closes the session, the channel and the socket.
func (c *Client) Close(ctx context.Context) error {
	err := c.Client.Close(ctx)
	c.forwarder.close()
	return err
}

// Discover asks the server that made the call s for its endpoints. It uses up one call: the server calls again, and a
// Client made on s afterwards waits for that.
func Discover(ctx context.Context, s *Session, opts ...opcua.Option) ([]*ua.EndpointDescription, error) {
	c, err := NewClient(s, slices.Concat(opts, []opcua.Option{opcua.AutoReconnect(false)})...)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	if err := c.Dial(ctx); err != nil {
		return nil, fmt.Errorf("reverseconnect: discover: %w", err)
	}
	res, err := c.GetEndpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: discover: %w", c.forwarder.explain(err))
	}
	return res.Endpoints, nil
}

// localURL is the URL under which the client finds the forwarder: the announced one with another address.
func localURL(announced string, address net.Addr) string {
	local := url.URL{Scheme: "opc.tcp", Host: address.String()}
	if u, err := url.Parse(announced); err == nil {
		local.Path, local.RawPath = u.Path, u.RawPath
	}
	return local.String()
}
