package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Path says on which way connections to a client leave. The zero value leaves it to the system.
type Path struct {
	// SourceAddress is the IP address of this machine to call from.
	SourceAddress string
	// Interface is the network interface to call from, such as wwan0. Linux only.
	Interface string
	// Proxy is a proxy to call through, as socks5://host:port (RFC 1928) or http://host:port (CONNECT, RFC 9110, 9.3.6). The
	// proxy resolves the client's name.
	Proxy string
	// ProxyCredentials is a file that holds user:password for the proxy and that nobody but its owner may read. It is
	// read at every call.
	ProxyCredentials string
	// UserTimeout is how long sent data may stay unacknowledged before the connection is given up (RFC 5482); 0 is the time
	// after which keepalive gives up. Linux only.
	UserTimeout time.Duration
}

// dialFunc is net.Dialer.DialContext or stands in for it.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// maxInterface is the longest name of an interface in bytes.
const maxInterface = 15

func (p *Path) check() error {
	if p.SourceAddress != "" {
		if _, err := netip.ParseAddr(p.SourceAddress); err != nil {
			return fmt.Errorf("SourceAddress %q is not an IP address", p.SourceAddress)
		}
	}
	switch {
	case p.Interface != "" && !canBindInterface:
		return errors.New("choosing an Interface works on Linux only")
	case len(p.Interface) > maxInterface:
		return fmt.Errorf("the Interface %q is longer than %d bytes", p.Interface, maxInterface)
	case p.Proxy == "" && p.ProxyCredentials != "":
		return errors.New("there are credentials for a proxy but no Proxy")
	case p.UserTimeout < 0:
		return fmt.Errorf("UserTimeout is %v, must be zero (as keepalive) or more", p.UserTimeout)
	case p.Proxy != "":
		_, err := parseProxy(p.Proxy, p.ProxyCredentials)
		return err
	}
	return nil
}

// dialFunc returns how to dial the checked target; system stands in for the system's dialler, unless it is nil.
func (t *Target) dialFunc(system dialFunc) dialFunc {
	if system == nil {
		system = targetDialer(t).DialContext
	}
	if t.Path.Proxy == "" {
		return system
	}
	p, _ := parseProxy(t.Path.Proxy, t.Path.ProxyCredentials) // checked
	return p.dialFunc(system)
}
