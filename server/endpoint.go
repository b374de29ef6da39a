package server

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// transportProfile is the only transport there is (Part 7, UA-TCP UA-SC UA-Binary).
const transportProfile = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"

// Endpoint is one endpoint of a Server as it was configured at one time.
type Endpoint struct {
	server      *Server
	cfg         EndpointConfig
	certificate []byte // leaf DER; nil without an Identity
	chain       []byte // what clients are sent: certificate and issuers
	hosts       *x509.Certificate
	host, port  string
	channel     securechannel.Config
	settings    []setting
}

// setting is one SecurityPolicy in one mode.
type setting struct {
	policy *securechannel.Policy
	mode   ua.MessageSecurityMode
}

// URL returns the configured URL.
func (e *Endpoint) URL() string { return e.cfg.URL }

func (s *Server) newEndpoint(cfg EndpointConfig, st *settings) (*Endpoint, error) {
	e := &Endpoint{server: s, cfg: cfg}
	e.host, e.port = hostPort(cfg.URL)
	if cfg.Identity != nil {
		e.certificate, e.chain = cfg.Identity.Chain[0], slices.Concat(cfg.Identity.Chain...)
		parsed, err := x509.ParseCertificate(e.certificate)
		if err != nil {
			return nil, fmt.Errorf("server: endpoint %q: own certificate: %w", cfg.URL, err)
		}
		e.hosts = parsed
	}
	for _, sec := range cfg.Security {
		policy, _ := st.cfg.policy(sec.PolicyURI) // checked
		if _, old := securechannel.DeprecatedPolicyByURI(sec.PolicyURI); old {
			s.log.Warn("endpoint offers a deprecated SecurityPolicy, which can be broken", "endpoint", cfg.URL, "policy", policyName(policy))
		}
		for _, mode := range sec.Modes {
			e.settings = append(e.settings, setting{policy, mode})
		}
	}
	e.channel = s.channelConfig(e, &st.limits)
	return e, nil
}

// offers reports whether Sessions may use the policy in that mode.
func (e *Endpoint) offers(policyURI string, mode ua.MessageSecurityMode) bool {
	for _, st := range e.settings {
		if st.policy.URI() == policyURI && st.mode == mode {
			return true
		}
	}
	return false
}

// descriptions lists the endpoint under the given URL, one per setting.
func (e *Endpoint) descriptions(endpointURL string) []uabinary.EndpointDescription {
	app := e.server.application(endpointURL)
	list := make([]uabinary.EndpointDescription, 0, len(e.settings))
	for _, st := range e.settings {
		list = append(list, uabinary.EndpointDescription{
			EndpointURL:         endpointURL,
			Server:              app,
			ServerCertificate:   e.chain,
			SecurityMode:        st.mode,
			SecurityPolicyURI:   st.policy.URI(),
			UserIdentityTokens:  e.tokenPolicies(st.policy),
			TransportProfileURI: transportProfile,
			SecurityLevel:       st.level(),
		})
	}
	return list
}

// level orders the settings for clients that take the best (Part 4 1.05, 7.14).
func (st setting) level() uint8 {
	switch st.mode {
	case ua.MessageSecurityModeSign:
		return 50 + strength(st.policy)
	case ua.MessageSecurityModeSignAndEncrypt:
		return 100 + strength(st.policy)
	}
	return 0
}

// strength orders the policies by the keys they derive.
func strength(p *securechannel.Policy) uint8 {
	switch p.URI() {
	case ua.SecurityPolicyURIAes256Sha256RsaPss:
		return 30
	case ua.SecurityPolicyURIBasic256Sha256:
		return 20
	case ua.SecurityPolicyURIAes128Sha256RsaOaep:
		return 10
	}
	return 0 // the deprecated ones
}

// policyName is the fragment of the policy's URI.
func policyName(p *securechannel.Policy) string {
	_, name, _ := strings.Cut(p.URI(), "#")
	return name
}

// urlFor picks the URL to return to a client that named the server requested in
// its call and hello in its Hello: the configured one byte for byte, unless the
// client came by another name that is ours (Part 4 1.05, 5.5.2.1: a client
// behind NAT must get a URL that works). Names that are not ours are no fault.
func (e *Endpoint) urlFor(requested, hello string) string {
	if requested == e.cfg.URL || hello == e.cfg.URL {
		return e.cfg.URL
	}
	if known, ok := e.alias(requested); ok {
		return known
	}
	if known, ok := e.alias(hello); ok {
		return known
	}
	return e.cfg.URL
}

// alias finds the URL by which a client may know the endpoint.
func (e *Endpoint) alias(name string) (string, bool) {
	host, port := hostPort(name)
	if host == "" {
		return "", false
	}
	if strings.EqualFold(host, e.host) && port == e.port {
		return e.cfg.URL, true
	}
	for _, alternative := range e.cfg.AlternativeURLs {
		if h, p := hostPort(alternative); strings.EqualFold(h, host) && p == port {
			return alternative, true
		}
	}
	if port == e.port && e.hosts != nil && e.hosts.VerifyHostname(host) == nil {
		return "opc.tcp://" + net.JoinHostPort(host, port) + pathOf(e.cfg.URL), true
	}
	return "", false
}

// defaultPort is the port of an opc.tcp URL without one.
const defaultPort = "4840"

// hostPort takes an opc.tcp URL apart; both are empty for anything else.
func hostPort(raw string) (host, port string) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "" {
		return "", ""
	}
	if u.Port() == "" {
		return u.Hostname(), defaultPort
	}
	return u.Hostname(), u.Port()
}

func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.EscapedPath()
}
