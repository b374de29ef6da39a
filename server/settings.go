package server

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// settings is what a Server goes by at one time. It is never changed, only
// replaced as a whole: who needs several things that belong together takes all
// of them from one.
type settings struct {
	cfg       Config
	limits    Limits
	endpoints []*Endpoint
	users     *userTable
	// tokenPolicy encrypts passwords on channels that do not.
	tokenPolicy *securechannel.Policy
	transport   uatcp.Config
}

func (s *Server) settings() *settings { return s.current.Load() }

func (s *Server) config() *Config { return &s.settings().cfg }

func (s *Server) limits() *Limits { return &s.settings().limits }

// newSettings checks cfg. before are the present settings, if there are any.
func (s *Server) newSettings(cfg Config, before *settings) (*settings, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	next := &settings{cfg: cfg, limits: cfg.Limits.withDefaults()}
	next.transport = transportConfig(&next.limits, s.unauthenticated)
	var err error
	if before != nil && reflect.DeepEqual(before.cfg.Users, cfg.Users) {
		next.users = before.users // hashing takes its time
	} else if next.users, err = newUserTable(cfg.Users); err != nil {
		return nil, err
	}
	if next.tokenPolicy, err = cfg.tokenPolicy(); err != nil {
		return nil, err
	}
	for _, e := range cfg.Endpoints {
		if next.endpoint(e.URL) != nil {
			return nil, fmt.Errorf("server: endpoint %q is there twice", e.URL)
		}
		ep, err := s.newEndpoint(e, next)
		if err != nil {
			return nil, err
		}
		next.endpoints = append(next.endpoints, ep)
	}
	return next, nil
}

// endpoint finds the endpoint with this URL, nil if there is none.
func (st *settings) endpoint(url string) *Endpoint {
	for _, e := range st.endpoints {
		if e.cfg.URL == url {
			return e
		}
	}
	return nil
}

// Why connections are ended by a change of the settings.
var (
	errReopened = &uatcp.StatusError{Code: ua.StatusBadSecureChannelClosed, Op: "the settings of the endpoint have changed"}
	errRemoved  = &uatcp.StatusError{Code: ua.StatusBadSecureChannelClosed, Op: "the endpoint is not there any more"}
)

// Prepare checks a configuration that is to replace the present one and returns
// what does it while the server runs, which cannot fail. Changes are applied
// one after the other, each of them before the next one is prepared.
//
// An endpoint is the same as long as its URL is. Connections take over its new
// settings, its certificate among them, when they say Hello: those that exist
// go on, except on an endpoint that is to be reopened or that is not there any
// more. A Session outlives the end of its connection as ever, unless its
// endpoint is gone or does not offer its security any more.
//
// Users and rights hold at once, for Sessions as well. A Session is closed,
// and its Subscriptions with it, when its user is not there any more, may not
// log in any more in the way he did, or has another password (Part 18 (1.05),
// 5.2.6 and 5.2.7). The trust in the certificate of a user counts when he logs
// in.
//
// Limits hold for what comes: nothing that exists is taken away, Sessions,
// Subscriptions and MonitoredItems keep what was revised for them, and
// messages are bounded as told in the Acknowledge. The budgets of bytes that
// all connections share, and Handshakes, stay as they were in New, and so does
// the ApplicationURI.
func (s *Server) Prepare(cfg Config) (apply func(reopen []string), err error) {
	before := s.settings()
	if cfg.ApplicationURI != before.cfg.ApplicationURI {
		return nil, fmt.Errorf("server: the ApplicationURI %q cannot become %q: namespaces have its name", before.cfg.ApplicationURI, cfg.ApplicationURI)
	}
	next, err := s.newSettings(cfg, before)
	if err != nil {
		return nil, err
	}
	return func(reopen []string) { s.replaceSettings(next, reopen) }, nil
}

func (s *Server) replaceSettings(next *settings, reopen []string) {
	s.current.Store(next)
	s.logins.setLimits(&next.limits)
	s.mu.Lock()
	s.admissions.limits = &next.limits
	stopping := s.stopping
	sessions := make([]*session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		sessions = append(sessions, sess)
	}
	for c := range s.connections {
		if cause := next.ends(c.endpointURL, reopen); cause != nil {
			s.ending.Go(func() { c.end(cause) })
		}
	}
	s.mu.Unlock()
	if !stopping {
		s.setState(ua.ServerStateRunning, 0)
	}
	s.publishCapabilities()
	for _, sess := range sessions {
		s.revise(sess)
	}
}

// ends says why connections of an endpoint have to end, nil if they go on.
func (st *settings) ends(url string, reopen []string) error {
	switch {
	case st.endpoint(url) == nil:
		return errRemoved
	case slices.Contains(reopen, url):
		return errReopened
	}
	return nil
}

// revise holds a Session against the present settings: it is closed or its user
// gets the rights that he has now. Who changes the user of a Session while the
// settings are replaced calls it as well.
func (s *Server) revise(sess *session) {
	st := s.settings()
	sess.mu.Lock()
	u := sess.user
	sess.mu.Unlock()
	ep := st.endpoint(sess.endpoint.cfg.URL)
	switch {
	case ep == nil || !ep.offers(sess.policyURI, sess.mode):
		s.log.Warn("session closed by a change of its endpoint", "session_id", sess.id.String(), "name", sess.name)
		s.closeSession(sess, true)
		return
	case u == nil || u.of == st:
		return
	case !st.admits(u):
		s.log.Warn("session closed by a change of its user", "session_id", sess.id.String(), "name", sess.name, "user", u.name)
		s.closeSession(sess, true)
		return
	}
	now := *u
	now.rights = nil
	next := s.withRights(st, now)
	sess.mu.Lock()
	same := sess.user == u
	if same {
		sess.user = next
	}
	sess.mu.Unlock()
	if same && !slices.Equal(u.rights, next.rights) {
		sess.subs.userChanged(next)
	}
}

// admits reports whether u could still log in as he did.
func (st *settings) admits(u *user) bool {
	now, before := st.users.byName[u.name], u.of.users.byName[u.name]
	switch {
	case u.anonymous:
		return st.offersAnonymous()
	case u.byCertificate():
		return st.cfg.Certificate && now.Certificate
	}
	return st.cfg.UserName && now.hasPassword() && now.Password == before.Password && slices.Equal(now.Hash, before.Hash)
}

// offersAnonymous reports whether Sessions without a user are let in.
func (st *settings) offersAnonymous() bool {
	return st.cfg.Anonymous && (st.cfg.Users == nil || st.users.knows(AnonymousUser))
}
