package attack

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

// closing is how long the server may take to close: 2 s by the invariant, and
// something for a busy machine.
const closing = 4 * time.Second

func hello(change func(*uatcp.Hello)) []byte {
	h := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: securechanneltest.EndpointURL}
	if change != nil {
		change(&h)
	}
	return h.Append(nil)
}

// frame is a header that may lie about its size, and what follows.
func frame(kind string, size uint32, body ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte(kind), size), body...)
}

// honest is a frame of the right size.
func honest(kind string, body []byte) []byte { return frame(kind, uint32(8+len(body)), body...) }

// throw opens a connection for each input, all at once, writes it and asserts
// how it ends.
func (s *siege) throw(inputs map[string][]byte, allowed ...ua.StatusCode) {
	s.t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, 8) // fewer than the connections of an address
	for name, input := range inputs {
		places <- struct{}{}
		nc := s.attacker()
		all.Go(func() {
			nc.Write(input)
			s.ended(name, nc, closing, allowed...)
			<-places
		})
	}
	all.Wait()
}

func TestA01_ContinueForEver(t *testing.T) {
	s := besiege(t, nil)
	var all sync.WaitGroup
	for range 8 {
		c := s.open(attackAddress, nil)
		all.Go(func() {
			chunk := make([]byte, 16000)
			for range 100 {
				if c.Send(uatcp.TypeMessage, uatcp.Intermediate, 7, chunk) != nil {
					break
				}
			}
			s.ended("chunks without end", c.Net, closing, transportCodes...)
		})
	}
	all.Wait()
	s.enter(entryDuring)
	s.over()
}

// Nobody finishes a message; the sockets stay until the deadline.
func TestA01_UnfinishedMessages(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.ChannelIdleTime = stretched(time.Second) })
	for range 8 {
		c := s.open(attackAddress, nil)
		if err := c.Send(uatcp.TypeMessage, uatcp.Intermediate, 7, make([]byte, 60000)); err != nil {
			t.Fatal(err)
		}
	}
	s.enter(entryDuring)
	s.over()
}

func TestA02_ChunkSizes(t *testing.T) {
	s := besiege(t, nil)
	inputs := make(map[string][]byte)
	for _, size := range []uint32{0, 1, 7, 8, 9, 65536, 1 << 24, 1 << 31, 1<<31 - 1, 1<<32 - 1} {
		inputs[fmt.Sprintf("HEL of %d", size)] = frame("HELF", size, make([]byte, 64)...)
		inputs[fmt.Sprintf("OPN of %d", size)] = append(hello(nil), frame("OPNF", size, make([]byte, 64)...)...)
	}
	s.throw(inputs, append(transportCodes, securityCodes...)...)
	for _, size := range []uint32{0, 7, 8, 23, 65536, 1 << 31, 1<<32 - 1} {
		c := s.open(attackAddress, nil)
		c.Net.Write(frame("MSGF", size, make([]byte, 64)...))
		s.ended(fmt.Sprintf("MSG of %d", size), c.Net, closing, transportCodes...)
	}
	s.over()
}

func TestA03_ChunkOrder(t *testing.T) {
	s := besiege(t, nil)
	for name, attack := range map[string]func(c *client){
		"interleaved": func(c *client) {
			for id := range uint32(50) {
				c.Send(uatcp.TypeMessage, uatcp.Intermediate, 100+id, make([]byte, 1000))
			}
		},
		"OPN in chunks":    func(c *client) { c.Net.Write(honest("OPNC", make([]byte, 100))) },
		"CLO in chunks":    func(c *client) { c.Send(uatcp.TypeCloseSecureChannel, uatcp.Intermediate, 1, nil) },
		"unknown chunk":    func(c *client) { c.Send(uatcp.TypeMessage, 'X', 1, nil) },
		"another's token":  func(c *client) { c.TokenID++; c.Send(uatcp.TypeMessage, uatcp.Final, 1, nil) },
		"another channel":  func(c *client) { c.ChannelID++; c.Send(uatcp.TypeMessage, uatcp.Final, 1, nil) },
		"an empty message": func(c *client) { c.Send(uatcp.TypeMessage, uatcp.Final, 1, nil) },
	} {
		c := s.open(attackAddress, nil)
		attack(c)
		s.ended(name, c.Net, closing, append(transportCodes, ua.StatusBadSecureChannelTokenUnknown)...)
	}
	// Aborted messages cost nothing and end nothing.
	c := s.open(attackAddress, nil)
	for id := range uint32(200) {
		c.Send(uatcp.TypeMessage, uatcp.Intermediate, 100+id, make([]byte, 30000))
		c.Send(uatcp.TypeMessage, uatcp.Abort, 100+id, nil)
	}
	req := &uabinary.GetEndpointsRequest{EndpointURL: securechanneltest.EndpointURL}
	code, err := c.call(&req.RequestHeader, req, &uabinary.GetEndpointsResponse{})
	wantCode(t, "after aborted messages", code, err, ua.StatusOK)
	c.Close()
	s.over()
}

// shippedAccept makes the limits on connections those of a delivered gateway.
func shippedAccept(c *server.Config) { c.Limits.AcceptRate, c.Limits.AcceptBurst = 0, 0 }

func TestA04_SilentSockets(t *testing.T) {
	s := besiege(t, shippedAccept)
	for i := range 30 { // over the share of one address
		nc := s.attacker()
		if i%2 == 0 {
			nc.Write(hello(nil))
		}
	}
	s.enter(entryDuring)
	pause(time.Second)
	s.over()
}

// Whoever connects as fast as it can must not use up what others may accept.
func TestA04_ConnectStorm(t *testing.T) {
	s := besiege(t, shippedAccept)
	stop := make(chan struct{})
	var storm sync.WaitGroup
	for range 2 {
		storm.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				nc, err := s.dialFrom(attackAddress)
				if err != nil {
					pause(5 * time.Millisecond)
					continue
				}
				nc.(*net.TCPConn).SetLinger(0)
				nc.Close()
				pause(2 * time.Millisecond)
			}
		})
	}
	pause(2 * time.Second) // the burst is gone
	s.enter(entryDuring)
	close(stop)
	storm.Wait()
	s.over()
}

func TestA05_SlowFrames(t *testing.T) {
	s := besiege(t, nil)
	open := append(hello(nil), frame("OPNF", 132)...)
	inputs := map[string][]byte{
		"header":    []byte("HELF\x20"),
		"HEL":       hello(nil)[:30],
		"OPN":       open,
		"nothing":   nil,
		"after ACK": hello(nil),
	}
	var all sync.WaitGroup
	for name, start := range inputs {
		nc := s.attacker()
		all.Go(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				nc.Write(start)
				for range 40 { // one byte at a time keeps nothing alive
					pause(100 * time.Millisecond)
					if _, err := nc.Write([]byte{0}); err != nil || name == "nothing" || name == "after ACK" {
						return
					}
				}
			}()
			s.ended(name, nc, closing, append(transportCodes, ua.StatusBadTimeout)...)
			<-done
		})
	}
	c := s.open(attackAddress, nil)
	c.Net.Write(frame("MSGF", 5000, make([]byte, 20)...))
	s.enter(entryDuring)
	s.ended("MSG", c.Net, closing, append(transportCodes, ua.StatusBadTimeout)...)
	all.Wait()
	s.over()
}

func TestA07_ChannelsWithoutSession(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.ChannelIdleTime = stretched(2 * time.Second) })
	opened := 0
	for i := range 40 { // from several addresses: more than there are channels
		nc, err := s.dialFrom(fmt.Sprintf("127.0.0.%d", 2+i/8))
		if err != nil {
			t.Fatal(err)
		}
		s.held = append(s.held, nc)
		if _, err := openOn(nc, nil); err == nil {
			opened++
		}
	}
	if opened < 30 {
		t.Errorf("only %d channels opened: the newest shall get in", opened)
	}
	s.enter(entryDuring)
	pause(2 * time.Second)
	s.over()
}

func TestA08_Hello(t *testing.T) {
	s := besiege(t, nil)
	inputs := map[string][]byte{
		"second HEL":     append(hello(nil), hello(nil)...),
		"negative URL":   honest("HELF", append(make([]byte, 20), 0xfe, 0xff, 0xff, 0xff)),
		"huge URL":       honest("HELF", append(make([]byte, 20), 0xff, 0xff, 0xff, 0x7f)),
		"bytes behind":   honest("HELF", append(hello(nil)[8:], 1, 2, 3)),
		"no URL":         hello(func(h *uatcp.Hello) { h.EndpointURL = "" }),
		"long URL":       hello(func(h *uatcp.Hello) { h.EndpointURL = string(make([]byte, 4097)) }),
		"longest header": honest("HELF", make([]byte, 60000)),
	}
	for _, size := range []uint32{0, 1, 8191} {
		inputs[fmt.Sprintf("buffers of %d", size)] = hello(func(h *uatcp.Hello) { h.ReceiveBufferSize, h.SendBufferSize = size, size })
		inputs[fmt.Sprintf("receive buffer of %d", size)] = hello(func(h *uatcp.Hello) { h.ReceiveBufferSize = size })
	}
	s.throw(inputs, append(transportCodes, ua.StatusBadTCPNotEnoughResources)...)
	// The greatest numbers are no fault, and announce nothing that is allocated.
	nc := s.attacker()
	nc.Write(hello(func(h *uatcp.Hello) {
		h.ProtocolVersion, h.ReceiveBufferSize, h.SendBufferSize, h.MaxMessageSize, h.MaxChunkCount = 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1
	}))
	var ack [28]byte
	if _, err := nc.Read(ack[:]); err != nil || string(ack[:3]) != "ACK" {
		t.Errorf("the greatest numbers: %q %v", ack, err)
	}
	nc.Close()
	s.over()
}

// A server that acts on a ReverseHello can be made to dial for others.
func TestA09_WrongMessageInWrongState(t *testing.T) {
	s := besiege(t, nil)
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	dialled := make(chan struct{}, 1)
	go func() {
		if nc, err := canary.Accept(); err == nil {
			nc.Close()
			dialled <- struct{}{}
		}
	}()
	bait := uatcp.ReverseHello{ServerURI: serverURI, EndpointURL: "opc.tcp://" + canary.Addr().String()}
	ack := uatcp.Acknowledge{ReceiveBufferSize: 65535, SendBufferSize: 65535}
	s.throw(map[string][]byte{
		"RHE":              bait.Append(nil),
		"RHE after HEL":    append(hello(nil), bait.Append(nil)...),
		"ACK":              ack.Append(nil),
		"ACK after HEL":    append(hello(nil), ack.Append(nil)...),
		"MSG before HEL":   honest("MSGF", make([]byte, 50)),
		"MSG before OPN":   append(hello(nil), honest("MSGF", make([]byte, 50))...),
		"CLO before OPN":   append(hello(nil), honest("CLOF", make([]byte, 50))...),
		"OPN before HEL":   honest("OPNF", make([]byte, 50)),
		"unknown":          honest("XYZF", make([]byte, 50)),
		"ERR":              honest("ERRF", append([]byte{0, 0, 0, 0x80}, 0xff, 0xff, 0xff, 0xff)),
		"ERR, not decoded": honest("ERRF", []byte{1}),
	}, transportCodes...)
	select {
	case <-dialled:
		t.Error("I9: the server dialled the address in a ReverseHello")
	case <-time.After(300 * time.Millisecond):
	}
	s.over()
}

func TestA10_TinyResponseLimits(t *testing.T) {
	s := besiege(t, nil)
	for _, limits := range []uatcp.Hello{{MaxMessageSize: 1}, {MaxMessageSize: 200}, {MaxChunkCount: 1}} {
		nc := s.attacker()
		nc.Write(hello(func(h *uatcp.Hello) {
			h.ReceiveBufferSize, h.SendBufferSize = 8192, 8192
			h.MaxMessageSize, h.MaxChunkCount = limits.MaxMessageSize, limits.MaxChunkCount
		}))
		conn, err := uatcp.Connect(s.ctx, &afterHello{Conn: nc}, uatcp.Config{ReceiveBufferSize: 65535, SendBufferSize: 65535}, securechanneltest.EndpointURL)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := securechanneltest.NewOn(nc, conn, none, ua.MessageSecurityModeNone, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			continue // too small even for that
		}
		c := &client{Client: raw}
		c.Net.SetDeadline(time.Now().Add(patience))
		if c.login() != nil {
			continue
		}
		_, code, err := c.read(repeat(1000, valueOf("Text"))...)
		wantCode(t, "a large read", code, err, ua.StatusBadResponseTooLarge)
		nc.Close()
	}
	s.over()
}

// afterHello swallows the Hello of a client that has said its own already.
type afterHello struct {
	net.Conn
	said bool
}

func (a *afterHello) Write(b []byte) (int, error) {
	if !a.said {
		a.said = true
		return len(b), nil
	}
	return a.Conn.Write(b)
}

func TestA12_NotOPCUA(t *testing.T) {
	s := besiege(t, nil)
	s.throw(map[string][]byte{
		"TLS":    append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, random(512)...),
		"HTTP":   []byte("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"),
		"SSH":    []byte("SSH-2.0-OpenSSH_9.9\r\n"),
		"noise":  append([]byte{0xff}, random(4096)...),
		"NUL":    make([]byte, 4096),
		"modbus": {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10},
		"line":   []byte("\n\x1b[2Jlevel=ERROR msg=\"forged\"\n"),
	}, transportCodes...)
	for range 100 { // a port scan
		nc := s.attacker()
		nc.Close()
	}
	s.enter(entryDuring)
	s.over()
}
