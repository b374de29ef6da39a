package reverseconnect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// ReverseHello is the message with which a server begins a call: its fields ServerURI and EndpointURL, its method Append
// the whole message. Part 6 (1.05), 7.1.2.6
type ReverseHello = uatcp.ReverseHello

// ReadReverseHello reads one ReverseHello from a socket that a server has opened, and no byte more, so that the socket can
// be handed on to a client. timeout bounds the whole message, 0 is no limit. The error is a *CallError.
func ReadReverseHello(nc net.Conn, timeout time.Duration) (ReverseHello, error) {
	rhe, err := uatcp.ReadReverseHello(nc, timeout)
	if err != nil {
		return ReverseHello{}, callError(err)
	}
	return rhe, nil
}

// ParseReverseHello reads the body of a ReverseHello: what follows the eight bytes of the message header.
// The error is a *CallError.
func ParseReverseHello(body []byte) (ReverseHello, error) {
	rhe, err := uatcp.ParseReverseHello(body)
	if err != nil {
		return ReverseHello{}, callError(err)
	}
	return rhe, nil
}

// Reasons to turn a call away.
var (
	ErrSilent          = errors.New("no ReverseHello in time")
	ErrHungUp          = errors.New("server hung up")
	ErrNotReverseHello = errors.New("first message is not a ReverseHello")
	ErrMalformed       = errors.New("ReverseHello is malformed")
	ErrTextTooLong     = errors.New("ServerUri or EndpointUrl is longer than 4096 bytes")
	ErrNotAllowed      = errors.New("ServerUri is not expected here")
	ErrEndpointURL     = errors.New("EndpointUrl is not an opc.tcp URL")
	ErrOutOfTurn       = errors.New("server spoke before Hello")
	ErrTooManyCalls    = errors.New("too many servers wait")
	ErrNoRoute         = errors.New("no port is for this EndpointUrl") // of a Bridge
	ErrNoPort          = errors.New("no port is left")                 // of a Bridge
)

// CallError says why a call was turned away. It unwraps to its Reason, to its Code and to its cause.
type CallError struct {
	Reason error         // one of the errors of this package
	Code   ua.StatusCode // what the server is answered, Good for no answer
	Err    error         // the cause, may be nil; not for the server
}

// Error describes the failure for the log.
func (e *CallError) Error() string {
	if e.Err == nil {
		return "reverseconnect: " + e.Reason.Error()
	}
	return fmt.Sprintf("reverseconnect: %v: %v", e.Reason, e.Err)
}

// Unwrap makes reason, StatusCode and cause visible to errors.Is and errors.As.
func (e *CallError) Unwrap() []error {
	all := []error{e.Reason}
	if e.Code != ua.StatusGood {
		all = append(all, e.Code)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// refused makes the error of a call that is answered with code.
func refused(reason error, code ua.StatusCode) *CallError {
	return &CallError{Reason: reason, Code: code}
}

// callError sorts a failure to read a ReverseHello.
func callError(err error) *CallError {
	var code ua.StatusCode
	switch {
	case !errors.As(err, &code):
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &CallError{Reason: ErrSilent, Err: err}
		}
		return &CallError{Reason: ErrHungUp, Err: err}
	case code == ua.StatusBadTCPMessageTypeInvalid:
		return &CallError{Reason: ErrNotReverseHello, Code: code, Err: err}
	case code == ua.StatusBadTCPEndpointURLInvalid:
		return &CallError{Reason: ErrTextTooLong, Code: code, Err: err}
	}
	return &CallError{Reason: ErrMalformed, Code: code, Err: err}
}
