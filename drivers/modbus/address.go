package modbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Area is one of the four address spaces of a Modbus device.
type Area uint8

// The areas, in the order of their read function codes.
const (
	Coils Area = iota + 1
	DiscreteInputs
	HoldingRegisters
	InputRegisters
)

// String is the word used in messages and logs.
func (a Area) String() string {
	return [...]string{"no area", "coil", "discrete input", "holding register", "input register"}[a]
}

// bits tells whether the area holds single bits instead of registers.
func (a Area) bits() bool { return a == Coils || a == DiscreteInputs }

// writable tells whether a client can write to the area.
func (a Area) writable() bool { return a == Coils || a == HoldingRegisters }

// Notation is how addresses are written in the manual of a device.
type Notation string

// The notations. There is no default: the same digits mean different registers in each.
const (
	Protocol0 Notation = "protocol0" // letter and offset on the wire: h0, i12, c5, d7, h0x1F4
	Protocol1 Notation = "protocol1" // letter and number from 1: h1
	Modicon5  Notation = "modicon5"  // exactly five digits, the first is the area: 40001
	Modicon6  Notation = "modicon6"  // exactly six digits: 400001
)

// Address is a parsed address.
type Address struct {
	Area   Area
	Offset uint16 // as it goes over the wire, from 0
	Bit    int8   // bit of the register, 0 is the least significant; noBit for none
	Half   byte   // highHalf or lowHalf of the register; 0: all of it
	Length int    // elements of an array; 0: a scalar
}

const noBit = -1

// The halves of a register, as they are written behind an address.
const (
	highHalf = 'H'
	lowHalf  = 'L'
)

const lastOffset = 65535

// ParseAddress reads an address in the given notation and refuses what would have to be guessed. A suffix .b names a
// bit of a register (from 0 for the least significant; with msb1 from 1 for the most significant), H or L its high or
// low byte, a suffix [n] an array of n values.
func ParseAddress(text string, n Notation, msb1 bool) (Address, error) {
	a := Address{Bit: noBit}
	base, err := a.cutLength(text)
	if err != nil {
		return a, err
	}
	base, bit, hasBit := strings.Cut(base, ".")
	base = a.cutHalf(base)
	if err := a.parseBase(base, n); err != nil {
		return a, err
	}
	switch {
	case a.Half != 0 && (hasBit || a.Area.bits()):
		return a, fmt.Errorf("%c is a byte of a register and does not go with a bit", a.Half)
	case hasBit:
		err = a.parseBit(bit, msb1)
	}
	return a, err
}

func (a *Address) cutHalf(text string) string {
	if last := len(text) - 1; last > 0 && (text[last] == highHalf || text[last] == lowHalf) {
		a.Half = text[last]
		return text[:last]
	}
	return text
}

func (a *Address) cutLength(text string) (string, error) {
	base, rest, found := strings.Cut(text, "[")
	if !found {
		return text, nil
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 16)
	if err != nil || n == 0 || !strings.HasSuffix(rest, "]") {
		return "", fmt.Errorf("[%s is not an array length such as [24]", rest)
	}
	a.Length = int(n)
	return base, nil
}

func (a *Address) parseBit(bit string, msb1 bool) error {
	if a.Area.bits() {
		return fmt.Errorf("a %s is one bit already; leave out .%s", a.Area, bit)
	}
	n, err := strconv.ParseUint(bit, 10, 8)
	switch {
	case msb1 && (err != nil || n < 1 || n > 16):
		return fmt.Errorf("bit %q is not 1 (most significant) to 16", bit)
	case !msb1 && (err != nil || n > 15):
		return fmt.Errorf("bit %q is not 0 (least significant) to 15", bit)
	case msb1:
		n = 16 - n
	}
	a.Bit = int8(n)
	return nil
}

func (a *Address) parseBase(base string, n Notation) error {
	switch n {
	case Protocol0:
		return a.parseLetter(base, 0)
	case Protocol1:
		return a.parseLetter(base, 1)
	case Modicon5:
		return a.parseModicon(base, 5)
	case Modicon6:
		return a.parseModicon(base, 6)
	}
	return fmt.Errorf("notation %q is unknown", string(n))
}

func (a *Address) parseLetter(base string, first uint64) error {
	areas := map[byte]Area{'c': Coils, 'd': DiscreteInputs, 'h': HoldingRegisters, 'i': InputRegisters}
	if base == "" || areas[base[0]] == 0 {
		return errors.New("must begin with c (coil), d (discrete input), h (holding register) or i (input register), as in h100")
	}
	a.Area = areas[base[0]]
	return a.parseOffset(base[1:], first)
}

// parseModicon takes exactly as many digits as the notation has: 40001 under modicon6 would be coil 40001.
func (a *Address) parseModicon(base string, digits int) error {
	areas := map[byte]Area{'0': Coils, '1': DiscreteInputs, '3': InputRegisters, '4': HoldingRegisters}
	if missing := digits - len(base); missing > 0 && base != "" && strings.Trim(base, "0123456789") == "" {
		return fmt.Errorf("must have exactly %d digits; for coil %s, a spreadsheet has dropped the leading zeros", digits, strings.Repeat("0", missing)+base)
	}
	if len(base) != digits {
		return fmt.Errorf("must have exactly %d digits before a bit or array suffix, as in %s", digits, "400001"[:1]+"00001"[6-digits:])
	}
	if a.Area = areas[base[0]]; a.Area == 0 {
		return fmt.Errorf("digit %q names no area; 0 is coils, 1 discrete inputs, 3 input registers, 4 holding registers", base[0])
	}
	if strings.Trim(base, "0123456789") != "" {
		return errors.New("must be digits only before a bit or array suffix")
	}
	return a.parseOffset(base[1:], 1)
}

func (a *Address) parseOffset(digits string, first uint64) error {
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a number", digits)
	case n < first:
		return fmt.Errorf("counts from %d; there is no %s %d", first, a.Area, n)
	case n-first > lastOffset:
		return fmt.Errorf("%s %d is beyond the last, %d", a.Area, n, lastOffset+first)
	}
	a.Offset = uint16(n - first)
	return nil
}
