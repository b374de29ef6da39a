package status

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

func testSources() Sources {
	return Sources{
		Server: func() Server {
			return Server{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		},
		Reverse: func() []ReverseClient {
			return []ReverseClient{
				{URL: listener, EndpointURL: endpoint, State: "Active", StateSince: time.UnixMilli(1_700_000_000_500), Sockets: 1, Attempts: 7},
				{URL: "opc.tcp://other:4840", EndpointURL: endpoint, State: "Waiting", RejectCode: ua.StatusBadTCPServerTooBusy},
			}
		},
	}
}

func get(t *testing.T, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	limited(Handler(testSources())).ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestMetrics(t *testing.T) {
	page := get(t, http.MethodGet, "/metrics")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v", page.Code, page.Header())
	}
	for _, line := range []string{
		"edgeua_connections 1", "edgeua_sessions 2", "edgeua_subscriptions 3", "edgeua_monitored_items 4",
		"edgeua_sessions_total 5", "edgeua_rejected_sessions_total 6", "edgeua_security_rejected_sessions_total 7",
		"edgeua_timed_out_sessions_total 8", "edgeua_rejected_requests_total 9", "edgeua_security_rejected_requests_total 10",
		"edgeua_refused_connections_total 11", "edgeua_panics_total 12",
		`edgeua_reverse_state{url="opc.tcp://scada:48061",endpoint_url="opc.tcp://gateway:4840",state="Active"} 1`,
		`edgeua_reverse_attempts_total{url="opc.tcp://scada:48061",endpoint_url="opc.tcp://gateway:4840"} 7`,
		`edgeua_reverse_state_since_seconds{url="opc.tcp://scada:48061",endpoint_url="opc.tcp://gateway:4840"} 1.7000000005e+09`,
		`edgeua_reverse_last_success_seconds{url="opc.tcp://scada:48061",endpoint_url="opc.tcp://gateway:4840"} 0`,
		`edgeua_reverse_reject_code{url="opc.tcp://other:4840",endpoint_url="opc.tcp://gateway:4840"} 2.155675648e+09`,
	} {
		if !strings.Contains(page.Body.String(), line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(page.Body.String(), "go_goroutines") {
		t.Error("nothing about the process")
	}
}

// The samples of a metric stand together, as the format asks for.
func TestMetricsAreGrouped(t *testing.T) {
	seen, last := map[string]bool{}, ""
	for line := range strings.Lines(get(t, http.MethodGet, "/metrics").Body.String()) {
		if !strings.HasPrefix(line, "edgeua_") {
			continue
		}
		name := line[:strings.IndexAny(line, "{ ")]
		if name != last && seen[name] {
			t.Errorf("%s stands in two places", name)
		}
		seen[name], last = true, name
	}
	if len(seen) != 12+8 {
		t.Errorf("%d metrics", len(seen))
	}
}

func TestOtherRequests(t *testing.T) {
	if w := get(t, http.MethodGet, "/healthz"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("healthz: %d %q", w.Code, w.Body)
	}
	for target, want := range map[string]int{"/": 404, "/debug/pprof/": 404, "/metrics/x": 404} {
		if w := get(t, http.MethodGet, target); w.Code != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if w := get(t, http.MethodPost, "/metrics"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	w := httptest.NewRecorder()
	limited(Handler(testSources())).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", strings.NewReader("body")))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body: %d", w.Code)
	}
}

func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := limited(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		for range maxRequests {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d", w.Code)
		}
		close(release)
	})
}

// pipes is a Listener of connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serve runs Serve in a bubble and returns how to connect to it.
func serve(t *testing.T, f func(dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- Serve(ctx, p, Handler(testSources()), slog.New(slog.DiscardHandler)) }()
		f(func() net.Conn {
			client, server := net.Pipe()
			p.conns <- server
			return client
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestServe(t *testing.T) {
	serve(t, func(dial func() net.Conn) {
		nc := dial()
		defer nc.Close()
		go io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%v %v", resp, err)
		}
	})
}

// Only so many connections are open at a time; the next one waits its turn.
func TestServeBoundsConnections(t *testing.T) {
	serve(t, func(dial func() net.Conn) {
		start := time.Now()
		for range maxConnections {
			defer dial().Close()
		}
		next := dial() // when the silent ones are cut off
		defer next.Close()
		if time.Since(start) != readTimeout {
			t.Errorf("accepted after %v", time.Since(start))
		}
	})
}

// Who says nothing, or never ends, is cut off.
func TestServeGivesUpOnSilenceAndFloods(t *testing.T) {
	serve(t, func(dial func() net.Conn) {
		start := time.Now()
		silent := dial()
		if _, err := io.ReadAll(silent); err != nil || time.Since(start) != readTimeout {
			t.Errorf("silence ended after %v: %v", time.Since(start), err)
		}
		flood := dial()
		go func() {
			defer flood.Close()
			_, _ = io.WriteString(flood, "GET / HTTP/1.1\r\n")
			for {
				if _, err := io.WriteString(flood, "X: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}()
		answer, _ := io.ReadAll(flood)
		if !strings.Contains(string(answer), "431") {
			t.Errorf("a flood of headers: %q", answer)
		}
	})
}
