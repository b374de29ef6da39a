package modbus

import "github.com/goburrow/modbus"

// RTU frames (Modbus over Serial Line V1.02, 2.5.1): unit, PDU, CRC with the low byte first.
const (
	rtuOverhead = 3
	rtuMax      = 256
)

func rtuCodec() codec {
	return codec{
		frame:  rtuFramer,
		size:   func(pdu int) int { return rtuOverhead + pdu },
		unpack: func(_, adu []byte) query { return query{adu: adu, unit: adu[0], pdu: adu[1 : len(adu)-2]} },
		packager: func(unit byte) modbus.Packager {
			h := modbus.NewRTUClientHandler("") // never opened: only its packager is used
			h.SlaveId = unit
			return h
		},
	}
}

// rtuFramer frames Modbus RTU. There is neither a start mark nor a length, and pauses cannot be trusted behind a USB
// adapter, so it looks at every position for the head of an answer, takes the length from there, and believes it when
// the CRC holds. The CRC of everything received would not do: a valid frame followed by 0x00 has a valid CRC as well.
func rtuFramer(q *query, received []byte) found {
	best := found{verdict: more}
	for at := range received {
		f := rtuAt(q, received[at:])
		f.skip = at
		switch {
		case f.verdict == reply:
			return f
		case f.verdict == invalid && best.verdict == more:
			best = f
		}
	}
	return best
}

// rtuAt looks for the answer at the start of b; more means that there is none, or not yet.
func rtuAt(q *query, b []byte) found {
	if len(b) < rtuOverhead+2 || b[0] != q.unit || b[1]&^exceptionBit != q.pdu[0] {
		return found{verdict: more}
	}
	size := rtuOverhead + 2 // an exception
	if b[1] == q.pdu[0] {
		// The length is taken from its own head, so that a reply with a wrong count is seen as such.
		if size = measure(q.pdu, b[1:]); size <= 0 {
			return found{verdict: more}
		}
		size += rtuOverhead
	}
	if size > len(b) || rtuCRC(b[:size]) != 0 {
		return found{verdict: more}
	}
	return judge(q.pdu, b[1:size-2], found{size: size})
}

// rtuCRC is CRC-16/MODBUS; over a frame with its CRC it is 0.
func rtuCRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}
