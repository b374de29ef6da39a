package uabinary

import (
	"fmt"
	"math"

	"github.com/gopcua/opcua/ua"
)

// VariantOf returns v as a Variant: nil as the null Variant, a Variant as
// itself, []byte as a ByteString, and else every Go type of this package that
// stands for a built-in type, and slices of them. A Variant of a slice refers
// to it. VariantOf panics on any other type.
func VariantOf(v any) Variant {
	switch v := v.(type) {
	case nil:
		return Variant{}
	case Variant:
		return v
	case bool:
		return BoolVariant(v)
	case int8:
		return Int8Variant(v)
	case uint8:
		return Uint8Variant(v)
	case int16:
		return Int16Variant(v)
	case uint16:
		return Uint16Variant(v)
	case int32:
		return Int32Variant(v)
	case uint32:
		return Uint32Variant(v)
	case int64:
		return Int64Variant(v)
	case uint64:
		return Uint64Variant(v)
	case float32:
		return FloatVariant(v)
	case float64:
		return DoubleVariant(v)
	case string:
		return StringVariant(v)
	case DateTime:
		return DateTimeVariant(v)
	case GUID:
		return Variant{typ: TypeGUID, ref: v}
	case []byte:
		return ByteStringVariant(v)
	case XMLElement:
		return textVariant(TypeXMLElement, string(v))
	case NodeID:
		return Variant{typ: TypeNodeID, ref: v}
	case ExpandedNodeID:
		return Variant{typ: TypeExpandedNodeID, ref: v}
	case ua.StatusCode:
		return StatusVariant(v)
	case QualifiedName:
		return Variant{typ: TypeQualifiedName, ref: v}
	case LocalizedText:
		return Variant{typ: TypeLocalizedText, ref: v}
	case ExtensionObject:
		return Variant{typ: TypeExtensionObject, ref: v}
	case DataValue:
		return Variant{typ: TypeDataValue, ref: v}
	case DiagnosticInfo:
		return Variant{typ: TypeDiagnosticInfo, ref: v}
	}
	return ArrayVariant(v)
}

// ArrayVariant returns the slice values as a Variant that refers to it; a
// slice of Byte is a ByteArray. Two or more dims make it a matrix: none may be
// zero and their product must be the length. ArrayVariant panics if that is
// not so or if the elements are of no built-in type.
func ArrayVariant(values any, dims ...uint32) Variant {
	if b, ok := values.([]byte); ok {
		values = ByteArray(b)
	}
	t, n := sliceType(values)
	if t == TypeNull {
		panic(fmt.Sprintf("uabinary: no Variant holds a %T", values))
	}
	v := Variant{typ: t, array: true, num: uint64(n), ref: values}
	if len(dims) > 0 && !consistent(dims, n) {
		panic(fmt.Sprintf("uabinary: %d elements are no matrix of %v", n, dims))
	}
	if len(dims) > 1 {
		v.ref = &matrix{values: values, dims: dims}
	}
	return v
}

// consistent reports whether no dimension is zero and their product, which may
// not overflow, is n (Part 6 (1.05), 5.2.2.16).
func consistent(dims []uint32, n int) bool {
	product := uint64(1)
	for _, d := range dims {
		if d == 0 || d > math.MaxInt32 {
			return false
		}
		if product *= uint64(d); product > math.MaxInt32 {
			return false
		}
	}
	return product == uint64(n)
}

// sliceType returns the type of the elements of a slice and its length.
func sliceType(values any) (TypeID, int) {
	switch s := values.(type) {
	case []bool:
		return TypeBoolean, len(s)
	case []int8:
		return TypeSByte, len(s)
	case ByteArray:
		return TypeByte, len(s)
	case []int16:
		return TypeInt16, len(s)
	case []uint16:
		return TypeUint16, len(s)
	case []int32:
		return TypeInt32, len(s)
	case []uint32:
		return TypeUint32, len(s)
	case []int64:
		return TypeInt64, len(s)
	case []uint64:
		return TypeUint64, len(s)
	case []float32:
		return TypeFloat, len(s)
	case []float64:
		return TypeDouble, len(s)
	case []string:
		return TypeString, len(s)
	case []DateTime:
		return TypeDateTime, len(s)
	case []GUID:
		return TypeGUID, len(s)
	case [][]byte:
		return TypeByteString, len(s)
	case []XMLElement:
		return TypeXMLElement, len(s)
	case []NodeID:
		return TypeNodeID, len(s)
	case []ExpandedNodeID:
		return TypeExpandedNodeID, len(s)
	case []ua.StatusCode:
		return TypeStatusCode, len(s)
	case []QualifiedName:
		return TypeQualifiedName, len(s)
	case []LocalizedText:
		return TypeLocalizedText, len(s)
	case []ExtensionObject:
		return TypeExtensionObject, len(s)
	case []DataValue:
		return TypeDataValue, len(s)
	case []Variant:
		return TypeVariant, len(s)
	case []DiagnosticInfo:
		return TypeDiagnosticInfo, len(s)
	}
	return TypeNull, 0
}

// Any returns the Go value that VariantOf takes: nil for null, a slice, in
// one dimension, for arrays and matrices.
func (v Variant) Any() any {
	if m, ok := v.ref.(*matrix); ok {
		return m.values
	}
	if v.array {
		return v.ref
	}
	switch v.typ {
	case TypeNull:
		return nil
	case TypeBoolean:
		return v.num != 0
	case TypeSByte:
		return int8(v.num)
	case TypeByte:
		return uint8(v.num)
	case TypeInt16:
		return int16(v.num)
	case TypeUint16:
		return uint16(v.num)
	case TypeInt32:
		return int32(v.num)
	case TypeUint32:
		return uint32(v.num)
	case TypeInt64:
		return int64(v.num)
	case TypeUint64:
		return v.num
	case TypeFloat:
		return v.float32()
	case TypeDouble:
		return v.float64()
	case TypeString:
		return v.text()
	case TypeXMLElement:
		return XMLElement(v.text())
	case TypeDateTime:
		return DateTime(v.num)
	case TypeStatusCode:
		return ua.StatusCode(v.num)
	}
	if _, ok := v.ref.(bytesPtr); ok {
		return v.bytes()
	}
	return v.ref
}
