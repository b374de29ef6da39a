package modbus

// RTU frames (Modbus over Serial Line V1.02, 2.5.1): unit, PDU, CRC with the low byte first.
const (
	rtuOverhead = 3
	rtuMax      = 256
)

// rtuFramer frames Modbus RTU. There is neither a start mark nor a length, and pauses cannot be trusted behind a USB
// adapter, so it looks at every position for the head of an answer, takes the length from there, and believes it when
// the CRC holds. The CRC of everything received would not do: a valid frame followed by 0x00 has a valid CRC as well.
func rtuFramer(request, received []byte) found {
	best := found{verdict: more}
	for at := range received {
		f := rtuAt(request, received[at:])
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
func rtuAt(request, b []byte) found {
	if len(b) < rtuOverhead+2 || b[0] != request[0] || b[1]&^exceptionBit != request[1] {
		return found{verdict: more}
	}
	size := rtuOverhead + 2 // an exception
	if b[1] == request[1] {
		size = rtuReplySize(b)
	}
	if size > len(b) || rtuCRC(b[:size]) != 0 {
		return found{verdict: more}
	}
	return judge(request[1:len(request)-2], b[1:size-2], found{size: size})
}

// rtuReplySize takes the length of a regular reply from its own head, so that one with a wrong count is seen as such.
func rtuReplySize(b []byte) int {
	if isRead(b[1:]) {
		return rtuOverhead + 2 + int(b[2])
	}
	return rtuOverhead + 5
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
