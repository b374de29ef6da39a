package instrument

import (
	"math"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// valueType is the type of a value in a message, in the words of edgeua.xml.
type valueType string

// The types.
const (
	Bool     valueType = "Bool"
	Int8     valueType = "Int8"
	UInt8    valueType = "UInt8"
	Int16    valueType = "Int16"
	UInt16   valueType = "UInt16"
	Int32    valueType = "Int32"
	UInt32   valueType = "UInt32"
	Int64    valueType = "Int64"
	UInt64   valueType = "UInt64"
	Float32  valueType = "Float32"
	Float64  valueType = "Float64"
	BCD      valueType = "Bcd" // binary layout only
	String   valueType = "String"
	Bytes    valueType = "Bytes"
	DateTime valueType = "DateTime"
)

// typeRow is what a type is on the wire and in OPC UA.
type typeRow struct {
	node     uabinary.TypeID
	scaled   uabinary.TypeID // with a scale; 0: cannot have one
	size     int             // bytes in the binary layout; 0: as the place says
	signed   bool
	unsigned bool
}

func (t valueType) row() typeRow {
	switch t {
	case Bool:
		return typeRow{node: uabinary.TypeBoolean, size: 1}
	case Int8:
		return typeRow{uabinary.TypeSByte, uabinary.TypeDouble, 1, true, false}
	case UInt8:
		return typeRow{uabinary.TypeByte, uabinary.TypeDouble, 1, false, true}
	case Int16:
		return typeRow{uabinary.TypeInt16, uabinary.TypeDouble, 2, true, false}
	case UInt16:
		return typeRow{uabinary.TypeUint16, uabinary.TypeDouble, 2, false, true}
	case Int32:
		return typeRow{uabinary.TypeInt32, uabinary.TypeDouble, 4, true, false}
	case UInt32:
		return typeRow{uabinary.TypeUint32, uabinary.TypeDouble, 4, false, true}
	case Int64:
		return typeRow{uabinary.TypeInt64, uabinary.TypeDouble, 8, true, false}
	case UInt64:
		return typeRow{uabinary.TypeUint64, uabinary.TypeDouble, 8, false, true}
	case BCD:
		return typeRow{uabinary.TypeUint64, uabinary.TypeDouble, 0, false, true}
	case Float32:
		return typeRow{node: uabinary.TypeFloat, scaled: uabinary.TypeFloat, size: 4}
	case Float64:
		return typeRow{node: uabinary.TypeDouble, scaled: uabinary.TypeDouble, size: 8}
	case Bytes:
		return typeRow{node: uabinary.TypeByteString}
	case DateTime:
		return typeRow{node: uabinary.TypeDateTime}
	}
	return typeRow{node: uabinary.TypeString}
}

func typeNames() []string {
	return []string{string(Bool), string(Int8), string(UInt8), string(Int16), string(UInt16), string(Int32), string(UInt32), string(Int64), string(UInt64),
		string(Float32), string(Float64), string(BCD), string(String), string(Bytes), string(DateTime)}
}

// number tells whether the type has digits.
func (t valueType) number() bool { return t.row().scaled != 0 }

func (t valueType) integer() bool { r := t.row(); return r.signed || r.unsigned }

// bits is the size of an integer.
func (t valueType) bits() int {
	if t == BCD {
		return 64
	}
	return 8 * t.row().size
}

// variantOf makes a value of the bits of a number.
func (t valueType) variantOf(bits uint64) uabinary.Variant {
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
	case Float32:
		return uabinary.FloatVariant(math.Float32frombits(uint32(bits)))
	case Float64:
		return uabinary.DoubleVariant(math.Float64frombits(bits))
	}
	return uabinary.Uint64Variant(bits)
}

// float is the number that bits mean.
func (t valueType) float(bits uint64) float64 {
	switch {
	case t == Float32:
		return float64(math.Float32frombits(uint32(bits)))
	case t == Float64:
		return math.Float64frombits(bits)
	case t.row().signed:
		return float64(t.extend(bits))
	}
	return float64(bits)
}

// extend makes a signed number of the bits of an integer.
func (t valueType) extend(bits uint64) int64 {
	shift := 64 - t.bits()
	return int64(bits<<shift) >> shift
}
