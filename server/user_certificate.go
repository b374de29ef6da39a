package server

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// authenticateCertificate finds the user behind an X509IdentityToken: the one
// whose name is the common name of a trusted certificate, if the client proves
// with userTokenSignature that it has the key (Part 4 (1.05), 5.7.3.2 and
// 7.41.5). Trust comes before any arithmetic with the key of a stranger.
func (s *Server) authenticateCertificate(c *call, st *settings, req *uabinary.ActivateSessionRequest, nonce []byte) (*user, ua.StatusCode) {
	if !st.cfg.Certificate {
		return nil, ua.StatusBadIdentityTokenRejected
	}
	var t uabinary.X509IdentityToken
	if req.UserIdentityToken.Decode(&t, &st.limits.Encoding) != nil || len(t.CertificateData) == 0 {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	policy := c.conn.ep.secretPolicy(c.conn.channel.Policy())
	if policy == nil || t.PolicyID != certificatePolicyIDPrefix+policyName(policy) && !c.conn.ep.cfg.SkipTokenPolicyIDCheck {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	client := c.conn.loginClient()
	if s.logins.locked(client, c.arrived) {
		return nil, ua.StatusBadUserAccessDenied
	}
	leaf, err := s.userCertificate(c, st, t.CertificateData)
	if err != nil {
		c.conn.log.Warn("user certificate refused", "err", err)
		return nil, s.loginFailed(c, client, ua.StatusBadIdentityTokenRejected)
	}
	if !c.conn.ep.signedByUser(policy, leaf, &req.UserTokenSignature, nonce) {
		return nil, s.loginFailed(c, client, ua.StatusBadUserSignatureInvalid)
	}
	s.logins.succeeded(client, c.arrived)
	return s.withRights(st, user{name: leaf.Subject.CommonName, certificate: sha256.Sum256(leaf.Raw)}), ua.StatusOK
}

// Why a trusted certificate is not that of a user.
var (
	errOwnCertificate     = errors.New("it is this server's own certificate or key")
	errChannelCertificate = errors.New("it is the certificate of the client's SecureChannel")
	errApplication        = errors.New("it is the certificate of an application")
	errNoSuchUser         = errors.New("no user of this common name may log in by certificate")
	errKeyType            = errors.New("its key is not RSA")
)

// userCertificate returns the leaf of a certificate that somebody may log in
// with. That of an application, ours above all, is nobody's.
func (s *Server) userCertificate(c *call, st *settings, der []byte) (*x509.Certificate, error) {
	if err := st.cfg.UserTrust(der); err != nil {
		return nil, err
	}
	chain, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errKeyType
	}
	_, application := pki.ApplicationURI(leaf)
	switch {
	case s.isOwnKey(key):
		return nil, errOwnCertificate
	case bytes.Equal(leaf.Raw, c.conn.channel.ClientCertificate()):
		return nil, errChannelCertificate
	case application:
		return nil, errApplication
	case !st.users.admits(leaf.Subject.CommonName):
		return nil, errNoSuchUser
	}
	return leaf, nil
}

func (s *Server) isOwnKey(key *rsa.PublicKey) bool {
	for _, e := range s.settings().endpoints {
		if e.cfg.Identity != nil && e.cfg.Identity.Key.PublicKey.Equal(key) {
			return true
		}
	}
	return false
}

// signedByUser checks the signature over our certificate and the last
// ServerNonce.
func (e *Endpoint) signedByUser(policy *securechannel.Policy, leaf *x509.Certificate, sig *uabinary.SignatureData, nonce []byte) bool {
	key, _ := leaf.PublicKey.(*rsa.PublicKey)
	return sig.Algorithm == policy.SignatureAlgorithm() &&
		e.proves(policy, key, sig.Signature, nonce)
}
