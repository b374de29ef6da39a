package reverseconnect

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// The client has to say Hello, the server to acknowledge it, and either to finish what it has begun, in these times.
const (
	handshakeTimeout = 10 * time.Second
	frameTimeout     = 30 * time.Second
)

// forwarder joins a gopcua client with the calls of a server. gopcua dials; the forwarder is what it reaches, on a
// port of the loopback interface that serves this client only. See docs/decisions/0002.
type forwarder struct {
	calls *Session
	nl    net.Listener
	url   string // what the client dials
	tasks sync.WaitGroup

	mu       sync.Mutex
	expected int               // guarded by mu; the local port from which the client dials
	open     map[net.Conn]bool // guarded by mu; true when joined with its counterpart
	closed   bool              // guarded by mu
	fault    error             // guarded by mu; why the last connection ended
}

func newForwarder(s *Session) (*forwarder, error) {
	nl, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("reverseconnect: no loopback port for the client: %w", err)
	}
	f := &forwarder{calls: s, nl: nl, url: localURL(s.EndpointURL, nl.Addr()), open: make(map[net.Conn]bool)}
	f.tasks.Go(f.run)
	return f, nil
}

// expect prepares a socket with which the client is about to dial: it gets its port now, so that nobody else on this
// machine can take the call in the client's place.
func (f *forwarder) expect(_, _ string, raw syscall.RawConn) error {
	port, err := bindLoopback(raw)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected = port
	return nil
}

// expects reports whether nc is the client.
func (f *forwarder) expects(nc net.Conn) bool {
	peer, ok := nc.RemoteAddr().(*net.TCPAddr)
	f.mu.Lock()
	defer f.mu.Unlock()
	return ok && (f.expected == peer.Port || f.expected == anyPort)
}

// run accepts the client's connections.
func (f *forwarder) run() {
	for {
		nc, err := f.nl.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(handshakeTimeout / 100) // out of descriptors, most likely
			continue
		}
		if !f.expects(nc) || !f.track(nc, false) {
			nc.Close()
			continue
		}
		f.tasks.Go(func() {
			f.note(f.serve(nc))
			f.hangUpOn(nc)
		})
	}
}

// serve joins one connection of the client with the next call of the server.
func (f *forwarder) serve(client net.Conn) error {
	f.forget()
	hello, err := readHello(client)
	if err != nil {
		return err
	}
	server, err := await(client, time.Time{}, f.calls.next)
	if err != nil {
		return err
	}
	defer f.hangUpOn(server)
	if !f.track(server, true) || !f.track(client, true) {
		return errGivenUp
	}
	// Part 6 (1.05), 7.1.2.6: the announced URL is passed back in Hello.
	hello.EndpointURL = f.calls.EndpointURL
	if _, err := server.Write(hello.Append(nil)); err != nil {
		return fmt.Errorf("server hung up: %w", err)
	}
	server.SetReadDeadline(time.Now().Add(handshakeTimeout)) // for the first frame
	return f.join(client, server, newInspector(&hello, f.note))
}

// join copies frames both ways until either side ends.
func (f *forwarder) join(client, server net.Conn, i *inspector) error {
	var up sync.WaitGroup
	up.Go(func() {
		f.note(copyFrames(server, client, i.sendLimit, i.fromClient))
		server.Close()
	})
	err := copyFrames(client, server, i.receiveLimit, i.fromServer)
	f.note(err) // before the client notices and asks
	if fault, ok := errors.AsType[*uatcp.StatusError](err); ok {
		uatcp.WriteError(client, fault.Code, "server broke the protocol", refuseTimeout)
	}
	client.Close()
	server.Close()
	up.Wait()
	return err
}

// track notes an open connection, so that close can end it. It reports false when the forwarder is closed.
func (f *forwarder) track(nc net.Conn, joined bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.open[nc] = joined
	return true
}

func (f *forwarder) hangUpOn(nc net.Conn) {
	nc.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, nc)
}

// hangUp closes all connections; the client may dial again.
func (f *forwarder) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for nc := range f.open {
		nc.Close()
	}
}

// close ends everything. A connection that is joined gets a moment to carry the client's last words.
func (f *forwarder) close() {
	f.mu.Lock()
	f.closed = true
	for nc, joined := range f.open {
		if !joined {
			nc.Close()
		}
	}
	f.mu.Unlock()
	f.nl.Close()
	late := time.AfterFunc(lingerTimeout, f.hangUp)
	f.tasks.Wait()
	late.Stop()
}

// note remembers why a connection ended: the first reason that says more than that it was closed.
func (f *forwarder) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil && !isClosed(err) && !errors.Is(err, net.ErrClosed) {
		f.fault = err
	}
}

// explain returns what the forwarder saw in place of a failure of the client, or adds it.
func (f *forwarder) explain(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if refused, ok := errors.AsType[*ServerError](f.fault); ok {
		return refused
	}
	if f.fault == nil {
		return err
	}
	return fmt.Errorf("%w (%w)", err, f.fault)
}

// forget starts a new connection.
func (f *forwarder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = nil
}

// broken is a fault of the server that has no StatusCode of its own.
func broken(op string) error {
	return &uatcp.StatusError{Code: ua.StatusBadTCPInternalError, Op: op}
}
