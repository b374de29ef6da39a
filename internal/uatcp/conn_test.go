package uatcp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

const testURL = "opc.tcp://127.0.0.1:4840"

func hello(change func(*Hello)) []byte {
	h := Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: testURL}
	if change != nil {
		change(&h)
	}
	return h.Append(nil)
}

type accepted struct {
	conn *Conn
	err  error
}

// accept runs Accept on one end of a pipe and returns the other.
func accept(t *testing.T, cfg Config) (net.Conn, <-chan accepted) {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	result := make(chan accepted, 1)
	go func() {
		c, err := Accept(t.Context(), server, cfg)
		result <- accepted{c, err}
	}()
	return client, result
}

// expect reads one message from nc.
func expect(t *testing.T, nc net.Conn) []byte {
	t.Helper()
	head := make([]byte, HeaderSize)
	if _, err := io.ReadFull(nc, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, parseHeader(head).Size-HeaderSize)
	if _, err := io.ReadFull(nc, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// expectError reads an Error message with that code and then the end of the stream, within 2 s.
func expectError(t *testing.T, nc net.Conn, want ua.StatusCode) {
	t.Helper()
	start := time.Now()
	v, err := parse(expect(t, nc))
	if e, ok := v.(Error); !ok || e.Code != want || e.Reason != ua.StatusCodes[want].Text {
		t.Errorf("got %+v, %v, want %s", v, err, StatusName(want))
	}
	if _, err := io.Copy(io.Discard, nc); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("end after %v: %v", time.Since(start), err)
	}
}

// connect shakes hands over a pipe.
func connect(t *testing.T, server, client Config) (*Conn, *Conn) {
	t.Helper()
	nc, result := accept(t, server)
	c, err := Connect(t.Context(), nc, client, testURL)
	if err != nil {
		t.Fatal(err)
	}
	s := <-result
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.conn, c
}

func TestAccept_negotiates_Part6_7124(t *testing.T) {
	for name, tc := range map[string]struct {
		server        Config
		client        func(*Hello)
		receive, send uint32
	}{
		"defaults":       {Config{}, nil, 65535, 65535},
		"client smaller": {Config{}, func(h *Hello) { h.ReceiveBufferSize, h.SendBufferSize = 8192, 9000 }, 9000, 8192},
		"server smaller": {Config{ReceiveBufferSize: 16384, SendBufferSize: 10000}, nil, 16384, 10000},
		"client 2^32-1":  {Config{}, func(h *Hello) { h.ReceiveBufferSize, h.SendBufferSize = 1<<32-1, 1<<32-1 }, 65535, 65535},
		"newer version":  {Config{}, func(h *Hello) { h.ProtocolVersion = 9 }, 65535, 65535},
		"config too low": {Config{ReceiveBufferSize: 1, SendBufferSize: 1}, nil, 8192, 8192},
	} {
		t.Run(name, func(t *testing.T) {
			tc.server.MaxMessageSize, tc.server.MaxChunkCount = 1<<20, 64
			nc, result := accept(t, tc.server)
			_, err := nc.Write(hello(func(h *Hello) {
				h.MaxMessageSize, h.MaxChunkCount = 1000, 10
				if tc.client != nil {
					tc.client(h)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			want := Acknowledge{0, tc.receive, tc.send, 1 << 20, 64}
			if got, err := parse(expect(t, nc)); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			s := <-result
			if s.err != nil {
				t.Fatal(s.err)
			}
			size, chunks := s.conn.PeerLimits()
			if s.conn.EndpointURL() != testURL || s.conn.ReceiveSize() != tc.receive || s.conn.SendSize() != tc.send || size != 1000 || chunks != 10 {
				t.Errorf("%q %d %d %d %d", s.conn.EndpointURL(), s.conn.ReceiveSize(), s.conn.SendSize(), size, chunks)
			}
		})
	}
}

// of the attack list: what is not a proper Hello.
func TestA08_A09_badHello(t *testing.T) {
	raw := func(kind string, size uint32, body []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte(kind), size), body...)
	}
	for name, tc := range map[string]struct {
		bytes []byte
		want  ua.StatusCode
	}{
		"receive buffer 0":    {hello(func(h *Hello) { h.ReceiveBufferSize = 0 }), ua.StatusBadTCPNotEnoughResources},
		"receive buffer 8191": {hello(func(h *Hello) { h.ReceiveBufferSize = 8191 }), ua.StatusBadTCPNotEnoughResources},
		"send buffer 1":       {hello(func(h *Hello) { h.SendBufferSize = 1 }), ua.StatusBadTCPNotEnoughResources},
		"URL of 4097 bytes":   {hello(func(h *Hello) { h.EndpointURL = strings.Repeat("x", 4097) }), ua.StatusBadTCPEndpointURLInvalid},
		"no URL":              {hello(func(h *Hello) { h.EndpointURL = "" }), ua.StatusBadTCPEndpointURLInvalid},
		"trailing byte":       {raw("HELF", 33+4, append(make([]byte, 20), 4, 0, 0, 0, 'x', 'x', 'x', 'x', 0)), ua.StatusBadDecodingError},
		"cut body":            {raw("HELF", 20, make([]byte, 12)), ua.StatusBadDecodingError},
		"size 0":              {raw("HELF", 0, nil), ua.StatusBadDecodingError},
		"size 7":              {raw("HELF", 7, nil), ua.StatusBadDecodingError},
		"size 8":              {raw("HELF", 8, nil), ua.StatusBadDecodingError},
		"size 8193":           {raw("HELF", 8193, nil), ua.StatusBadTCPMessageTooLarge},
		"size 2^31":           {raw("HELF", 1<<31, nil), ua.StatusBadTCPMessageTooLarge},
		"size 2^32-1":         {raw("HELF", 1<<32-1, nil), ua.StatusBadTCPMessageTooLarge},
		"RHE":                 {ReverseHello{"urn:x", "opc.tcp://192.0.2.1:4840"}.Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		"ACK":                 {(&Acknowledge{}).Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		"OPN":                 {raw("OPNF", 100, nil), ua.StatusBadTCPMessageTypeInvalid},
		"MSG":                 {raw("MSGF", 100, nil), ua.StatusBadTCPMessageTypeInvalid},
		"lower case":          {raw("helF", 100, nil), ua.StatusBadTCPMessageTypeInvalid},
		"HTTP":                {[]byte("GET / HTTP/1.1\r\n\r\n"), ua.StatusBadTCPMessageTypeInvalid},
		"TLS":                 {[]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3}, ua.StatusBadTCPMessageTypeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc, result := accept(t, Config{})
				go nc.Write(tc.bytes)
				expectError(t, nc, tc.want)
				if s := <-result; StatusCodeOf(s.err) != tc.want {
					t.Errorf("Accept: %v", s.err)
				}
			})
		})
	}
}

func TestAccept_deadlines(t *testing.T) {
	for name, tc := range map[string]struct {
		first int // bytes of the Hello that are sent
		want  time.Duration
	}{"silent": {0, 10 * time.Second}, "stops": {5, 7 * time.Second}, "stops in body": {20, 7 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				nc, result := accept(t, Config{HelloTimeout: 10 * time.Second, FrameTimeout: 7 * time.Second})
				if tc.first > 0 {
					if _, err := nc.Write(hello(nil)[:tc.first]); err != nil {
						t.Fatal(err)
					}
				}
				if s := <-result; s.err == nil || time.Since(start) != tc.want {
					t.Errorf("got %v after %v", s.err, time.Since(start))
				}
				if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
					t.Errorf("%x, %v", b, err)
				}
			})
		})
	}
}

// A client may park a socket for as long as it likes; ending ctx ends the wait.
func TestAccept_waitsForEverAndEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		result := make(chan error)
		go func() {
			_, err := Accept(ctx, server, Config{})
			result <- err
		}()
		time.Sleep(1000 * time.Hour)
		cancel(stop)
		if err := <-result; err != stop {
			t.Error(err)
		}
	})
}

func TestWrite_deadlineClosesTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := connect(t, Config{WriteTimeout: 5 * time.Second}, Config{})
		start := time.Now()
		if err := s.Write([]byte("x"), s.WriteDeadline()); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := c.ReadChunk(); err != io.EOF {
			t.Errorf("peer: %v", err)
		}
	})
}

// failConn fails its nth operation.
type failConn struct {
	net.Conn
	left int
}

func (c *failConn) spend() error {
	if c.left--; c.left < 0 {
		return errors.New("injected")
	}
	return nil
}

func (c *failConn) Read(b []byte) (int, error) {
	if err := c.spend(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *failConn) Write(b []byte) (int, error) {
	if err := c.spend(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *failConn) SetReadDeadline(t time.Time) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *failConn) SetWriteDeadline(t time.Time) error {
	if err := c.spend(); err != nil {
		return err
	}
	return c.Conn.SetWriteDeadline(t)
}

// Whichever operation of the handshake fails, on either side: both end, nothing hangs.
func TestHandshake_failEveryOperation(t *testing.T) {
	for _, side := range []string{"server", "client"} {
		for n := range 12 {
			synctest.Test(t, func(t *testing.T) {
				cn, sn := net.Pipe()
				client, server := &failConn{cn, 1000}, &failConn{sn, 1000}
				broken := server
				if side == "client" {
					broken = client
				}
				broken.left = n
				cfg := Config{HelloTimeout: time.Second}
				result := make(chan error, 1)
				go func() {
					_, err := Accept(t.Context(), server, cfg)
					result <- err
				}()
				_, clientErr := Connect(t.Context(), client, cfg, testURL)
				serverErr := <-result
				if left := broken.left; left < 0 && clientErr == nil && serverErr == nil {
					t.Errorf("%s, operation %d: nobody noticed", side, n)
				}
				cn.Close()
				sn.Close()
			})
		}
	}
}

func TestConnect_refusesBadAcknowledge(t *testing.T) {
	for name, ack := range map[string]Acknowledge{
		"receive buffer above offer": {ReceiveBufferSize: 65536, SendBufferSize: 8192},
		"send buffer above offer":    {ReceiveBufferSize: 8192, SendBufferSize: 65536},
		"receive buffer too small":   {ReceiveBufferSize: 8191, SendBufferSize: 8192},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				go func() {
					expect(t, server)
					server.Write(ack.Append(nil))
					io.Copy(io.Discard, server)
				}()
				if _, err := Connect(t.Context(), client, Config{}, testURL); StatusCodeOf(err) != ua.StatusBadTCPInternalError {
					t.Error(err)
				}
			})
		})
	}
}

func TestBuffer_classes(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 4097, 65536, 262144, 262145, 10 << 20} {
		b := GetBuffer(n)
		if len(b.B) != 0 || cap(b.B) < n {
			t.Errorf("%d: length %d, capacity %d", n, len(b.B), cap(b.B))
		}
		b.Free()
	}
	odd := &Buffer{B: make([]byte, 100)} // below every class
	odd.Free()
}
