package reverseconnect

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	// answerTimeout is how long a server has got to take Hello, and to answer it, before its call counts as dead.
	answerTimeout = 5 * time.Second
	// halfClosedTimeout is how long one direction may go on when the other has ended.
	halfClosedTimeout = 10 * time.Second
)

// RouteStatus is one server of a Bridge.
type RouteStatus struct {
	ServerURI   string
	EndpointURL string   // announced last
	Addr        net.Addr // where clients connect
	URL         string   // the same as a URL, with the path of EndpointURL

	Calls   int // sockets of the server that wait for a client
	Waiting int // clients that have not been joined with one yet
	Clients int // clients that have

	Joined      uint64 // clients so far
	ToServer    uint64 // bytes behind Hello and Acknowledge, of connections that have ended
	ToClient    uint64
	LastCall    time.Time // zero: never
	RemoteAddr  net.Addr  // of the last call
	LastFailure string    // why a client was not joined
	FailureTime time.Time
}

// Status returns one line for each server, those of Routes first.
func (b *Bridge) Status() []RouteStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]RouteStatus, len(b.routes))
	for i, r := range b.routes {
		s := &all[i]
		*s = r.status
		s.ServerURI, s.Addr = r.filter.ServerURI, r.nl.Addr()
		if r.filter.EndpointURL != "" {
			s.EndpointURL = r.filter.EndpointURL
		}
		s.URL, s.Calls = localURL(s.EndpointURL, s.Addr), b.listener.Held(r.filter)
	}
	return all
}

// route is a server and the port on which clients find it.
type route struct {
	b      *Bridge
	filter Filter
	nl     net.Listener
	status RouteStatus // guarded by Bridge.mu
}

func (r *route) cannotAccept(err error) {
	r.b.log.Error("bridge cannot accept", "addr", r.nl.Addr().String(), "err", err)
}

// receive takes a client in. One too many hears why; many too many do not.
func (r *route) receive(client net.Conn) {
	if !r.b.track(client) {
		return
	}
	var clients int
	r.update(func(s *RouteStatus) {
		s.Waiting++
		clients = s.Waiting + s.Clients
	})
	if clients > 2*r.b.cfg.MaxClients {
		r.b.hangUpOn(client)
		r.update(func(s *RouteStatus) { s.Waiting-- })
		return
	}
	r.b.tasks.Go(func() {
		defer r.b.hangUpOn(client)
		if clients > r.b.cfg.MaxClients {
			r.fail(client, refused(errTooManyClients, ua.StatusBadTCPServerTooBusy))
			return
		}
		r.serve(client)
	})
}

var (
	errTooManyClients = errors.New("too many clients are connected to this server")
	errNobodyCalled   = errors.New("the server has not called")
	errNoAnswer       = errors.New("the server does not answer")
	errWrongAnswer    = errors.New("the server's answer to Hello is not OPC UA")
	errBadHello       = errors.New("malformed Hello")
)

// serve joins a client with a call of the server.
func (r *route) serve(client net.Conn) {
	hello, err := readHello(client)
	if err != nil {
		r.fail(client, &CallError{Reason: errBadHello, Code: codeOf(err), Err: err})
		return
	}
	server, failure := r.connect(client, hello)
	if failure != nil {
		r.fail(client, failure)
		return
	}
	defer r.b.hangUpOn(server)
	r.update(func(s *RouteStatus) { s.Waiting, s.Clients, s.Joined = s.Waiting-1, s.Clients+1, s.Joined+1 })
	log := r.b.log.With("server_uri", r.filter.ServerURI, "client", client.RemoteAddr().String(), "remote", server.RemoteAddr().String())
	log.Info("bridge client joined")
	began := time.Now()
	toServer, toClient, err := join(client, server, r.b.cfg.IdleTimeout)
	log.Info("bridge client left", "duration", time.Since(began), "to_server", toServer, "to_client", toClient, "reason", endReason(err))
	r.update(func(s *RouteStatus) {
		s.Clients, s.ToServer, s.ToClient = s.Clients-1, s.ToServer+uint64(toServer), s.ToClient+uint64(toClient)
	})
}

// codeOf returns what to answer to a client's failure, Good when it cannot hear an answer.
func codeOf(err error) ua.StatusCode {
	var code ua.StatusCode
	if !errors.As(err, &code) && isTimeout(err) {
		return ua.StatusBadTimeout
	}
	return code
}

// fail turns a client away.
func (r *route) fail(client net.Conn, err *CallError) {
	tell := r.b.log.Warn
	if !r.b.pace.allow(time.Now()) {
		tell = r.b.log.Debug
	}
	tell("bridge client not joined", "server_uri", r.filter.ServerURI, "client", client.RemoteAddr().String(), "err", err)
	r.update(func(s *RouteStatus) { s.LastFailure, s.FailureTime = escape(err.Reason.Error()), time.Now() })
	if err.Code != ua.StatusGood && uatcp.WriteError(client, err.Code, err.Reason.Error(), refuseTimeout) == nil {
		linger(client)
	}
	r.update(func(s *RouteStatus) { s.Waiting-- })
}

// update changes the status and tells who wants to know.
func (r *route) update(change func(*RouteStatus)) {
	r.b.mu.Lock()
	change(&r.status)
	r.b.mu.Unlock()
	r.b.changed()
}

// connect says Hello for the client on the next call and passes on the server's answer. A call that turns out to be dead is
// replaced by another as long as the client may wait.
func (r *route) connect(client net.Conn, hello uatcp.Hello) (net.Conn, *CallError) {
	until := time.Now().Add(r.b.cfg.WaitTimeout)
	failure := refused(errNobodyCalled, ua.StatusBadServerNotConnected)
	for time.Now().Before(until) {
		server, err := await(client, until, func(done <-chan struct{}) (net.Conn, error) {
			s, err := r.b.listener.accept(done, r.filter)
			if err != nil {
				return nil, err
			}
			hello.EndpointURL = s.EndpointURL // Part 6 (1.05), 7.1.2.6: the announced URL is passed back in Hello
			return s.Conn, nil
		})
		switch {
		case err == errClientGone:
			return nil, &CallError{Reason: errClientGone}
		case err != nil || !r.b.track(server):
			return nil, failure
		}
		answer, err := introduce(server, &hello)
		if err == nil {
			client.SetWriteDeadline(time.Now().Add(refuseTimeout))
			_, _ = client.Write(answer) // a client that has gone is noticed next
			client.SetWriteDeadline(time.Time{})
			return server, nil
		}
		r.b.hangUpOn(server)
		if errors.Is(err, errWrongAnswer) {
			return nil, &CallError{Reason: errWrongAnswer, Code: ua.StatusBadTCPInternalError}
		}
		r.b.log.Info("bridge call was dead", "server_uri", r.filter.ServerURI, "remote", server.RemoteAddr().String(), "err", err)
		failure = &CallError{Reason: errNoAnswer, Code: ua.StatusBadServerNotConnected, Err: err}
	}
	return nil, failure
}

// introduce says Hello to a server and returns its answer, an Acknowledge or an Error, unread.
func introduce(server net.Conn, hello *uatcp.Hello) ([]byte, error) {
	server.SetWriteDeadline(time.Now().Add(answerTimeout))
	if _, err := server.Write(hello.Append(nil)); err != nil {
		return nil, err
	}
	server.SetWriteDeadline(time.Time{})
	answer, err := readFirst(server, answerTimeout)
	if err != nil {
		var code ua.StatusCode
		if errors.As(err, &code) {
			return nil, errWrongAnswer
		}
		return nil, err
	}
	if t := frameType(answer); t != uatcp.TypeAcknowledge && t != uatcp.TypeError {
		return nil, errWrongAnswer
	}
	return answer, nil
}

// join carries bytes both ways until both sides have ended, and says how many, and why the first one did.
func join(client, server net.Conn, idle time.Duration) (toServer, toClient int64, err error) {
	p := pair{client: client, server: server}
	var up sync.WaitGroup
	up.Go(func() { toServer = p.carry(server, client, idle) })
	toClient = p.carry(client, server, 0)
	up.Wait()
	p.late.Stop()
	p.hangUp()
	return toServer, toClient, p.err
}

// pair is a client and a server that are joined.
type pair struct {
	client, server net.Conn

	first sync.Once // sets what follows when one direction has ended
	err   error     // why
	late  *time.Timer
}

// carry is one direction. When it ends in order, the other may go on for a while.
func (p *pair) carry(to, from net.Conn, idle time.Duration) int64 {
	n, err := carry(to, from, idle)
	p.first.Do(func() { p.err, p.late = err, time.AfterFunc(halfClosedTimeout, p.hangUp) })
	if err != nil || closeWrite(to) != nil {
		p.hangUp()
	}
	return n
}

func (p *pair) hangUp() {
	p.client.Close()
	p.server.Close()
}

// closeWrite tells a peer that there is no more to come.
func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

var errIdle = errors.New("nothing came from the client")

// carry copies what comes until it ends, or nothing comes for idle, 0 is no limit. From socket to socket io.Copy leaves the
// bytes in the kernel on Linux; the deadline, which io.Copy does not move, is looked at several times per idle.
func carry(to, from net.Conn, idle time.Duration) (total int64, err error) {
	const looks = 4
	for quiet := 0; quiet < looks; quiet++ {
		if idle > 0 {
			from.SetReadDeadline(time.Now().Add(idle / looks))
		}
		n, err := io.Copy(to, from)
		total += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return total, err
		}
		if n > 0 {
			quiet = -1
		}
	}
	return total, errIdle
}

// endReason says in words why a joined connection has ended.
func endReason(err error) string {
	switch {
	case err == nil:
		return "closed"
	case isReset(err):
		return "reset"
	case errors.Is(err, net.ErrClosed), isClosed(err):
		return "closed by the bridge"
	}
	return err.Error()
}
