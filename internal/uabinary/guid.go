package uabinary

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// GUID is a Guid in the byte order of the wire: Data1 to Data3 little endian,
// then the eight bytes of Data4 (Part 6 (1.05), 5.2.2.6).
type GUID [16]byte

// ParseGUID reads the form 72962B91-FA75-4AE6-8D28-B404DC7DAF63 (Part 6
// (1.05), 5.1.3), in upper or lower case.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("uabinary: %q is not a Guid", s)
	}
	var text [16]byte
	if _, err := hex.Decode(text[:], []byte(s[0:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return g, fmt.Errorf("uabinary: %q is not a Guid", s)
	}
	return text2wire(text), nil
}

// text2wire turns the bytes as they are written into the order of the wire,
// or back: it is its own inverse.
func text2wire(b [16]byte) GUID {
	g := GUID(b)
	binary.LittleEndian.PutUint32(g[0:], binary.BigEndian.Uint32(b[0:]))
	binary.LittleEndian.PutUint16(g[4:], binary.BigEndian.Uint16(b[4:]))
	binary.LittleEndian.PutUint16(g[6:], binary.BigEndian.Uint16(b[6:]))
	return g
}

// String returns the form that ParseGUID reads, in upper case.
func (g GUID) String() string {
	b := text2wire(g)
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Append appends g to dst.
func (g GUID) Append(dst []byte) []byte { return append(dst, g[:]...) }

// Parse reads g.
func (g *GUID) Parse(r *Reader) {
	*g = GUID{}
	copy(g[:], r.take(16))
}
