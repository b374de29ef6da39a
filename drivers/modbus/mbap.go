package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/goburrow/modbus"
)

// The header of Modbus TCP (Messaging on TCP/IP V1.0b, 3.1.3): transaction, protocol (0), length of the rest, unit.
const (
	mbapHeader    = 7
	mbapMaxLength = 254 // unit and a PDU of at most 253 bytes
)

func mbapCodec() codec {
	return codec{
		ids: true, frame: mbapFramer,
		size:   func(pdu int) int { return mbapHeader + pdu },
		unpack: func(_, adu []byte) query { return query{adu: adu, unit: adu[6], pdu: adu[mbapHeader:]} },
		packager: func(unit byte) modbus.Packager {
			h := modbus.NewTCPClientHandler("") // never connected: only its packager is used
			h.SlaveId = unit
			return h
		},
	}
}

// mbapFramer frames Modbus TCP. The transaction id tells a late reply from the one that is awaited; a stream that is
// out of step shows in the protocol id or the length, and cannot be mended.
func mbapFramer(q *query, received []byte) found {
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
	case !bytes.Equal(received[:2], q.adu[:2]):
		return found{verdict: foreign, size: size}
	case received[6] != q.unit:
		return found{verdict: invalid, size: size, why: fmt.Errorf("unit %d answers for unit %d", received[6], q.unit)}
	default:
		return judge(q.pdu, received[mbapHeader:size], found{size: size})
	}
}

// lenientFramer is for gateways that answer with a transaction id of their own: what has the right unit, function and
// length is the reply.
func lenientFramer(q *query, received []byte) found {
	f := mbapFramer(q, received)
	if f.verdict != foreign || received[6] != q.unit {
		return f
	}
	if g := judge(q.pdu, received[mbapHeader:f.size], found{size: f.size}); g.verdict == reply {
		return g
	}
	return f
}
