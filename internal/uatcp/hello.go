package uatcp

import (
	"encoding/binary"

	"github.com/gopcua/opcua/ua"
)

// Sizes that the standard fixes. Part 6 (1.05), 6.7.1 and 7.1.2.3
const (
	// MinBufferSize is the smallest chunk buffer in bytes that RSA security policies work with.
	MinBufferSize = 8192
	// MaxURLLength is the largest length in bytes of an EndpointUrl.
	MaxURLLength = 4096
)

// Hello opens a TransportConnection; the client sends it. Part 6 (1.05), 7.1.2.3
type Hello struct {
	ProtocolVersion   uint32
	ReceiveBufferSize uint32 // largest chunk in bytes that the client can receive
	SendBufferSize    uint32 // largest chunk in bytes that the client will send
	MaxMessageSize    uint32 // largest response body in bytes, 0 = no limit
	MaxChunkCount     uint32 // most chunks of one response, 0 = no limit
	EndpointURL       string
}

// Append appends the whole message, header included, to dst.
func (h *Hello) Append(dst []byte) []byte {
	return appendMessage(dst, TypeHello, func(dst []byte) []byte {
		for _, v := range [...]uint32{h.ProtocolVersion, h.ReceiveBufferSize, h.SendBufferSize, h.MaxMessageSize, h.MaxChunkCount} {
			dst = binary.LittleEndian.AppendUint32(dst, v)
		}
		return appendText(dst, h.EndpointURL)
	})
}

var errEndpointURL = &StatusError{Code: ua.StatusBadTCPEndpointURLInvalid, Op: "EndpointUrl missing or longer than 4096 bytes"}

// ParseHello reads the body of a Hello, without its header.
// The EndpointUrl names the resource that the client wants, so an absent one is refused like one that is too long.
func ParseHello(body []byte) (Hello, error) {
	f := fields{rest: body}
	h := Hello{
		ProtocolVersion:   f.uint32(),
		ReceiveBufferSize: f.uint32(),
		SendBufferSize:    f.uint32(),
		MaxMessageSize:    f.uint32(),
		MaxChunkCount:     f.uint32(),
		EndpointURL:       f.text(MaxURLLength, errEndpointURL),
	}
	if err := f.end(); err != nil {
		return Hello{}, err
	}
	if h.EndpointURL == "" {
		return Hello{}, errEndpointURL
	}
	return h, nil
}
