package server

import (
	"sync"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// session is a Session (Part 4 1.05, 5.7). Lock order: Server.mu, session.mu.
type session struct {
	server            *Server
	id                uabinary.NodeID // shown to the client and in diagnostics
	token             uabinary.NodeID // AuthenticationToken: secret, 32 random bytes
	name              string
	endpoint          *Endpoint
	clientURI         string // ApplicationUri of the ClientDescription
	clientCertificate []byte // leaf, as sent on the channel
	timeout           time.Duration
	created           time.Time

	mu        sync.Mutex
	channel   *connection // guarded by mu; nil while no channel carries it
	user      user        // guarded by mu
	nonce     []byte      // guarded by mu; of the last Create- or ActivateSession, single use
	activated bool        // guarded by mu
	closed    bool        // guarded by mu
	seen      time.Time   // guarded by mu; monotonic: last request
	timer     *time.Timer // fires at seen+timeout at the earliest

	subs sessionSubscriptions
}

// user is who a Session acts for.
type user struct {
	name      string
	anonymous bool
}
