package server

import (
	"crypto/rand"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// nonceLength is the length of a ServerNonce and the least of a ClientNonce
// (Part 4 1.05, 5.7.2.2).
const nonceLength = 32

// session is a Session (Part 4 1.05, 5.7).
type session struct {
	server            *Server
	id                uabinary.NodeID // shown to the client and in diagnostics
	token             uabinary.NodeID // AuthenticationToken: secret, 32 random bytes
	name              string
	endpoint          *Endpoint
	clientURI         string // ApplicationUri of the ClientDescription
	clientCertificate []byte // leaf, as sent on the channel
	policyURI         string // of the creating channel
	mode              ua.MessageSecurityMode
	timeout           time.Duration
	maxResponse       uint32 // bytes the client takes in one response; 0: any
	created           time.Time

	mu        sync.Mutex
	channel   *connection   // guarded by mu; nil while no channel carries it
	user      *user         // guarded by mu; nil until activated
	nonce     []byte        // guarded by mu; of the last Create- or ActivateSession
	activated bool          // guarded by mu
	closed    bool          // guarded by mu
	seen      time.Time     // guarded by mu; monotonic: last request
	aside     int           // guarded by mu; calls that wait aside
	points    continuations // guarded by mu
	timer     *time.Timer   // fires at seen+timeout at the earliest

	subs sessionSubscriptions
}

// randomBytes comes from the system's generator, which does not fail.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// newToken makes an AuthenticationToken nobody can guess.
func newToken() uabinary.NodeID { return uabinary.OpaqueID(0, randomBytes(nonceLength)) }

func newSessionID() uabinary.NodeID {
	return uabinary.GUIDID(1, uabinary.GUID(randomBytes(16)))
}

// enterSession finds the Session of c and marks it used.
func (s *Server) enterSession(c *call) ua.StatusCode {
	sess := s.lookup(c.header.AuthenticationToken)
	if sess == nil {
		return ua.StatusBadSessionIDInvalid
	}
	sess.mu.Lock()
	code := sess.admits(c)
	if code == ua.StatusOK {
		sess.seen = c.arrived
		c.as = sess.user
	}
	sess.mu.Unlock()
	if code == ua.StatusBadSessionNotActivated {
		// Part 4 1.05, 5.7.2.1: using it too early costs the Session.
		s.closeSession(sess, true)
	}
	c.session = sess
	return code
}

func (sess *session) admits(c *call) ua.StatusCode {
	switch {
	case sess.closed:
		return ua.StatusBadSessionIDInvalid
	case sess.channel != c.conn:
		return ua.StatusBadSecureChannelIDInvalid
	case !sess.activated:
		return ua.StatusBadSessionNotActivated
	}
	return ua.StatusOK
}

func (s *Server) lookup(token uabinary.NodeID) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.sessions[token]
}

// addSession takes sess in on the channel of c, dropping the oldest Session
// that was never activated when all places are taken.
func (s *Server) addSession(sess *session, c *connection) ua.StatusCode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return ua.StatusBadShutdown
	}
	perClient := s.limits().MaxSessionsPerClient
	if len(c.sessions) >= s.limits().MaxSessionsPerChannel || perClient > 0 && s.sessionsOf(sess.clientURI) >= perClient {
		return ua.StatusBadTooManySessions
	}
	if len(s.sessions) >= s.limits().MaxSessions {
		victim := s.oldestNotActivated()
		if victim == nil {
			return ua.StatusBadTooManySessions
		}
		s.drop(victim)
	}
	sess.mu.Lock()
	sess.timer = time.AfterFunc(s.limits().ActivationTime, sess.expire)
	sess.mu.Unlock()
	s.sessions[sess.token] = sess
	s.bind(sess, c)
	s.counters.cumulatedSessions.Add(1)
	return ua.StatusOK
}

func (s *Server) sessionsOf(clientURI string) (n int) {
	for _, sess := range s.sessions {
		if sess.clientURI == clientURI {
			n++
		}
	}
	return n
}

func (s *Server) oldestNotActivated() (oldest *session) {
	for _, sess := range s.sessions {
		sess.mu.Lock()
		candidate := !sess.activated
		sess.mu.Unlock()
		if candidate && (oldest == nil || sess.created.Before(oldest.created)) {
			oldest = sess
		}
	}
	return oldest
}

// drop forgets a Session that was never activated; nothing hangs on it yet.
// The caller holds s.mu.
func (s *Server) drop(sess *session) {
	delete(s.sessions, sess.token)
	sess.mu.Lock()
	sess.closed = true
	c := sess.channel
	sess.channel = nil
	sess.mu.Unlock()
	sess.timer.Stop()
	s.unbind(sess, c)
}

// bind makes c the channel of sess. The caller holds s.mu.
func (s *Server) bind(sess *session, c *connection) {
	c.sessions[sess] = struct{}{}
	sess.mu.Lock()
	sess.channel = c
	sess.mu.Unlock()
}

// unbind takes sess off c, which may be nil. The caller holds s.mu.
func (s *Server) unbind(sess *session, c *connection) {
	if c == nil {
		return
	}
	delete(c.sessions, sess)
	if len(c.sessions) == 0 {
		c.channel.SetSessionActive(false)
	}
}

// closeSession ends sess, once: parked calls are answered, Subscriptions are
// deleted or left to their lifetime.
func (s *Server) closeSession(sess *session, deleteSubscriptions bool) {
	s.mu.Lock()
	sess.mu.Lock()
	first := !sess.closed
	sess.closed = true
	c := sess.channel
	s.releaseAll(sess)
	sess.mu.Unlock()
	if !first {
		s.mu.Unlock()
		return
	}
	delete(s.sessions, sess.token)
	s.unbind(sess, c)
	s.mu.Unlock()
	sess.timer.Stop()
	s.sessionClosed(sess, deleteSubscriptions)
	sess.mu.Lock()
	sess.channel = nil
	sess.mu.Unlock()
	s.log.Info("session closed", "session_id", sess.id.String(), "name", sess.name)
}

// channelLost detaches sess from its ended channel c. A Session that was never
// activated can be so on that channel only and goes with it.
func (s *Server) channelLost(sess *session, c *connection) {
	sess.mu.Lock()
	lost := sess.channel == c
	if lost {
		sess.channel = nil
	}
	activated := sess.activated
	sess.mu.Unlock()
	switch {
	case !activated:
		s.closeSession(sess, true)
	case lost:
		s.sessionDetached(sess, c)
	}
}

// expire runs when the timer fires: the Session ends if it was not used for
// its timeout, or not activated in time; else the timer is set again.
func (sess *session) expire() {
	defer sess.recovered()
	if sess.rest() > 0 {
		return
	}
	s := sess.server
	s.counters.sessionTimeouts.Add(1)
	s.log.Info("session timed out", "session_id", sess.id.String(), "name", sess.name)
	s.closeSession(sess, false)
}

// recovered is deferred in what timers start: a panic ends the Session whose
// timer it was, as one in a request ends the connection, and not the process.
// What a Session that is broken cannot give back any more is left.
func (sess *session) recovered() {
	p := recover()
	if p == nil {
		return
	}
	s := sess.server
	log := s.log.With("session_id", sess.id.String())
	s.counters.panics.Add(1)
	log.Error("session closed by a panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	defer func() {
		if again := recover(); again != nil {
			log.Error("session closed in part", "panic", fmt.Sprint(again))
		}
	}()
	s.closeSession(sess, true)
}

// rest is how long sess may stay unused; the timer is set to it.
func (sess *session) rest() time.Duration {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.closed {
		return math.MaxInt64
	}
	rest := time.Until(sess.seen.Add(sess.timeout))
	if !sess.activated {
		rest = time.Until(sess.created.Add(sess.server.limits().ActivationTime))
	}
	if rest > 0 {
		sess.timer.Reset(rest)
	}
	return rest
}

// revisedTimeout brings what the client asked for, in milliseconds, into
// range; 0, negative or NaN leaves it to the server: an hour, or the longest.
func (l *Limits) revisedTimeout(ms float64) time.Duration {
	switch {
	case !(ms > 0):
		return min(l.MaxSessionTimeout, max(l.MinSessionTimeout, time.Hour))
	case ms >= float64(l.MaxSessionTimeout.Milliseconds()):
		return l.MaxSessionTimeout
	}
	return max(l.MinSessionTimeout, time.Duration(ms*float64(time.Millisecond)))
}

// milliseconds is d as an OPC UA Duration.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
