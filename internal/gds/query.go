package gds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// Names of Part 12 (1.05), Annex A and 6.5.
const (
	namespaceURI      = "http://opcfoundation.org/UA/GDS/"
	directoryID       = 141 // Object Directory
	queryID           = 992 // its Method QueryApplications
	reverseCapability = "RCP"
	reversePrefix     = "rcp+" // Part 12 (1.05), 7.10.22
)

// What an answer may make us hold.
const (
	maxRecords = 10 // of one ApplicationUri
	// MaxURLs is how many addresses of one client are used.
	MaxURLs      = 16
	maxURLLength = 4091
)

// Access is how directories are spoken to.
type Access struct {
	Dial           func(ctx context.Context, network, address string) (net.Conn, error)
	Identity       *securechannel.Identity // our own
	ApplicationURI string                  // our own, as in the certificate
	Trust          func(certificate []byte) error
}

// Query asks the directory at directoryURL for the addresses of the client with that ApplicationUri, without rcp+. It
// returns none if the directory does not know any. Whoever answers at directoryURL must be trusted.
func (a *Access) Query(ctx context.Context, directoryURL, applicationURI string) ([]string, error) {
	c, err := a.open(ctx, directoryURL)
	if err != nil {
		return nil, err
	}
	urls, err := query(ctx, c, applicationURI)
	if closing := c.Close(ctx); err == nil {
		err = closing
	}
	return urls, err
}

// open discovers the endpoints and opens a session on the best.
func (a *Access) open(ctx context.Context, directoryURL string) (*uaclient.Client, error) {
	nc, err := a.dial(ctx, directoryURL)
	if err != nil {
		return nil, err
	}
	endpoints, err := uaclient.Endpoints(ctx, nc, directoryURL)
	if err != nil {
		return nil, err
	}
	ep, err := best(endpoints)
	if err != nil {
		return nil, err
	}
	if err := a.verify(ep); err != nil {
		return nil, fmt.Errorf("certificate of the directory: %w", err)
	}
	if nc, err = a.dial(ctx, directoryURL); err != nil {
		return nil, err
	}
	return uaclient.Open(ctx, nc, uaclient.Options{
		EndpointURL: directoryURL, SecurityPolicyURI: ep.SecurityPolicyURI, Mode: ep.SecurityMode,
		Identity: a.Identity, ServerCertificate: ep.ServerCertificate,
		ApplicationURI: a.ApplicationURI, SessionName: "edgeua reverse connect",
	})
}

// dial connects to the configured address; what the directory calls itself is of no interest.
func (a *Access) dial(ctx context.Context, rawURL string) (net.Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "" {
		return nil, errors.New("the directory's URL is not opc.tcp://host:port")
	}
	port := u.Port()
	if port == "" {
		port = "4840"
	}
	return a.Dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
}

// best picks the most secure endpoint that we can use.
func best(endpoints []uabinary.EndpointDescription) (*uabinary.EndpointDescription, error) {
	var found *uabinary.EndpointDescription
	for i := range endpoints {
		ep := &endpoints[i]
		policy, known := securechannel.PolicyByURI(ep.SecurityPolicyURI)
		if !known || policy.IsNone() || ep.SecurityMode != ua.MessageSecurityModeSign && ep.SecurityMode != ua.MessageSecurityModeSignAndEncrypt {
			continue
		}
		if found == nil || ep.SecurityMode > found.SecurityMode || ep.SecurityMode == found.SecurityMode && ep.SecurityLevel > found.SecurityLevel {
			found = ep
		}
	}
	if found == nil {
		return nil, errors.New("the directory offers no endpoint with security that is supported")
	}
	return found, nil
}

// verify decides whether the directory is trusted; that it has the key is proven by the SecureChannel.
func (a *Access) verify(ep *uabinary.EndpointDescription) error {
	if err := a.Trust(ep.ServerCertificate); err != nil {
		return err
	}
	all, err := x509.ParseCertificates(ep.ServerCertificate)
	if err != nil {
		return err
	}
	if uri, _ := pki.ApplicationURI(all[0]); uri != ep.Server.ApplicationURI {
		return errors.New("is that of another application than the one that answers")
	}
	return nil
}

// query calls QueryApplications.
func query(ctx context.Context, c *uaclient.Client, applicationURI string) ([]string, error) {
	ns, err := namespace(ctx, c)
	if err != nil {
		return nil, err
	}
	outputs, err := c.Call(ctx, uabinary.CallMethodRequest{
		ObjectID: uabinary.NumericID(ns, directoryID), MethodID: uabinary.NumericID(ns, queryID),
		InputArguments: []uabinary.Variant{
			uabinary.Uint32Variant(0), uabinary.Uint32Variant(maxRecords), // from the first record on
			uabinary.StringVariant(""), uabinary.StringVariant(applicationURI),
			uabinary.Uint32Variant(0), uabinary.StringVariant(""), // of any type and product
			uabinary.VariantOf([]string{reverseCapability}),
		},
	})
	if err != nil {
		return nil, err
	}
	const resultCount = 3
	if len(outputs) != resultCount {
		return nil, fmt.Errorf("QueryApplications returned %d results instead of %d", len(outputs), resultCount)
	}
	return addresses(outputs[2], applicationURI)
}

// namespace finds the index of the GDS namespace.
func namespace(ctx context.Context, c *uaclient.Client) (uint16, error) {
	results, err := c.Read(ctx, []uabinary.ReadValueID{{NodeID: uabinary.NumericID(0, id.Server_NamespaceArray), AttributeID: ua.AttributeIDValue}})
	if err != nil {
		return 0, err
	}
	if len(results) == 1 {
		if all, ok := results[0].Value.Any().([]string); ok {
			if i := slices.Index(all, namespaceURI); i >= 0 && i <= 0xFFFF {
				return uint16(i), nil
			}
		}
	}
	return 0, errors.New("the server is not a GDS: it lacks the namespace " + namespaceURI)
}

// addresses reads the applications of an answer. A GDS may return more than was asked for.
func addresses(v uabinary.Variant, applicationURI string) ([]string, error) {
	if v.IsNull() {
		return nil, nil
	}
	list, ok := v.Any().([]uabinary.ExtensionObject)
	if !ok {
		return nil, errors.New("QueryApplications returned something else than applications")
	}
	var urls []string
	for i := range list {
		var app uabinary.ApplicationDescription
		if err := list[i].Decode(&app, nil); err != nil {
			return nil, err
		}
		if app.ApplicationURI != applicationURI {
			continue
		}
		for _, raw := range app.DiscoveryURLs {
			if u, ok := usable(raw); ok && !slices.Contains(urls, u) && len(urls) < MaxURLs {
				urls = append(urls, u)
			}
		}
	}
	return urls, nil
}

// usable returns a DiscoveryUrl without rcp+ if a client can be called there.
func usable(raw string) (string, bool) {
	text, reverse := strings.CutPrefix(raw, reversePrefix)
	if !reverse || len(text) > maxURLLength {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "" || u.User != nil || u.Port() == "0" {
		return "", false
	}
	return text, true
}
