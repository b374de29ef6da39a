package reverseconnect

import (
	"net"
	"syscall"
	"time"
)

// keepAliveProbes is how many probes may stay unanswered.
const keepAliveProbes = 3

// systemDialer dials with the system's sockets. A client that has vanished, or a NAT that has forgotten the connection,
// is noticed within twice keepAlive: three probes, each a quarter of keepAlive after the one before. Data on its way is
// given up after the same time, where the system can.
func systemDialer(keepAlive time.Duration) *net.Dialer {
	interval := max(time.Second, (keepAlive / 4).Truncate(time.Second))
	whole := keepAlive + keepAliveProbes*interval
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: interval, Count: keepAliveProbes},
		Control: func(_, _ string, raw syscall.RawConn) error {
			// The kernel compares with this at each probe; half an interval less makes it the last one, not the one after.
			return setUserTimeout(raw, whole-interval/2)
		},
	}
}
