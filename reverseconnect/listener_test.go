package reverseconnect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// exchange is a net.Listener in memory.
type exchange struct {
	calls chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newExchange() *exchange {
	return &exchange{calls: make(chan net.Conn), done: make(chan struct{})}
}

func (x *exchange) Accept() (net.Conn, error) {
	select {
	case nc := <-x.calls:
		return nc, nil
	case <-x.done:
		return nil, net.ErrClosed
	}
}

func (x *exchange) Close() error   { x.once.Do(func() { close(x.done) }); return nil }
func (x *exchange) Addr() net.Addr { return addressed{address: "listener"} }

// dial connects a server to the listener.
func (x *exchange) dial() *caller {
	ours, theirs := net.Pipe()
	x.calls <- addressed{theirs, "server:1"}
	return &caller{ours}
}

// caller is a server that calls.
type caller struct{ net.Conn }

func (x *exchange) announce(serverURI, endpointURL string) *caller {
	c := x.dial()
	c.Write(uatcp.ReverseHello{ServerURI: serverURI, EndpointURL: endpointURL}.Append(nil))
	synctest.Wait()
	return c
}

// wantClosed reads what the client's end has to say at last: an Error with this code, or nothing for 0.
func (c *caller) wantClosed(t *testing.T, code ua.StatusCode) {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil && err != io.ErrClosedPipe {
		t.Fatalf("read: %v", err)
	}
	if code == 0 {
		if len(all) > 0 {
			t.Errorf("got %q, want nothing", all)
		}
		return
	}
	if len(all) < 8 || frameType(all) != uatcp.TypeError {
		t.Fatalf("got %q, want an Error", all)
	}
	e, err := uatcp.ParseError(all[8:])
	if err != nil || e.Code != code {
		t.Errorf("got %v, %v, want %v", e, err, code)
	}
}

const edgeURL = "opc.tcp://edge.test:4840"

func testListener(t *testing.T, change func(*ListenerConfig)) (*Listener, *exchange, *lines) {
	t.Helper()
	log := &lines{}
	cfg := ListenerConfig{Log: slog.New(log)}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	x := newExchange()
	l := newListener(cfg, x)
	t.Cleanup(func() { l.Close() })
	return l, x, log
}

func accept(t *testing.T, l *Listener, f Filter) *Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s, err := l.Accept(ctx, f)
	if err != nil {
		t.Fatalf("Accept(%+v): %v", f, err)
	}
	return s
}

func TestListener_HandsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		a := x.announce("urn:a", edgeURL)
		x.announce("urn:b", edgeURL)
		time.Sleep(20 * time.Second)
		s := accept(t, l, Filter{ServerURI: "urn:a"})
		if s.ServerURI != "urn:a" || s.EndpointURL != edgeURL || s.RemoteAddr.String() != "server:1" {
			t.Errorf("got %+v", s)
		}
		time.Sleep(time.Hour) // the deadline of holding must be gone
		go s.Conn.Write([]byte("hello"))
		got := make([]byte, 5)
		if _, err := io.ReadFull(a, got); err != nil || string(got) != "hello" {
			t.Errorf("server reads %q, %v", got, err)
		}
		go a.Write([]byte("back"))
		if _, err := io.ReadFull(s.Conn, got[:4]); err != nil || string(got[:4]) != "back" {
			t.Errorf("client reads %q, %v", got, err)
		}
		s.Close()
	})
}

func TestListener_Filters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		type result struct {
			s   *Session
			err error
		}
		results := map[Filter]chan result{}
		for _, f := range []Filter{{ServerURI: "urn:b"}, {EndpointURL: edgeURL + "/2"}, {}} {
			results[f] = make(chan result, 1)
			go func() {
				s, err := l.Accept(t.Context(), f)
				results[f] <- result{s, err}
			}()
			synctest.Wait() // in this order
		}
		x.announce("urn:a", edgeURL)      // for anybody
		x.announce("urn:a", edgeURL+"/2") // for the second
		x.announce("urn:b", edgeURL)      // for the first
		for f, want := range map[Filter]string{{ServerURI: "urn:b"}: "urn:b", {EndpointURL: edgeURL + "/2"}: "urn:a", {}: "urn:a"} {
			r := <-results[f]
			if r.err != nil || r.s.ServerURI != want || f.EndpointURL != "" && r.s.EndpointURL != f.EndpointURL {
				t.Errorf("%+v got %+v, %v", f, r.s, r.err)
			}
		}
	})
}

func TestListener_YoungestCallFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		x.announce("urn:a", edgeURL+"/old")
		x.announce("urn:a", edgeURL+"/new")
		if s := accept(t, l, Filter{}); s.EndpointURL != edgeURL+"/new" {
			t.Errorf("got the call of %s", s.EndpointURL)
		}
	})
}

func TestListener_CallExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		begin := time.Now()
		c := x.announce("urn:a", edgeURL)
		c.wantClosed(t, 0) // no Error: the server is welcome to call again
		if got := time.Since(begin); got != DefaultHoldTimeout {
			t.Errorf("held for %v, want %v", got, DefaultHoldTimeout)
		}
		wantNobody(t, l)
	})
}

func wantNobody(t *testing.T, l *Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if s, err := l.Accept(ctx, Filter{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Accept: %v, %v, want nobody", s, err)
	}
}

func TestListener_ServerHangsUpWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		x.announce("urn:a", edgeURL).Close()
		synctest.Wait()
		wantNobody(t, l)
	})
}

// dyingConn ends in the moment in which it is claimed.
type dyingConn struct {
	net.Conn
	held    bool
	claimed chan struct{}
}

func (c *dyingConn) SetReadDeadline(t time.Time) error {
	if t.Before(time.Now()) && !t.IsZero() {
		close(c.claimed)
		return nil
	}
	c.held = time.Until(t) == DefaultHoldTimeout
	return c.Conn.SetReadDeadline(t)
}

func (c *dyingConn) Read(p []byte) (int, error) {
	if c.held {
		<-c.claimed
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// A claimed call that turns out to be dead is replaced by another.
func TestListener_ClaimOfDyingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		older := x.announce("urn:older", edgeURL)
		ours, theirs := net.Pipe()
		x.calls <- &dyingConn{Conn: addressed{theirs, "server:2"}, claimed: make(chan struct{})}
		ours.Write(uatcp.ReverseHello{ServerURI: "urn:dying", EndpointURL: edgeURL}.Append(nil))
		synctest.Wait()
		if s := accept(t, l, Filter{}); s.ServerURI != "urn:older" {
			t.Errorf("got the call of %s", s.ServerURI)
		}
		older.Close()
	})
}

func TestListener_Refuses(t *testing.T) {
	long := strings.Repeat("x", 4097)
	rhe := func(serverURI, endpointURL string) []byte {
		return uatcp.ReverseHello{ServerURI: serverURI, EndpointURL: endpointURL}.Append(nil)
	}
	for _, c := range []struct {
		name string
		sent []byte
		code ua.StatusCode
	}{
		{"stranger", rhe("urn:c", edgeURL), ua.StatusBadTCPEndpointURLInvalid},
		{"other case", rhe("URN:a", edgeURL), ua.StatusBadTCPEndpointURLInvalid},
		{"no ServerUri", rhe("", edgeURL), ua.StatusBadTCPEndpointURLInvalid},
		{"long ServerUri", rhe(long, edgeURL), ua.StatusBadTCPEndpointURLInvalid},
		{"long EndpointUrl", rhe("urn:a", long), ua.StatusBadTCPEndpointURLInvalid},
		{"no EndpointUrl", rhe("urn:a", ""), ua.StatusBadTCPEndpointURLInvalid},
		{"other scheme", rhe("urn:a", "https://edge.test"), ua.StatusBadTCPEndpointURLInvalid},
		{"no host", rhe("urn:a", "opc.tcp://"), ua.StatusBadTCPEndpointURLInvalid},
		{"Hello", helloFrame(edgeURL), ua.StatusBadTCPMessageTypeInvalid},
		{"a browser", []byte("GET / HTTP/1.1\r\n\r\n"), ua.StatusBadTCPMessageTypeInvalid},
		{"huge", []byte("RHEF\xff\xff\xff\xff"), ua.StatusBadTCPMessageTooLarge},
		{"tiny", []byte("RHEF\x00\x00\x00\x00"), ua.StatusBadTCPMessageTooLarge},
		{"short body", frame("RHEF", "\x03\x00\x00\x00urn"), ua.StatusBadDecodingError},
		{"more behind", frame("RHEF", string(rhe("urn:a", edgeURL)[8:])+"x"), ua.StatusBadDecodingError},
		{"speaks first", append(rhe("urn:a", edgeURL), "more"...), ua.StatusBadTCPMessageTypeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, x, log := testListener(t, func(cfg *ListenerConfig) { cfg.Allow = []string{"urn:a", "urn:b"} })
				begin := time.Now()
				s := x.dial()
				go s.Write(c.sent)
				s.wantClosed(t, c.code)
				synctest.Wait()
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("refusing took %v", took)
				}
				wantNobody(t, l)
				if n := len(log.at(slog.LevelWarn)); n != 1 {
					t.Errorf("%d warnings, want 1", n)
				}
				s.Close()
			})
		})
	}
}

func TestListener_Part6_713_SilenceIsBounded(t *testing.T) {
	whole := uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil)
	for n := range len(whole) {
		synctest.Test(t, func(t *testing.T) {
			_, x, _ := testListener(t, nil)
			begin := time.Now()
			c := x.dial()
			c.Write(whole[:n])
			c.wantClosed(t, 0)
			if took := time.Since(begin); took != DefaultReadTimeout {
				t.Errorf("%d bytes: closed after %v, want %v", n, took, DefaultReadTimeout)
			}
		})
	}
}

func TestListener_BoundsHeldCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, func(cfg *ListenerConfig) { cfg.MaxHeld = 2 })
		first := x.announce("urn:a", edgeURL)
		x.announce("urn:b", edgeURL)
		go x.announce("urn:c", edgeURL)
		first.wantClosed(t, statusBadServerTooBusy)
		synctest.Wait()
		for _, want := range []string{"urn:c", "urn:b"} {
			if s := accept(t, l, Filter{}); s.ServerURI != want {
				t.Errorf("got %s, want %s", s.ServerURI, want)
			}
		}
		first.Close()
	})
}

func TestListener_BoundsSilentSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, func(cfg *ListenerConfig) { cfg.MaxReading = 3 })
		silent := []*caller{x.dial(), x.dial(), x.dial()}
		x.announce("urn:a", edgeURL) // is not kept out
		accept(t, l, Filter{})
		begin := time.Now()
		silent[0].wantClosed(t, 0)
		if took := time.Since(begin); took != 0 {
			t.Errorf("the oldest was closed after %v", took)
		}
		silent[2].wantClosed(t, 0)
		if took := time.Since(begin); took < DefaultReadTimeout-time.Second {
			t.Errorf("the youngest was closed after %v", took)
		}
	})
}

func TestListener_FloodCostsFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, x, log := testListener(t, nil)
		for range 1000 {
			c := x.dial()
			c.Write([]byte("GET / HT"))
			c.Close()
		}
		synctest.Wait()
		if n := len(log.at(slog.LevelInfo)); n > lineBurst {
			t.Errorf("%d lines", n)
		}
	})
}

func TestListener_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		held, silent := x.announce("urn:a", edgeURL), x.dial()
		waited := make(chan error, 1)
		go func() {
			_, err := l.Accept(t.Context(), Filter{ServerURI: "urn:z"})
			waited <- err
		}()
		synctest.Wait()
		begin := time.Now()
		l.Close()
		if err := <-waited; !errors.Is(err, ErrListenerClosed) {
			t.Errorf("Accept: %v", err)
		}
		if _, err := l.Accept(t.Context(), Filter{}); !errors.Is(err, ErrListenerClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		held.wantClosed(t, 0)
		silent.wantClosed(t, 0)
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("closing took %v", took)
		}
	})
}

func TestListener_AcceptGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		wantNobody(t, l)
		x.announce("urn:a", edgeURL) // must not be lost to who gave up
		accept(t, l, Filter{})
	})
}

// Many servers and many Accepts that give up at any moment: no call is lost or handed out twice.
func TestListener_Crowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, func(cfg *ListenerConfig) { cfg.MaxHeld = 1000 })
		var mu sync.Mutex
		got := map[net.Conn]int{}
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
				defer cancel()
				if s, err := l.Accept(ctx, Filter{}); err == nil {
					mu.Lock()
					got[s.Conn]++
					mu.Unlock()
				}
			})
			all.Go(func() { x.dial().Write(uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil)) })
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		all.Wait()
		synctest.Wait()
		for range 200 - len(got) {
			got[accept(t, l, Filter{}).Conn]++
		}
		wantNobody(t, l)
		for _, n := range got {
			if n != 1 {
				t.Fatalf("a call was handed out %d times", n)
			}
		}
	})
}

func TestListenerConfig_Refuses(t *testing.T) {
	for _, cfg := range []ListenerConfig{
		{ReadTimeout: -1}, {ReadTimeout: 2*time.Minute + 1}, {HoldTimeout: -1}, {MaxHeld: -1}, {MaxReading: -1},
	} {
		if l, err := Listen(t.Context(), "opc.tcp://127.0.0.1:0", cfg); err == nil {
			l.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
	for _, url := range []string{"127.0.0.1:0", "http://127.0.0.1:0", "opc.tcp://127.0.0.1:65536", "opc.tcp://u@127.0.0.1:0"} {
		if l, err := Listen(t.Context(), url, ListenerConfig{}); err == nil {
			l.Close()
			t.Errorf("%s is accepted", url)
		}
	}
}

func FuzzListener(f *testing.F) {
	f.Add(uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil))
	f.Add(helloFrame(edgeURL))
	f.Add([]byte("RHEF\xff\xff\xff\xff"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		synctest.Test(t, func(t *testing.T) {
			l, x, _ := testListener(t, nil)
			c := x.dial()
			go func() { c.Write(sent); c.Close() }()
			go io.Copy(io.Discard, c)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if s, err := l.Accept(ctx, Filter{}); err == nil {
				again := uatcp.ReverseHello{ServerURI: s.ServerURI, EndpointURL: s.EndpointURL}.Append(nil)
				again[3] = sent[3] // reserved, to be ignored (Part 6 (1.05), 7.1.2.2); sent is in use elsewhere
				if len(sent) < len(again) || !bytes.Equal(again, sent[:len(again)]) && !bytes.Contains(sent, []byte{0, 0, 0, 0}) {
					t.Errorf("%q was taken for %+v", sent, s)
				}
				s.Close()
			}
			l.Close()
		})
	})
}
