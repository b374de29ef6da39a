package uaclient

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// ServerError is a refusal in the server's own words. errors.As finds its Code as a ua.StatusCode as well. Failures that were
// found on this side, such as a wrong signature, are other errors, which carry a ua.StatusCode too.
type ServerError struct {
	Code   ua.StatusCode
	Reason string // may be empty; quote before printing
}

// Error describes the refusal.
func (e *ServerError) Error() string {
	if e.Reason == "" {
		return "server answers " + uatcp.StatusName(e.Code)
	}
	return fmt.Sprintf("server answers %s: %q", uatcp.StatusName(e.Code), e.Reason)
}

// Unwrap returns the StatusCode.
func (e *ServerError) Unwrap() error { return e.Code }

// NodeError is a refusal that concerns one node. errors.As finds its Code as a ua.StatusCode as well.
type NodeError struct {
	NodeID uabinary.NodeID
	Code   ua.StatusCode
}

// Error names the node and what is wrong with it.
func (e *NodeError) Error() string { return e.NodeID.String() + ": " + uatcp.StatusName(e.Code) }

// Unwrap returns the StatusCode.
func (e *NodeError) Unwrap() error { return e.Code }

// failure is an error found on this side.
func failure(code ua.StatusCode, op string, err error) error {
	return &uatcp.StatusError{Code: code, Op: op, Err: err}
}

var (
	errSilent  = failure(ua.StatusBadTimeout, "server does not answer", nil)
	errClosed  = failure(ua.StatusBadConnectionClosed, "connection closed", nil)
	errResults = failure(ua.StatusBadUnknownResponse, "server answers another number of results than was asked for", nil)
)

// explain turns the way a connection failed into an error for callers: an Error message is a refusal.
func explain(err error) error {
	if peer, ok := errors.AsType[*uatcp.Error](err); ok {
		return &ServerError{Code: peer.Code, Reason: peer.Reason}
	}
	switch {
	case errors.Is(err, uatcp.ErrIdle), errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	}
	return err
}
