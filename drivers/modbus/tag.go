package modbus

import (
	"github.com/edgeua/edgeua/drivers"
)

// Tag is one configured tag: what the address space shows, and where and how the device holds it.
type Tag struct {
	drivers.Tag
	Address    Address
	Raw        Type
	Registers  int // of one value; 0 for a coil or discrete input
	Order      Order
	Text       TextOrder // of a String
	Encoding   Encoding
	Conversion drivers.Conversion
	Factor     int           // index of the tag whose value is the power of ten of the scale; -1: none
	Write      drivers.Range // what may be written; zero: anything that fits
	Deadband   float64       // changes that are smaller do not count; 0: all do
	Group      int           // index in the groups of its device
	Idempotent bool          // writing it twice is as good as once
}

// mask is which bits of its register a tag has, as on the wire, if it shares it with others; 0: it has whole registers.
func (t *Tag) mask() uint16 {
	m := uint16(0)
	switch {
	case t.Address.Area.bits():
	case t.Address.Bit != noBit:
		m = 1 << t.Address.Bit
	case t.Address.Half == highHalf:
		m = 0xFF00
	case t.Address.Half == lowHalf:
		m = 0x00FF
	}
	if t.Order.swapsBytes() {
		m = m<<8 | m>>8
	}
	return m
}

// load reads the bits of the i-th value from the registers of the tag.
func (t *Tag) load(wire []byte, i int) uint64 {
	raw := t.Order.load(wire[2*i*t.Registers:], t.Registers)
	switch {
	case t.Address.Bit != noBit:
		return raw >> t.Address.Bit & 1
	case t.Address.Half == highHalf:
		return raw >> 8
	case t.Address.Half == lowHalf:
		return raw & 0xFF
	}
	return raw
}

// store is the inverse of load; bits of the register that are not the tag's become 0.
func (t *Tag) store(wire []byte, i int, raw uint64) {
	switch {
	case t.Address.Bit != noBit:
		raw = raw & 1 << t.Address.Bit
	case t.Address.Half == highHalf:
		raw = raw & 0xFF << 8
	case t.Address.Half == lowHalf:
		raw &= 0xFF
	}
	t.Order.store(wire[2*i*t.Registers:], t.Registers, raw)
}

// count is the number of values: 1 for a scalar.
func (t *Tag) count() int { return max(1, t.Address.Length) }

// span is the number of registers, or of bits in the areas of bits, that the tag covers.
func (t *Tag) span() int {
	if t.Address.Area.bits() {
		return t.count()
	}
	return t.Registers * t.count()
}

// first and end are the offsets on the wire that the tag covers, end exclusive.
func (t *Tag) first() int { return int(t.Address.Offset) }
func (t *Tag) end() int   { return t.first() + t.span() }
