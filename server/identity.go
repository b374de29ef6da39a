package server

import (
	"context"
	"crypto/sha256"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Policy ids of the UserTokenPolicies. An id means the same policy on every
// endpoint (Part 4 1.05, 7.41); "Anonymous" is also what clients assume that
// never asked.
const (
	anonymousPolicyID         = "Anonymous"
	userNamePolicyIDPrefix    = "UserName_"
	certificatePolicyIDPrefix = "Certificate_"
)

// tokenPolicies are the UserTokenPolicies offered with one security setting. A
// password is always encrypted with a policy of its own.
func (e *Endpoint) tokenPolicies(channel *securechannel.Policy) []uabinary.UserTokenPolicy {
	var policies []uabinary.UserTokenPolicy
	cfg := e.server.config()
	if cfg.Anonymous {
		policies = append(policies, uabinary.UserTokenPolicy{
			PolicyID: anonymousPolicyID, TokenType: ua.UserTokenTypeAnonymous,
		})
	}
	p := e.secretPolicy(channel)
	if p == nil {
		return policies
	}
	if cfg.UserName {
		policies = append(policies, uabinary.UserTokenPolicy{
			PolicyID:          userNamePolicyIDPrefix + policyName(p),
			TokenType:         ua.UserTokenTypeUserName,
			SecurityPolicyURI: p.URI(),
		})
	}
	if cfg.Certificate {
		policies = append(policies, uabinary.UserTokenPolicy{
			PolicyID:          certificatePolicyIDPrefix + policyName(p),
			TokenType:         ua.UserTokenTypeCertificate,
			SecurityPolicyURI: p.URI(),
		})
	}
	return policies
}

// secretPolicy encrypts passwords and makes the signatures of users on channels
// of the given policy; nil if nothing can.
func (e *Endpoint) secretPolicy(channel *securechannel.Policy) *securechannel.Policy {
	if e.cfg.Identity == nil {
		return nil
	}
	if channel.HidesSecrets() {
		return channel
	}
	return e.server.settings().tokenPolicy // None, or Basic128Rsa15
}

// authenticate finds out who the UserIdentityToken of an ActivateSession is.
// Part 4 1.05, 5.7.3.
func (s *Server) authenticate(c *call, req *uabinary.ActivateSessionRequest, nonce []byte) (*user, ua.StatusCode) {
	st, token := s.settings(), &req.UserIdentityToken
	switch {
	case token.IsNull(), token.TypeID == uabinary.NumericID(0, id.AnonymousIdentityToken_Encoding_DefaultBinary):
		return s.authenticateAnonymous(c, st, token)
	case token.TypeID == uabinary.NumericID(0, id.UserNameIdentityToken_Encoding_DefaultBinary):
		return s.authenticateUserName(c, st, token, nonce)
	case token.TypeID == uabinary.NumericID(0, id.X509IdentityToken_Encoding_DefaultBinary):
		return s.authenticateCertificate(c, st, req, nonce)
	case token.TypeID == uabinary.NumericID(0, id.IssuedIdentityToken_Encoding_DefaultBinary):
		return nil, ua.StatusBadIdentityTokenRejected
	}
	return nil, ua.StatusBadIdentityTokenInvalid
}

// authenticateAnonymous: no token at all means anonymous.
func (s *Server) authenticateAnonymous(c *call, st *settings, token *uabinary.ExtensionObject) (*user, ua.StatusCode) {
	var anonymous uabinary.AnonymousIdentityToken
	if !token.IsNull() {
		if token.Decode(&anonymous, &st.limits.Encoding) != nil {
			return nil, ua.StatusBadIdentityTokenInvalid
		}
		if anonymous.PolicyID != anonymousPolicyID && !c.conn.ep.cfg.SkipTokenPolicyIDCheck {
			return nil, ua.StatusBadIdentityTokenInvalid
		}
	}
	if !st.offersAnonymous() {
		c.conn.log.Warn("anonymous session refused", "reason", st.cfg.NoAnonymous)
		c.info = "anonymous sessions need EnableAnonymous and a user Anonymous on this server: log in as a user"
		return nil, ua.StatusBadIdentityTokenRejected
	}
	return s.withRights(st, user{name: AnonymousUser, anonymous: true}), ua.StatusOK
}

func (s *Server) authenticateUserName(c *call, st *settings, token *uabinary.ExtensionObject, nonce []byte) (*user, ua.StatusCode) {
	var t uabinary.UserNameIdentityToken
	if token.Decode(&t, &st.limits.Encoding) != nil || t.UserName == "" {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	if !st.cfg.UserName {
		return nil, ua.StatusBadIdentityTokenRejected
	}
	policy := c.conn.ep.secretPolicy(c.conn.channel.Policy())
	if policy == nil || t.EncryptionAlgorithm != policy.EncryptionAlgorithm() {
		return nil, ua.StatusBadIdentityTokenInvalid // plain text among others
	}
	if t.PolicyID != userNamePolicyIDPrefix+policyName(policy) && !c.conn.ep.cfg.SkipTokenPolicyIDCheck {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	client := c.conn.loginClient()
	if s.logins.locked(client, c.arrived) {
		return nil, ua.StatusBadUserAccessDenied
	}
	password, err := policy.DecryptSecret(c.conn.ep.cfg.Identity.Key, t.Password, nonce)
	// A secret that does not open and a wrong password are one answer, after
	// the same work: nothing to tell them apart.
	if !st.users.check(t.UserName, password) || err != nil {
		return nil, s.loginFailed(c, client, ua.StatusBadIdentityTokenRejected, st.users.refused(t.UserName)...)
	}
	s.logins.succeeded(client, c.arrived)
	return s.withRights(st, user{name: t.UserName}), ua.StatusOK
}

// refused is what the log says about a password that was not accepted. The name
// of nobody may be a password in the wrong field: it is not written down.
func (t *userTable) refused(name string) []any {
	u, known := t.byName[name]
	switch {
	case !known:
		return []any{"reason", "there is no such user"}
	case u.NoPassword != "":
		return []any{"user", name, "reason", u.NoPassword}
	}
	return []any{"user", name, "reason", "wrong password"}
}

// loginFailed holds the refusal back, aside of the connection's other calls.
// The log gets the attributes why.
func (s *Server) loginFailed(c *call, client loginClient, code ua.StatusCode, why ...any) ua.StatusCode {
	s.counters.securityRejectedSessions.Add(1)
	delay := s.logins.failed(client, c.arrived)
	c.conn.log.Warn("login refused", append(why, "delay", delay)...)
	held := c.detach()
	c.aside = func(ctx context.Context) {
		wait(ctx, delay)
		held.fault(code)
	}
	return code
}

func (c *connection) loginClient() loginClient {
	client := loginClient{address: subscriberOf(c.remote)}
	if cert := c.channel.ClientCertificate(); len(cert) > 0 {
		client.certificate = sha256.Sum256(cert)
	}
	return client
}
