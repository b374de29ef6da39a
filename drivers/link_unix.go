//go:build unix

package drivers

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// peeker returns a function that asks the kernel, without waiting, whether a socket has something to read or has ended.
func peeker(raw syscall.RawConn) func() (bool, error) {
	var (
		ask  [1]unix.PollFd
		n    int
		fail error
	)
	poll := func(fd uintptr) {
		ask[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, fail = unix.Poll(ask[:], 0)
	}
	return func() (bool, error) {
		if err := raw.Control(poll); err != nil {
			return false, err
		}
		if errors.Is(fail, unix.EINTR) {
			return false, nil
		}
		return n > 0, fail
	}
}
