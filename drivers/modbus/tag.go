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
	SwapText   bool // String: the first character stands in the low byte
	Conversion drivers.Conversion
	Write      drivers.Range // what may be written; zero: anything that fits
	Group      int           // index in the groups of its device
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
