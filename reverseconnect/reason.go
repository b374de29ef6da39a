package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// maxReason is the most bytes of foreign text in a log line or status.
const maxReason = 200

// dialReason says in words why a client was not reached.
func dialReason(err error, t *Target) string {
	if p, ok := errors.AsType[*proxyError](err); ok {
		return p.reason(t)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return "no such host: " + quote(dns.Name)
		case dns.IsTimeout || errors.Is(err, context.DeadlineExceeded):
			return "name lookup timed out: " + quote(dns.Name)
		}
		return "name lookup failed: " + quote(dns.Err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "host unreachable"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "network unreachable"
	case isReset(err):
		return "connection reset by the client"
	case isTimeout(err):
		return fmt.Sprintf("connecting timed out after %v", t.ConnectTimeout)
	case isClosed(err):
		return "closed by the client before Hello"
	}
	return "connecting failed: " + quote(err.Error())
}

// serveReason says in words why a socket ended before a SecureChannel was open.
func serveReason(r uatcp.Report) string {
	switch {
	case r.Refused:
		return "refused the client: " + words(r.Err)
	case r.PeerError != nil:
		return fmt.Sprintf("client answered %s: %s", uatcp.StatusName(r.PeerError.Code), quote(r.PeerError.Reason))
	case isReset(r.Err):
		return "connection reset by the client" + phase(r.Stage)
	case errors.Is(r.Err, syscall.ETIMEDOUT):
		return "client's host does not answer any more" // keepalive or user timeout
	case errors.Is(r.Err, syscall.EHOSTUNREACH), errors.Is(r.Err, syscall.ENETUNREACH):
		return "client's host became unreachable"
	case isTimeout(r.Err):
		return "client stalled" + phase(r.Stage)
	case isClosed(r.Err):
		return "closed by the client" + phase(r.Stage)
	}
	return "refused the client" + phase(r.Stage) + ": " + words(r.Err)
}

// channelReason says in words why an open SecureChannel ended.
func channelReason(r uatcp.Report) string {
	switch {
	case r.Refused, r.PeerError != nil, isReset(r.Err), isTimeout(r.Err):
		return serveReason(r)
	case isClosed(r.Err):
		return "closed by the client"
	}
	return "channel ended: " + words(r.Err)
}

func phase(s uatcp.Stage) string {
	switch s {
	case uatcp.StageNoHello:
		return " before Hello"
	case uatcp.StageHello:
		return " after Hello, before SecureChannel"
	}
	return ""
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func isClosed(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

// words quotes what one of our own packages says about the client.
func words(err error) string { return quote(strings.TrimPrefix(err.Error(), "opcua: ")) }

// quote makes foreign text fit for a log line: bounded, control characters escaped.
func quote(s string) string {
	if cut := clip(s); len(cut) < len(s) {
		return strconv.Quote(cut) + "..."
	}
	return strconv.Quote(s)
}

// escape is quote without the quotation marks.
func escape(s string) string {
	quoted := strconv.Quote(clip(s))
	return quoted[1 : len(quoted)-1]
}

// clip bounds foreign text without cutting a character in two.
func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
