package reverseconnect

import (
	"net"
	"sync/atomic"
)

// Session is one call of a server: a socket on which it waits for Hello. It has nothing to do with the Session of the
// session services, which comes later on the same socket.
type Session struct {
	ServerURI   string // the server's claim, not verified before its certificate is
	EndpointURL string // what Hello has to echo
	RemoteAddr  net.Addr
	Conn        net.Conn // the caller's, who says Hello on it or closes it

	listener *Listener
	used     atomic.Bool // Conn belongs to a client made by NewClient or Discover
}

// Close hangs up. The server will call again after its own delay.
func (s *Session) Close() error { return s.Conn.Close() }

// next returns a socket to the same server: this call's own the first time, afterwards that of its next call, unless
// done is closed before.
func (s *Session) next(done <-chan struct{}) (net.Conn, error) {
	if s.used.CompareAndSwap(false, true) {
		return s.Conn, nil
	}
	again, err := s.listener.accept(done, Filter{ServerURI: s.ServerURI, EndpointURL: s.EndpointURL})
	if err != nil {
		return nil, err
	}
	return again.Conn, nil
}
