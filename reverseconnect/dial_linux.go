package reverseconnect

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const canBindInterface = true

// setOptions sets TCP_USER_TIMEOUT, after which sent data that stays unacknowledged ends the connection (RFC 5482), and
// binds the socket to an interface, if one is named.
func setOptions(raw syscall.RawConn, timeout time.Duration, device string) error {
	var failure error
	err := raw.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		if failure == nil && device != "" {
			if err := unix.BindToDevice(int(fd), device); err != nil {
				failure = fmt.Errorf("interface %s: %w", device, err)
			}
		}
	})
	if err != nil {
		return err
	}
	return failure
}
