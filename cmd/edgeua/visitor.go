package main

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/reverseconnect"
)

// visitor is the client side of listen and demo: whoever it visits, it asks for
// the endpoints first, decides whether it trusts the certificate, and then
// opens a session with the security it was told to use.
type visitor struct {
	policy   string // SecurityPolicy URI
	mode     ua.MessageSecurityMode
	own      *pki.Own // nil: only None is possible
	trust    func(certificate []byte) error
	user     string // empty: anonymous
	password string
}

// connect opens a session on the server's calls, the first of which is s. lost
// is closed when the connection ends afterwards.
func (v *visitor) connect(ctx context.Context, s *reverseconnect.Session) (c *reverseconnect.Client, lost <-chan struct{}, err error) {
	endpoints, err := reverseconnect.Discover(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	endpoint, err := v.choose(endpoints)
	if err != nil {
		return nil, nil, err
	}
	if v.mode != ua.MessageSecurityModeNone {
		if err := v.verify(endpoint.ServerCertificate, s.ServerURI); err != nil {
			return nil, nil, err
		}
	}
	ended := make(chan struct{})
	options, err := v.options(endpoint, ended)
	if err != nil {
		return nil, nil, err
	}
	c, err = reverseconnect.NewClient(s, options...)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Connect(ctx); err != nil {
		_ = c.Close(context.WithoutCancel(ctx)) // the error of Connect says more
		return nil, nil, v.explain(err)
	}
	return c, ended, nil
}

// choose finds the endpoint with the wanted security.
func (v *visitor) choose(endpoints []*ua.EndpointDescription) (*ua.EndpointDescription, error) {
	var offered []string
	for _, e := range endpoints {
		if e.SecurityPolicyURI == v.policy && e.SecurityMode == v.mode {
			return e, nil
		}
		offered = append(offered, securityWord(e.SecurityPolicyURI, e.SecurityMode))
	}
	return nil, &finalError{fmt.Errorf("the server does not offer %s but: %s; choose one with --security",
		securityWord(v.policy, v.mode), strings.Join(slices.Compact(offered), " "))}
}

// verify checks the certificate, and that it belongs to who called: the
// ServerUri of a ReverseHello is only a claim (Part 2, 6.14).
func (v *visitor) verify(certificate []byte, serverURI string) error {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return &finalError{fmt.Errorf("the server's certificate cannot be read: %w", err)}
	}
	if err := v.trust(certificate); err != nil {
		return &finalError{fmt.Errorf("the server's certificate %q (thumbprint %s) is not trusted: %w; "+
			"put it into the --trust directory, or use --trust-any to accept any",
			leaf.Subject.CommonName, thumbprint(certificate), err)}
	}
	if len(leaf.URIs) == 0 || leaf.URIs[0].String() != serverURI {
		return &finalError{fmt.Errorf("the caller says it is %s, but its certificate belongs to %v", serverURI, leaf.URIs)}
	}
	return nil
}

func (v *visitor) options(endpoint *ua.EndpointDescription, ended chan<- struct{}) ([]opcua.Option, error) {
	token := ua.UserTokenTypeAnonymous
	if v.user != "" {
		token = ua.UserTokenTypeUserName
	}
	if !offersToken(endpoint, token) {
		return nil, &finalError{fmt.Errorf("the server does not accept %s on this endpoint; %s", tokenWord(token),
			map[bool]string{true: "name a user with --user", false: "leave --user out"}[v.user == ""])}
	}
	var once sync.Once // gopcua tells from several goroutines
	options := []opcua.Option{
		opcua.ApplicationName("edgeua"), opcua.SessionName("edgeua"),
		opcua.AutoReconnect(false), opcua.RequestTimeout(10 * time.Second),
		opcua.StateChangedFunc(func(state opcua.ConnState) {
			if state == opcua.Closed || state == opcua.Disconnected {
				once.Do(func() { close(ended) })
			}
		}),
	}
	if v.own != nil {
		options = append(options, opcua.PrivateKey(v.own.Key), opcua.Certificate(v.own.DER))
	}
	if v.user != "" {
		options = append(options, opcua.AuthUsername(v.user, v.password))
	}
	return append(options, opcua.SecurityFromEndpoint(endpoint, token)), nil
}

func offersToken(e *ua.EndpointDescription, token ua.UserTokenType) bool {
	return slices.ContainsFunc(e.UserIdentityTokens, func(p *ua.UserTokenPolicy) bool { return p.TokenType == token })
}

func tokenWord(token ua.UserTokenType) string {
	if token == ua.UserTokenTypeAnonymous {
		return "anonymous sessions"
	}
	return "user names"
}

// explain adds what can be done about the refusals that people meet first.
func (v *visitor) explain(err error) error {
	var code ua.StatusCode
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case ua.StatusBadSecurityChecksFailed, ua.StatusBadCertificateUntrusted:
		return &finalError{fmt.Errorf("the server refuses this client's certificate (%w): move it from the server's "+
			"rejected directory to its trusted directory", err)}
	case ua.StatusBadIdentityTokenRejected, ua.StatusBadUserAccessDenied, ua.StatusBadIdentityTokenInvalid:
		return &finalError{fmt.Errorf("the server refuses the user (%w): check --user and the password", err)}
	}
	return err
}

// finalError is a refusal that the next call would meet again.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

func thumbprint(certificate []byte) string {
	sum := sha1.Sum(certificate) // what OPC UA calls a thumbprint (Part 6 (1.05), 6.7.2.3)
	return hex.EncodeToString(sum[:])
}

// securityWord is how --security writes a policy and mode.
func securityWord(policy string, mode ua.MessageSecurityMode) string {
	return strings.TrimPrefix(policy, ua.SecurityPolicyURIPrefix) + "," + strings.TrimPrefix(mode.String(), "MessageSecurityMode")
}

// parseSecurity reads "Basic256Sha256,SignAndEncrypt".
func parseSecurity(text string) (policy string, mode ua.MessageSecurityMode, err error) {
	name, modeName, _ := strings.Cut(text, ",")
	policy = ua.FormatSecurityPolicyURI(name)
	mode = ua.MessageSecurityModeFromString(modeName)
	policies := []string{ua.SecurityPolicyURINone, ua.SecurityPolicyURIBasic256Sha256,
		ua.SecurityPolicyURIAes128Sha256RsaOaep, ua.SecurityPolicyURIAes256Sha256RsaPss}
	if !slices.Contains(policies, policy) || mode == ua.MessageSecurityModeInvalid ||
		(policy == ua.SecurityPolicyURINone) != (mode == ua.MessageSecurityModeNone) {
		return "", 0, fmt.Errorf("--security %q: write Policy,Mode with Basic256Sha256, Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss "+
			"and Sign or SignAndEncrypt, or None,None", text)
	}
	return policy, mode, nil
}
