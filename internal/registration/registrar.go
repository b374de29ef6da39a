package registration

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

const (
	attemptTimeout = 20 * time.Second // one registration, dialling included
	goodbyeTimeout = 2 * time.Second  // all of them at the end
	longestPause   = 10 * time.Minute // between attempts that fail
	jitter         = 0.2              // of a pause, so that gateways do not come in step
	defaultPort    = "4840"
)

// Config says what to register where.
type Config struct {
	URLs     []string      // of the discovery servers: opc.tcp://host:port
	Interval time.Duration // between two registrations that succeed
	// Server is what is told; IsOnline is filled in.
	Server uabinary.RegisteredServer
	// Capabilities are the server's, of Part 12 (1.05), Annex D.
	Capabilities []string
	Identity     *securechannel.Identity
	// Trust decides on the certificate of a discovery server.
	Trust func(certificate []byte) error
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Log   *slog.Logger // nil discards
}

// Registrar keeps a server registered.
type Registrar struct{ cfg Config }

// New makes a Registrar. Without URLs it does nothing.
func New(cfg Config) *Registrar {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Registrar{cfg}
}

// Run registers at every discovery server until ctx is done, and then takes the registrations back.
func (r *Registrar) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, address := range r.cfg.URLs {
		all.Go(func() { r.keep(ctx, address) })
	}
	all.Wait()
	return nil
}

// keep registers at one discovery server. A change for better or worse is one line in the log.
func (r *Registrar) keep(ctx context.Context, address string) {
	log := r.cfg.Log.With("discovery_server", address)
	registered, told := false, false
	pause := r.cfg.Interval
	for {
		err := r.register(ctx, address, true)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			if !registered {
				log.Info("registered")
			}
			registered, told, pause = true, false, r.cfg.Interval
		default:
			if !told {
				log.Warn("not registered", "err", err)
			}
			told = true
		}
		if !sleep(ctx, spread(pause)) {
			break
		}
		if err != nil {
			pause = min(2*pause, max(longestPause, r.cfg.Interval))
		}
	}
	if registered {
		r.leave(ctx, address, log)
	}
}

// leave says that the server goes.
func (r *Registrar) leave(ctx context.Context, address string, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	if err := r.register(ctx, address, false); err != nil {
		log.Warn("registration not taken back", "err", err)
		return
	}
	log.Info("registration taken back")
}

// register tells one discovery server whether the server is there.
func (r *Registrar) register(ctx context.Context, rawURL string, online bool) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	nc, err := r.dial(ctx, rawURL)
	if err != nil {
		return err
	}
	endpoints, err := uaclient.Endpoints(ctx, nc, rawURL)
	if err != nil {
		return err
	}
	ep, err := r.choose(endpoints)
	if err != nil {
		return err
	}
	if nc, err = r.dial(ctx, rawURL); err != nil {
		return err
	}
	server := r.cfg.Server
	server.IsOnline = online
	return uaclient.Register(ctx, nc, uaclient.Options{
		EndpointURL: rawURL, SecurityPolicyURI: ep.SecurityPolicyURI, Mode: ep.SecurityMode,
		Identity: r.cfg.Identity, ServerCertificate: ep.ServerCertificate,
	}, server, uabinary.MdnsDiscoveryConfiguration{MdnsServerName: mdnsName(&server), ServerCapabilities: r.cfg.Capabilities})
}

// dial connects to the configured address.
func (r *Registrar) dial(ctx context.Context, rawURL string) (net.Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "" {
		return nil, errors.New("the address is not opc.tcp://host:port")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	return r.cfg.Dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
}

var (
	errNoSecurity = errors.New("the discovery server offers no endpoint with security that is supported")
	errNoIdentity = errors.New("there is no certificate of our own to register with")
)

// choose picks the most secure endpoint whose certificate is trusted. That the discovery server has its key is proven by
// the SecureChannel.
func (r *Registrar) choose(endpoints []uabinary.EndpointDescription) (*uabinary.EndpointDescription, error) {
	if r.cfg.Identity == nil {
		return nil, errNoIdentity
	}
	var best *uabinary.EndpointDescription
	for i := range endpoints {
		ep := &endpoints[i]
		policy, known := securechannel.PolicyByURI(ep.SecurityPolicyURI)
		secured := ep.SecurityMode == ua.MessageSecurityModeSign || ep.SecurityMode == ua.MessageSecurityModeSignAndEncrypt
		if !known || policy.IsNone() || !secured {
			continue
		}
		if best == nil || ep.SecurityMode > best.SecurityMode || ep.SecurityMode == best.SecurityMode && ep.SecurityLevel > best.SecurityLevel {
			best = ep
		}
	}
	if best == nil {
		return nil, errNoSecurity
	}
	return best, r.cfg.Trust(best.ServerCertificate)
}

// mdnsName is the name that a discovery server announces: at most 63 bytes (Part 4 (1.05), 7.13.2).
func mdnsName(s *uabinary.RegisteredServer) string {
	const longest = 63
	if len(s.ServerNames) == 0 {
		return ""
	}
	name := []rune(s.ServerNames[0].Text)
	for len(string(name)) > longest {
		name = name[:len(name)-1]
	}
	return string(name)
}

// spread shortens a pause at random.
func spread(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*jitter*float64(d)) //nolint:gosec // nobody gains by guessing it
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
