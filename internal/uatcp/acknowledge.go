package uatcp

import "encoding/binary"

// Acknowledge is the server's answer to Hello. Part 6 (1.05), 7.1.2.4
type Acknowledge struct {
	ProtocolVersion   uint32
	ReceiveBufferSize uint32 // largest chunk in bytes that the server can receive
	SendBufferSize    uint32 // largest chunk in bytes that the server will send
	MaxMessageSize    uint32 // largest request body in bytes, 0 = no limit
	MaxChunkCount     uint32 // most chunks of one request, 0 = no limit
}

// Append appends the whole message, header included, to dst.
func (a *Acknowledge) Append(dst []byte) []byte {
	return appendMessage(dst, TypeAcknowledge, func(dst []byte) []byte {
		for _, v := range [...]uint32{a.ProtocolVersion, a.ReceiveBufferSize, a.SendBufferSize, a.MaxMessageSize, a.MaxChunkCount} {
			dst = binary.LittleEndian.AppendUint32(dst, v)
		}
		return dst
	})
}

// ParseAcknowledge reads the body of an Acknowledge, without its header.
func ParseAcknowledge(body []byte) (Acknowledge, error) {
	f := fields{rest: body}
	a := Acknowledge{
		ProtocolVersion:   f.uint32(),
		ReceiveBufferSize: f.uint32(),
		SendBufferSize:    f.uint32(),
		MaxMessageSize:    f.uint32(),
		MaxChunkCount:     f.uint32(),
	}
	if err := f.end(); err != nil {
		return Acknowledge{}, err
	}
	return a, nil
}
