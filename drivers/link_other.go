//go:build !unix

package drivers

import "syscall"

// peeker cannot tell.
func peeker(syscall.RawConn) func() (bool, error) { return nil }
