package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Server is what the OPC UA server counts. The gauges are of this moment, the
// counters since the start.
type Server struct {
	Connections    int // TransportConnections, with and without SecureChannel
	Sessions       int
	Subscriptions  int
	MonitoredItems int

	CumulatedSessions        uint64
	RejectedSessions         uint64 // for whatever reason
	SecurityRejectedSessions uint64 // for reasons of security
	TimedOutSessions         uint64
	RejectedRequests         uint64 // answered by a ServiceFault
	SecurityRejectedRequests uint64
	RefusedConnections       uint64 // by the listeners
	Panics                   uint64 // each has ended a connection
}

// Sources tell how things are when they are asked. They may be called at any
// time from any goroutine.
type Sources struct {
	Server  func() Server
	Reverse func() []ReverseClient
}

// Bounds of the HTTP side: it answers a collector or two, and nobody else.
const (
	maxConnections = 16 // at a time; further ones wait to be accepted
	maxRequests    = 4  // at a time; further ones are told to come back
	readTimeout    = 5 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 4 << 10
	goodbye        = time.Second
)

// Handler answers GET /metrics and GET /healthz.
func Handler(src Sources) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var page bytes.Buffer
		writeServer(&page, src.Server())
		writeReverse(&page, src.Reverse())
		metrics.WriteProcessMetrics(&page)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = page.WriteTo(w) // the collector may have gone
	})
	// Who answers here can also be asked: no lock is stuck.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		src.Server()
		src.Reverse()
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// Serve answers on l until ctx ends, and closes it.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: limited(h), ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if srv.Shutdown(late) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(&boundedListener{Listener: l, slots: make(chan struct{}, maxConnections)})
	if !stop() {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("metrics: %w", err)
}

// boundedListener accepts while fewer than cap(slots) connections are open, so
// that nobody takes the descriptors that OPC UA clients need.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a free slot too. When everything ends the connections do,
// and with them the wait.
func (b *boundedListener) Accept() (net.Conn, error) {
	b.slots <- struct{}{}
	nc, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &boundedConn{Conn: nc, free: sync.OnceFunc(func() { <-b.slots })}, nil
}

// boundedConn gives back its slot when it is closed.
type boundedConn struct {
	net.Conn
	free func()
}

func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// limited lets a few requests in at a time, none with a body.
func limited(h http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
			http.Error(w, "no body is taken", http.StatusRequestEntityTooLarge)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func writeServer(w io.Writer, s Server) {
	metrics.WriteGaugeUint64(w, "edgeua_connections", uint64(s.Connections))
	metrics.WriteGaugeUint64(w, "edgeua_sessions", uint64(s.Sessions))
	metrics.WriteGaugeUint64(w, "edgeua_subscriptions", uint64(s.Subscriptions))
	metrics.WriteGaugeUint64(w, "edgeua_monitored_items", uint64(s.MonitoredItems))
	metrics.WriteCounterUint64(w, "edgeua_sessions_total", s.CumulatedSessions)
	metrics.WriteCounterUint64(w, "edgeua_rejected_sessions_total", s.RejectedSessions)
	metrics.WriteCounterUint64(w, "edgeua_security_rejected_sessions_total", s.SecurityRejectedSessions)
	metrics.WriteCounterUint64(w, "edgeua_timed_out_sessions_total", s.TimedOutSessions)
	metrics.WriteCounterUint64(w, "edgeua_rejected_requests_total", s.RejectedRequests)
	metrics.WriteCounterUint64(w, "edgeua_security_rejected_requests_total", s.SecurityRejectedRequests)
	metrics.WriteCounterUint64(w, "edgeua_refused_connections_total", s.RefusedConnections)
	metrics.WriteCounterUint64(w, "edgeua_panics_total", s.Panics)
}

// reverseMetrics are the numbers of one client. Of edgeua_reverse_state there
// is one sample per client, with its state as a label.
var reverseMetrics = []struct {
	name    string
	counter bool
	value   func(c *ReverseClient) float64
}{
	{"sockets", false, func(c *ReverseClient) float64 { return float64(c.Sockets) }},
	{"attempts_total", true, func(c *ReverseClient) float64 { return float64(c.Attempts) }},
	{"reject_code", false, func(c *ReverseClient) float64 { return float64(c.RejectCode) }},
	{"state_since_seconds", false, func(c *ReverseClient) float64 { return seconds(c.StateSince) }},
	{"last_success_seconds", false, func(c *ReverseClient) float64 { return seconds(c.LastSuccess) }},
	{"last_error_seconds", false, func(c *ReverseClient) float64 { return seconds(c.LastErrorTime) }},
	{"next_attempt_seconds", false, func(c *ReverseClient) float64 { return seconds(c.NextAttempt) }},
}

// writeReverse writes the clients, the samples of a metric in one group.
func writeReverse(w io.Writer, clients []ReverseClient) {
	for i := range clients {
		c := &clients[i]
		metrics.WriteGaugeUint64(w, fmt.Sprintf("edgeua_reverse_state{url=%q,endpoint_url=%q,state=%q}", c.name(), c.EndpointURL, c.State), 1)
	}
	for _, m := range reverseMetrics {
		write := metrics.WriteGaugeFloat64
		if m.counter {
			write = metrics.WriteCounterFloat64
		}
		for i := range clients {
			c := &clients[i]
			write(w, fmt.Sprintf("edgeua_reverse_%s{url=%q,endpoint_url=%q}", m.name, c.name(), c.EndpointURL), m.value(c))
		}
	}
}

// seconds is t as Unix time, 0 for what has not happened.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
