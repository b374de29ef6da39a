package uaclient

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// ServerError is a refusal in the server's own words. errors.As finds its Code as a ua.StatusCode as well. Failures that were
// found on this side, such as a wrong signature, are other errors, which carry a ua.StatusCode too.
type ServerError struct {
	Code   ua.StatusCode
	Reason string // up to 4096 bytes, may be empty; quote before printing
}

// maxReason is how many bytes of a Reason Error repeats.
const maxReason = 200

// Error describes the refusal.
func (e *ServerError) Error() string {
	if e.Reason == "" {
		return "server answers " + uatcp.StatusName(e.Code)
	}
	return fmt.Sprintf("server answers %s: %q", uatcp.StatusName(e.Code), e.Reason[:min(len(e.Reason), maxReason)])
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
	errHungUp  = failure(ua.StatusBadConnectionClosed, "server closed the connection", nil)
	errClosed  = failure(ua.StatusBadConnectionClosed, "connection closed", nil)
	errResults = failure(ua.StatusBadUnknownResponse, "server answers another number of results than was asked for", nil)
)

// explain turns the way a connection failed into an error for callers: an Error message is a refusal, and what the system says of
// a socket is said in words.
func explain(err error) error {
	if peer, ok := errors.AsType[*uatcp.Error](err); ok {
		return &ServerError{Code: peer.Code, Reason: peer.Reason}
	}
	for _, c := range [...]struct{ cause, meaning error }{
		{uatcp.ErrIdle, errSilent}, {os.ErrDeadlineExceeded, errSilent}, {net.ErrClosed, errClosed},
		{io.EOF, errHungUp}, {io.ErrUnexpectedEOF, errHungUp}, {io.ErrClosedPipe, errHungUp},
		{syscall.ECONNRESET, errHungUp}, {syscall.EPIPE, errHungUp},
	} {
		if errors.Is(err, c.cause) {
			return c.meaning
		}
	}
	return err
}
