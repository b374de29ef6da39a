//go:build unix

package reverseconnect

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// anyPort is never a port: here the client's port is always known.
const anyPort = -1

// bindLoopback gives a socket that is about to dial its local address and returns its port.
func bindLoopback(raw syscall.RawConn) (port int, err error) {
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = unix.Bind(int(fd), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		if failure != nil {
			return
		}
		var address unix.Sockaddr
		if address, failure = unix.Getsockname(int(fd)); failure != nil {
			return
		}
		if inet, ok := address.(*unix.SockaddrInet4); ok {
			port = inet.Port
		}
	})
	if err == nil {
		err = failure
	}
	return port, err
}
