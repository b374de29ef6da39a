package uatcp

import (
	"encoding/binary"

	"github.com/gopcua/opcua/ua"
)

// HeaderSize is the length in bytes of the header of every message. Part 6 (1.05), 7.1.2.2
const HeaderSize = 8

// MessageType is the three letter code that starts every message, first letter in the lowest byte.
// Part 6 (1.05), 7.1.2.2 and 6.7.2.2
type MessageType uint32

// The message types of the connection protocol and of the SecureChannel above it.
const (
	TypeHello              MessageType = 'H' | 'E'<<8 | 'L'<<16
	TypeAcknowledge        MessageType = 'A' | 'C'<<8 | 'K'<<16
	TypeError              MessageType = 'E' | 'R'<<8 | 'R'<<16
	TypeReverseHello       MessageType = 'R' | 'H'<<8 | 'E'<<16
	TypeOpenSecureChannel  MessageType = 'O' | 'P'<<8 | 'N'<<16
	TypeCloseSecureChannel MessageType = 'C' | 'L'<<8 | 'O'<<16
	TypeMessage            MessageType = 'M' | 'S'<<8 | 'G'<<16
)

// String returns the three letters, or "???" for a type this package does not know: what a stranger sent does
// not belong in a log line.
func (t MessageType) String() string {
	switch t {
	case TypeHello, TypeAcknowledge, TypeError, TypeReverseHello, TypeOpenSecureChannel, TypeCloseSecureChannel, TypeMessage:
		return string([]byte{byte(t), byte(t >> 8), byte(t >> 16)})
	}
	return "???"
}

// The values of the byte behind the message type. Part 6 (1.05), 6.7.2.2
const (
	Final        = 'F' // the last or only chunk of a message
	Intermediate = 'C' // more chunks follow
	Abort        = 'A' // the message is given up and its earlier chunks are to be discarded
)

// Header is the header of every message. Part 6 (1.05), 7.1.2.2
type Header struct {
	Type    MessageType
	IsFinal byte
	Size    uint32 // length of the whole message in bytes, with this header
}

// parseHeader reads the header from the first HeaderSize bytes of b.
func parseHeader(b []byte) Header {
	word := binary.LittleEndian.Uint32(b)
	return Header{
		Type:    MessageType(word & 0xFFFFFF),
		IsFinal: byte(word >> 24),
		Size:    binary.LittleEndian.Uint32(b[4:]),
	}
}

// Append appends the encoded header to dst.
func (h Header) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Type)|uint32(h.IsFinal)<<24)
	return binary.LittleEndian.AppendUint32(dst, h.Size)
}

// appendMessage appends a message of type t whose body is written by body, and fills in its size.
func appendMessage(dst []byte, t MessageType, body func([]byte) []byte) []byte {
	start := len(dst)
	dst = Header{Type: t, IsFinal: Final}.Append(dst)
	dst = body(dst)
	binary.LittleEndian.PutUint32(dst[start+4:], uint32(len(dst)-start))
	return dst
}

// fields takes the fields of a message body one after the other; the first failure sticks.
type fields struct {
	rest []byte
	err  error
}

var errShort = &StatusError{Code: ua.StatusBadDecodingError, Op: "message body too short"}

func (f *fields) uint32() uint32 {
	if len(f.rest) < 4 {
		f.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return v
}

// text takes a String of at most limit bytes; null is empty. tooLong is the error for a longer or negative length.
func (f *fields) text(limit uint32, tooLong error) string {
	n := f.uint32()
	switch {
	case f.err != nil || n == 0 || n == nullLength:
		return ""
	case n > limit: // unsigned: negative lengths end here too, also where int has 32 bits
		f.fail(tooLong)
		return ""
	case n > uint32(len(f.rest)):
		f.fail(errShort)
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}

// end reports the first failure, or that bytes are left over.
func (f *fields) end() error {
	if f.err == nil && len(f.rest) > 0 {
		f.err = &StatusError{Code: ua.StatusBadDecodingError, Op: "bytes behind the message body"}
	}
	return f.err
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.rest = nil
}

// nullLength is the length -1 of a null String. Part 6 (1.05), 5.2.2.4
const nullLength = 0xFFFFFFFF

// appendText appends a String; the empty one as null.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return binary.LittleEndian.AppendUint32(dst, nullLength)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}
