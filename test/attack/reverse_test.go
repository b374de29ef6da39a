package attack

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
)

// hostile is a listener that does not behave.
type hostile struct {
	net.Listener
	calls atomic.Int32
}

// besetBy makes the plant call listeners, each of which treats a call its way;
// stop ends it.
func (s *siege) besetBy(treatments map[string]func(nc net.Conn)) (listeners map[string]*hostile, dialled *sync.Map, stop func()) {
	s.t.Helper()
	listeners, dialled = make(map[string]*hostile), new(sync.Map)
	var targets []reverseconnect.Target
	var all sync.WaitGroup
	for name, treat := range treatments {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		h := &hostile{Listener: ln}
		listeners[name] = h
		all.Go(func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				h.calls.Add(1)
				all.Go(func() {
					defer nc.Close()
					nc.SetDeadline(time.Now().Add(patience))
					treat(nc)
				})
			}
		})
		targets = append(targets, s.target("opc.tcp://"+ln.Addr().String()))
	}
	stopManager := s.manage(targets, dialled)
	return listeners, dialled, func() {
		stopManager()
		for _, h := range listeners {
			h.Close()
		}
		all.Wait()
	}
}

func (s *siege) target(url string) reverseconnect.Target {
	return reverseconnect.Target{
		URL: url, ServerURI: serverURI, EndpointURL: securechanneltest.EndpointURL,
		ConnectTimeout: time.Second, HelloTimeout: stretched(500 * time.Millisecond),
		BackoffMin: 200 * time.Millisecond, BackoffMax: time.Second, RejectDelay: time.Second, KeepAlive: time.Second,
		SocketsPerClient: 2,
		Serve: func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			return s.server.Serve(ctx, nc, s.server.Endpoint(0), progress)
		},
	}
}

func (s *siege) manage(targets []reverseconnect.Target, dialled *sync.Map) (stop func()) {
	s.t.Helper()
	m, err := reverseconnect.NewManager(reverseconnect.ManagerConfig{
		Targets: targets,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			n, _ := dialled.LoadOrStore(address, new(atomic.Int32))
			n.(*atomic.Int32).Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	return func() { cancel(); running.Wait() }
}

// heardCall reads the ReverseHello.
func heardCall(nc net.Conn) bool {
	rhe, err := uatcp.ReadReverseHello(nc, patience)
	nc.SetDeadline(time.Now().Add(patience))
	return err == nil && rhe.ServerURI == serverURI
}

// whatever a listener does, it is called again at a measured pace, and
// nobody else is.
func TestA51_HostileListeners(t *testing.T) {
	s := besiege(t, nil)
	elsewhere := uatcp.ReverseHello{ServerURI: serverURI, EndpointURL: "opc.tcp://127.0.0.1:1"}
	reply := func(b []byte) func(net.Conn) {
		return func(nc net.Conn) { heardCall(nc); nc.Write(b); io.Copy(io.Discard, nc) }
	}
	refusal := uatcp.Error{Code: ua.StatusBadTCPMessageTypeInvalid, Reason: "\x1b[2J\nlevel=ERROR"}
	entered := make(chan error, 1)
	treatments := map[string]func(nc net.Conn){
		"silent":      func(nc net.Conn) { io.Copy(io.Discard, nc) },
		"closes":      func(net.Conn) {},
		"resets":      func(nc net.Conn) { heardCall(nc); nc.(*net.TCPConn).SetLinger(0) },
		"garbage":     reply(random(5000)),
		"zeros":       reply(make([]byte, 5000)),
		"HTTP":        reply([]byte("HTTP/1.1 200 OK\r\n\r\n")),
		"ERR":         reply(refusal.Append(nil)),
		"RHE":         reply(elsewhere.Append(nil)),
		"two HEL":     reply(append(hello(nil), hello(nil)...)),
		"HEL only":    reply(hello(nil)),
		"half a HEL":  reply(hello(nil)[:20]),
		"OPN of 2^31": reply(append(hello(nil), frame("OPNF", 1<<31)...)),
		"floods": func(nc net.Conn) {
			for b := random(65536); ; {
				if _, err := nc.Write(b); err != nil {
					return
				}
			}
		},
		"good": func(nc net.Conn) {
			if !heardCall(nc) {
				return
			}
			c, err := openOn(nc, witnessIdentity())
			if err == nil {
				if err = c.login(); err == nil {
					_, _, err = c.read(valueOf("Counter"))
				}
			}
			select {
			case entered <- err:
			default:
			}
			io.Copy(io.Discard, nc)
		},
	}
	listeners, dialled, stop := s.besetBy(treatments)
	select {
	case err := <-entered:
		if err != nil {
			t.Errorf("the good listener: %v", err)
		}
	case <-time.After(patience):
		t.Error("the good listener was not called")
	}
	start := time.Now()
	pause(1500 * time.Millisecond)
	s.enter(entryDuring)
	took := time.Since(start) + time.Second
	for name, h := range listeners {
		if n := h.calls.Load(); n == 0 || int(n) > 3+int(took/(150*time.Millisecond)) {
			t.Errorf("%s was called %d times in %v", name, n, took)
		}
	}
	dialled.Range(func(address, _ any) bool {
		for _, h := range listeners {
			if h.Addr().String() == address {
				return true
			}
		}
		t.Errorf("I9: dialled %v", address)
		return true
	})
	stop()
	s.over()
}

// who was called gets no more trust than who calls.
func TestA52_ListenerWithoutTrust(t *testing.T) {
	s := besiege(t, nil)
	result := make(chan error, 3)
	as := func(attempt func(nc net.Conn) error) func(net.Conn) {
		var once sync.Once // it is called again and again
		return func(nc net.Conn) {
			once.Do(func() {
				if !heardCall(nc) {
					result <- errors.New("no ReverseHello")
					return
				}
				result <- attempt(nc)
			})
		}
	}
	_, _, stop := s.besetBy(map[string]func(net.Conn){
		"stranger": as(func(nc net.Conn) error {
			if _, err := openOn(nc, strangerIdentity()); err == nil {
				t.Error("a stranger's certificate was accepted")
			}
			return nil
		}),
		"our own": as(func(nc net.Conn) error {
			if _, err := openOn(nc, gatewayIdentity()); err == nil {
				t.Error("our own certificate was accepted")
			}
			return nil
		}),
		"no login": as(func(nc net.Conn) error {
			c, err := openOn(nc, nil)
			if err != nil {
				return err
			}
			_, code, err := c.read(valueOf("Counter"))
			wantCode(t, "read without a Session", code, err, ua.StatusBadSessionIDInvalid)
			return nil
		}),
	})
	for range 3 {
		select {
		case err := <-result:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("not called")
		}
	}
	stop()
	s.over()
}

// many clients that are down cost neither storms nor descriptors.
func TestA53_ManyDown(t *testing.T) {
	s := besiege(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	var targets []reverseconnect.Target
	for i := range 40 {
		targets = append(targets, s.target("opc.tcp://"+net.JoinHostPort(net.IPv4(127, 0, 1, byte(i)).String(), port)))
	}
	var dialled sync.Map
	start := time.Now()
	stop := s.manage(targets, &dialled)
	most := 0
	for range 20 {
		pause(100 * time.Millisecond)
		most = max(most, descriptors())
	}
	s.enter(entryDuring)
	total := 0
	dialled.Range(func(_, n any) bool { total += int(n.(*atomic.Int32).Load()); return true })
	if limit := 10 + int(time.Since(start)/(50*time.Millisecond)); total > limit {
		t.Errorf("%d dials in %v", total, time.Since(start))
	}
	if most > s.before.descriptors+20 {
		t.Errorf("%d descriptors, %d before", most, s.before.descriptors)
	}
	stop()
	s.over()
}
