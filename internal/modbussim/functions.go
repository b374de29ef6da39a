package modbussim

import "encoding/binary"

// serve answers the functions that are not about the four areas, and leaves the others to u.
func (m *Map) serve(u *unit, dst, pdu []byte) ([]byte, byte) {
	switch {
	case pdu[0] == 7 && len(pdu) == 1:
		return append(dst, 7, 0x6D), 0
	case pdu[0] == 8 && len(pdu) >= 5:
		return append(dst, pdu...), 0
	case pdu[0] == 11 && len(pdu) == 1:
		return append(dst, 11, 0, 0, byte(m.requests>>8), byte(m.requests)), 0
	case pdu[0] == 12 && len(pdu) == 1:
		return append(dst, 12, 8, 0, 0, byte(m.requests>>8), byte(m.requests), 0, 2, 0x20, 0), 0
	case pdu[0] == 20 && len(pdu) == 9:
		return u.readFile(dst, pdu)
	case pdu[0] == 21 && len(pdu) >= 11:
		return u.writeFile(dst, pdu)
	case pdu[0] == 17 && len(pdu) == 1:
		return append(dst, 17, 5, 1, 0xFF, 's', 'i', 'm'), 0
	case pdu[0] == 43 && len(pdu) == 4 && pdu[1] == 14 && m.Identity != nil:
		return m.identify(dst, pdu[2], int(pdu[3])), 0
	}
	return u.serve(dst, pdu)
}

// identify gives one object at a time, so that clients have to ask again.
func (m *Map) identify(dst []byte, code byte, object int) []byte {
	last := len(m.Identity) - 1
	if code == 1 {
		last = min(last, 2)
	}
	object = min(object, last)
	more, next := byte(0), byte(0)
	if object < last {
		more, next = 0xFF, byte(object+1)
	}
	text := m.Identity[object]
	dst = append(dst, 43, 14, code, 0x82, more, next, 1, byte(object), byte(len(text)))
	return append(dst, text...)
}

// maskWrite is function 22.
func (u *unit) maskWrite(dst, pdu []byte) ([]byte, byte) {
	offset := int(binary.BigEndian.Uint16(pdu[1:]))
	s := &u.areas[HoldingRegisters]
	switch {
	case len(pdu) != 7:
		return dst, IllegalValue
	case !s.has(offset, 1) || s.protected[offset]:
		return dst, IllegalAddress
	}
	and, or := binary.BigEndian.Uint16(pdu[3:]), binary.BigEndian.Uint16(pdu[5:])
	u.keep(HoldingRegisters, offset, []uint16{s.values[offset]&and | or&^and})
	return append(dst, pdu...), 0
}

// readWrite is function 23: it writes first.
func (u *unit) readWrite(dst, pdu []byte) ([]byte, byte) {
	if len(pdu) < 10 || len(pdu) != 10+int(pdu[9]) {
		return dst, IllegalValue
	}
	write := append([]byte{16}, pdu[5:]...)
	if _, code := u.writeMany(nil, write, int(binary.BigEndian.Uint16(pdu[5:])), int(binary.BigEndian.Uint16(pdu[7:]))); code != 0 {
		return dst, code
	}
	at := len(dst)
	dst, code := u.readRegisters(dst, HoldingRegisters, int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:])))
	if code == 0 {
		dst[at] = 23
	}
	return dst, code
}

// fifo is function 24: the register holds the number of values, which stand behind it.
func (u *unit) fifo(dst, pdu []byte) ([]byte, byte) {
	s, offset := &u.areas[HoldingRegisters], int(binary.BigEndian.Uint16(pdu[1:]))
	if !s.has(offset, 1) || !s.has(offset, 1+int(s.values[offset])) {
		return dst, IllegalAddress
	}
	n := int(s.values[offset])
	if n > 31 {
		return dst, IllegalValue
	}
	dst = append(dst, 24, 0, byte(2+2*n), 0, byte(n))
	for _, v := range s.values[offset+1 : offset+1+n] {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst, 0
}

// readFile is function 20 with one group.
func (u *unit) readFile(dst, pdu []byte) ([]byte, byte) {
	file, record := u.files[binary.BigEndian.Uint16(pdu[3:])], int(binary.BigEndian.Uint16(pdu[5:]))
	count := int(binary.BigEndian.Uint16(pdu[7:]))
	switch {
	case pdu[1] != 7 || pdu[2] != 6 || count < 1 || count > 121:
		return dst, IllegalValue
	case record+count > len(file):
		return dst, IllegalAddress
	}
	dst = append(dst, 20, byte(2+2*count), byte(1+2*count), 6)
	for _, v := range file[record : record+count] {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst, 0
}

// writeFile is function 21 with one group, for files that exist.
func (u *unit) writeFile(dst, pdu []byte) ([]byte, byte) {
	file, record := u.files[binary.BigEndian.Uint16(pdu[3:])], int(binary.BigEndian.Uint16(pdu[5:]))
	count := int(binary.BigEndian.Uint16(pdu[7:]))
	switch {
	case pdu[2] != 6 || int(pdu[1]) != 7+2*count || len(pdu) != 9+2*count:
		return dst, IllegalValue
	case record+count > len(file):
		return dst, IllegalAddress
	}
	for i := range count {
		file[record+i] = binary.BigEndian.Uint16(pdu[9+2*i:])
	}
	return append(dst, pdu...), 0
}
