package reverseconnect

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// fakeCall returns a Session and the server's end of its socket.
func fakeCall(t *testing.T) (*Session, net.Conn) {
	l, x, _ := testListener(t, nil)
	c := x.dial()
	go c.Write(uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL + "/path"}.Append(nil))
	return accept(t, l, Filter{}), c
}

// forward starts the forwarder between a client and a server in memory and says Hello.
func forward(t *testing.T, s *Session) (client net.Conn, f *forwarder, done chan error) {
	f = &forwarder{calls: s, open: map[net.Conn]bool{}}
	ours, theirs := net.Pipe()
	done = make(chan error, 1)
	go func() { done <- f.serve(theirs) }()
	h := uatcp.Hello{ReceiveBufferSize: 16384, SendBufferSize: 8192, EndpointURL: "opc.tcp://127.0.0.1:1/path"}
	go ours.Write(h.Append(nil))
	return ours, f, done
}

func ackFrame(receive, send uint32) []byte {
	a := uatcp.Acknowledge{ReceiveBufferSize: receive, SendBufferSize: send, MaxMessageSize: 1 << 30, MaxChunkCount: 1 << 30}
	return a.Append(nil)
}

// openFrame is an OpenSecureChannel message with a body of no meaning.
func openFrame(policy string, certificate, thumbprint []byte) []byte {
	body := make([]byte, 4)
	for _, field := range [][]byte{[]byte(policy), certificate, thumbprint} {
		body = binary.LittleEndian.AppendUint32(body, uint32(len(field)))
		body = append(body, field...)
	}
	return frame("OPNF", string(body)+"sequence header and more")
}

func mustRead(t *testing.T, nc net.Conn) []byte {
	t.Helper()
	got, err := readFrame(nc, nil, 1<<20)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return got
}

func TestForwarder_Part6_7126_HelloEchoesTheAnnouncedURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := fakeCall(t)
		client, _, done := forward(t, s)
		hello, err := uatcp.ParseHello(mustRead(t, server)[8:])
		if err != nil || hello.EndpointURL != edgeURL+"/path" || hello.ReceiveBufferSize != 16384 || hello.SendBufferSize != 8192 {
			t.Errorf("server gets %+v, %v", hello, err)
		}
		go server.Write(ackFrame(8192, 16384))
		ack, err := uatcp.ParseAcknowledge(mustRead(t, client)[8:])
		if err != nil || ack.SendBufferSize != 16384 || ack.MaxMessageSize != maxMessageSize || ack.MaxChunkCount != maxChunkCount {
			t.Errorf("client gets %+v, %v", ack, err)
		}
		certificate := []byte("certificate")
		print := sha1.Sum(certificate)
		for _, way := range []struct {
			from, to net.Conn
			frame    []byte
		}{
			{client, server, openFrame("policy", nil, print[:])},
			{server, client, openFrame("policy", certificate, nil)},
			{client, server, frame("MSGF", strings.Repeat("x", 100))},
			{server, client, frame("MSGC", strings.Repeat("x", 16384-8))},
			{server, client, frame("MSGA", strings.Repeat("x", 100))},
			{server, client, frame("MSGF", strings.Repeat("x", 16))},
			{client, server, frame("CLOF", strings.Repeat("x", 100))},
		} {
			go way.from.Write(way.frame)
			if got := mustRead(t, way.to); !bytes.Equal(got, way.frame) {
				t.Errorf("%.8q became %.8q", way.frame, got)
			}
		}
		client.Close()
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("server reads %v when the client has closed", err)
		}
		<-done
	})
}

// A hostile server can end the connection, and nothing else.
func TestForwarder_RefusesHostileServer(t *testing.T) {
	ack := ackFrame(8192, 16384)
	print := sha1.Sum([]byte("certificate"))
	opened := openFrame("policy", []byte("certificate"), nil)
	negative := bytes.Replace(opened, []byte("\x06\x00\x00\x00policy"), []byte("\xfe\xff\xff\xffpolicy"), 1)
	for _, c := range []struct {
		name   string
		before [][]byte // accepted
		bad    []byte
	}{
		{"nothing at all", nil, []byte("\x00\x00\x00\x00\x00\x00\x00\x00")},
		{"message before Acknowledge", nil, frame("MSGF", strings.Repeat("x", 100))},
		{"Hello", nil, helloFrame(edgeURL)},
		{"ReverseHello again", nil, uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil)},
		{"no receive buffer", nil, ackFrame(0, 16384)},
		{"4 GiB receive buffer", nil, ackFrame(1<<32-1, 16384)},
		{"send buffer above the offer", nil, ackFrame(8192, 16385)},
		{"no send buffer", nil, ackFrame(8192, 0)},
		{"short Acknowledge", nil, frame("ACKF", "short")},
		{"second Acknowledge", [][]byte{ack}, ack},
		{"frame of 7 bytes", [][]byte{ack}, []byte("MSGF\x07\x00\x00\x00")},
		{"frame of 2 GiB", [][]byte{ack}, []byte("MSGF\x00\x00\x00\x80")},
		{"frame above the buffer", [][]byte{ack}, []byte("MSGF\x01\x40\x00\x00")},
		{"chunk without headers", [][]byte{ack}, frame("MSGF", "tiny")},
		{"chunk of another kind", [][]byte{ack}, frame("MSGX", strings.Repeat("x", 100))},
		{"unknown type", [][]byte{ack}, frame("XYZF", strings.Repeat("x", 100))},
		{"another policy", [][]byte{ack}, openFrame(ua.SecurityPolicyURINone, nil, nil)},
		{"another policy with the right certificate", [][]byte{ack}, openFrame("policy2", []byte("certificate"), nil)},
		{"another certificate", [][]byte{ack}, openFrame("policy", []byte("another"), nil)},
		{"no certificate", [][]byte{ack}, openFrame("policy", nil, nil)},
		{"negative length", [][]byte{ack}, negative},
		{"OPN in chunks", [][]byte{ack}, append([]byte("OPNC"), opened[4:]...)},
		{"Error of nothing", [][]byte{ack}, frame("ERRF", "")},
		{"Error of negative length", [][]byte{ack}, frame("ERRF", "\x00\x00\x0a\x80\x00\x00\x00\x80")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, server := fakeCall(t)
				client, f, done := forward(t, s)
				mustRead(t, server) // Hello
				for _, good := range c.before {
					go server.Write(good)
					mustRead(t, client)
				}
				go client.Write(openFrame("policy", nil, print[:]))
				mustRead(t, server)
				go server.Write(c.bad)
				got := mustRead(t, client)
				if frameType(got) != uatcp.TypeError {
					t.Errorf("client gets %.20q, want an Error", got)
				}
				if _, err := client.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("then reads %v, want EOF", err)
				}
				if err := <-done; err == nil || f.explain(errors.New("x")).Error() == "x" {
					t.Errorf("the reason is lost: %v", err)
				}
			})
		})
	}
}

func TestForwarder_ServerCutOffAtEveryByte(t *testing.T) {
	ack := ackFrame(8192, 16384)
	for n := range len(ack) {
		synctest.Test(t, func(t *testing.T) {
			s, server := fakeCall(t)
			client, _, done := forward(t, s)
			mustRead(t, server)
			go func() { server.Write(ack[:n]); server.Close() }()
			if got, err := io.ReadAll(client); err != nil || len(got) > 0 {
				t.Errorf("%d bytes: client reads %q, %v", n, got, err)
			}
			<-done
		})
	}
}

func TestForwarder_ServerFallsSilent(t *testing.T) {
	for _, sent := range [][]byte{nil, ackFrame(8192, 16384)[:10]} {
		synctest.Test(t, func(t *testing.T) {
			s, server := fakeCall(t)
			client, _, done := forward(t, s)
			mustRead(t, server)
			begin := time.Now()
			go server.Write(sent)
			io.ReadAll(client)
			if took := time.Since(begin); took < handshakeTimeout || took > frameTimeout {
				t.Errorf("given up after %v", took)
			}
			<-done
		})
	}
}

// Who goes away while waiting for the server must not use up its next call.
func TestForwarder_ClientGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		s := &Session{ServerURI: "urn:a", EndpointURL: edgeURL, listener: l}
		s.used.Store(true)
		client, _, done := forward(t, s)
		time.Sleep(time.Hour)
		client.Close()
		if err := <-done; err == nil {
			t.Error("no reason")
		}
		go x.announce("urn:a", edgeURL)
		accept(t, l, Filter{})
	})
}

func TestForwarder_WaitsForTheNextCallOfTheSameServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, x, _ := testListener(t, nil)
		s := &Session{ServerURI: "urn:a", EndpointURL: edgeURL, listener: l}
		s.used.Store(true)
		client, _, done := forward(t, s)
		x.announce("urn:b", edgeURL)
		x.announce("urn:a", edgeURL+"/other")
		time.Sleep(time.Minute)
		server := x.announce("urn:a", edgeURL)
		if got := mustRead(t, server); frameType(got) != uatcp.TypeHello {
			t.Errorf("server gets %q", got)
		}
		client.Close()
		<-done
	})
}

func TestForwarder_ListenerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := testListener(t, nil)
		s := &Session{ServerURI: "urn:a", EndpointURL: edgeURL, listener: l}
		s.used.Store(true)
		client, _, done := forward(t, s)
		synctest.Wait()
		l.Close()
		if err := <-done; !errors.Is(err, ErrListenerClosed) {
			t.Errorf("got %v", err)
		}
		client.Close()
	})
}

// realCall is fakeCall on real sockets, for gopcua.
func realCall(t *testing.T) (*Session, *net.TCPConn) {
	t.Helper()
	l, err := Listen(t.Context(), "opc.tcp://127.0.0.1:0", ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	server, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := uatcp.WriteReverseHello(server, uatcp.ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}, time.Second); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := l.Accept(ctx, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return s, server.(*net.TCPConn)
}

func TestClient_RefusalIsExplained(t *testing.T) {
	s, server := realCall(t)
	c, err := NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		mustRead(t, server)
		server.Write(ackFrame(1<<32-1, 1<<32-1))
	}()
	err = c.Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not offered") {
		t.Errorf("got %v, want what is wrong with the server", err)
	}
	c.Close(t.Context())
}

func TestClient_ServerErrorReachesTheCaller(t *testing.T) {
	s, server := realCall(t)
	c, err := NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		mustRead(t, server)
		uatcp.WriteError(server, ua.StatusBadTCPEndpointURLInvalid, "no", time.Second)
	}()
	err = c.Connect(t.Context())
	var refused *ServerError
	if !errors.As(err, &refused) || refused.Reason != "no" || !errors.Is(err, ua.StatusBadTCPEndpointURLInvalid) {
		t.Errorf("got %v", err)
	}
	c.Close(t.Context())
}

// Connect waits for the server to call, but not longer than its context.
func TestClient_ConnectGivesUp(t *testing.T) {
	s, _ := realCall(t)
	s.used.Store(true)
	c, err := NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	waiting := make(chan error, 1)
	go func() { waiting <- c.Connect(ctx) }()
	for s.listener.waiting() == 0 {
		select {
		case err := <-waiting:
			t.Fatalf("Connect returns %v", err)
		default:
		}
	}
	cancel(why)
	if err := <-waiting; !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	c.Close(t.Context())
}

func (l *Listener) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiters.Len()
}

// Nobody else on this machine can use the forwarder's port.
func TestClient_StrangersAreHungUpOn(t *testing.T) {
	s, _ := realCall(t)
	c, err := NewClient(s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	stranger, err := net.Dial("tcp", c.forwarder.nl.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	stranger.Write(helloFrame(c.forwarder.url))
	if got, err := io.ReadAll(stranger); len(got) > 0 {
		t.Errorf("stranger reads %q, %v", got, err)
	}
	if s.used.Load() {
		t.Error("the stranger got the call")
	}
}

func TestLocalURL(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}
	for announced, want := range map[string]string{
		"opc.tcp://edge":                 "opc.tcp://127.0.0.1:5",
		"opc.tcp://edge:4840/a/b":        "opc.tcp://127.0.0.1:5/a/b",
		"opc.tcp://[::1]:4840/a%2fb?c=d": "opc.tcp://127.0.0.1:5/a%2fb",
	} {
		if got := localURL(announced, at); got != want {
			t.Errorf("%s: %s, want %s", announced, got, want)
		}
	}
}

func FuzzInspector(f *testing.F) {
	f.Add(ackFrame(8192, 16384))
	f.Add(append(ackFrame(8192, 16384), openFrame("policy", []byte("certificate"), nil)...))
	f.Add(append(ackFrame(8192, 16384), frame("MSGF", strings.Repeat("x", 100))...))
	f.Add(frame("ERRF", "\x00\x00\x0a\x80\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		i := newInspector(&uatcp.Hello{ReceiveBufferSize: 16384, SendBufferSize: 8192}, func(error) {})
		i.policy, i.thumbprint = ua.SecurityPolicyURINone, ""
		server, ours := net.Pipe()
		client, out := net.Pipe()
		go func() { server.Write(sent); server.Close() }()
		go func() {
			copyFrames(out, ours, i.receiveLimit, i.fromServer)
			out.Close()
			ours.Close()
		}()
		for n := 0; ; n++ {
			got, err := readFrame(client, nil, i.receiveLimit)
			if err != nil {
				return
			}
			switch frameType(got) {
			case uatcp.TypeAcknowledge:
				a, err := uatcp.ParseAcknowledge(got[8:])
				if err != nil || n > 0 || a.ReceiveBufferSize > 8192 || a.SendBufferSize > 16384 {
					t.Fatalf("message %d: %+v, %v", n, a, err)
				}
			case uatcp.TypeError, uatcp.TypeOpenSecureChannel, uatcp.TypeMessage:
			default:
				t.Fatalf("%q came through", got)
			}
		}
	})
}
