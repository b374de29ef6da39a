package securechannel

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// memConn is a net.Conn that reads from in, and keeps what was written last.
type memConn struct {
	in   []byte
	out  []byte
	addr net.Addr
}

func (c *memConn) Read(b []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(b []byte) (int, error) {
	c.out = append(c.out[:0], b...)
	return len(b), nil
}

func (c *memConn) Close() error                     { return nil }
func (c *memConn) LocalAddr() net.Addr              { return c.addr }
func (c *memConn) RemoteAddr() net.Addr             { return c.addr }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// testPeer is a Channel that is open without any handshake, and the client's side of its keys.
type testPeer struct {
	*Channel
	nc       *memConn
	out, in  *symmetric
	sequence uint32
	chunk    []byte
}

// newPeer returns an open channel with policy Aes128_Sha256_RsaOaep, or None.
func newPeer(tb testing.TB, mode ua.MessageSecurityMode) *testPeer {
	tb.Helper()
	uri := ua.SecurityPolicyURIAes128Sha256RsaOaep
	if mode == ua.MessageSecurityModeNone {
		uri = ua.SecurityPolicyURINone
	}
	policy, ok := PolicyByURI(uri)
	if !ok {
		tb.Fatal(uri)
	}
	hello := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: "opc.tcp://127.0.0.1:4840"}
	nc := &memConn{in: hello.Append(nil)}
	conn, err := uatcp.Accept(context.Background(), nc, uatcp.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	a, b := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	c := &Channel{cfg: Config{}.withDefaults(), opened: time.Now()}
	c.conversation = conversation{conn: conn, id: 77, policy: policy, mode: mode, tooLarge: errResponseTooLarge}
	c.tokens.current = policy.newToken(1, a, b, mode, time.Hour)
	c.maxBody = c.tokens.current.out.maxBody(int(conn.SendSize()))
	return &testPeer{
		Channel: c,
		nc:      nc,
		out:     policy.newSymmetric(b, a, mode, cipher.NewCBCEncrypter),
		in:      policy.newSymmetric(a, b, mode, cipher.NewCBCDecrypter),
	}
}

// seal puts a request of one chunk where the channel will read it.
func (p *testPeer) seal(kind uatcp.MessageType, isFinal byte, requestID uint32, body []byte) {
	p.sequence++
	chunk := uatcp.Header{Type: kind, IsFinal: isFinal}.Append(p.chunk[:0])
	chunk = binary.LittleEndian.AppendUint32(chunk, p.id)
	chunk = binary.LittleEndian.AppendUint32(chunk, 1)
	chunk = sequenceHeader{p.sequence, requestID}.append(chunk)
	p.chunk = p.out.seal(append(chunk, body...))
	p.nc.in = p.chunk
}

// echo lets the channel answer one request with its body.
func (p *testPeer) echo(tb testing.TB) {
	request, err := p.Next()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.Send(request.ID, func(dst []byte) []byte { return append(dst, request.Body...) }); err != nil {
		tb.Fatal(err)
	}
}

var modes = map[string]ua.MessageSecurityMode{
	"None":           ua.MessageSecurityModeNone,
	"Sign":           ua.MessageSecurityModeSign,
	"SignAndEncrypt": ua.MessageSecurityModeSignAndEncrypt,
}

func TestPeer_echo(t *testing.T) {
	for name, mode := range modes {
		p := newPeer(t, mode)
		for _, size := range []int{0, 1, 100, 4000, 60000} {
			body := bytes.Repeat([]byte{7}, size)
			p.seal(uatcp.TypeMessage, uatcp.Final, 5, body)
			p.echo(t)
			content, err := p.in.open(p.nc.out)
			if err != nil || !bytes.Equal(content[sequenceHeaderSize:], body) || parseSequenceHeader(content).requestID != 5 {
				t.Errorf("%s, %d bytes: %d bytes, %v", name, size, len(content), err)
			}
		}
	}
}

// BenchmarkEcho is one request opened and answered; sealing the request on the client's side is included.
func BenchmarkEcho(b *testing.B) {
	for _, name := range []string{"None", "Sign", "SignAndEncrypt"} {
		for _, size := range []int{100, 3000} {
			b.Run(name+"/"+map[int]string{100: "100B", 3000: "3kB"}[size], func(b *testing.B) {
				p := newPeer(b, modes[name])
				body := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					p.seal(uatcp.TypeMessage, uatcp.Final, 5, body)
					p.echo(b)
				}
			})
		}
	}
}
