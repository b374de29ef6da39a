package uatcp

import (
	"errors"

	"github.com/gopcua/opcua/ua"
)

// StatusError is a failure found on this side, together with the StatusCode that the peer may know.
// errors.As finds Code as a ua.StatusCode; Op and Err are for the log and never leave the process.
type StatusError struct {
	Code ua.StatusCode
	Op   string // what was being done or what was wrong
	Err  error  // the cause, may be nil
}

// Error describes the failure for the log.
func (e *StatusError) Error() string {
	s := "opcua: " + e.Op
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap makes both the cause and the StatusCode visible to errors.Is and errors.As.
func (e *StatusError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// StatusCodeOf returns the StatusCode that err carries for the peer, BadTcpInternalError when it carries none.
func StatusCodeOf(err error) ua.StatusCode {
	var code ua.StatusCode
	if errors.As(err, &code) {
		return code
	}
	return ua.StatusBadTCPInternalError
}
