package securechannel_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// findServers answers FindServers with nothing, everything else not at all.
func findServers(ch *securechannel.Channel, request *securechannel.Request) error {
	r := uabinary.NewReader(request.Body, nil)
	if kind := r.MessageType(); kind != id.FindServersRequest_Encoding_DefaultBinary {
		return errors.New("unexpected request")
	}
	var find uabinary.FindServersRequest
	if find.Parse(r); r.Err() != nil {
		return r.Err()
	}
	response := uabinary.FindServersResponse{ResponseHeader: uabinary.ResponseHeader{RequestHandle: find.RequestHeader.RequestHandle}}
	return ch.Send(request.ID, func(dst []byte) []byte { return uabinary.AppendMessage(dst, &response) })
}

// listen serves one connection on a real socket.
func listen(t *testing.T, r *rig) (url string, result <-chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		defer ln.Close()
		nc, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		done <- securechanneltest.ServeConn(nc, r.transport, &r.cfg, findServers).Err
	}()
	return "opc.tcp://" + ln.Addr().String(), done
}

// gopcuaClient dials the server of r with gopcua's client.
func gopcuaClient(t *testing.T, r *rig, s suite, lifetime time.Duration) (*opcua.Client, <-chan error) {
	t.Helper()
	url, result := listen(t, r)
	endpoint := &ua.EndpointDescription{SecurityPolicyURI: s.policy, SecurityMode: s.mode, ServerCertificate: r.server.Chain[0]}
	c, err := opcua.NewClient(url, opcua.AutoReconnect(false), opcua.Lifetime(lifetime),
		opcua.PrivateKey(r.client.Key), opcua.Certificate(r.client.Chain[0]),
		opcua.SecurityFromEndpoint(endpoint, ua.UserTokenTypeAnonymous))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, result
}

// closeGopcua ends the conversation in order.
func closeGopcua(t *testing.T, c *opcua.Client, result <-chan error) {
	t.Helper()
	if err := c.Close(t.Context()); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("close: %v", err)
	}
	if err := <-result; err != io.EOF {
		t.Errorf("server ended with %v, want EOF", err)
	}
}

// gopcua's client opens, uses and closes a channel under every policy, with keys of every size.
func TestGopcua_client(t *testing.T) {
	for _, keys := range [][2]string{{"server2048", "client2048"}, {"server4096", "client3072"}} {
		for _, s := range suitesFor(keys) {
			t.Run(s.name+","+keys[0]+","+keys[1], func(t *testing.T) {
				r := newRig()
				ids(keys[0], keys[1], r)
				c, result := gopcuaClient(t, r, s, time.Hour)
				for range 3 {
					if _, err := c.FindServers(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				closeGopcua(t, c, result)
			})
		}
	}
}

func TestGopcua_clientRenews(t *testing.T) {
	r := newRig()
	asked := make(chan struct{}, 10)
	r.cfg.MinLifetime = time.Second
	r.cfg.Trust = func([]byte) error { asked <- struct{}{}; return nil }
	c, result := gopcuaClient(t, r, encrypted, 2*time.Second)
	for range 2 { // the first is for the issue, the second for the renewal
		<-asked
		for range 3 {
			if _, err := c.FindServers(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeGopcua(t, c, result)
}

// On a real socket the Error message arrives although the server closes with unread bytes in its buffer.
func TestFail_errorArrivesBeforeTheReset(t *testing.T) {
	r := newRig()
	url, result := listen(t, r)
	nc, err := net.Dial("tcp", url[len("opc.tcp://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var wg sync.WaitGroup
	wg.Go(func() { nc.Write(append([]byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 60000)...)) })
	start := time.Now()
	answer, err := io.ReadAll(nc)
	wg.Wait()
	if err != nil || len(answer) < 8 || string(answer[:4]) != "ERRF" || time.Since(start) > 2*time.Second {
		t.Errorf("got %q, %v after %v", answer, err, time.Since(start))
	}
	nc.Close()
	if err := <-result; uatcp.StatusCodeOf(err) != ua.StatusBadTCPMessageTypeInvalid {
		t.Error(err)
	}
}
