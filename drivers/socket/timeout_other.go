//go:build !linux

package socket

import "syscall"

// setUserTimeout does nothing: other systems have keep-alive only.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
