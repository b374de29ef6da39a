package securechannel

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

func fromHex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// asymmetricHeaders is used to decode, to encode, to truncate and as fuzz seeds.
var asymmetricHeaders = []struct {
	name  string
	bytes []byte
	value asymmetricHeader
}{
	{"secured", fromHex(`03000000 75726E  02000000 3082  14000000 000102030405060708090A0B0C0D0E0F10111213`),
		asymmetricHeader{"urn", []byte{0x30, 0x82}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}}},
	{"not secured", fromHex(`03000000 75726E  FFFFFFFF  FFFFFFFF`), asymmetricHeader{"urn", nil, nil}},
}

func TestAsymmetricHeader_decodeAndEncode_Part6_6723(t *testing.T) {
	for _, tc := range asymmetricHeaders {
		got, n, err := parseAsymmetricHeader(append(bytes.Clone(tc.bytes), "content"...))
		if err != nil || n != len(tc.bytes) || !reflect.DeepEqual(got, tc.value) {
			t.Errorf("%s: got %+v of %d bytes, %v", tc.name, got, n, err)
		}
		if got := tc.value.append(nil); !bytes.Equal(got, tc.bytes) {
			t.Errorf("%s: encoded %x", tc.name, got)
		}
		for n := range tc.bytes {
			if got, _, err := parseAsymmetricHeader(tc.bytes[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes gave %+v", tc.name, n, len(tc.bytes), got)
			}
		}
	}
}

func TestAsymmetricHeader_limits_Part6_6723(t *testing.T) {
	for name, h := range map[string]asymmetricHeader{
		"policy of 256 bytes":      {policyURI: strings.Repeat("x", 256)},
		"certificate over 16 KiB":  {sender: make([]byte, maxChainSize+1)},
		"thumbprint of 19 bytes":   {thumbprint: make([]byte, 19)},
		"thumbprint of 32 bytes":   {thumbprint: make([]byte, 32)},
		"thumbprint of many bytes": {thumbprint: make([]byte, 5000)},
	} {
		if _, _, err := parseAsymmetricHeader(h.append(nil)); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, length := range []uint32{1 << 31, 1<<32 - 2, 1 << 30} {
		for at := range 3 {
			b := (&asymmetricHeader{}).append(nil)
			binary.LittleEndian.PutUint32(b[4*at:], length)
			if _, _, err := parseAsymmetricHeader(b); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
				t.Errorf("length %d in field %d: %v", length, at, err)
			}
		}
	}
}

func FuzzAsymmetricHeader(f *testing.F) {
	for _, tc := range asymmetricHeaders {
		f.Add(tc.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseAsymmetricHeader(b)
		if err != nil {
			return
		}
		again, m, err := parseAsymmetricHeader(h.append(nil))
		if err != nil || n > len(b) || m > n || again.policyURI != h.policyURI || !bytes.Equal(again.sender, h.sender) || !bytes.Equal(again.thumbprint, h.thumbprint) {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzSenderCertificate(f *testing.F) {
	f.Add([]byte{0x30, 0x82, 0, 0})
	f.Add(append([]byte{0x30, 0x81, 0x80}, make([]byte, 0x80)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		leaf, key, err := parseSenderCertificate(blob, maxKeyBits)
		if err == nil && (key == nil || !bytes.HasPrefix(blob, leaf) || len(leaf) > maxCertificateSize) {
			t.Errorf("%d of %d bytes", len(leaf), len(blob))
		}
		if err != nil && !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
			t.Error(err)
		}
	})
}

// FuzzSymmetricChunk opens arbitrary bytes under real keys, which must fail, and what was sealed, which must not.
func FuzzSymmetricChunk(f *testing.F) {
	for _, mode := range modes {
		p := newPeer(f, mode)
		p.seal(uatcp.TypeMessage, uatcp.Final, 5, []byte("body"))
		f.Add(p.chunk)
	}
	secured := []*testPeer{newPeer(f, ua.MessageSecurityModeSign), newPeer(f, ua.MessageSecurityModeSignAndEncrypt)}
	none := newPeer(f, ua.MessageSecurityModeNone)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := none.unlockChunk(bytes.Clone(b)); err == nil && len(b) < symmetricBody {
			t.Errorf("chunk of %d bytes", len(b))
		}
		none.received = sequence{}
		for _, p := range secured {
			if len(b) >= symmetricContent {
				if content, err := p.tokens.current.in.open(bytes.Clone(b)); err == nil && len(content) < sequenceHeaderSize {
					t.Errorf("%x opened as %x", b, content)
				}
			}
			p.seal(uatcp.TypeMessage, uatcp.Final, 1, b)
			content, err := p.unlockChunk(p.chunk)
			if err != nil || !bytes.Equal(content[sequenceHeaderSize:], b) {
				t.Errorf("%x sealed, %x opened, %v", b, content, err)
			}
		}
	})
}

// FuzzAssemble drives the assembly of chunks against a simple model. Each step takes three bytes: kind, RequestId, size.
func FuzzAssemble(f *testing.F) {
	f.Add([]byte("C\x01\x05C\x01\x05F\x01\x05"))
	f.Add([]byte("F\x01\x00C\x02\xFFA\x02\x00F\x03\x01"))
	f.Add([]byte("C\x01\x05C\x02\x05"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		p := newPeer(t, ua.MessageSecurityModeNone)
		p.cfg.Budget = uatcp.NewBudget(1 << 20)
		var message []byte
		chunks, current := 0, uint32(0)
		for i := 0; i+2 < len(steps); i += 3 {
			isFinal := []byte{uatcp.Intermediate, uatcp.Final, uatcp.Abort}[steps[i]%3]
			id, body := uint32(steps[i+1]%4), bytes.Repeat([]byte{byte(i)}, 300*int(steps[i+2]))
			chunks++
			bad := chunks > 1 && id != current
			if isFinal != uatcp.Abort {
				message = append(message, body...)
				bad = bad || chunks > p.cfg.BeforeSession.MaxChunkCount || len(message) > p.cfg.BeforeSession.MaxMessageSize
			}
			complete, err := p.assemble(isFinal, append(sequenceHeader{requestID: id}.append(nil), body...), p.limits(), p.cfg.Budget)
			if bad != (err != nil) {
				t.Fatalf("step %d: %v", i/3, err)
			}
			if err != nil {
				break
			}
			if want := isFinal == uatcp.Final; complete != want || want && (!bytes.Equal(p.whole.Body, message) || p.whole.ID != id) {
				t.Fatalf("step %d: complete: %v, %d bytes of %d", i/3, complete, len(p.whole.Body), len(message))
			}
			if current = id; isFinal != uatcp.Intermediate {
				chunks, message = 0, nil
				p.partial.discard()
			}
		}
		if _ = p.end(io.EOF); p.cfg.Budget.Used() != 0 {
			t.Errorf("%d bytes still booked", p.cfg.Budget.Used())
		}
	})
}

// FuzzOpen gives arbitrary bytes to a server that waits for its first OPN, without security and with.
func FuzzOpen(f *testing.F) {
	hello := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: "opc.tcp://127.0.0.1:4840"}
	request := uabinary.OpenSecureChannelRequest{SecurityMode: ua.MessageSecurityModeNone}
	h := asymmetricHeader{policyURI: ua.SecurityPolicyURINone}
	chunk := h.append(uatcp.Header{Type: uatcp.TypeOpenSecureChannel, IsFinal: uatcp.Final}.Append([]byte{}))
	chunk = append(chunk[:8], append(make([]byte, 4), chunk[8:]...)...)
	chunk = uabinary.AppendMessage(sequenceHeader{1, 1}.append(chunk), &request)
	binary.LittleEndian.PutUint32(chunk[4:], uint32(len(chunk)))
	f.Add(chunk)
	f.Add(append(chunk, "MSGF\x18\x00\x00\x00 and so on"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		nc := &memConn{in: append(hello.Append(nil), b...)}
		conn, err := uatcp.Accept(context.Background(), nc, uatcp.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(context.Background(), conn, &Config{})
		if err != nil {
			return
		}
		for err == nil {
			_, err = c.Next()
		}
	})
}

func FuzzSecret(f *testing.F) {
	f.Add([]byte("\x06\x00\x00\x00abnnnn"), []byte("nnnn"))
	f.Fuzz(func(t *testing.T, plain, nonce []byte) {
		secret, err := splitSecret(plain, nonce)
		if err == nil && !bytes.HasPrefix(plain[4:], append(bytes.Clone(secret), nonce...)) {
			t.Errorf("%x from %x", secret, plain)
		}
	})
}

func TestPadding_roundTripAndRefusal_Part6_6725(t *testing.T) {
	for block, extra := range map[int]bool{16: false, 214: false, 342: true, 470: true} {
		for size := range 600 {
			content := bytes.Repeat([]byte{9}, size)
			padded := appendPadding(bytes.Clone(content), size, 32, block, extra)
			if (len(padded)+32)%block != 0 {
				t.Fatalf("%d bytes padded to %d", size, len(padded))
			}
			if got, ok := trimPadding(padded, extra); !ok || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes came back as %d, %v", size, len(got), ok)
			}
		}
	}
	for name, plain := range map[string][]byte{
		"empty": nil, "too long": {1}, "wrong value": {9, 9, 1, 2, 2}, "one wrong": {3, 2, 3, 3},
	} {
		if got, ok := trimPadding(plain, false); ok {
			t.Errorf("%s: %x", name, got)
		}
	}
	for name, plain := range map[string][]byte{"empty": nil, "only extra": {0}, "too long": {1, 0}, "300 of 10": {44, 1, 44, 44, 44, 44, 44, 44, 44, 1}} {
		if got, ok := trimPadding(plain, true); ok {
			t.Errorf("extra, %s: %x", name, got)
		}
	}
}

// The last and the first number around the wrap of our own counter. Part 6 (1.05), 6.7.2.4
func TestSequence_nextWraps(t *testing.T) {
	s, r := sequence{last: lastSequenceNumber - 1}, sequence{}
	var got []uint32
	for range 4 {
		n := s.next()
		if !r.accept(n) {
			t.Errorf("%d after %v not accepted", n, got)
		}
		got = append(got, n)
	}
	if want := []uint32{4294966271, 4294966272, 1, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if first := (&sequence{}).next(); first != 1 {
		t.Errorf("first number %d", first)
	}
}
