package server

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Session Service Set: Part 4 (1.05), 5.7.

// maxSessionName bounds the name that logs and diagnostics show, in bytes.
const maxSessionName = 256

// handleCreateSession: 5.7.2.
func (s *Server) handleCreateSession(c *call, r *uabinary.Reader) {
	var req uabinary.CreateSessionRequest
	if !c.parseOwned(r, &req) {
		return
	}
	sess, code := s.createSession(c, &req)
	if code != ua.StatusOK {
		s.counters.rejectedSessions.Add(1)
		c.conn.log.Warn("session refused", "status", code)
		c.fault(code)
		return
	}
	resp := uabinary.CreateSessionResponse{
		ResponseHeader:        c.responseHeader(),
		SessionID:             sess.id,
		AuthenticationToken:   sess.token,
		RevisedSessionTimeout: milliseconds(sess.timeout),
		ServerNonce:           sess.nonce,
		ServerCertificate:     sess.endpoint.chain,
		ServerEndpoints:       sess.endpoint.descriptions(c.conn.urlFor(req.EndpointURL)),
		MaxRequestMessageSize: s.limits().MaxMessageSize,
	}
	if err := c.conn.signSession(&resp, &req); err != nil {
		c.conn.log.Error("server signature failed", "err", err)
		s.closeSession(sess, true)
		c.fault(ua.StatusBadInternalError)
		return
	}
	s.log.Info("session created", "session_id", sess.id.String(), "name", sess.name,
		"application_uri", sess.clientURI, "remote", c.conn.remote)
	c.respond(&resp)
}

func (s *Server) createSession(c *call, req *uabinary.CreateSessionRequest) (*session, ua.StatusCode) {
	if code := s.checkCreateSession(c, req); code != ua.StatusOK {
		return nil, code
	}
	now := time.Now()
	sess := &session{
		server:      s,
		id:          newSessionID(),
		token:       newToken(),
		name:        shortText(req.SessionName, maxSessionName),
		endpoint:    c.conn.ep,
		clientURI:   shortText(req.ClientDescription.ApplicationURI, maxSessionName),
		policyURI:   c.conn.channel.Policy().URI(),
		mode:        c.conn.channel.Mode(),
		timeout:     s.limits().revisedTimeout(req.RequestedSessionTimeout),
		maxResponse: req.MaxResponseMessageSize,
		created:     now,
		seen:        now,
		nonce:       randomBytes(nonceLength),
	}
	sess.clientCertificate = c.conn.channel.ClientCertificate()
	if sess.name == "" {
		sess.name = sess.id.String()
	}
	sess.subs.init(sess)
	return sess, s.addSession(sess, c.conn)
}

// checkCreateSession holds the request against the channel it came on.
func (s *Server) checkCreateSession(c *call, req *uabinary.CreateSessionRequest) ua.StatusCode {
	channel, cfg := c.conn.channel, &c.conn.ep.cfg
	if !c.conn.ep.offers(channel.Policy().URI(), channel.Mode()) {
		return ua.StatusBadSecurityPolicyRejected
	}
	if req.ServerURI != "" && req.ServerURI != s.config().ApplicationURI {
		return ua.StatusBadServerURIInvalid
	}
	if err := c.conn.verifySession(req.ClientDescription.ApplicationURI); err != nil {
		c.end = err
		return statusOf(err)
	}
	if channel.Mode() == ua.MessageSecurityModeNone {
		return ua.StatusOK // certificate and nonce mean nothing here
	}
	if len(req.ClientNonce) < nonceLength && !cfg.SkipNonceLengthCheck {
		return ua.StatusBadNonceInvalid
	}
	if !sameCertificate(req.ClientCertificate, channel.ClientCertificate()) {
		return ua.StatusBadCertificateInvalid
	}
	if !cfg.SkipApplicationURICheck && !carriesURI(channel.ClientCertificate(), req.ClientDescription.ApplicationURI) {
		return ua.StatusBadCertificateURIInvalid
	}
	return ua.StatusOK
}

// sameCertificate compares the leaf a client sent, perhaps with the chain that
// issued it, with the one proven on the channel. Anything else behind the
// leaf is refused, and never signed.
func sameCertificate(sent, leaf []byte) bool {
	if !bytes.HasPrefix(sent, leaf) || len(leaf) == 0 {
		return false
	}
	if len(sent) == len(leaf) {
		return true
	}
	_, err := x509.ParseCertificates(sent[len(leaf):])
	return err == nil
}

// carriesURI is the check of Part 4 (1.05), 6.1.3 against the ClientDescription.
func carriesURI(der []byte, uri string) bool {
	cert, err := x509.ParseCertificate(der)
	if err != nil || uri == "" {
		return false
	}
	for _, u := range cert.URIs {
		if u.String() == uri {
			return true
		}
	}
	return false
}

// signSession proves possession of our key: signature over the client's leaf
// certificate and nonce. The chain is part of it only for clients that are known
// to expect so.
func (c *connection) signSession(resp *uabinary.CreateSessionResponse, req *uabinary.CreateSessionRequest) error {
	policy := c.channel.Policy()
	if c.channel.Mode() == ua.MessageSecurityModeNone {
		return nil
	}
	certificate := c.channel.ClientCertificate()
	if c.ep.cfg.SignatureWithChain {
		certificate = req.ClientCertificate // begins with it, and nothing but certificates follow
	}
	sig, err := policy.Sign(c.ep.cfg.Identity.Key, certificate, req.ClientNonce)
	resp.ServerSignature = uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: sig}
	return err
}

// shortText cuts s to at most n bytes, between characters.
func shortText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// handleActivateSession: 5.7.3. It also moves a Session to another channel and
// changes its user.
func (s *Server) handleActivateSession(c *call, r *uabinary.Reader) {
	var req uabinary.ActivateSessionRequest
	if !c.parseOwned(r, &req) {
		return
	}
	sess := s.lookup(c.header.AuthenticationToken)
	if sess == nil {
		c.fault(ua.StatusBadSessionIDInvalid)
		return
	}
	code := s.activateSession(c, sess, &req)
	if code != ua.StatusOK {
		s.counters.securityRejectedSessions.Add(1)
		c.conn.log.Warn("activation refused", "session_id", sess.id.String(), "status", code)
		if c.aside == nil { // else the fault is held back
			c.fault(code)
		}
		return
	}
	c.session = sess
	sess.mu.Lock()
	resp := uabinary.ActivateSessionResponse{ResponseHeader: c.responseHeader(), ServerNonce: sess.nonce}
	name := sess.user.name
	sess.mu.Unlock()
	s.log.Info("session activated", "session_id", sess.id.String(), "user", name)
	c.respond(&resp)
}

// activateSession changes nothing unless everything is in order.
func (s *Server) activateSession(c *call, sess *session, req *uabinary.ActivateSessionRequest) ua.StatusCode {
	if len(req.LocaleIDs) > s.limits().MaxLocales {
		return ua.StatusBadTooManyOperations
	}
	sess.mu.Lock()
	before, activated, current, nonce := sess.channel, sess.activated, sess.user, sess.nonce
	closed := sess.closed
	sess.mu.Unlock()
	if closed {
		return ua.StatusBadSessionIDInvalid
	}
	if code := sess.mayUse(c.conn, before, activated); code != ua.StatusOK {
		return code
	}
	if err := c.conn.verifySession(sess.clientURI); err != nil {
		c.end = err
		return statusOf(err)
	}
	if !c.conn.signed(&req.ClientSignature, nonce) {
		return ua.StatusBadApplicationSignatureInvalid
	}
	u, code := s.authenticate(c, req, nonce)
	if code != ua.StatusOK {
		return code
	}
	moved := before != c.conn
	if moved && !u.is(current) {
		return ua.StatusBadIdentityChangeNotSupported
	}
	return s.activate(c, sess, u, before, nonce)
}

// mayUse is the binding of a Session to channel and certificate.
func (sess *session) mayUse(c, current *connection, activated bool) ua.StatusCode {
	if c == current {
		return ua.StatusOK
	}
	if !activated {
		return ua.StatusBadSecureChannelIDInvalid
	}
	if !c.ep.offers(sess.policyURI, sess.mode) {
		return ua.StatusBadSecurityPolicyRejected // since its settings have changed
	}
	if c.endpointURL != sess.endpoint.cfg.URL || c.channel.Policy().URI() != sess.policyURI || c.channel.Mode() != sess.mode ||
		!bytes.Equal(c.channel.ClientCertificate(), sess.clientCertificate) {
		return ua.StatusBadSecurityChecksFailed
	}
	return ua.StatusOK
}

// signed checks the signature over our certificate and the last ServerNonce.
func (c *connection) signed(sig *uabinary.SignatureData, nonce []byte) bool {
	if c.channel.Mode() == ua.MessageSecurityModeNone {
		return true
	}
	policy := c.channel.Policy()
	if sig.Algorithm != policy.SignatureAlgorithm() {
		return false
	}
	return c.ep.proves(policy, c.channel.ClientKey(), sig.Signature, nonce)
}

// proves checks a signature over our certificate and a nonce of ours. Some
// clients sign all that they were sent as our certificate.
func (e *Endpoint) proves(policy *securechannel.Policy, key *rsa.PublicKey, sig, nonce []byte) bool {
	return policy.Verify(key, sig, e.certificate, nonce) == nil ||
		len(e.chain) > len(e.certificate) && policy.Verify(key, sig, e.chain, nonce) == nil
}

// activate binds sess to the channel of c with user u and a fresh nonce, unless
// something else happened to it since: the nonce that was signed is good for
// one activation, also of two that race.
func (s *Server) activate(c *call, sess *session, u *user, before *connection, nonce []byte) ua.StatusCode {
	moved := before != c.conn
	s.mu.Lock()
	if moved && len(c.conn.sessions) >= s.limits().MaxSessionsPerChannel {
		s.mu.Unlock()
		return ua.StatusBadTooManySessions
	}
	sess.mu.Lock()
	if sess.closed || sess.channel != before || !bytes.Equal(sess.nonce, nonce) {
		sess.mu.Unlock()
		s.mu.Unlock()
		return ua.StatusBadSessionIDInvalid
	}
	sess.activated, sess.user, sess.seen = true, u, c.arrived
	sess.nonce = randomBytes(nonceLength)
	sess.channel = c.conn
	sess.mu.Unlock()
	if moved {
		s.unbind(sess, before)
	}
	c.conn.sessions[sess] = struct{}{}
	c.conn.channel.SetSessionActive(true)
	s.mu.Unlock()
	if moved && before != nil {
		s.sessionDetached(sess, before)
	}
	sess.subs.userChanged(u)
	if u.of != s.settings() {
		s.revise(sess)
	}
	sess.rest()
	return ua.StatusOK
}

// handleCloseSession: 5.7.4. A Session that was never activated may be closed
// too.
func (s *Server) handleCloseSession(c *call, r *uabinary.Reader) {
	var req uabinary.CloseSessionRequest
	if !c.parse(r, &req) {
		return
	}
	sess := s.lookup(c.header.AuthenticationToken)
	if sess == nil {
		c.fault(ua.StatusBadSessionIDInvalid)
		return
	}
	sess.mu.Lock()
	code := sess.admits(c)
	sess.mu.Unlock()
	if code != ua.StatusOK && code != ua.StatusBadSessionNotActivated {
		c.fault(code)
		return
	}
	s.closeSession(sess, req.DeleteSubscriptions)
	c.respond(&uabinary.CloseSessionResponse{ResponseHeader: c.responseHeader()})
}
