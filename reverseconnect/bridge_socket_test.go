package reverseconnect

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// ferry is a Bridge on real sockets with one joined pair.
type ferry struct {
	b              *Bridge
	server, client *net.TCPConn
}

func newFerry(t *testing.T) *ferry {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	b, err := OpenBridge(t.Context(), "opc.tcp://127.0.0.1:0", BridgeConfig{Routes: []Route{{ServerURI: "urn:a", Address: "127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	f := &ferry{b: b, server: dialTCP(t, b.Addrs()[0]), client: dialTCP(t, b.Status()[0].Addr)}
	f.server.Write(ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil))
	f.client.Write(helloFrame(otherURL))
	if hello, err := readHello(f.server); err != nil || hello.EndpointURL != edgeURL {
		t.Fatalf("%+v, %v", hello, err)
	}
	f.server.Write((&uatcp.Acknowledge{ReceiveBufferSize: 65535, SendBufferSize: 65535}).Append(nil))
	if _, err := readFirst(f.client, handshakeTimeout); err != nil {
		t.Fatal(err)
	}
	return f
}

func dialTCP(t *testing.T, addr net.Addr) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

// A client that has said all it has to say still hears the answer, and the other way round.
func TestBridge_HalfClose(t *testing.T) {
	for _, name := range []string{"client first", "server first"} {
		t.Run(name, func(t *testing.T) {
			f := newFerry(t)
			first, second := f.client, f.server
			if name == "server first" {
				first, second = second, first
			}
			question := bytes.Repeat([]byte("question"), 1<<17) // 1 MiB
			go func() {
				first.Write(question)
				first.CloseWrite()
			}()
			if got, err := io.ReadAll(second); err != nil || !bytes.Equal(got, question) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			second.Write([]byte("answer"))
			second.Close()
			if got, err := io.ReadAll(first); err != nil || string(got) != "answer" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestBridge_Reset(t *testing.T) {
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			f := newFerry(t)
			victim, other := f.client, f.server
			if name == "server" {
				victim, other = other, victim
			}
			victim.SetLinger(0)
			victim.Close()
			other.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadAll(other); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side reads %v", err)
			}
		})
	}
}

// Endless data one way does not hinder the other.
func TestBridge_EndlessData(t *testing.T) {
	f := newFerry(t)
	flooded := make(chan struct{})
	go func() { // until the end
		defer close(flooded)
		for block := make([]byte, 64<<10); ; {
			if _, err := f.server.Write(block); err != nil {
				return
			}
		}
	}()
	f.client.Write([]byte("stop"))
	got := make([]byte, 4)
	if _, err := io.ReadFull(f.server, got); err != nil || string(got) != "stop" {
		t.Errorf("%q, %v", got, err)
	}
	f.b.Close()
	<-flooded
}
