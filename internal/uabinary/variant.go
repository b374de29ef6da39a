package uabinary

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/gopcua/opcua/ua"
)

// TypeID names a built-in type (Part 6 (1.05), 5.1.2).
type TypeID uint8

// The built-in types.
const (
	TypeNull TypeID = iota
	TypeBoolean
	TypeSByte
	TypeByte
	TypeInt16
	TypeUint16
	TypeInt32
	TypeUint32
	TypeInt64
	TypeUint64
	TypeFloat
	TypeDouble
	TypeString
	TypeDateTime
	TypeGUID
	TypeByteString
	TypeXMLElement
	TypeNodeID
	TypeExpandedNodeID
	TypeStatusCode
	TypeQualifiedName
	TypeLocalizedText
	TypeExtensionObject
	TypeDataValue
	TypeVariant
	TypeDiagnosticInfo

	typeLastReserved TypeID = 31 // 26 to 31 are ByteStrings for now (5.2.2.16)
)

// XMLElement is the text of an XmlElement (Part 6 (1.05), 5.2.2.8).
type XMLElement string

// ByteArray is an array of Byte; a plain []byte is a ByteString.
type ByteArray []byte

// Variant holds a value of any built-in type, or an array or matrix of them
// (Part 6 (1.05), 5.2.2.16). The zero Variant is null. Nobody changes what a
// Variant refers to once it is made, so copies share it. Compare with Equal.
type Variant struct {
	typ   TypeID
	array bool
	// num is the value of a number, Boolean, DateTime or StatusCode, the
	// length of a text or ByteString, the length of an array.
	num uint64
	// ref is a textPtr or bytesPtr, any other scalar itself, a slice, or a
	// *matrix.
	ref any
}

// Pointers fit into an interface without allocation, unlike strings and
// slices; the length is in num.
type (
	textPtr  *byte
	bytesPtr *byte
)

// matrix is the content of an array of several dimensions, the last of which
// varies fastest.
type matrix struct {
	values any // a slice
	dims   []uint32
}

func scalar(t TypeID, num uint64) Variant { return Variant{typ: t, num: num} }

// BoolVariant returns v as a Variant.
func BoolVariant(v bool) Variant {
	if v {
		return scalar(TypeBoolean, 1)
	}
	return scalar(TypeBoolean, 0)
}

// Int8Variant returns v as a Variant.
func Int8Variant(v int8) Variant { return scalar(TypeSByte, uint64(v)) }

// Uint8Variant returns v as a Variant.
func Uint8Variant(v uint8) Variant { return scalar(TypeByte, uint64(v)) }

// Int16Variant returns v as a Variant.
func Int16Variant(v int16) Variant { return scalar(TypeInt16, uint64(v)) }

// Uint16Variant returns v as a Variant.
func Uint16Variant(v uint16) Variant { return scalar(TypeUint16, uint64(v)) }

// Int32Variant returns v as a Variant.
func Int32Variant(v int32) Variant { return scalar(TypeInt32, uint64(v)) }

// Uint32Variant returns v as a Variant.
func Uint32Variant(v uint32) Variant { return scalar(TypeUint32, uint64(v)) }

// Int64Variant returns v as a Variant.
func Int64Variant(v int64) Variant { return scalar(TypeInt64, uint64(v)) }

// Uint64Variant returns v as a Variant.
func Uint64Variant(v uint64) Variant { return scalar(TypeUint64, v) }

// FloatVariant returns v as a Variant.
func FloatVariant(v float32) Variant {
	return scalar(TypeFloat, uint64(math.Float32bits(v)))
}

// DoubleVariant returns v as a Variant.
func DoubleVariant(v float64) Variant {
	return scalar(TypeDouble, math.Float64bits(v))
}

// DateTimeVariant returns v as a Variant.
func DateTimeVariant(v DateTime) Variant { return scalar(TypeDateTime, uint64(v)) }

// StatusVariant returns v as a Variant.
func StatusVariant(v ua.StatusCode) Variant { return scalar(TypeStatusCode, uint64(v)) }

// StringVariant returns v as a Variant.
func StringVariant(v string) Variant { return textVariant(TypeString, v) }

func textVariant(t TypeID, s string) Variant {
	return Variant{typ: t, num: uint64(len(s)), ref: textPtr(unsafe.StringData(s))}
}

// ByteStringVariant returns v as a Variant that refers to its bytes.
func ByteStringVariant(v []byte) Variant { return bytesVariant(TypeByteString, v) }

func bytesVariant(t TypeID, b []byte) Variant {
	return Variant{typ: t, num: uint64(len(b)), ref: bytesPtr(unsafe.SliceData(b))}
}

// text returns the content of a String or XmlElement.
func (v Variant) text() string {
	return unsafe.String(v.ref.(textPtr), int(v.num))
}

// bytes returns the content of a ByteString.
func (v Variant) bytes() []byte {
	p := v.ref.(bytesPtr)
	if p == nil {
		return nil
	}
	return unsafe.Slice(p, int(v.num))
}

func (v Variant) float32() float32 { return math.Float32frombits(uint32(v.num)) }

func (v Variant) float64() float64 { return math.Float64frombits(v.num) }

// Type returns the built-in type of the value or of the elements of the
// array; TypeNull if v is null.
func (v Variant) Type() TypeID { return v.typ }

// IsNull reports whether v holds no value.
func (v Variant) IsNull() bool { return v.typ == TypeNull }

// IsArray reports whether v holds an array of any number of dimensions.
func (v Variant) IsArray() bool { return v.array }

// Len returns the number of elements of an array, all dimensions together;
// -1 if v is not an array.
func (v Variant) Len() int {
	if !v.array {
		return -1
	}
	return int(v.num)
}

// Dimensions returns the length of each dimension of a matrix; nil for
// scalars and plain arrays. The caller does not change it.
func (v Variant) Dimensions() []uint32 {
	if m, ok := v.ref.(*matrix); ok {
		return m.dims
	}
	return nil
}

// Number returns the value of a numeric scalar, rounded if it is a 64-bit
// integer that a float64 does not hold; false for all else.
func (v Variant) Number() (float64, bool) {
	if v.array {
		return 0, false
	}
	switch v.typ {
	case TypeSByte, TypeInt16, TypeInt32, TypeInt64:
		return float64(int64(v.num)), true
	case TypeByte, TypeUint16, TypeUint32, TypeUint64:
		return float64(v.num), true
	case TypeFloat:
		return float64(v.float32()), true
	case TypeDouble:
		return v.float64(), true
	}
	return 0, false
}

// NumberAt returns element i of an array of numbers, as Number does; false if
// there is none.
func (v Variant) NumberAt(i int) (float64, bool) {
	if i < 0 || i >= v.Len() {
		return 0, false
	}
	switch s := v.Any().(type) {
	case []int8:
		return float64(s[i]), true
	case ByteArray:
		return float64(s[i]), true
	case []int16:
		return float64(s[i]), true
	case []uint16:
		return float64(s[i]), true
	case []int32:
		return float64(s[i]), true
	case []uint32:
		return float64(s[i]), true
	case []int64:
		return float64(s[i]), true
	case []uint64:
		return float64(s[i]), true
	case []float32:
		return float64(s[i]), true
	case []float64:
		return s[i], true
	}
	return 0, false
}

// Bool returns the value of a Boolean; false, false for all else.
func (v Variant) Bool() (value, ok bool) {
	if v.typ != TypeBoolean || v.array {
		return false, false
	}
	return v.num != 0, true
}

// Text returns the value of a String; "", false for all else.
func (v Variant) Text() (string, bool) {
	if v.typ != TypeString || v.array {
		return "", false
	}
	return v.text(), true
}

// String returns v for logs and people, not for parsing.
func (v Variant) String() string { return fmt.Sprint(v.Any()) }
