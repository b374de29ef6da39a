package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

const client1 = "opc.tcp://client.test:48061"

func TestManager_Part6_713_WholeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		start := time.Now()
		p := w.call()
		if want := (uatcp.ReverseHello{ServerURI: "urn:edge:1", EndpointURL: "opc.tcp://edge.test:4840/edge"}); p.rhe != want {
			t.Errorf("announced %+v, want %+v", p.rhe, want)
		}
		if p.address != "client.test:48061" || !p.calledAt.Equal(start) {
			t.Errorf("dialled %s after %v", p.address, p.calledAt.Sub(start))
		}
		s := w.wantState(Announced)
		if s.Sockets != 1 || s.RemoteAddress != "client.test:48061" || s.Attempts != 1 || !s.LastSuccess.IsZero() {
			t.Errorf("announced: %+v", s)
		}
		p.hello()
		w.wantState(Negotiated)
		time.Sleep(3 * time.Second)
		p.send(frame("OPNF", "x"))
		s = w.wantState(Active)
		if !s.LastSuccess.Equal(time.Now()) || !s.StateSince.Equal(time.Now()) {
			t.Errorf("active: %+v", s)
		}
		time.Sleep(time.Hour)
		w.wantState(Active)
		closed := time.Now()
		p.Close()
		p = w.call()
		if delay := p.calledAt.Sub(closed); delay != 0 {
			t.Errorf("called again %v after the channel closed, want at once", delay)
		}
		s = w.wantState(Announced)
		if s.LastError != "" || s.Attempts != 2 {
			t.Errorf("announced again: %+v", s)
		}
		w.end(0)
		want := "Waiting>Dialling Dialling>Announced Announced>Negotiated Negotiated>Active Active>Waiting " +
			"Waiting>Dialling Dialling>Announced Announced>Waiting"
		if got := w.log.path(slog.LevelInfo); got != want {
			t.Errorf("lines\n%s\nwant\n%s", got, want)
		}
		for _, e := range w.log.at(slog.LevelDebug) {
			if e.attrs["url"] != client1 || e.attrs["server_uri"] != "urn:edge:1" || e.attrs["endpoint_url"] != "opc.tcp://edge.test:4840/edge" {
				t.Errorf("line %v lacks who was called and what was announced", e)
			}
			if e.attrs["old"] != "Waiting" && e.attrs["new"] != "Dialling" && e.attrs["remote"] != "client.test:48061" {
				t.Errorf("line %v lacks the remote address", e)
			}
		}
		s = w.status(0)
		if s.State != Waiting || s.Sockets != 0 || s.RemoteAddress != "" {
			t.Errorf("stopped: %+v", s)
		}
	})
}

// TestManager_Reactions plays everything that clients in the field are known to do with a call.
func TestManager_Reactions(t *testing.T) {
	const (
		backoff = DefaultBackoffMin
		reject  = DefaultRejectDelay
	)
	long := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		name   string
		client func(p *peer)
		wait   time.Duration // from the end of the socket to the next call
		reason string        // "..." at the end: may go on
	}{
		{"hangs up at once", func(p *peer) { p.Close() }, backoff, "closed by the client before Hello"},
		{"parks and hangs up", func(p *peer) { time.Sleep(15 * time.Second); p.Close() }, 0,
			"closed by the client before Hello, which had kept the socket for a while"},
		{"hangs up just too early to have kept it", func(p *peer) { time.Sleep(heldLong - time.Millisecond); p.Close() }, backoff,
			"closed by the client before Hello"},
		{"does not know us", func(p *peer) { p.sendError(ua.StatusBadTCPEndpointURLInvalid, "unknown server") }, reject,
			`client answered BadTCPEndpointURLInvalid: "unknown server"`},
		{"UA-.NETStandard after its hold time", func(p *peer) {
			time.Sleep(15 * time.Second)
			p.sendError(ua.StatusBadTCPMessageTypeInvalid, "")
		}, reject, `client answered BadTCPMessageTypeInvalid: ""`},
		{"node-opcua after its hold time", func(p *peer) { time.Sleep(30 * time.Second); p.sendError(ua.StatusBadTCPServerTooBusy, "late") },
			reject, `client answered BadTCPServerTooBusy: "late"`},
		{"Milo without room", func(p *peer) { p.sendError(ua.StatusBadTCPNotEnoughResources, "") }, reject,
			`client answered BadTCPNotEnoughResources: ""`},
		{"Milo after its hold time", func(p *peer) { p.sendError(ua.StatusBadTimeout, "") }, reject, `client answered BadTimeout: ""`},
		{"Go fork without room", func(p *peer) { p.sendError(0x80EE0000, "") }, reject, `client answered 0x80EE0000: ""`},
		{"asyncua", func(p *peer) { p.sendError(ua.StatusBadServerURIInvalid, "") }, reject, `client answered BadServerURIInvalid: ""`},
		{"decoding error", func(p *peer) { p.sendError(ua.StatusBadDecodingError, "") }, reject, `client answered BadDecodingError: ""`},
		{"too large", func(p *peer) { p.sendError(ua.StatusBadTCPMessageTooLarge, "") }, reject, `client answered BadTCPMessageTooLarge: ""`},
		{"internal error", func(p *peer) { p.sendError(ua.StatusBadTCPInternalError, "") }, reject, `client answered BadTCPInternalError: ""`},
		{"hides in its answer", func(p *peer) { p.sendError(ua.StatusBadTimeout, "a\n2026 level=ERROR\x1b[2J\x00\u202e") }, reject,
			`client answered BadTimeout: "a\n2026 level=ERROR\x1b[2J\x00\u202e"`},
		{"answers at length", func(p *peer) { p.sendError(ua.StatusBadTimeout, long[:4096]) }, reject,
			`client answered BadTimeout: "` + long[:maxReason] + `"...`},
		{"answers with 64 KiB", func(p *peer) {
			p.Write(frame("ERRF", "\x00\x00\x0a\x80\x00\x00\x01\x00"+long))
		}, backoff, "refused the client before Hello: ..."},
		{"rejects after Hello", func(p *peer) { p.hello(); p.sendError(ua.StatusBadTCPInternalError, "no") }, reject,
			`client answered BadTCPInternalError: "no"`},
		{"hangs up after Hello", func(p *peer) { p.hello(); time.Sleep(20 * time.Second); p.Close() }, backoff,
			"closed by the client after Hello, before SecureChannel"},
		{"is a web browser", func(p *peer) { p.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, backoff, "refused the client before Hello: ..."},
		{"speaks TLS", func(p *peer) { p.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")) }, backoff, "refused the client before Hello: ..."},
		{"sends garbage after a long time", func(p *peer) { time.Sleep(time.Minute); p.Write([]byte("garbage, more than 8 bytes")) }, backoff,
			"refused the client before Hello: ..."},
		{"sends the ReverseHello back", func(p *peer) { p.Write(p.rhe.Append(nil)) }, backoff, "refused the client before Hello: ..."},
		{"sends an Acknowledge", func(p *peer) { p.Write(frame("ACKF", strings.Repeat("\x00", 20))) }, backoff, "refused the client before Hello: ..."},
		{"sends half a Hello", func(p *peer) { p.send(helloFrame(p.rhe.EndpointURL)[:20]); p.Close() }, backoff, "closed by the client before Hello"},
		{"sends one byte after a long time", func(p *peer) { time.Sleep(time.Minute); p.send([]byte("H")); p.Close() }, backoff,
			"closed by the client before Hello"},
		{"stalls in its Hello", func(p *peer) {
			p.send(helloFrame(p.rhe.EndpointURL)[:20])
			io.Copy(io.Discard, p)
		}, backoff, "client stalled before Hello"},
		{"says Hello twice", func(p *peer) { p.hello(); p.Write(helloFrame(p.rhe.EndpointURL)) }, backoff,
			"refused the client after Hello, before SecureChannel: ..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil, testTarget(client1))
				p := w.call()
				c.client(p)
				go io.Copy(io.Discard, p) // whatever the server says to it
				synctest.Wait()
				if got := w.status(0).State; got == Announced || got == Negotiated {
					time.Sleep(2 * time.Second) // the server sends an Error and lingers
				}
				s := w.status(0)
				if s.State == Waiting && s.NextAttempt.IsZero() {
					t.Errorf("waiting without telling for what")
				}
				next := w.call()
				ended := w.ends()[0]
				if wait := next.calledAt.Sub(ended.at); wait != c.wait {
					t.Errorf("next call after %v, want %v", wait, c.wait)
				}
				want, open := strings.CutSuffix(c.reason, "...")
				if open && strings.HasSuffix(want, `"`) { // the text itself was cut
					want, open = c.reason, false
				}
				if got := ended.reason; got != want && !(open && strings.HasPrefix(got, want)) {
					t.Errorf("reason %s\nwant   %s", got, c.reason)
				}
				w.end(0)
				p.Close()
			})
		})
	}
}

type endOfCall struct {
	reason string
	at     time.Time
}

// ends returns when and why calls have ended, as logged.
func (w *world) ends() []endOfCall {
	var all []endOfCall
	for _, e := range w.log.at(slog.LevelDebug) {
		if e.attrs["new"] == "Waiting" {
			all = append(all, endOfCall{e.attrs["reason"], e.at})
		}
	}
	return all
}

// failing is a connection whose reading ends with err when the peer hangs up.
type failing struct {
	net.Conn
	err syscall.Errno
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if err == io.EOF {
		err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", f.err)}
	}
	return n, err
}

func TestManager_LostSockets(t *testing.T) {
	for _, c := range []struct {
		err    syscall.Errno
		after  time.Duration
		wait   time.Duration
		reason string
	}{
		{syscall.ECONNRESET, 0, time.Second, "connection reset by the client before Hello"},
		{syscall.ECONNRESET, time.Minute, 0, "connection reset by the client before Hello, which had kept the socket for a while"},
		{syscall.ETIMEDOUT, time.Minute, time.Second, "client's host does not answer any more"},
		{syscall.EHOSTUNREACH, time.Minute, time.Second, "client's host became unreachable"},
	} {
		t.Run(fmt.Sprint(c.err, " after ", c.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world, _ *ManagerConfig) {
					w.wrap = func(nc net.Conn) net.Conn { return failing{nc, c.err} }
				}, testTarget(client1))
				p := w.call()
				time.Sleep(c.after)
				p.Close()
				closed := time.Now()
				next := w.call()
				if wait := next.calledAt.Sub(closed); wait != c.wait {
					t.Errorf("next call after %v, want %v", wait, c.wait)
				}
				if got := w.ends()[0].reason; got != c.reason {
					t.Errorf("reason %q, want %q", got, c.reason)
				}
				w.end(0)
			})
		})
	}
}

func TestManager_DialFailures(t *testing.T) {
	connect := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
	}
	lookup := func(e *net.DNSError) error { return &net.OpError{Op: "dial", Net: "tcp", Err: e} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{connect(syscall.ECONNREFUSED), "connection refused"},
		{connect(syscall.EHOSTUNREACH), "host unreachable"},
		{connect(syscall.ENETUNREACH), "network unreachable"},
		{connect(syscall.ECONNRESET), "connection reset by the client"},
		{connect(syscall.ETIMEDOUT), "connecting timed out after 5s"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, "connecting timed out after 5s"},
		{context.DeadlineExceeded, "connecting timed out after 5s"},
		{lookup(&net.DNSError{Err: "no such host", Name: "client.test", IsNotFound: true}), `no such host: "client.test"`},
		{lookup(&net.DNSError{Err: "i/o timeout", Name: "client.test", IsTimeout: true}), `name lookup timed out: "client.test"`},
		{lookup(&net.DNSError{Err: "server misbehaving", Name: "client.test", IsTemporary: true}), `name lookup failed: "server misbehaving"`},
		{errors.New("no more files\n"), `connecting failed: "no more files\n"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(_ *world, cfg *ManagerConfig) {
				cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
			}, testTarget(client1))
			s := w.wantState(Waiting)
			if s.LastError != c.want || !s.LastErrorTime.Equal(time.Now()) || !s.NextAttempt.Equal(time.Now().Add(time.Second)) {
				t.Errorf("%v: %+v, want error %q", c.err, s, c.want)
			}
			w.end(0)
		})
	}
}

func TestManager_ConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *world, cfg *ManagerConfig) {
			cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
			}
		}, testTarget(client1))
		time.Sleep(5*time.Second - time.Millisecond)
		w.wantState(Dialling)
		time.Sleep(time.Millisecond)
		if s := w.wantState(Waiting); s.LastError != "connecting timed out after 5s" {
			t.Errorf("got %+v", s)
		}
		w.end(0)
	})
}

// A peer that accepts and reads nothing must not hold the Manager for longer than ConnectTimeout.
func TestManager_ReverseHelloNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		w.ring()
		w.wantState(Dialling)
		time.Sleep(5 * time.Second)
		if s := w.wantState(Waiting); s.LastError != "connecting timed out after 5s" {
			t.Errorf("got %+v", s)
		}
		w.end(0)
	})
}

func TestManager_ReverseHelloReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		w.ring().Close()
		if s := w.wantState(Waiting); s.LastError != "closed by the client before Hello" {
			t.Errorf("got %+v", s)
		}
		w.end(0)
	})
}

func TestManager_HelloTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget(client1)
		target.HelloTimeout = 30 * time.Second
		w := newWorld(t, nil, target)
		p := w.call()
		time.Sleep(30*time.Second - 1)
		w.wantState(Announced)
		time.Sleep(1)
		if s := w.wantState(Waiting); s.LastError != "no Hello within 30s" {
			t.Errorf("got %+v", s)
		}
		if _, err := p.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("client reads %v, want EOF and nothing before", err)
		}
		if got := w.call().calledAt.Sub(p.calledAt); got != 31*time.Second {
			t.Errorf("next call after %v, want 31s", got)
		}
		w.end(0)
	})
}

func TestManager_ClientMayPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		p := w.call()
		before := len(w.log.at(slog.LevelDebug))
		time.Sleep(20 * time.Hour)
		w.wantState(Announced)
		if n := len(w.log.at(slog.LevelDebug)) - before; n != 0 {
			t.Errorf("%d lines about a parked socket", n)
		}
		p.openChannel()
		w.wantState(Active)
		w.end(0)
	})
}

func TestManager_Stop(t *testing.T) {
	target := testTarget(client1)
	for _, c := range []struct {
		name  string
		limit time.Duration
		reach func(w *world)
	}{
		{"waiting out a delay", 0, func(w *world) { w.call().Close(); w.wantState(Waiting) }},
		{"sending ReverseHello", 0, func(w *world) { w.ring(); w.wantState(Dialling) }},
		{"announced", 0, func(w *world) { w.call(); w.wantState(Announced) }},
		{"half a Hello", 0, func(w *world) { w.call().send([]byte("HEL")); w.wantState(Announced) }},
		{"negotiated", 0, func(w *world) { w.call().hello(); w.wantState(Negotiated) }},
		{"active", 0, func(w *world) { w.call().openChannel(); w.wantState(Active) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil, target)
				c.reach(w)
				w.end(c.limit)
				dials := len(w.dialled())
				w.idle(time.Hour)
				if len(w.dialled()) != dials {
					t.Error("dialled after the stop")
				}
				if s := w.status(0); s.State != Waiting || s.Sockets != 0 {
					t.Errorf("stopped: %+v", s)
				}
			})
		})
	}
	t.Run("while the dial is under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(_ *world, cfg *ManagerConfig) {
				cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			}, target)
			w.wantState(Dialling)
			w.end(0)
		})
	})
	t.Run("when the dial succeeds too late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			w := newWorld(t, func(_ *world, cfg *ManagerConfig) {
				cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return server, nil }
			}, target)
			w.wantState(Dialling)
			go w.end(0)
			if _, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("client reads %v, want EOF and no ReverseHello", err)
			}
			synctest.Wait()
		})
	})
	t.Run("a server that does not stop loses the socket", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			deaf := target
			deaf.Serve = func(_ context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
				progress(uatcp.StageChannel)
				io.Copy(io.Discard, nc)
				return uatcp.Report{Stage: uatcp.StageChannel}
			}
			w := newWorld(t, nil, deaf)
			w.call().send([]byte("H"))
			w.wantState(Active)
			w.end(drain)
		})
	})
}

func TestManager_RejectionIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		w.call().sendError(ua.StatusBadTCPServerTooBusy, "late\r")
		s := w.wantState(Waiting)
		if s.RejectCode != ua.StatusBadTCPServerTooBusy || s.RejectReason != `late\r` {
			t.Errorf("%v %q", s.RejectCode, s.RejectReason)
		}
		w.call().openChannel()
		if s = w.wantState(Active); s.RejectCode != ua.StatusBadTCPServerTooBusy {
			t.Errorf("the last rejection is forgotten: %+v", s)
		}
		w.end(0)
	})
}

// Whoever is told of changes knows at any time what Snapshot shows.
func TestManager_ChangesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []TargetStatus
		w := newWorld(t, func(_ *world, cfg *ManagerConfig) {
			cfg.Changed = func(s TargetStatus) { told = append(told, s) }
		}, testTarget(client1))
		check := func(when string) {
			t.Helper()
			if s := w.status(0); told[len(told)-1] != s {
				t.Errorf("%s: told %+v, shown %+v", when, told[len(told)-1], s)
			}
		}
		p := w.call()
		check("announced")
		p.openChannel()
		check("active")
		p.Close()
		synctest.Wait()
		check("closed")
		w.call().sendError(ua.StatusBadTimeout, "")
		check("rejected")
		w.end(0)
		check("stopped")
	})
}

func TestManager_ConnectNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		if w.m.ConnectNow("opc.tcp://other.test") {
			t.Error("a stranger is called")
		}
		p := w.call()
		if w.m.ConnectNow(client1) {
			t.Error("an announced client is called")
		}
		p.sendError(ua.StatusBadTimeout, "")
		w.wantState(Waiting)
		asked := time.Now()
		for range 2 { // as if two people asked
			if !w.m.ConnectNow(client1) {
				t.Error("a waiting client is not called")
			}
		}
		p = w.call()
		if got := p.calledAt.Sub(asked); got != 0 {
			t.Errorf("called after %v", got)
		}
		p.sendError(ua.StatusBadTimeout, "")
		w.wantState(Waiting)
		w.m.ConnectNow(client1)
		p = w.call()
		if got := p.calledAt.Sub(asked); got != demandInterval {
			t.Errorf("called again after %v, want once in %v", got, demandInterval)
		}
		p.sendError(ua.StatusBadTimeout, "")
		rejected := time.Now()
		if got := w.call().calledAt.Sub(rejected); got != DefaultRejectDelay {
			t.Errorf("without being asked called after %v", got)
		}
		w.end(0)
	})
}

// What is asked for while the target queues for a slot happens then, and not once more later.
func TestManager_ConnectNowInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(1), manyTargets(2)...)
		w.call()
		for i, s := range w.m.Snapshot() {
			if s.State == Waiting && !w.m.ConnectNow(w.m.diallers[i].URL) {
				t.Error("a target in the queue is not waiting")
			}
		}
		p := w.call() // its turn
		p.sendError(ua.StatusBadTimeout, "")
		rejected := time.Now()
		for next := w.call(); ; next = w.call() {
			if next.address == p.address {
				if got := next.calledAt.Sub(rejected); got < DefaultRejectDelay {
					t.Errorf("called again after %v", got)
				}
				break
			}
		}
		w.end(0)
	})
}

func TestManager_RunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		synctest.Wait()
		if err := w.m.Run(t.Context()); err == nil {
			t.Error("a second Run is accepted")
		}
		w.end(0)
	})
}

func TestNewManager_Refuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Target)
		want   string
	}{
		{"scheme", func(t *Target) { t.URL = "http://client.test:4840" }, "opc.tcp://"},
		{"no scheme", func(t *Target) { t.URL = "client.test:4840" }, "opc.tcp://"},
		{"one slash", func(t *Target) { t.URL = "opc.tcp:/client.test:4840" }, "no //"},
		{"opaque", func(t *Target) { t.URL = "opc.tcp:client.test" }, "no //"},
		{"empty", func(t *Target) { t.URL = "" }, "opc.tcp://"},
		{"no host", func(t *Target) { t.URL = "opc.tcp://:4840" }, "no host"},
		{"port 0", func(t *Target) { t.URL = "opc.tcp://client.test:0" }, "port 0"},
		{"port 65536", func(t *Target) { t.URL = "opc.tcp://client.test:65536" }, "65535"},
		{"port word", func(t *Target) { t.URL = "opc.tcp://client.test:opc" }, "not a URL"},
		{"userinfo", func(t *Target) { t.URL = "opc.tcp://me:secret@client.test:4840" }, "user name"},
		{"space", func(t *Target) { t.URL = "opc.tcp://client test:4840" }, "not a URL"},
		{"own URL", func(t *Target) { t.URL = "opc.tcp://edge.test/other" }, "own EndpointUrl"},
		{"no ServerUri", func(t *Target) { t.ServerURI = "" }, "ServerUri is empty"},
		{"long ServerUri", func(t *Target) { t.ServerURI = strings.Repeat("u", 4092) }, "4091"},
		{"broken ServerUri", func(t *Target) { t.ServerURI = "urn:\xff" }, "UTF-8"},
		{"no EndpointUrl", func(t *Target) { t.EndpointURL = "" }, "EndpointUrl is empty"},
		{"long EndpointUrl", func(t *Target) { t.EndpointURL = "opc.tcp://edge/" + strings.Repeat("u", 4091) }, "4091"},
		{"bad EndpointUrl", func(t *Target) { t.EndpointURL = "https://edge" }, "EndpointUrl"},
		{"ConnectTimeout", func(t *Target) { t.ConnectTimeout = 0 }, "ConnectTimeout"},
		{"HelloTimeout", func(t *Target) { t.HelloTimeout = -1 }, "HelloTimeout"},
		{"BackoffMin", func(t *Target) { t.BackoffMin = -time.Second }, "BackoffMin"},
		{"BackoffMax", func(t *Target) { t.BackoffMax = 0 }, "BackoffMax"},
		{"BackoffMax < BackoffMin", func(t *Target) { t.BackoffMax = t.BackoffMin - 1 }, "less than BackoffMin"},
		{"RejectDelay", func(t *Target) { t.RejectDelay = 0 }, "RejectDelay"},
		{"KeepAlive", func(t *Target) { t.KeepAlive = 0 }, "KeepAlive"},
		{"SocketsPerClient 0", func(t *Target) { t.SocketsPerClient = 0 }, "SocketsPerClient"},
		{"SocketsPerClient 101", func(t *Target) { t.SocketsPerClient = 101 }, "SocketsPerClient"},
		{"Serve", func(t *Target) { t.Serve = nil }, "serves"},
	} {
		target := testTarget(client1)
		c.change(&target)
		_, err := NewManager(ManagerConfig{Targets: []Target{target}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") && c.name != "userinfo" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := NewManager(ManagerConfig{MaxSockets: -1}); err == nil {
		t.Error("MaxSockets -1 is accepted")
	}
	twice := []Target{testTarget("opc.tcp://client.test"), testTarget("rcp+opc.tcp://client.test:4840/")}
	if _, err := NewManager(ManagerConfig{Targets: twice}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a client that is there twice: %v", err)
	}
	twice[1].EndpointURL += "2"
	if _, err := NewManager(ManagerConfig{Targets: twice}); err != nil {
		t.Errorf("one client of two endpoints: %v", err)
	}
	longest := testTarget(client1)
	longest.ServerURI = strings.Repeat("u", MaxTextLength)
	if _, err := NewManager(ManagerConfig{Targets: []Target{longest}}); err != nil {
		t.Errorf("the longest ServerUri: %v", err)
	}
}

func TestDialAddress(t *testing.T) {
	for url, want := range map[string]string{
		"opc.tcp://client.test":            "client.test:4840",
		"opc.tcp://client.test:48061/a/b":  "client.test:48061",
		"rcp+opc.tcp://192.0.2.1:1":        "192.0.2.1:1",
		"opc.tcp://[2001:db8::1]":          "[2001:db8::1]:4840",
		"opc.tcp://[fe80::1%25eth0]:65535": "[fe80::1%eth0]:65535",
		"OPC.TCP://Client.Test":            "Client.Test:4840",
	} {
		if got, err := dialAddress(url); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", url, got, err, want)
		}
	}
}
