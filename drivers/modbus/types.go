package modbus

import (
	"math"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Type is what the registers or the bit of a tag hold.
type Type uint8

// The types.
const (
	Bool Type = iota + 1
	Int16
	UInt16
	Int32
	UInt32
	Int64
	UInt64
	Float32
	Float64
	String
)

// typeRow is one line of the table of types.
type typeRow struct {
	name      string
	registers int // of one value; 0: a bit, or given by Length
	node      uabinary.TypeID
	scaled    uabinary.TypeID // the same with scale and offset
}

func (t Type) row() typeRow {
	return [...]typeRow{
		Bool:    {"Bool", 0, uabinary.TypeBoolean, 0},
		Int16:   {"Int16", 1, uabinary.TypeInt16, uabinary.TypeDouble},
		UInt16:  {"UInt16", 1, uabinary.TypeUint16, uabinary.TypeDouble},
		Int32:   {"Int32", 2, uabinary.TypeInt32, uabinary.TypeDouble},
		UInt32:  {"UInt32", 2, uabinary.TypeUint32, uabinary.TypeDouble},
		Int64:   {"Int64", 4, uabinary.TypeInt64, uabinary.TypeDouble},
		UInt64:  {"UInt64", 4, uabinary.TypeUint64, uabinary.TypeDouble},
		Float32: {"Float32", 2, uabinary.TypeFloat, uabinary.TypeFloat},
		Float64: {"Float64", 4, uabinary.TypeDouble, uabinary.TypeDouble},
		String:  {"String", 0, uabinary.TypeString, 0},
	}[t]
}

// String is the word in the configuration.
func (t Type) String() string { return t.row().name }

// typeNames lists the words of the configuration in the order of the table.
func typeNames() []string {
	var names []string
	for t := Bool; t <= String; t++ {
		names = append(names, t.String())
	}
	return names
}

func typeByName(name string) (Type, bool) {
	for t := Bool; t <= String; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// number gives the value of raw bits as a float64.
func (t Type) number(raw uint64) float64 {
	switch t {
	case Int16:
		return float64(int16(raw))
	case Int32:
		return float64(int32(raw))
	case Int64:
		return float64(int64(raw))
	case Float32:
		return float64(math.Float32frombits(uint32(raw)))
	case Float64:
		return math.Float64frombits(raw)
	default:
		return float64(raw)
	}
}

// variant gives the value of raw bits in the type of its own.
func (t Type) variant(raw uint64) uabinary.Variant {
	switch t {
	case Int16:
		return uabinary.Int16Variant(int16(raw))
	case UInt16:
		return uabinary.Uint16Variant(uint16(raw))
	case Int32:
		return uabinary.Int32Variant(int32(raw))
	case UInt32:
		return uabinary.Uint32Variant(uint32(raw))
	case Int64:
		return uabinary.Int64Variant(int64(raw))
	case UInt64:
		return uabinary.Uint64Variant(raw)
	case Float32:
		return uabinary.FloatVariant(math.Float32frombits(uint32(raw)))
	default:
		return uabinary.DoubleVariant(math.Float64frombits(raw))
	}
}

// raw rounds v to the nearest value of the type, half away from zero; ok is false if it does not fit.
func (t Type) raw(v float64) (raw uint64, ok bool) {
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
	switch t {
	case Int16, Int32, Int64:
		return -math.Exp2(bits - 1), math.Exp2(bits - 1)
	default:
		return 0, math.Exp2(bits)
	}
}
