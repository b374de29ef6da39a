package main

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/reverseconnect"
)

// visitor is the client side of listen and demo: whoever calls, it asks for the
// endpoints first, decides whether it trusts the certificate, and opens a session
// with the security it was told to use on the next call.
type visitor struct {
	policy   string // SecurityPolicy URI
	mode     ua.MessageSecurityMode
	own      *pki.Own // nil: only None is possible
	trust    func(certificate []byte) error
	user     string // empty: anonymous
	password string
	saveDir  string // where certificates that are not trusted are kept; empty: nowhere
}

// secondCall is how long a server may take to call again once it was asked for
// its endpoints. Some wait for half a minute.
const secondCall = time.Minute

// connect opens a session on two calls of a server: s, and the next one.
func (v *visitor) connect(ctx context.Context, s *reverseconnect.Session, next <-chan *reverseconnect.Session) (*uaclient.Client, error) {
	endpoints, err := uaclient.Endpoints(ctx, s.Conn, s.EndpointURL)
	if err != nil {
		return nil, fmt.Errorf("no endpoints: %w", err)
	}
	endpoint, err := v.choose(endpoints)
	if err != nil {
		return nil, err
	}
	options := uaclient.Options{
		EndpointURL: s.EndpointURL, SecurityPolicyURI: v.policy, Mode: v.mode,
		ApplicationURI: clientURI, SessionName: "edgeua", User: v.user, Password: v.password,
	}
	if v.needsTrust() {
		if err := v.verify(endpoint.ServerCertificate, s.ServerURI); err != nil {
			return nil, err
		}
		options.ServerCertificate = endpoint.ServerCertificate
	}
	if v.own != nil {
		options.Identity = &securechannel.Identity{Chain: v.own.Chain, Key: v.own.Key}
		options.ApplicationURI, _ = pki.ApplicationURI(v.own.Cert) // servers compare the two
	}
	again, err := nextCall(ctx, next)
	if err != nil {
		return nil, err
	}
	c, err := uaclient.Open(ctx, again.Conn, options)
	return c, v.explain(err)
}

// needsTrust tells whether the server must be who it says: when the connection is
// secured, and when it is given a password.
func (v *visitor) needsTrust() bool { return v.mode != ua.MessageSecurityModeNone || v.user != "" }

// nextCall waits for the server to call again.
func nextCall(ctx context.Context, next <-chan *reverseconnect.Session) (*reverseconnect.Session, error) {
	timer := time.NewTimer(secondCall)
	defer timer.Stop()
	select {
	case s := <-next:
		return s, nil
	case <-timer.C:
		return nil, fmt.Errorf("the server did not call again within %v", secondCall)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// choose finds the endpoint with the wanted security and user token.
func (v *visitor) choose(endpoints []uabinary.EndpointDescription) (*uabinary.EndpointDescription, error) {
	token := ua.UserTokenTypeAnonymous
	if v.user != "" {
		token = ua.UserTokenTypeUserName
	}
	var offered []string
	for i := range endpoints {
		e := &endpoints[i]
		switch {
		case e.SecurityPolicyURI != v.policy || e.SecurityMode != v.mode:
			offered = append(offered, securityWord(e.SecurityPolicyURI, e.SecurityMode))
		case !offersToken(e, token):
			return nil, fmt.Errorf("the server does not accept %s on this endpoint; %s", tokenWord(token),
				map[bool]string{true: "name a user with --user, or have both EnableAnonymous and a user Anonymous written into the server's files", false: "leave --user out"}[v.user == ""])
		default:
			return e, nil
		}
	}
	return nil, fmt.Errorf("the server does not offer %s but: %s; choose one with --security",
		securityWord(v.policy, v.mode), printable(strings.Join(slices.Compact(offered), " ")))
}

// verify checks the certificate, and that it belongs to who called: the
// ServerUri of a ReverseHello is only a claim (Part 2, 6.14).
func (v *visitor) verify(certificate []byte, serverURI string) error {
	chain, err := x509.ParseCertificates(certificate)
	if err != nil {
		return fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	if len(chain) == 0 {
		return errors.New("the server has no certificate")
	}
	leaf := chain[0]
	if err := v.trust(certificate); err != nil {
		return fmt.Errorf("the server's certificate %q (thumbprint %s) is not trusted: %w; %s",
			leaf.Subject.CommonName, thumbprint(leaf.Raw), err, v.keep(leaf.Raw))
	}
	if uri, _ := pki.ApplicationURI(leaf); uri != serverURI {
		return fmt.Errorf("the caller says it is %q, but its certificate belongs to %q", serverURI, uri)
	}
	return nil
}

// keep saves a certificate that is not trusted, if that was asked for, and says
// what can be done.
func (v *visitor) keep(certificate []byte) string {
	const remedy = "put it into the --trust directory, or use --trust-any to accept any"
	if v.saveDir == "" {
		return remedy + "; --save-cert DIR saves it"
	}
	path := filepath.Join(v.saveDir, thumbprint(certificate)+".der")
	if err := saveCertificate(path, certificate); err != nil {
		return fmt.Sprintf("it could not be saved: %v", err)
	}
	return fmt.Sprintf("saved as %s: compare the thumbprint with what the gateway's owner says, then move it to the --trust directory", path)
}

// maxSaved bounds what strangers can put on the disk.
const maxSaved = 100

func saveCertificate(path string, certificate []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil // the name is made of the content
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) >= maxSaved {
		return cmp.Or(err, fmt.Errorf("%s holds %d files already", dir, len(entries)))
	}
	return os.WriteFile(path, certificate, 0o644)
}

func offersToken(e *uabinary.EndpointDescription, token ua.UserTokenType) bool {
	return slices.ContainsFunc(e.UserIdentityTokens, func(p uabinary.UserTokenPolicy) bool { return p.TokenType == token })
}

func tokenWord(token ua.UserTokenType) string {
	if token == ua.UserTokenTypeAnonymous {
		return "anonymous sessions"
	}
	return "user names"
}

// explain adds what can be done about the refusals that people meet first. Only
// what an authenticated server says is final.
func (v *visitor) explain(err error) error {
	refused, ok := errors.AsType[*uaclient.ServerError](err)
	if !ok {
		return err
	}
	switch refused.Code {
	case ua.StatusBadSecurityChecksFailed, ua.StatusBadCertificateUntrusted:
		return fmt.Errorf("the server refuses this client's certificate (%w): move it from the server's "+
			"rejected directory to its trusted directory", err)
	case ua.StatusBadIdentityTokenRejected, ua.StatusBadUserAccessDenied, ua.StatusBadIdentityTokenInvalid:
		err = fmt.Errorf("the server refuses the user (%w): check --user and the password", err)
		if v.needsTrust() {
			return &finalError{err}
		}
	}
	return err
}

// finalError is a refusal that the next call would meet again. It takes a session
// to cause one, so under security a stranger cannot end a program that waits for
// somebody else.
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
