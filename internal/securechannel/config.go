package securechannel

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// MessageLimits bounds the requests of a client.
type MessageLimits struct {
	MaxMessageSize int           // bytes of a request body
	MaxChunkCount  int           // chunks of a request
	FrameTimeout   time.Duration // from the first to the last byte of a chunk
	MessageTimeout time.Duration // from the first to the last chunk of a request
}

// Config is what the SecureChannels of one endpoint have in common. Identity, Allowed and Trust are required for any policy but
// None; without them nobody gets a secured channel. A zero limit takes its default.
type Config struct {
	Identity *Identity
	// Allowed reports whether the endpoint offers this policy in this mode. It is not asked about None, which is always
	// open so that clients can discover endpoints; whether a Session may use it is for the server to decide.
	Allowed func(policyURI string, mode ua.MessageSecurityMode) bool
	// AllowLongKeys admits client certificates with RSA keys up to 8192 bits, where the policies end at 4096.
	AllowLongKeys bool
	// Trust decides on a client certificate, given in DER as it was sent: issuers may follow it in the same slice.
	// It is asked again at each renewal. Only the StatusCodes about validity times, uses, the
	// ApplicationUri and unknown revocation reach the peer; all else becomes BadSecurityChecksFailed.
	Trust func(certificate []byte) error

	MinLifetime        time.Duration // of a SecurityToken, default 60 s
	MaxLifetime        time.Duration // of a SecurityToken, default 1 h
	OpenTimeout        time.Duration // for the first OpenSecureChannel to begin, default 10 s
	SessionlessTimeout time.Duration // life of a channel without an active Session, default 60 s

	BeforeSession MessageLimits // default 64 KiB, 4 chunks, 10 s, 10 s
	InSession     MessageLimits // default 1 MiB, 64 chunks, 30 s, 60 s

	Budget     *uatcp.Budget // bytes of incomplete requests of all channels; nil is no limit
	Handshakes *Handshakes   // limits on RSA handshakes of all channels; nil is no limit
	Log        *slog.Logger  // nil discards
}

const (
	maxOpenSize = 32 << 10 // bytes of an OPN chunk

	// DefaultBudget is a sensible size in bytes of the Budget for incomplete requests.
	DefaultBudget = 8 << 20
)

func (cfg Config) withDefaults() Config {
	cfg.MinLifetime = cmp.Or(cfg.MinLifetime, time.Minute)
	cfg.MaxLifetime = max(cfg.MinLifetime, cmp.Or(cfg.MaxLifetime, time.Hour))
	cfg.OpenTimeout = cmp.Or(cfg.OpenTimeout, 10*time.Second)
	cfg.SessionlessTimeout = cmp.Or(cfg.SessionlessTimeout, time.Minute)
	cfg.BeforeSession = cfg.BeforeSession.or(MessageLimits{64 << 10, 4, 10 * time.Second, 10 * time.Second})
	cfg.InSession = cfg.InSession.or(MessageLimits{1 << 20, 64, 30 * time.Second, 60 * time.Second})
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func (l MessageLimits) or(def MessageLimits) MessageLimits {
	return MessageLimits{
		MaxMessageSize: cmp.Or(l.MaxMessageSize, def.MaxMessageSize),
		MaxChunkCount:  cmp.Or(l.MaxChunkCount, def.MaxChunkCount),
		FrameTimeout:   cmp.Or(l.FrameTimeout, def.FrameTimeout),
		MessageTimeout: cmp.Or(l.MessageTimeout, def.MessageTimeout),
	}
}

// offers reports whether a policy other than None is offered in any mode.
func (cfg *Config) offers(uri string) bool {
	return cfg.allows(uri, ua.MessageSecurityModeSign) || cfg.allows(uri, ua.MessageSecurityModeSignAndEncrypt)
}

// longestKey is the longest RSA key of a client in bits.
func (cfg *Config) longestKey() int {
	if cfg.AllowLongKeys {
		return maxLongKeyBits
	}
	return maxKeyBits
}

// allows reports whether a secured mode is offered.
func (cfg *Config) allows(uri string, mode ua.MessageSecurityMode) bool {
	if mode != ua.MessageSecurityModeSign && mode != ua.MessageSecurityModeSignAndEncrypt {
		return false
	}
	if cfg.Identity == nil || cfg.Allowed == nil || cfg.Trust == nil || checkKey(&cfg.Identity.Key.PublicKey, maxKeyBits) != nil {
		return false
	}
	return cfg.Allowed(uri, mode)
}
