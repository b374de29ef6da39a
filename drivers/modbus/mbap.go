package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The header of Modbus TCP (Messaging on TCP/IP V1.0b, 3.1.3): transaction, protocol (0), length of the rest, unit.
const (
	mbapHeader    = 7
	mbapMaxLength = 254 // unit and a PDU of at most 253 bytes
)

// mbapFramer frames Modbus TCP. The transaction id tells a late reply from the one that is awaited; a stream that is
// out of step shows in the protocol id or the length, and cannot be mended.
func mbapFramer(request, received []byte) found {
	if len(received) < 6 {
		return found{verdict: more}
	}
	protocol, length := binary.BigEndian.Uint16(received[2:]), int(binary.BigEndian.Uint16(received[4:]))
	switch size := 6 + length; {
	case protocol != 0:
		return brokenf("protocol id %d instead of 0", protocol)
	case length < 3 || length > mbapMaxLength:
		return brokenf("frame length %d is not 3 to %d", length, mbapMaxLength)
	case len(received) < size:
		return found{verdict: more}
	case !bytes.Equal(received[:2], request[:2]):
		return found{verdict: foreign, size: size}
	case received[6] != request[6]:
		return found{verdict: invalid, size: size, why: fmt.Errorf("unit %d answers for unit %d", received[6], request[6])}
	default:
		return judge(request[mbapHeader:], received[mbapHeader:size], found{size: size})
	}
}

// judge completes f for a frame that carries the PDU answer to the PDU request.
func judge(request, answer []byte, f found) found {
	f.verdict = reply
	if f.why = checkReply(request, answer); f.why != nil {
		f.verdict = invalid
	}
	return f
}
