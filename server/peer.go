package server

import (
	"context"
	"crypto/x509"
	"net"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// Peer is what one connection asks for besides its Endpoint. The zero value
// asks for nothing.
type Peer struct {
	// ApplicationURI, if not empty, is the one application that is served. It
	// must stand, exactly so, in the certificate of the SecureChannel and in
	// the ClientDescription of every Session. Discovery without security is
	// for everybody.
	ApplicationURI string
	// AllowUnverified admits Sessions on channels of SecurityPolicy None,
	// where nothing proves the ApplicationURI.
	AllowUnverified bool
	// EndpointURL, if not empty, is the URL under which the Endpoint is
	// returned on this connection, whatever name the client uses.
	EndpointURL string
}

// ServePeer is Serve for one particular peer. The Report of a connection that
// ended because it was somebody else is Refused.
func (s *Server) ServePeer(ctx context.Context, nc net.Conn, ep *Endpoint, peer Peer, progress func(uatcp.Stage)) uatcp.Report {
	c := newConnection(s, nc, ep, progress)
	c.peer = peer
	return s.serve(ctx, c)
}

// Why a connection is refused to the application at its other end.
var (
	errOtherApplication = &uatcp.StatusError{Code: ua.StatusBadCertificateURIInvalid, Op: "another application than the one that is configured"}
	errUnverified       = &uatcp.StatusError{Code: ua.StatusBadSecurityPolicyRejected, Op: "a session without security does not prove the configured application"}
)

// verifyChannel holds the certificate of the channel against the peer that is
// asked for. A channel without one is good for discovery.
func (c *connection) verifyChannel() error {
	der := c.channel.ClientCertificate()
	if c.peer.ApplicationURI == "" || c.channel.Mode() == ua.MessageSecurityModeNone {
		return nil
	}
	uri := ""
	if cert, err := x509.ParseCertificate(der); err == nil {
		uri, _ = pki.ApplicationURI(cert)
	}
	if uri == c.peer.ApplicationURI {
		return nil
	}
	return c.refuse(errOtherApplication, uri)
}

// verifySession holds the application that wants a Session, or brings one
// along, against the peer that is asked for. An error ends the connection.
func (c *connection) verifySession(clientURI string) error {
	switch {
	case c.peer.ApplicationURI == "":
		return nil
	case c.channel.Mode() == ua.MessageSecurityModeNone && !c.peer.AllowUnverified:
		return c.refuse(errUnverified, clientURI)
	case clientURI != c.peer.ApplicationURI:
		return c.refuse(errOtherApplication, clientURI)
	}
	return nil
}

// refuse notes that the peer is not the one asked for.
func (c *connection) refuse(why *uatcp.StatusError, uri string) error {
	c.refused = true
	c.log.Warn("peer refused", "reason", why.Op, "status", why.Code,
		"application_uri", shortText(uri, maxSessionName), "expected_application_uri", c.peer.ApplicationURI)
	return why
}

// urlFor picks the URL under which the Endpoint is returned on c.
func (c *connection) urlFor(requested string) string {
	if c.peer.EndpointURL != "" {
		return c.peer.EndpointURL
	}
	return c.ep.urlFor(requested, c.url)
}
