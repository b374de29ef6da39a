//go:build !linux

package reverseconnect

import (
	"syscall"
	"time"
)

const canBindInterface = false

// setOptions does nothing: keepalive alone has to notice a client that has vanished.
func setOptions(syscall.RawConn, time.Duration, string) error { return nil }
