package modbus

import (
	"math"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Type is what the registers or the bit of a tag hold.
type Type uint8

// The types.
const (
	Bool Type = iota + 1
	Int8      // half of a register
	UInt8
	Int16
	UInt16
	Int32
	UInt32
	Int64
	UInt64
	Float16
	Float32
	Float64
	Bcd16 // four decimal digits
	Bcd32
	Bcd64
	SBcd16 // three decimal digits behind a sign
	SBcd32
	SBcd64
	Mod10k2 // four decimal digits in each of two registers
	Mod10k3
	Mod10k4
	Bits16       // bits without a number
	UnixTime32   // seconds since 1970
	UnixTime64ms // milliseconds since 1970
	String
	Bytes
)

// typeRow is one line of the table of types.
type typeRow struct {
	name      string
	registers int // of one value; 0: a bit, or given by Length
	node      uabinary.TypeID
	scaled    uabinary.TypeID // the same with scale and offset; 0: is no number
	carrier   Type            // the type whose bits unpack makes
}

func (t Type) row() typeRow {
	return [...]typeRow{
		Bool:         {"Bool", 0, uabinary.TypeBoolean, 0, Bool},
		Int8:         {"Int8", 1, uabinary.TypeSByte, uabinary.TypeDouble, Int8},
		UInt8:        {"UInt8", 1, uabinary.TypeByte, uabinary.TypeDouble, UInt8},
		Int16:        {"Int16", 1, uabinary.TypeInt16, uabinary.TypeDouble, Int16},
		UInt16:       {"UInt16", 1, uabinary.TypeUint16, uabinary.TypeDouble, UInt16},
		Int32:        {"Int32", 2, uabinary.TypeInt32, uabinary.TypeDouble, Int32},
		UInt32:       {"UInt32", 2, uabinary.TypeUint32, uabinary.TypeDouble, UInt32},
		Int64:        {"Int64", 4, uabinary.TypeInt64, uabinary.TypeDouble, Int64},
		UInt64:       {"UInt64", 4, uabinary.TypeUint64, uabinary.TypeDouble, UInt64},
		Float16:      {"Float16", 1, uabinary.TypeFloat, uabinary.TypeFloat, Float32},
		Float32:      {"Float32", 2, uabinary.TypeFloat, uabinary.TypeFloat, Float32},
		Float64:      {"Float64", 4, uabinary.TypeDouble, uabinary.TypeDouble, Float64},
		Bcd16:        {"Bcd16", 1, uabinary.TypeUint16, uabinary.TypeDouble, UInt16},
		Bcd32:        {"Bcd32", 2, uabinary.TypeUint32, uabinary.TypeDouble, UInt32},
		Bcd64:        {"Bcd64", 4, uabinary.TypeUint64, uabinary.TypeDouble, UInt64},
		SBcd16:       {"SBcd16", 1, uabinary.TypeInt16, uabinary.TypeDouble, Int16},
		SBcd32:       {"SBcd32", 2, uabinary.TypeInt32, uabinary.TypeDouble, Int32},
		SBcd64:       {"SBcd64", 4, uabinary.TypeInt64, uabinary.TypeDouble, Int64},
		Mod10k2:      {"Mod10k2", 2, uabinary.TypeInt64, uabinary.TypeDouble, Int64},
		Mod10k3:      {"Mod10k3", 3, uabinary.TypeInt64, uabinary.TypeDouble, Int64},
		Mod10k4:      {"Mod10k4", 4, uabinary.TypeInt64, uabinary.TypeDouble, Int64},
		Bits16:       {"Bits16", 1, uabinary.TypeUint16, 0, UInt16},
		UnixTime32:   {"UnixTime32", 2, uabinary.TypeDateTime, 0, UnixTime32},
		UnixTime64ms: {"UnixTime64ms", 4, uabinary.TypeDateTime, 0, UnixTime64ms},
		String:       {"String", 0, uabinary.TypeString, 0, String},
		Bytes:        {"Bytes", 0, uabinary.TypeByteString, 0, Bytes},
	}[t]
}

// String is the word in the configuration.
func (t Type) String() string { return t.row().name }

// number tells whether the type holds numbers, which can have a scale and a range.
func (t Type) number() bool { return t.row().scaled != 0 }

// half tells whether the type fills half of a register.
func (t Type) half() bool { return t == Int8 || t == UInt8 }

// sized tells whether the length of the type is given by the configuration.
func (t Type) sized() bool { return t == String || t == Bytes }

// typeNames lists the words of the configuration in the order of the table.
func typeNames() []string {
	var names []string
	for t := Bool; t <= Bytes; t++ {
		names = append(names, t.String())
	}
	return names
}

func typeByName(name string) (Type, bool) {
	for t := Bool; t <= Bytes; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// latestTime is the last one that a DateTime shows as such (Part 6 (1.05), 5.2.2.5).
const latestTime = 253402300799 // 9999-12-31 23:59:59

// unpack turns the bits of registers into those of the carrier; ok is false if they make no value.
func (t Type) unpack(raw uint64) (bits uint64, ok bool) {
	switch t {
	case Bcd16, Bcd32, Bcd64:
		return fromBCD(raw)
	case SBcd16, SBcd32, SBcd64:
		return fromSignedBCD(raw, t.row().registers)
	case Mod10k2, Mod10k3, Mod10k4:
		return fromMod10k(raw, t.row().registers)
	case Float16:
		return uint64(math.Float32bits(fromHalf(uint16(raw)))), true
	case UnixTime64ms:
		return raw, raw <= latestTime*1000
	}
	return raw, true
}

// pack is the inverse of unpack; ok is false if the value does not fit.
func (t Type) pack(bits uint64) (raw uint64, ok bool) {
	switch t {
	case Bcd16, Bcd32, Bcd64:
		return toBCD(bits, 4*t.row().registers)
	case SBcd16, SBcd32, SBcd64:
		return toSignedBCD(t.row().carrier.integer(bits), t.row().registers)
	case Mod10k2, Mod10k3, Mod10k4:
		return toMod10k(int64(bits), t.row().registers)
	case Float16:
		f := math.Float32frombits(uint32(bits))
		h := toHalf(f)
		back := float64(fromHalf(h))
		return uint64(h), !math.IsInf(back, 0) || math.IsInf(float64(f), 0)
	}
	return bits, true
}

// float gives the value of the bits of a carrier as a float64.
func (t Type) float(bits uint64) float64 {
	switch t {
	case Int8:
		return float64(int8(bits))
	case Int16:
		return float64(int16(bits))
	case Int32:
		return float64(int32(bits))
	case Int64:
		return float64(int64(bits))
	case Float32:
		return float64(math.Float32frombits(uint32(bits)))
	case Float64:
		return math.Float64frombits(bits)
	default:
		return float64(bits)
	}
}

// integer gives the value of the bits of a carrier that is a whole number.
func (t Type) integer(bits uint64) int64 {
	switch t {
	case Int8:
		return int64(int8(bits))
	case Int16:
		return int64(int16(bits))
	case Int32:
		return int64(int32(bits))
	default:
		return int64(bits)
	}
}

// variant gives the value of the bits of a carrier in the type of its own.
func (t Type) variant(bits uint64) uabinary.Variant {
	switch t {
	case Int8:
		return uabinary.Int8Variant(int8(bits))
	case UInt8:
		return uabinary.Uint8Variant(uint8(bits))
	case Int16:
		return uabinary.Int16Variant(int16(bits))
	case UInt16:
		return uabinary.Uint16Variant(uint16(bits))
	case Int32:
		return uabinary.Int32Variant(int32(bits))
	case UInt32:
		return uabinary.Uint32Variant(uint32(bits))
	case Int64:
		return uabinary.Int64Variant(int64(bits))
	case UInt64:
		return uabinary.Uint64Variant(bits)
	case Float32:
		return uabinary.FloatVariant(math.Float32frombits(uint32(bits)))
	case UnixTime32, UnixTime64ms:
		return uabinary.DateTimeVariant(t.time(bits))
	default:
		return uabinary.DoubleVariant(math.Float64frombits(bits))
	}
}

func (t Type) time(bits uint64) uabinary.DateTime {
	if t == UnixTime32 {
		return uabinary.DateTimeOf(time.Unix(int64(uint32(bits)), 0))
	}
	return uabinary.DateTimeOf(time.UnixMilli(int64(bits)))
}

// fromTime gives the bits of a time; ok is false if it cannot be said.
func (t Type) fromTime(at uabinary.DateTime) (bits uint64, ok bool) {
	when := at.Time()
	if t == UnixTime32 {
		return uint64(when.Unix()), when.Unix() >= 0 && when.Unix() <= math.MaxUint32
	}
	return uint64(when.UnixMilli()), when.UnixMilli() >= 0
}

// bits rounds v to the nearest value of a carrier, half away from zero; ok is false if it does not fit.
func (t Type) bits(v float64) (bits uint64, ok bool) {
	if t == Float64 {
		return math.Float64bits(v), true
	}
	if t == Float32 {
		f := float32(v)
		return uint64(math.Float32bits(f)), !math.IsInf(float64(f), 0) || math.IsInf(v, 0)
	}
	v = math.Round(v)
	low, high := t.limits()
	if !(v >= low && v < high) { // also refuses NaN
		return 0, false
	}
	if low < 0 {
		return uint64(int64(v)), true
	}
	return uint64(v), true
}

// limits returns the smallest value and the first beyond the largest; all are exact as float64.
func (t Type) limits() (low, high float64) {
	bits := float64(16 * t.row().registers)
	if t.half() {
		bits = 8
	}
	switch t {
	case Int8, Int16, Int32, Int64:
		return -math.Exp2(bits - 1), math.Exp2(bits - 1)
	default:
		return 0, math.Exp2(bits)
	}
}

// span is the smallest and the largest value of a whole number as it stands in registers; ok is false for other types.
func (t Type) span() (low, high float64, ok bool) {
	row := t.row()
	digits := math.Pow10(4 * row.registers)
	switch t {
	case Bcd16, Bcd32, Bcd64:
		return 0, digits - 1, true
	case SBcd16, SBcd32, SBcd64:
		return 1 - digits/10, digits/10 - 1, true
	case Mod10k2, Mod10k3, Mod10k4:
		return 1 - digits, digits - 1, true
	}
	if row.scaled != uabinary.TypeDouble || row.carrier == Float64 {
		return 0, 0, false
	}
	low, high = t.limits()
	return low, high - 1, true
}

// fromHalf widens an IEEE 754 binary16.
func fromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, int(h>>10&31), uint32(h&0x3FF)
	switch {
	case exponent == 31: // infinite, or not a number
		return math.Float32frombits(sign | 0x7F800000 | fraction<<13)
	case exponent == 0: // too small for a leading one
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	}
	return math.Float32frombits(sign | uint32(exponent+112)<<23 | fraction<<13)
}

// toHalf narrows to an IEEE 754 binary16, to the nearest, half to even. What is too large becomes infinite.
func toHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign, rest := uint16(b>>16&0x8000), b&0x7FFFFFFF
	switch {
	case rest > 0x7F800000:
		return sign | 0x7E00
	case rest >= 0x477FF000: // rounds to 65536 or more
		return sign | 0x7C00
	case rest < 0x38800000: // below the smallest with a leading one
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(rest))*(1<<24)))
	}
	rest -= 112 << 23
	return sign | uint16((rest+0xFFF+rest>>13&1)>>13)
}
