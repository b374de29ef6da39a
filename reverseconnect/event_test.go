package reverseconnect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// diary collects events by the server they are about.
type diary struct {
	mu     sync.Mutex
	events []Event // guarded by mu
}

func (d *diary) note(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// of returns what happened to the calls of one server.
func (d *diary) of(serverURI string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var words []string
	for _, e := range d.events {
		if e.ServerURI != serverURI {
			continue
		}
		word := e.Kind.String()
		if e.Err != nil {
			word += fmt.Sprintf("(%v)", e.Err.Reason)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestListener_Events(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, l *Listener, x *exchange)
		of   string
		want string
	}{
		{"claimed", func(t *testing.T, l *Listener, x *exchange) {
			x.announce("urn:a", edgeURL)
			accept(t, l, Filter{})
		}, "urn:a", "received accepted claimed"},
		{"expired", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", edgeURL)
			time.Sleep(time.Hour)
		}, "urn:a", "received accepted expired"},
		{"hangs up", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", edgeURL).Close()
		}, "urn:a", "received accepted lost(server hung up)"},
		{"speaks", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", edgeURL).Write([]byte("x"))
		}, "urn:a", "received accepted rejected(server spoke before Hello)"},
		{"pushed out", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", edgeURL)
			x.announce("urn:b", edgeURL)
			x.announce("urn:c", edgeURL)
			synctest.Wait()
		}, "urn:a", "received accepted rejected(too many servers wait)"},
		{"stranger", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:z", edgeURL)
		}, "urn:z", "received rejected(ServerUri is not expected here)"},
		{"bad URL", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", "opc.tcp://edge.test:0")
		}, "urn:a", "received rejected(EndpointUrl is not an opc.tcp URL)"},
		{"prefixed URL", func(t *testing.T, _ *Listener, x *exchange) {
			x.announce("urn:a", "rcp+"+edgeURL)
		}, "urn:a", "received rejected(EndpointUrl is not an opc.tcp URL)"},
		{"silent", func(t *testing.T, _ *Listener, x *exchange) {
			x.dial()
			time.Sleep(time.Hour)
		}, "", "rejected(no ReverseHello in time)"},
		{"gone", func(t *testing.T, _ *Listener, x *exchange) {
			x.dial().Close()
		}, "", "rejected(server hung up)"},
		{"a browser", func(t *testing.T, _ *Listener, x *exchange) {
			x.dial().Write([]byte("GET / HTTP/1.1"))
		}, "", "rejected(first message is not a ReverseHello)"},
		{"too many strangers", func(t *testing.T, _ *Listener, x *exchange) {
			x.dial()
			x.dial()
			x.dial()
			synctest.Wait()
		}, "", "rejected(too many servers wait)"},
		{"listener closed", func(t *testing.T, l *Listener, x *exchange) {
			x.announce("urn:a", edgeURL)
			x.dial()
			l.Close()
		}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				l, x, _ := testListener(t, func(cfg *ListenerConfig) {
					cfg.Allow, cfg.MaxReading, cfg.MaxHeld, cfg.Events = []string{"urn:a", "urn:b", "urn:c"}, 2, 2, d.note
				})
				c.do(t, l, x)
				synctest.Wait()
				if got := d.of(c.of); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// A server that calls again and again pushes out its own calls before those of others.
func TestListener_NobodyPushesOutTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, func(cfg *ListenerConfig) { cfg.MaxHeld = 3 })
		x.announce("urn:quiet", edgeURL)
		for i := range 20 {
			x.announce("urn:loud", fmt.Sprintf("%s/%d", edgeURL, i))
			if i > 1 {
				time.Sleep(time.Second)
			}
		}
		if quiet, loud := l.Held(Filter{ServerURI: "urn:quiet"}), l.Held(Filter{ServerURI: "urn:loud"}); quiet != 1 || loud != 2 {
			t.Errorf("%d of the quiet and %d of the loud server are held, want 1 and 2", quiet, loud)
		}
		if s := accept(t, l, Filter{ServerURI: "urn:loud"}); s.EndpointURL != edgeURL+"/19" {
			t.Errorf("got %s", s.EndpointURL)
		}
	})
}

func TestReadReverseHello_TypedErrors(t *testing.T) {
	whole := ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil)
	for _, c := range []struct {
		name   string
		sent   []byte
		stay   bool
		reason error
		code   ua.StatusCode
	}{
		{"whole", whole, false, nil, 0},
		{"nothing", nil, false, ErrHungUp, 0},
		{"half", whole[:20], false, ErrHungUp, 0},
		{"half, then silence", whole[:20], true, ErrSilent, 0},
		{"Hello", helloFrame(edgeURL), true, ErrNotReverseHello, ua.StatusBadTCPMessageTypeInvalid},
		{"huge", []byte("RHEF\xff\xff\xff\xff"), true, ErrMalformed, ua.StatusBadTCPMessageTooLarge},
		{"broken", frame("RHEF", "\x05\x00\x00\x00urn"), true, ErrMalformed, ua.StatusBadDecodingError},
		{"long", ReverseHello{ServerURI: strings.Repeat("x", 4097)}.Append(nil), true, ErrTextTooLong, ua.StatusBadTCPEndpointURLInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer ours.Close()
				go func() {
					theirs.Write(c.sent)
					if !c.stay {
						theirs.Close()
					}
				}()
				rhe, err := ReadReverseHello(ours, time.Minute)
				theirs.Close()
				if c.reason == nil {
					if err != nil || rhe.ServerURI != "urn:a" {
						t.Fatalf("%+v, %v", rhe, err)
					}
					return
				}
				var call *CallError
				if !errors.As(err, &call) || !errors.Is(err, c.reason) || call.Code != c.code {
					t.Errorf("got %v", err)
				}
				if code := uatcp.StatusCodeOf(err); c.code != 0 && code != c.code {
					t.Errorf("StatusCode %v, want %v", code, c.code)
				}
			})
		})
	}
}

func TestParseReverseHello_Truncated(t *testing.T) {
	body := ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil)[8:]
	for n := range body {
		if _, err := ParseReverseHello(body[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if rhe, err := ParseReverseHello(body); err != nil || rhe.EndpointURL != edgeURL {
		t.Errorf("%+v, %v", rhe, err)
	}
}

func TestListen_SeveralAddresses(t *testing.T) {
	defer goleak.VerifyNone(t)
	l, err := Listen(t.Context(), "opc.tcp://127.0.0.1:0", ListenerConfig{URLs: []string{"opc.tcp://127.0.0.1:0", "opc.tcp://localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := len(l.Addrs()); n != 3 || l.Addr() != l.Addrs()[0] {
		t.Fatalf("%d addresses", n)
	}
	for i, addr := range l.Addrs() {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(ReverseHello{ServerURI: fmt.Sprint("urn:", i), EndpointURL: edgeURL}.Append(nil))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		s, err := l.Accept(ctx, Filter{ServerURI: fmt.Sprint("urn:", i)})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if b, _ := io.ReadAll(nc); len(b) > 0 {
			t.Errorf("server reads %q", bytes.Clone(b))
		}
		nc.Close()
	}
}

// When one address cannot be had, none is kept.
func TestListen_AllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	urls := []string{"opc.tcp://" + free.Addr().String(), "opc.tcp://" + taken.Addr().String()}
	if l, err := Listen(t.Context(), urls[0], ListenerConfig{URLs: urls[1:]}); err == nil {
		l.Close()
		t.Fatal("an address in use was accepted")
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the other address is still taken: %v", err)
	}
	again.Close()
}

func TestEventKind_String(t *testing.T) {
	var words []string
	for k := range EventLost + 2 {
		words = append(words, k.String())
	}
	want := []string{"EventKind(0)", "received", "accepted", "rejected", "expired", "claimed", "lost", "EventKind(7)"}
	if !slices.Equal(words, want) {
		t.Errorf("got %q", words)
	}
}

// evictedConn is pushed out in the moment in which its ReverseHello has been read.
type evictedConn struct {
	net.Conn
	read func()
}

func (c *evictedConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && time.Until(t) == DefaultHoldTimeout {
		c.read()
	}
	return c.Conn.SetReadDeadline(t)
}

// A call that was closed to make room is not handed out.
func TestListener_PushedOutAfterReverseHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		l, x, _ := testListener(t, func(cfg *ListenerConfig) { cfg.MaxReading, cfg.Events = 1, d.note })
		given := make(chan *Session, 1)
		go func() {
			s, _ := l.Accept(t.Context(), Filter{})
			given <- s
		}()
		synctest.Wait()
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			x.calls <- &evictedConn{addressed{theirs, "server:1"}, func() { l.receive(addressed{ours, "server:2"}) }}
		}()
		ours.Write(ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil))
		synctest.Wait()
		if len(given) > 0 {
			t.Error("a closed socket was handed out")
		}
		if got := d.of("urn:a"); got != "received accepted rejected(too many servers wait)" {
			t.Errorf("got %q", got)
		}
	})
}
