package uatcp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is one annotated message, used to decode, to encode, to truncate and as fuzz seed.
type message struct {
	name  string
	bytes string // hex; spaces and lines are for the reader
	value any
}

var helloMessages = []message{
	{"hello", `48454C 46 2A000000  00000000 FFFF0000 00200000 00100000 05000000
	           0A000000 6F70632E7463703A2F2F`, // "HEL" F size | version, buffers, limits | EndpointUrl
		Hello{0, 65535, 8192, 4096, 5, "opc.tcp://"}},
}

var acknowledgeMessages = []message{
	{"acknowledge", `41434B 46 1C000000  00000000 FFFF0000 00200000 00001000 40000000`,
		Acknowledge{0, 65535, 8192, 1 << 20, 64}},
}

var errorMessages = []message{
	{"error", `455252 46 13000000  00007E80 03000000 627479`, Error{ua.StatusBadTCPMessageTypeInvalid, "bty"}},
	{"error without reason", `455252 46 10000000  00008080 FFFFFFFF`, Error{ua.StatusBadTCPMessageTooLarge, ""}},
}

var reverseHelloMessages = []message{
	{"reverse hello", `524845 46 1C000000  05000000 75726E3A78  07000000 6F70632E746370`, // ServerUri | EndpointUrl
		ReverseHello{"urn:x", "opc.tcp"}},
	{"reverse hello of nulls", `524845 46 10000000  FFFFFFFF FFFFFFFF`, ReverseHello{}},
}

func (m message) decoded() []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(m.bytes), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func allMessages() []message {
	var all []message
	for _, m := range [][]message{helloMessages, acknowledgeMessages, errorMessages, reverseHelloMessages} {
		all = append(all, m...)
	}
	return all
}

// parse decodes the body of a message by the type in its header.
func parse(b []byte) (any, error) {
	body := b[HeaderSize:]
	switch parseHeader(b).Type {
	case TypeHello:
		return ParseHello(body)
	case TypeAcknowledge:
		return ParseAcknowledge(body)
	case TypeError:
		e, err := ParseError(body)
		if err != nil {
			return nil, err
		}
		return *e, nil
	case TypeReverseHello:
		return ParseReverseHello(body)
	}
	return nil, errors.New("no such message")
}

func encode(v any) []byte {
	switch v := v.(type) {
	case Hello:
		return v.Append(nil)
	case Acknowledge:
		return v.Append(nil)
	case Error:
		return v.Append(nil)
	case ReverseHello:
		return v.Append(nil)
	}
	panic("no such message")
}

func TestMessages_decodeAndEncode(t *testing.T) {
	for _, m := range allMessages() {
		b := m.decoded()
		if h := parseHeader(b); h.Size != uint32(len(b)) || h.IsFinal != Final || !bytes.Equal(h.Append(nil), b[:HeaderSize]) {
			t.Errorf("%s: header %+v", m.name, h)
		}
		got, err := parse(b)
		if err != nil || !reflect.DeepEqual(got, m.value) {
			t.Errorf("%s: got %+v, %v", m.name, got, err)
		}
		if got := encode(m.value); !bytes.Equal(got, b) {
			t.Errorf("%s: encoded %x, want %x", m.name, got, b)
		}
	}
}

func TestMessages_truncatedAtEveryByte(t *testing.T) {
	for _, m := range allMessages() {
		b := m.decoded()
		for n := HeaderSize; n < len(b); n++ {
			if got, err := parse(b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes gave %+v", m.name, n, len(b), got)
			}
		}
		if _, err := parse(append(b, 0)); StatusCodeOf(err) != ua.StatusBadDecodingError {
			t.Errorf("%s: trailing byte gave %v", m.name, err)
		}
	}
}

func TestHello_endpointURL_Part6_7123(t *testing.T) {
	good := Hello{ReceiveBufferSize: 8192, SendBufferSize: 8192, EndpointURL: strings.Repeat("x", 4096)}
	if got, err := ParseHello(good.Append(nil)[HeaderSize:]); err != nil || got != good {
		t.Errorf("4096 bytes: %v", err)
	}
	long := good
	long.EndpointURL += "x"
	for name, body := range map[string][]byte{
		"4097 bytes": long.Append(nil)[HeaderSize:],
		"null":       (&Hello{}).Append(nil)[HeaderSize:],
		"empty":      append(make([]byte, 20), 0, 0, 0, 0),
		"-2":         append(make([]byte, 20), 0xFE, 0xFF, 0xFF, 0xFF),
		"-2^31":      append(make([]byte, 20), 0, 0, 0, 0x80),
	} {
		if _, err := ParseHello(body); StatusCodeOf(err) != ua.StatusBadTCPEndpointURLInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestError_longReason_Part6_7125(t *testing.T) {
	e := Error{ua.StatusBadTimeout, strings.Repeat("ä", 2049)}
	b := e.Append(nil)
	if len(b) != HeaderSize+8+4096 {
		t.Errorf("sent %d bytes", len(b))
	}
	body := append([]byte{0, 0, 0x0A, 0x80, 0x01, 0x10, 0, 0}, make([]byte, 4097)...)
	if got, err := ParseError(body); err != nil || got.Code != ua.StatusBadTimeout || got.Reason != "" {
		t.Errorf("received %v, %v", got, err)
	}
	e.Reason = "x" + e.Reason // the cut falls into a character
	if b := e.Append(nil); len(b) != HeaderSize+8+4095 {
		t.Errorf("sent %d bytes", len(b))
	}
}

func TestError_isNotACodeToAnswerWith(t *testing.T) {
	err := error(&Error{ua.StatusBadTCPMessageTooLarge, "x"})
	if StatusCodeOf(err) != ua.StatusBadTCPInternalError || answerable(err) {
		t.Error("the peer's code would be sent back")
	}
	if want := `opcua: peer sent error BadTCPMessageTooLarge: "x"`; err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
}

func TestMessageType_String(t *testing.T) {
	if got := TypeReverseHello.String() + MessageType('\n').String(); got != "RHE???" {
		t.Errorf("%q", got)
	}
}

func FuzzHeader(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(m.decoded()[:HeaderSize])
	}
	c := newConn(nil, Config{}, stateServer)
	c.frames.limit = 65535
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderSize {
			return
		}
		h := parseHeader(b)
		if !bytes.Equal(h.Append(nil), b[:HeaderSize]) {
			t.Errorf("%x encodes as %x", b[:HeaderSize], h.Append(nil))
		}
		if c.checkHeader(h) == nil && (h.Size < HeaderSize || h.Size > 65535) {
			t.Errorf("size %d accepted", h.Size)
		}
	})
}

// fuzzMessage checks that what a parser accepts encodes to the same bytes, or with a null for an empty string.
func fuzzMessage(f *testing.F, seeds []message, prefix MessageType) {
	for _, m := range seeds {
		f.Add(m.decoded()[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append(Header{Type: prefix, IsFinal: Final, Size: uint32(HeaderSize + len(body))}.Append(nil), body...)
		v, err := parse(b)
		if err != nil {
			if StatusCodeOf(err) == ua.StatusBadTCPInternalError {
				t.Errorf("no StatusCode in %v", err)
			}
			return
		}
		again := encode(v)
		w, err := parse(again)
		if err != nil || !reflect.DeepEqual(v, w) {
			t.Errorf("%+v became %+v, %v", v, w, err)
		}
	})
}

func FuzzHello(f *testing.F)        { fuzzMessage(f, helloMessages, TypeHello) }
func FuzzAcknowledge(f *testing.F)  { fuzzMessage(f, acknowledgeMessages, TypeAcknowledge) }
func FuzzError(f *testing.F)        { fuzzMessage(f, errorMessages, TypeError) }
func FuzzReverseHello(f *testing.F) { fuzzMessage(f, reverseHelloMessages, TypeReverseHello) }

// FuzzReadReverseHello reads from a socket and must never take a byte behind the message.
func FuzzReadReverseHello(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(m.decoded())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		rhe, err := readReverseHello(r)
		if err != nil {
			return
		}
		if used := len(b) - r.Len(); used != int(parseHeader(b).Size) {
			t.Errorf("%+v from %d bytes, took %d", rhe, parseHeader(b).Size, used)
		}
	})
}
