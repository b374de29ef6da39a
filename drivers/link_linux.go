package drivers

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// peeker returns a function that asks the kernel whether a socket has something to read or has ended, and waits for it
// that long on the thread of the caller.
func peeker(raw syscall.RawConn) func(wait time.Duration) (bool, error) {
	var (
		ask  [1]unix.PollFd
		long unix.Timespec
		n    int
		fail error
	)
	poll := func(fd uintptr) {
		ask[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, fail = unix.Ppoll(ask[:], &long, nil)
		for long == (unix.Timespec{}) && errors.Is(fail, unix.EINTR) { // by a signal of the runtime; who waits may as well go on
			n, fail = unix.Ppoll(ask[:], &long, nil)
		}
	}
	return func(wait time.Duration) (bool, error) {
		long = unix.NsecToTimespec(wait.Nanoseconds())
		if err := raw.Control(poll); err != nil {
			return false, err
		}
		if errors.Is(fail, unix.EINTR) {
			return false, nil
		}
		return n > 0, fail
	}
}
