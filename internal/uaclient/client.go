package uaclient

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
)

// Options say which session to open.
type Options struct {
	EndpointURL       string // for Hello and CreateSession; of a reverse connection the announced one
	SecurityPolicyURI string
	Mode              ua.MessageSecurityMode
	Identity          *securechannel.Identity // of the client; nil under None
	// ServerCertificate is the certificate that the server has to prove it has the key of, in DER. The caller has
	// verified it. Without one only None is possible, and no password is sent.
	ServerCertificate []byte
	ApplicationURI    string // of the client; has to be the one in its certificate
	SessionName       string
	User, Password    string // no User: anonymous
}

// Client is one session on one connection. Its methods may be called concurrently.
type Client struct {
	*connection
	subscribed atomic.Bool // a Subscription exists
}

// Open says Hello on nc, opens a SecureChannel and a session on it. On failure nc is closed. Ending ctx ends Open only.
func Open(ctx context.Context, nc net.Conn, o Options) (*Client, error) {
	policy, ok := securechannel.PolicyByURI(o.SecurityPolicyURI)
	if !ok {
		nc.Close()
		return nil, failure(ua.StatusBadSecurityPolicyRejected, "unknown security policy", nil)
	}
	conn, err := connect(ctx, nc, o.EndpointURL, securechannel.ClientConfig{
		Policy: policy, Mode: o.Mode, Identity: o.Identity, ServerCertificate: o.ServerCertificate,
	})
	if err != nil {
		return nil, err
	}
	c := &Client{connection: conn}
	if err := c.openSession(ctx, &o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// Ended is closed when the connection has ended.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Close ends the session with its subscription, the SecureChannel and the connection. It fails when the server did not take note.
func (c *Client) Close(ctx context.Context) error {
	err := c.closeSession(ctx)
	c.close()
	return err
}
