package uatcp

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"
)

// MaxReasonLength is the largest length in bytes of the reason in an Error message.
const MaxReasonLength = 4096

// Error is the message by which either side gives up a TransportConnection. As a Go error it is always the
// peer's: it does not unwrap to its Code, because that is not a code to answer with. Part 6 (1.05), 7.1.2.5
type Error struct {
	Code   ua.StatusCode
	Reason string // the peer's words, at most MaxReasonLength bytes; quote before logging
}

// Error describes what the peer said.
func (e *Error) Error() string {
	return fmt.Sprintf("opcua: peer sent error %s: %q", StatusName(e.Code), e.Reason)
}

// Append appends the whole message, header included, to dst. A longer reason is cut to MaxReasonLength bytes.
func (e *Error) Append(dst []byte) []byte {
	return appendMessage(dst, TypeError, func(dst []byte) []byte {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(e.Code))
		return appendText(dst, cutText(e.Reason, MaxReasonLength))
	})
}

var errReason = &StatusError{Code: ua.StatusBadTCPMessageTooLarge, Op: "reason longer than the message may be"}

// ParseError reads the body of an Error message, without its header.
// A reason that is too long is ignored, as the standard asks of clients; the code still counts.
func ParseError(body []byte) (*Error, error) {
	f := fields{rest: body}
	e := &Error{Code: ua.StatusCode(f.uint32()), Reason: f.text(MinBufferSize, errReason)}
	if err := f.end(); err != nil {
		return nil, err
	}
	if len(e.Reason) > MaxReasonLength {
		e.Reason = ""
	}
	return e, nil
}

// WriteError sends an Error message and gives up after timeout. It does not close nc.
// The reason goes to a stranger: pass fixed words, never the text of an inner error.
func WriteError(nc net.Conn, code ua.StatusCode, reason string, timeout time.Duration) error {
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	e := Error{Code: code, Reason: reason}
	_, err := nc.Write(e.Append(nil))
	return err
}

// StatusName returns the symbolic name of a StatusCode, such as "BadTCPMessageTooLarge", or its number.
func StatusName(code ua.StatusCode) string {
	if d, ok := ua.StatusCodes[code]; ok {
		return strings.TrimPrefix(d.Name, "Status")
	}
	return fmt.Sprintf("0x%08X", uint32(code))
}

// cutText shortens s to at most n bytes without cutting a character in two.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
