package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout ends a connection whose data nobody acknowledges: a cable that was pulled shows while there is traffic.
func setUserTimeout(_, _ string, c syscall.RawConn) error {
	var err error
	outer := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	return errors.Join(outer, err)
}
