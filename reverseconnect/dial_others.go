//go:build !linux

package reverseconnect

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing: keepalive alone has to notice.
func setUserTimeout(syscall.RawConn, time.Duration) error { return nil }
