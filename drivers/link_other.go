//go:build !linux

package drivers

import (
	"syscall"
	"time"
)

// peeker cannot tell.
func peeker(syscall.RawConn) func(wait time.Duration) (bool, error) { return nil }
