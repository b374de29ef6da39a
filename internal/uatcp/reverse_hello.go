package uatcp

import (
	"io"
	"net"
	"time"

	"github.com/gopcua/opcua/ua"
)

// MaxReverseHelloText is the largest length in bytes of each string that we send in a ReverseHello. The standard says
// of the encoded value, which has four bytes of length in front, that it shall be less than 4096 bytes.
// Part 6 (1.05), 7.1.2.6
const MaxReverseHelloText = 4091

// maxReverseHello is the largest ReverseHello that we read: a receiver refuses strings over 4096 bytes.
const maxReverseHello = HeaderSize + 2*(4+MaxURLLength)

// ReverseHello is the first message on a socket that the server has opened. Part 6 (1.05), 7.1.2.6
type ReverseHello struct {
	ServerURI   string // ApplicationUri of the server
	EndpointURL string // the client echoes it in its Hello
}

// Append appends the whole message, header included, to dst.
func (r ReverseHello) Append(dst []byte) []byte {
	return appendMessage(dst, TypeReverseHello, func(dst []byte) []byte {
		return appendText(appendText(dst, r.ServerURI), r.EndpointURL)
	})
}

var (
	errReverseHelloText = &StatusError{Code: ua.StatusBadTCPEndpointURLInvalid, Op: "string in ReverseHello longer than 4096 bytes"}
	errReverseHelloSize = &StatusError{Code: ua.StatusBadTCPMessageTooLarge, Op: "ReverseHello of impossible size"}
	errNotReverseHello  = &StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "first message is not a ReverseHello"}
)

// ParseReverseHello reads the body of a ReverseHello, without its header.
func ParseReverseHello(body []byte) (ReverseHello, error) {
	f := fields{rest: body}
	r := ReverseHello{
		ServerURI:   f.text(MaxURLLength, errReverseHelloText),
		EndpointURL: f.text(MaxURLLength, errReverseHelloText),
	}
	if err := f.end(); err != nil {
		return ReverseHello{}, err
	}
	return r, nil
}

// WriteReverseHello sends a ReverseHello on a socket that was just opened and gives up after timeout.
// It refuses strings of more than MaxReverseHelloText bytes.
func WriteReverseHello(nc net.Conn, rhe ReverseHello, timeout time.Duration) error {
	if len(rhe.ServerURI) > MaxReverseHelloText || len(rhe.EndpointURL) > MaxReverseHelloText {
		return &StatusError{Code: ua.StatusBadTCPEndpointURLInvalid, Op: "ServerUri or EndpointUrl of more than 4091 bytes in ReverseHello"}
	}
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := nc.Write(rhe.Append(nil)); err != nil {
		return err
	}
	return nc.SetWriteDeadline(time.Time{})
}

// ReadReverseHello reads exactly one ReverseHello and no byte more, so that the socket can be handed on. timeout bounds
// the whole message; 0 is no limit. The StatusCode that answers a failure is StatusCodeOf(err);
// a peer that closed or fell silent gives an error of the net.Conn.
func ReadReverseHello(nc net.Conn, timeout time.Duration) (ReverseHello, error) {
	if timeout > 0 {
		if err := nc.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return ReverseHello{}, err
		}
	}
	r, err := readReverseHello(nc)
	if err != nil {
		return ReverseHello{}, err
	}
	return r, nc.SetReadDeadline(time.Time{})
}

func readReverseHello(nc io.Reader) (ReverseHello, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return ReverseHello{}, err
	}
	h := parseHeader(head[:])
	if h.Type != TypeReverseHello {
		return ReverseHello{}, errNotReverseHello
	}
	if h.Size < HeaderSize || h.Size > maxReverseHello {
		return ReverseHello{}, errReverseHelloSize
	}
	body := make([]byte, h.Size-HeaderSize)
	if _, err := io.ReadFull(nc, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return ReverseHello{}, err
	}
	return ParseReverseHello(body)
}
