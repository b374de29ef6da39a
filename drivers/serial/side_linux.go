package serial

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// side is a second descriptor of a port. It never moves data; what is set through it belongs to the port, so that the
// library's descriptor obeys it as well.
type side struct {
	fd   int
	name string

	mu     sync.Mutex // the counters are read by others
	closed bool
}

// openSide opens the port without waiting for a modem and refuses one that somebody else holds.
func openSide(name string) (*side, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, explain(err))
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("lock %s: %w", name, explain(err))
	}
	return &side{fd: fd, name: name}, nil
}

// claim makes every further open of the port fail. Root may still open it; the lock is there for that.
func (s *side) claim() error {
	if err := unix.IoctlSetInt(s.fd, unix.TIOCEXCL, 0); err != nil {
		return fmt.Errorf("claim %s: %w", s.name, err)
	}
	return nil
}

// Close gives the port free.
func (s *side) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = unix.IoctlSetInt(s.fd, unix.TIOCNXCL, 0) // fails when the port is gone
	return unix.Close(s.fd)
}

// explain adds what an administrator can do.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: another program uses the port", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: the user needs access to the port, often by joining the group dialout", err)
	}
	return err
}
