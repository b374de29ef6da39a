package server

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Config describes a Server. ApplicationURI and one Endpoint are required.
type Config struct {
	ApplicationURI  string // also URI of namespace 1 and in the certificate (Part 4 1.05, 7.2)
	ProductURI      string
	ApplicationName string
	BuildInfo       BuildInfo
	LocaleIDs       []string // published as LocaleIdArray
	ServerProfiles  []string // published as ServerProfileArray

	Endpoints []EndpointConfig
	// Anonymous, UserName and Certificate offer the three identity tokens.
	// Anonymous also needs a User of the name AnonymousUser when Users is not
	// nil.
	Anonymous, UserName, Certificate bool
	// NoAnonymous says why Anonymous is not offered; the log shows it when
	// somebody tries.
	NoAnonymous string
	Users       []User
	// UserTrust checks the certificate of a user (leaf, perhaps its chain).
	// Required with Certificate.
	UserTrust func(certificate []byte) error
	// TokenPolicyURI encrypts passwords, and users sign with it, on endpoints
	// that do not encrypt the channel; empty means Basic256Sha256.
	TokenPolicyURI string
	// AllowDeprecated makes the SecurityPolicies Basic128Rsa15 and Basic256 exist.
	AllowDeprecated bool
	// Redundancy is shown in Server/ServerRedundancy.
	Redundancy Redundancy
	// OtherServers are returned by FindServers as well.
	OtherServers []uabinary.ApplicationDescription
	// Rights says what a user may do in a namespace. It is asked when the user
	// logs in; nil means that everybody may do everything. The name of anonymous
	// Sessions is AnonymousUser.
	Rights func(user, namespaceURI string) Rights
	Limits Limits
}

// Redundancy is the redundant set that the server belongs to: clients choose
// among its servers and switch over by themselves (Part 4 1.05, 6.6.2.4).
type Redundancy struct {
	Support    ua.RedundancySupport // None, Cold, Warm or Hot
	ServerURIs []string             // of all servers of the set; that of this server is added if it is missing
}

// BuildInfo is what Server_ServerStatus_BuildInfo shows (Part 5, 12.4).
type BuildInfo struct {
	ManufacturerName, ProductName, SoftwareVersion, BuildNumber string
	BuildDate                                                   time.Time // zero if unknown
}

// EndpointConfig is one address with its certificate and what it accepts.
type EndpointConfig struct {
	// URL is what GetEndpoints returns, byte for byte, to a client that used it.
	URL string
	// AlternativeURLs are further names of the same endpoint, for clients
	// that come through a proxy or NAT.
	AlternativeURLs []string
	Identity        *securechannel.Identity
	// Trust checks a client's certificate (leaf and chain as sent); its error
	// carries the StatusCode. Required when Security has more than None.
	Trust    func(certificate []byte) error
	Security []SecuritySetting
	// Visible lists the endpoint in GetEndpoints, Discovery its URL in
	// FindServers.
	Visible, Discovery bool
	// SignatureWithChain makes the server's signature of a Session cover the
	// issuers that the client sent behind its certificate, as some clients expect.
	SignatureWithChain bool
	// Relaxations an administrator may ask for.
	AllowLongKeys           bool // RSA keys of clients up to 8192 bits; Trust decides as well
	SkipApplicationURICheck bool // certificate URI against ClientDescription
	SkipNonceLengthCheck    bool // 32 bytes of client nonce
	SkipTokenPolicyIDCheck  bool // PolicyId of the UserIdentityToken
}

// SecuritySetting allows one SecurityPolicy in some modes.
type SecuritySetting struct {
	PolicyURI string
	Modes     []ua.MessageSecurityMode
}

// AnonymousUser names the User whose presence admits anonymous Sessions.
const AnonymousUser = "Anonymous"

// User may open a Session with a UserNameIdentityToken or, with Certificate, an
// X509IdentityToken.
type User struct {
	Name string
	// Password is kept as text, or, in place of it, Hash as a bcrypt hash.
	// With neither, the user cannot log in by password.
	Password string
	Hash     []byte
	// NoPassword says why the user cannot log in by password; the log shows it
	// when he tries.
	NoPassword string
	// Certificate admits the user with a trusted certificate whose common name
	// is Name.
	Certificate bool
}

func (c *Config) check() error {
	if c.ApplicationURI == "" {
		return errors.New("server: no ApplicationURI")
	}
	if len(c.Endpoints) == 0 {
		return errors.New("server: no endpoint")
	}
	if c.Certificate && c.UserTrust == nil {
		return errors.New("server: no trust check for user certificates")
	}
	for i := range c.Endpoints {
		if err := c.checkEndpoint(&c.Endpoints[i]); err != nil {
			return fmt.Errorf("server: endpoint %q: %w", c.Endpoints[i].URL, err)
		}
	}
	return nil
}

func (c *Config) checkEndpoint(e *EndpointConfig) error {
	if u, err := url.Parse(e.URL); err != nil || u.Scheme != "opc.tcp" || u.Host == "" {
		return errors.New("the URL is not opc.tcp://host:port")
	}
	if len(e.Security) == 0 {
		return errors.New("no security setting")
	}
	for _, s := range e.Security {
		if err := c.checkSetting(e, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkSetting(e *EndpointConfig, s SecuritySetting) error {
	policy, ok := c.policy(s.PolicyURI)
	if !ok {
		return fmt.Errorf("unknown SecurityPolicy %q", s.PolicyURI)
	}
	if len(s.Modes) == 0 {
		return fmt.Errorf("SecurityPolicy %q without a mode", s.PolicyURI)
	}
	none := policy.IsNone()
	for _, m := range s.Modes {
		if none != (m == ua.MessageSecurityModeNone) || m > ua.MessageSecurityModeSignAndEncrypt || m == 0 {
			return fmt.Errorf("SecurityPolicy %q does not go with mode %v", s.PolicyURI, m)
		}
	}
	if !none && (e.Identity == nil || e.Trust == nil) {
		return fmt.Errorf("SecurityPolicy %q needs a certificate and a trust check", s.PolicyURI)
	}
	return nil
}

// policy finds a SecurityPolicy that an endpoint may use.
func (c *Config) policy(uri string) (*securechannel.Policy, bool) {
	policy, ok := securechannel.PolicyByURI(uri)
	if !ok && c.AllowDeprecated {
		return securechannel.DeprecatedPolicyByURI(uri)
	}
	return policy, ok
}

// tokenPolicy is the policy behind TokenPolicyURI.
func (c *Config) tokenPolicy() (*securechannel.Policy, error) {
	uri := c.TokenPolicyURI
	if uri == "" {
		uri = ua.SecurityPolicyURIBasic256Sha256
	}
	policy, ok := securechannel.PolicyByURI(uri)
	if !ok || policy.IsNone() {
		return nil, fmt.Errorf("server: passwords cannot be encrypted with SecurityPolicy %q", uri)
	}
	return policy, nil
}
