//go:build !unix

package reverseconnect

import "syscall"

// anyPort lets every local process in: here a client's port is not known before it dials.
const anyPort = 0

func bindLoopback(syscall.RawConn) (port int, err error) { return anyPort, nil }
