package modbus

import (
	"fmt"

	"github.com/goburrow/modbus"
)

// framing is how the PDUs of a channel travel. It goes with any link: RTU frames can as well pass through a socket.
type framing uint8

// The framings.
const (
	framingTCP   framing = iota // Modbus TCP: a header with a transaction id
	framingRTU                  // binary, with a CRC
	framingASCII                // hexadecimal digits between a colon and CR LF, with an LRC
)

// String is the word used in messages.
func (f framing) String() string { return [...]string{"TCP", "RTU", "ASCII"}[f] }

// query is a request as it was sent and as the framers compare it with what comes.
type query struct {
	adu  []byte // as it went over the wire
	unit byte
	pdu  []byte
}

// codec is one framing at work.
type codec struct {
	packager func(unit byte) modbus.Packager
	frame    framer
	unpack   func(dst, adu []byte) query // takes a good request apart; dst is room for what cannot alias it
	size     func(pdu int) int           // characters on the wire of a PDU of that length
	ids      bool                        // frames carry a transaction id
}

func (f framing) codec() codec {
	return [...]codec{framingTCP: mbapCodec(), framingRTU: rtuCodec(), framingASCII: asciiCodec()}[f]
}

// verdict is what a framer says about the bytes received so far.
type verdict uint8

const (
	more    verdict = iota // the reply is not complete
	reply                  // a frame that answers the request
	foreign                // a whole frame that answers something else
	invalid                // a whole frame for this request that is no valid answer to it
	broken                 // no frame at all, and no way to find the next one
)

// found is a verdict with the place of the frame: size bytes after skip bytes that belong to nothing.
type found struct {
	verdict    verdict
	skip, size int
	why        error // for invalid and broken
}

// framer finds the reply to a request among the bytes received. It is pure: it sees all bytes since the last frame.
type framer func(q *query, received []byte) found

func (f found) frame(received []byte) []byte { return received[f.skip : f.skip+f.size] }

func brokenf(format string, args ...any) found {
	return found{verdict: broken, why: fmt.Errorf(format, args...)}
}

// judge completes f for a frame that carries the PDU answer to the PDU request.
func judge(request, answer []byte, f found) found {
	f.verdict = reply
	if f.why = checkReply(request, answer); f.why != nil {
		f.verdict = invalid
	}
	return f
}
