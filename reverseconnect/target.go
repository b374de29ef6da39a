package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
	"unicode/utf8"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Defaults for the durations of a Target, for whoever fills one from a configuration.
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultBackoffMin     = 1 * time.Second
	DefaultBackoffMax     = 60 * time.Second
	DefaultRejectDelay    = 60 * time.Second
	DefaultKeepAlive      = 15 * time.Second
)

// MaxTextLength is the largest length in bytes of a ServerUri or EndpointUrl in a ReverseHello.
const MaxTextLength = uatcp.MaxReverseHelloText

// maxSocketsPerClient bounds Target.SocketsPerClient: more parked sockets than this serve no client.
const maxSocketsPerClient = 100

// Target is one client that the server calls.
type Target struct {
	// URL is where the client listens, such as opc.tcp://host:48061. The name is resolved at every attempt.
	URL string
	// Alternatives are further URLs of the same client. After a failure the next one is called.
	Alternatives []string
	// Disabled keeps the client in Snapshot but does not call it.
	Disabled bool
	// ServerURI and EndpointURL are announced in the ReverseHello, each at most MaxTextLength bytes.
	ServerURI   string
	EndpointURL string

	// ConnectTimeout bounds name resolution, the TCP handshake, what a proxy needs and the sending of the ReverseHello
	// together.
	ConnectTimeout time.Duration
	// HelloTimeout is how long the client may keep the announced socket without Hello, 0 for ever.
	HelloTimeout time.Duration
	// BackoffMin is the delay after the first failure; it doubles with every further one up to BackoffMax. Delays
	// are spread by 20 % either way.
	BackoffMin time.Duration
	BackoffMax time.Duration
	// RejectDelay is the delay after the client answered with an Error message, spread in the same way.
	RejectDelay time.Duration
	// KeepAlive is the silence on the socket after which TCP asks whether the client is still there. A client that
	// is not is given up before twice that time.
	KeepAlive time.Duration
	// SocketsPerClient is the most sockets to this client: 1, or more for announced spares while channels are open.
	SocketsPerClient int

	// Path is on which way the client is reached.
	Path Path

	// ApplicationURI, and AllowUnverified, is whom Serve expects; both are here for Update to notice a change.
	ApplicationURI  string
	AllowUnverified bool
	// Serve answers the client on nc until the connection ends or ctx is done. It is called when the first byte of
	// the client has arrived. It calls progress on its own goroutine as the connection advances.
	Serve func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report
}

// maxAlternatives bounds Target.Alternatives.
const maxAlternatives = 15

// Address returns the host:port at which the target is called first, or what is wrong with its settings.
func (t *Target) Address() (string, error) {
	addresses, err := t.check()
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}

// check validates the target and returns the addresses to dial.
func (t *Target) check() (addresses []string, err error) {
	if err := checkText("ServerUri", t.ServerURI); err != nil {
		return nil, err
	}
	if err := checkText("EndpointUrl", t.EndpointURL); err != nil {
		return nil, err
	}
	own, err := dialAddress(t.EndpointURL)
	if err != nil {
		return nil, fmt.Errorf("EndpointUrl to announce: %w", err)
	}
	if len(t.Alternatives) > maxAlternatives {
		return nil, fmt.Errorf("%d further URLs, at most %d are taken", len(t.Alternatives), maxAlternatives)
	}
	for _, rawURL := range append([]string{t.URL}, t.Alternatives...) {
		address, err := dialAddress(rawURL)
		if err != nil {
			return nil, err
		}
		if address == own {
			return nil, errors.New("the client's address is the server's own EndpointUrl")
		}
		addresses = append(addresses, address)
	}
	if err := t.Path.check(); err != nil {
		return nil, err
	}
	return addresses, t.checkNumbers()
}

func (t *Target) checkNumbers() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", t.ConnectTimeout}, {"BackoffMin", t.BackoffMin}, {"BackoffMax", t.BackoffMax},
		{"RejectDelay", t.RejectDelay}, {"KeepAlive", t.KeepAlive},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%s is %v, must be more than zero", d.name, d.value)
		}
	}
	switch {
	case t.HelloTimeout < 0:
		return fmt.Errorf("HelloTimeout is %v, must be zero (for ever) or more", t.HelloTimeout)
	case t.BackoffMax < t.BackoffMin:
		return fmt.Errorf("BackoffMax %v is less than BackoffMin %v", t.BackoffMax, t.BackoffMin)
	case t.SocketsPerClient < 1 || t.SocketsPerClient > maxSocketsPerClient:
		return fmt.Errorf("SocketsPerClient is %d, must be 1 to %d", t.SocketsPerClient, maxSocketsPerClient)
	case t.Serve == nil:
		return errors.New("nothing serves this target")
	}
	return nil
}

// checkText enforces what a ReverseHello can carry. Part 6 (1.05), 7.1.2.6
func checkText(name, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s is empty", name)
	case len(text) > MaxTextLength:
		return fmt.Errorf("%s has %d bytes, a ReverseHello carries at most %d", name, len(text), MaxTextLength)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	return nil
}
