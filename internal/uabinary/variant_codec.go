package uabinary

import (
	"bytes"
	"math"
	"unsafe"

	"github.com/gopcua/opcua/ua"
)

// The first byte of a Variant (Part 6 (1.05), 5.2.2.16).
const (
	variantType       = 0x3f
	variantDimensions = 0x40
	variantArray      = 0x80
)

// Append appends v to dst.
func (v *Variant) Append(dst []byte) []byte {
	if v.array {
		return v.appendArray(dst)
	}
	return v.appendScalar(append(dst, byte(v.typ)))
}

func (v *Variant) appendScalar(dst []byte) []byte {
	switch v.typ {
	case TypeNull:
		return dst
	case TypeBoolean, TypeSByte, TypeByte:
		return append(dst, byte(v.num))
	case TypeInt16, TypeUint16:
		return AppendUint16(dst, uint16(v.num))
	case TypeInt32, TypeUint32, TypeStatusCode:
		return AppendUint32(dst, uint32(v.num))
	case TypeInt64, TypeUint64, TypeDateTime:
		return AppendUint64(dst, v.num)
	case TypeFloat:
		return AppendFloat32(dst, v.float32())
	case TypeDouble:
		return AppendFloat64(dst, v.float64())
	case TypeString, TypeXMLElement:
		return AppendString(dst, v.text())
	}
	return v.appendReferenced(dst)
}

// appendReferenced appends the scalars that do not fit into num.
func (v *Variant) appendReferenced(dst []byte) []byte {
	switch x := v.ref.(type) {
	case bytesPtr:
		return AppendByteString(dst, v.bytes())
	case GUID:
		return x.Append(dst)
	case NodeID:
		return x.Append(dst)
	case ExpandedNodeID:
		return x.Append(dst)
	case QualifiedName:
		return x.Append(dst)
	case LocalizedText:
		return x.Append(dst)
	case ExtensionObject:
		return x.Append(dst)
	case DataValue:
		return x.Append(dst)
	case DiagnosticInfo:
		return x.Append(dst)
	}
	panic("uabinary: Variant was not made by this package")
}

func (v *Variant) appendArray(dst []byte) []byte {
	if m, ok := v.ref.(*matrix); ok {
		dst = append(dst, byte(v.typ)|variantArray|variantDimensions)
		dst = appendElements(dst, m.values)
		return appendArray(dst, m.dims, AppendUint32)
	}
	dst = append(dst, byte(v.typ)|variantArray)
	return appendElements(dst, v.ref)
}

// appendElements appends the length of a slice and its elements.
func appendElements(dst []byte, values any) []byte {
	switch s := values.(type) {
	case []bool:
		return appendArray(dst, s, AppendBool)
	case []int8:
		return appendArray(dst, s, AppendInt8)
	case ByteArray:
		return AppendByteString(dst, s)
	case []int16:
		return appendArray(dst, s, AppendInt16)
	case []uint16:
		return appendArray(dst, s, AppendUint16)
	case []int32:
		return appendArray(dst, s, AppendInt32)
	case []uint32:
		return appendArray(dst, s, AppendUint32)
	case []int64:
		return appendArray(dst, s, AppendInt64)
	case []uint64:
		return appendArray(dst, s, AppendUint64)
	case []float32:
		return appendArray(dst, s, AppendFloat32)
	case []float64:
		return appendArray(dst, s, AppendFloat64)
	case []string:
		return appendArray(dst, s, AppendString)
	case []DateTime:
		return appendArray(dst, s, AppendDateTime)
	case []GUID:
		return appendStructs(dst, s)
	case [][]byte:
		return appendArray(dst, s, AppendByteString)
	case []XMLElement:
		return appendArray(dst, s, AppendXMLElement)
	case []NodeID:
		return appendStructs(dst, s)
	case []ExpandedNodeID:
		return appendStructs(dst, s)
	case []ua.StatusCode:
		return appendArray(dst, s, AppendStatusCode)
	case []QualifiedName:
		return appendStructs(dst, s)
	case []LocalizedText:
		return appendStructs(dst, s)
	case []ExtensionObject:
		return appendStructs(dst, s)
	case []DataValue:
		return appendStructs(dst, s)
	case []Variant:
		return appendStructs(dst, s)
	case []DiagnosticInfo:
		return appendStructs(dst, s)
	}
	panic("uabinary: Variant was not made by this package")
}

// appender is a type that appends itself, by pointer.
type appender[T any] interface {
	*T
	Append(dst []byte) []byte
}

func appendStructs[T any, P appender[T]](dst []byte, s []T) []byte {
	dst = appendArrayLength(dst, s)
	for i := range s {
		dst = P(&s[i]).Append(dst)
	}
	return dst
}

// Parse reads v.
func (v *Variant) Parse(r *Reader) {
	*v = Variant{}
	if !r.enter() {
		return
	}
	defer r.leave()
	mask := r.Uint8()
	t := TypeID(mask & variantType)
	switch {
	case t > typeLastReserved:
		r.failValue("unknown built-in type in a Variant")
	case mask&variantArray != 0 && t != TypeNull:
		v.parseArray(r, t, mask&variantDimensions != 0)
	case mask&variantDimensions != 0:
		r.failValue("dimensions of a Variant that is no array")
	default:
		v.parseScalar(r, t)
	}
}

func (v *Variant) parseScalar(r *Reader, t TypeID) {
	v.typ = t
	switch t {
	case TypeNull:
	case TypeBoolean:
		*v = BoolVariant(r.Bool())
	case TypeSByte:
		v.num = uint64(r.Int8())
	case TypeByte:
		v.num = uint64(r.Uint8())
	case TypeInt16:
		v.num = uint64(r.Int16())
	case TypeUint16:
		v.num = uint64(r.Uint16())
	case TypeInt32:
		v.num = uint64(r.Int32())
	case TypeUint32, TypeStatusCode, TypeFloat:
		v.num = uint64(r.Uint32())
	case TypeInt64, TypeUint64, TypeDateTime, TypeDouble:
		v.num = r.Uint64()
	case TypeString, TypeXMLElement:
		*v = textVariant(t, r.String())
	case TypeGUID:
		v.ref = parseOne[GUID](r)
	case TypeNodeID:
		v.ref = parseOne[NodeID](r)
	case TypeExpandedNodeID:
		v.ref = parseOne[ExpandedNodeID](r)
	case TypeQualifiedName:
		v.ref = parseOne[QualifiedName](r)
	case TypeLocalizedText:
		v.ref = parseOne[LocalizedText](r)
	case TypeExtensionObject:
		v.ref = parseOne[ExtensionObject](r)
	case TypeDataValue:
		v.ref = parseOne[DataValue](r)
	case TypeDiagnosticInfo:
		v.ref = parseOne[DiagnosticInfo](r)
	case TypeVariant:
		*v = Variant{}
		r.failValue("Variant directly inside a Variant")
	default: // TypeByteString and the reserved types
		*v = bytesVariant(t, r.ByteString())
	}
}

// parser is a type that parses itself, by pointer.
type parser[T any] interface {
	*T
	Parse(r *Reader)
}

func parseOne[T any, P parser[T]](r *Reader) T {
	var x T
	if r.charge(1, unsafe.Sizeof(x)) {
		P(&x).Parse(r)
	}
	return x
}

func parseStructs[T any, P parser[T]](r *Reader, minSize int) []T {
	s := resize[T](r, nil, r.arrayLength(minSize))
	for i := range s {
		P(&s[i]).Parse(r)
	}
	return s
}

func (v *Variant) parseArray(r *Reader, t TypeID, hasDimensions bool) {
	values, n := parseElements(r, t)
	*v = Variant{typ: t, array: true, num: uint64(n), ref: values}
	if !hasDimensions {
		return
	}
	dims := parseArray(r, nil, 4, (*Reader).Uint32)
	if r.err != nil {
		return
	}
	if len(dims) > 0 && !consistent(dims, n) {
		r.failValue("array dimensions are inconsistent with the array length")
		return
	}
	if len(dims) > 1 { // with fewer it is a plain array, whatever the sender thinks
		v.ref = &matrix{values: values, dims: dims}
	}
}

// counted returns a slice and its length, both as a Variant keeps them.
func counted[T any](s []T) (any, int) { return s, len(s) }

// parseElements reads an array of any built-in type. The sizes are the least
// that one element takes.
func parseElements(r *Reader, t TypeID) (values any, n int) {
	switch t {
	case TypeBoolean:
		return counted(parseArray(r, nil, 1, (*Reader).Bool))
	case TypeSByte:
		return counted(parseArray(r, nil, 1, (*Reader).Int8))
	case TypeByte:
		b := ByteArray(r.own(r.bytes(r.limits.MaxArrayLength)))
		return b, len(b)
	case TypeInt16:
		return counted(parseArray(r, nil, 2, (*Reader).Int16))
	case TypeUint16:
		return counted(parseArray(r, nil, 2, (*Reader).Uint16))
	case TypeInt32:
		return counted(parseArray(r, nil, 4, (*Reader).Int32))
	case TypeUint32:
		return counted(parseArray(r, nil, 4, (*Reader).Uint32))
	case TypeInt64:
		return counted(parseArray(r, nil, 8, (*Reader).Int64))
	case TypeUint64:
		return counted(parseArray(r, nil, 8, (*Reader).Uint64))
	case TypeFloat:
		return counted(parseArray(r, nil, 4, (*Reader).Float32))
	case TypeDouble:
		return counted(parseArray(r, nil, 8, (*Reader).Float64))
	case TypeString:
		return counted(parseArray(r, nil, 4, (*Reader).String))
	case TypeDateTime:
		return counted(parseArray(r, nil, 8, (*Reader).DateTime))
	case TypeGUID:
		return counted(parseStructs[GUID](r, 16))
	case TypeXMLElement:
		return counted(parseArray(r, nil, 4, (*Reader).XMLElement))
	case TypeNodeID:
		return counted(parseStructs[NodeID](r, 2))
	case TypeExpandedNodeID:
		return counted(parseStructs[ExpandedNodeID](r, 2))
	case TypeStatusCode:
		return counted(parseArray(r, nil, 4, (*Reader).StatusCode))
	case TypeQualifiedName:
		return counted(parseStructs[QualifiedName](r, 6))
	case TypeLocalizedText:
		return counted(parseStructs[LocalizedText](r, 1))
	case TypeExtensionObject:
		return counted(parseStructs[ExtensionObject](r, 3))
	case TypeDataValue:
		return counted(parseStructs[DataValue](r, 1))
	case TypeVariant:
		return counted(parseStructs[Variant](r, 1))
	case TypeDiagnosticInfo:
		return counted(parseStructs[DiagnosticInfo](r, 1))
	}
	// TypeByteString and the reserved types
	return counted(parseArray(r, nil, 4, (*Reader).ByteString))
}

// Equal reports whether v and w hold the same type and value. A NaN equals a
// NaN, 0 is not -0, and a null array equals an empty one of its type.
func (v Variant) Equal(w Variant) bool {
	if v.typ != w.typ || v.array != w.array || v.num != w.num {
		return v.isNaN() && w.isNaN() && v.typ == w.typ
	}
	if v.ref == nil || v.array && v.num == 0 {
		return true
	}
	if text, ok := v.Text(); ok {
		other, _ := w.Text()
		return text == other
	}
	// Equal values have equal encodings.
	var a, b [256]byte
	return bytes.Equal(v.Append(a[:0]), w.Append(b[:0]))
}

func (v Variant) isNaN() bool {
	f, ok := v.Number()
	return ok && f != f
}

// Clone returns v with memory of its own, for keeping what a Reader that
// borrows has parsed.
func (v Variant) Clone() Variant {
	if v.ref == nil {
		return v
	}
	encoded := v.Append(nil)
	whole := Limits{MaxStringLength: len(encoded), MaxByteStringLength: len(encoded), MaxArrayLength: len(encoded), MaxAlloc: math.MaxInt}
	r := NewReader(encoded, &whole)
	r.Borrow = true // from encoded, which nobody else has
	var w Variant
	w.Parse(r)
	return w
}
