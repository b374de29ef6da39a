package securechannel_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// Responses around the sizes where one more chunk is needed, and far beyond.
func TestSend_splitsIntoChunks(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			r := newRig()
			r.transport.SendBufferSize = 8192
			r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
				size := int(binary.LittleEndian.Uint32(request.Body))
				return ch.Send(request.ID, func(dst []byte) []byte {
					for i := range size {
						dst = append(dst, byte(i>>4))
					}
					return dst
				})
			}
			c, _ := r.dial(t, s)
			for _, size := range []int{0, 8100, 8135, 8136, 8137, 8168, 8169, 16270, 16271, 16336, 16337, 1 << 20} {
				body, err := c.Request(binary.LittleEndian.AppendUint32(nil, uint32(size)))
				if err != nil || len(body) != size {
					t.Fatalf("%d: got %d bytes, %v", size, len(body), err)
				}
				for i, b := range body {
					if b != byte(i>>4) {
						t.Fatalf("%d: wrong byte at %d", size, i)
					}
				}
			}
		})
	}
}

// Many goroutines send at once: no chunk of one message between those of another, every sequence number once and in order.
// The client checks both.
func TestSend_concurrently(t *testing.T) {
	r := newRig()
	r.transport.SendBufferSize = 8192
	const senders, each = 8, 20
	var wg sync.WaitGroup
	r.handle = func(ch *securechannel.Channel, _ *securechannel.Request) error {
		for i := range senders {
			wg.Go(func() {
				for j := range each {
					body := bytes.Repeat([]byte{byte(i)}, 1+j*1500)
					if err := ch.Send(uint32(i*each+j), func(dst []byte) []byte { return append(dst, body...) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		return nil
	}
	c, _ := r.dial(t, encrypted)
	send(t, c, uatcp.Final, 1, nil)
	seen := map[uint32]bool{}
	for range senders * each {
		id, body, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{byte(id / each)}, 1+int(id%each)*1500)
		if seen[id] || !bytes.Equal(body, want) {
			t.Fatalf("response %d again or wrong", id)
		}
		seen[id] = true
	}
	wg.Wait()
}

// Renewals while responses are being sent.
func TestSend_duringRenewals(t *testing.T) {
	r := newRig()
	done := make(chan struct{})
	var wg sync.WaitGroup
	r.handle = func(ch *securechannel.Channel, _ *securechannel.Request) error {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if ch.Send(7, func(dst []byte) []byte { return append(dst, "notification"...) }) != nil {
					return
				}
			}
		})
		return nil
	}
	c, _ := r.dial(t, encrypted)
	send(t, c, uatcp.Final, 1, nil)
	for range 20 {
		c.Nonce = append([]byte(nil), c.Nonce...)
		c.Nonce[0]++
		chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeRenew))
		if err != nil {
			t.Fatal(err)
		}
		go c.Net.Write(chunk)
		for { // responses of before the renewal, then its own
			err := c.ReadOpen()
			if err == nil {
				break
			}
			if err.Error() != "got MSG instead of OPN" {
				t.Fatal(err)
			}
			c.Received = 0
		}
	}
	close(done)
	c.Net.Close()
	wg.Wait()
}

// failConn fails its nth read or write.
type failConn struct {
	net.Conn
	mu   sync.Mutex
	left int
}

var errInjected = errors.New("injected")

func (c *failConn) spend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		return errInjected
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

// Whichever read or write fails in Hello, OPN, request, renewal and close: both sides end, nothing hangs.
func TestChannel_failEveryReadAndWrite(t *testing.T) {
	for _, side := range []string{"server", "client"} {
		const operations = 16 // more than either side needs
		for n := range operations {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				cn, sn := net.Pipe()
				client, server := &failConn{Conn: cn, left: 1000}, &failConn{Conn: sn, left: 1000}
				broken := map[string]*failConn{"server": server, "client": client}[side]
				broken.left = n
				result := make(chan error, 1)
				go func() {
					result <- securechanneltest.ServeConn(server, r.transport, &r.cfg, nil).Err
					server.Close()
				}()
				clientErr := converse(client, r)
				client.Close()
				if err := <-result; broken.left < 0 && err == io.EOF && clientErr == nil {
					t.Errorf("%s, operation %d: nobody noticed", side, n)
				} else if broken.left > 0 && (err != io.EOF || clientErr != nil) {
					t.Errorf("%s, operation %d was not reached: %v, %v", side, n, err, clientErr)
				} else if n == operations-1 && broken.left <= 0 {
					t.Errorf("%s needs more than %d operations", side, operations)
				}
			})
		}
	}
}

// converse does everything that a client does on a channel.
func converse(nc net.Conn, r *rig) error {
	c, err := securechanneltest.Dial(nc, encrypted.policy, encrypted.mode, r.client, r.server.Chain[0])
	if err != nil {
		return err
	}
	if _, err := c.Request(make([]byte, 5000)); err != nil {
		return err
	}
	if err := c.Renew(); err != nil {
		return err
	}
	if _, err := c.Request(make([]byte, 5000)); err != nil {
		return err
	}
	return c.Close()
}

// Everything of a conversation cut off at every byte: the server ends and holds nothing.
func TestChannel_truncatedAtEveryByte(t *testing.T) {
	r := newRig()
	whole := record(t, r)
	for n := range whole {
		if n > 100 && n < len(whole)-100 && n%37 != 0 {
			continue // the long middle is certificate and ciphertext
		}
		synctest.Test(t, func(t *testing.T) {
			r := *r
			r.cfg.Budget, r.transport.Unauthenticated = uatcp.NewBudget(1<<20), uatcp.NewBudget(1<<20)
			nc, result := securechanneltest.Serve(r.transport, &r.cfg, nil)
			go io.Copy(io.Discard, nc)
			if _, err := nc.Write(whole[:n]); err != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
			nc.Close()
			if res := <-result; res.Err == nil || res.Err == io.EOF && n < len(whole) && res.Channel != nil {
				t.Errorf("%d bytes: %v", n, res.Err)
			}
			if used := r.cfg.Budget.Used() + r.transport.Unauthenticated.Used(); used != 0 {
				t.Errorf("%d bytes: %d still booked", n, used)
			}
		})
	}
}

// record returns what a client sends up to its OPN.
func record(t *testing.T, r *rig) []byte {
	t.Helper()
	hello := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: securechanneltest.EndpointURL}
	stream := hello.Append(nil)
	c, _ := r.start(t, encrypted)
	c.Nonce = make([]byte, 32)
	chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
	if err != nil {
		t.Fatal(err)
	}
	return append(stream, chunk...)
}

func TestA06_handshakeLimitsApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Handshakes = securechannel.NewHandshakes(securechannel.HandshakeConfig{})
		r.cfg.Trust = func([]byte) error { return ua.StatusBadCertificateUntrusted }
		busy := 0
		for range 20 { // one second apart: the rate is fine, the failures are not
			c, _ := r.start(t, encrypted)
			openWith(t, c, nil)
			_, _, err := c.Receive()
			var peer *uatcp.Error
			if !errors.As(err, &peer) {
				t.Fatal(err)
			}
			switch peer.Code {
			case ua.StatusBadTCPServerTooBusy:
				busy++
			case ua.StatusBadSecurityChecksFailed:
			default:
				t.Errorf("got %v", peer)
			}
			c.Net.Close()
			time.Sleep(time.Second)
		}
		if busy != 10 {
			t.Errorf("%d of 20 attempts were too many, want 10", busy)
		}
		time.Sleep(time.Minute)
		r.cfg.Trust = func([]byte) error { return nil }
		c, _ := r.dial(t, encrypted)
		for range 20 { // renewals are not attempts of strangers
			if err := c.Renew(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
