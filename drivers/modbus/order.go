package modbus

import "encoding/binary"

// Order is how a device arranges the bytes of a value over its registers. Two switches explain the first four: B swaps
// the bytes in each register, W reverses the order of the registers.
type Order uint8

// The orders, named by where the bytes of a value (A first) stand on the wire; 32-bit name, 64-bit name.
const (
	ABCD     Order = iota // ABCDEFGH: plain big-endian, what the standard asks for
	BADC                  // BADCFEHG: B
	CDAB                  // GHEFCDAB: W
	DCBA                  // HGFEDCBA: B and W
	CDABGHEF              // words swapped inside each half; CDAB for 32 bits, ABCD for 16 and 48
	EFGHABCD              // halves swapped; ABCD for fewer bits
)

func orderNames() map[string]Order {
	return map[string]Order{
		"ABCD": ABCD, "BADC": BADC, "CDAB": CDAB, "DCBA": DCBA,
		"ABCDEFGH": ABCD, "BADCFEHG": BADC, "GHEFCDAB": CDAB, "HGFEDCBA": DCBA,
		"CDABGHEF": CDABGHEF, "EFGHABCD": EFGHABCD,
	}
}

// swapsBytes tells whether B applies.
func (o Order) swapsBytes() bool { return o == BADC || o == DCBA }

// word returns which register of n, counted on the wire, holds the i-th most significant word of a value. It is its own
// inverse for every order.
func (o Order) word(i, n int) int {
	switch o {
	case CDAB, DCBA:
		return n - 1 - i
	case CDABGHEF:
		if n%2 == 0 {
			return i ^ 1
		}
	case EFGHABCD:
		if n == 4 {
			return i ^ 2
		}
	}
	return i
}

// load reads a value of n registers.
func (o Order) load(wire []byte, n int) uint64 {
	if n == 1 && !o.swapsBytes() {
		return uint64(binary.BigEndian.Uint16(wire))
	}
	var v uint64
	for i := range n {
		w := binary.BigEndian.Uint16(wire[2*o.word(i, n):])
		if o.swapsBytes() {
			w = w<<8 | w>>8
		}
		v = v<<16 | uint64(w)
	}
	return v
}

// store writes a value of n registers.
func (o Order) store(wire []byte, n int, v uint64) {
	for i := n - 1; i >= 0; i-- {
		w := uint16(v)
		if o.swapsBytes() {
			w = w<<8 | w>>8
		}
		binary.BigEndian.PutUint16(wire[2*o.word(i, n):], w)
		v >>= 16
	}
}
