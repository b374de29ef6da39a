package reverseconnect

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// keepAliveProbes is how many probes may stay unanswered.
const keepAliveProbes = 3

// targetDialer dials with the system's sockets. A client that has vanished, or a NAT that has forgotten the connection,
// is noticed within twice KeepAlive: three probes, each a quarter of KeepAlive after the one before. Data on its way is
// given up after the same time, or UserTimeout, where the system can.
func targetDialer(t *Target) *net.Dialer {
	interval := max(time.Second, (t.KeepAlive / 4).Truncate(time.Second))
	// The kernel compares the user timeout with this at each probe; half an interval less makes it the last one, not the
	// one after.
	unacknowledged := t.KeepAlive + keepAliveProbes*interval - interval/2
	if t.Path.UserTimeout > 0 {
		unacknowledged = t.Path.UserTimeout
	}
	device := t.Path.Interface
	d := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: t.KeepAlive, Interval: interval, Count: keepAliveProbes},
		Control: func(_, _ string, raw syscall.RawConn) error {
			return setOptions(raw, unacknowledged, device)
		},
	}
	if source, err := netip.ParseAddr(t.Path.SourceAddress); err == nil {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d
}
