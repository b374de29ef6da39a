package uabinary

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// vector is a value of a built-in type and its bytes, with spaces between
// fields. The table drives the tests of decoding, encoding and truncation, and
// seeds the fuzz targets.
type vector struct {
	name  string
	bytes string
	value any
}

func vectors() []vector {
	guid, _ := ParseGUID("72962B91-FA75-4AE6-8D28-B404DC7DAF63")
	inner := DiagnosticInfo{Fields: DiagnosticInnerStatusCode, InnerStatusCode: ua.StatusBadNoData}
	return []vector{
		{"Boolean", "01", true},
		{"SByte", "ff", int8(-1)},
		{"Byte", "ff", uint8(255)},
		{"Int16", "feff", int16(-2)},
		{"UInt16", "feff", uint16(65534)},
		{"Int32_Part6_5222", "00ca9a3b", int32(1_000_000_000)},
		{"UInt32", "ffffffff", uint32(math.MaxUint32)},
		{"Int64", "feffffffffffffff", int64(-2)},
		{"UInt64", "feffffffffffffff", uint64(math.MaxUint64 - 1)},
		{"Float_Part6_5223", "0000d0c0", float32(-6.5)},
		{"Double", "0000000000001ac0", float64(-6.5)},
		{"String_Part6_5224", "06000000 e6b0b4426f79", "水Boy"},
		{"StringNull", "ffffffff", ""},
		{"DateTime", "0080d9c3f9e0bd01", DateTime(0x01bde0f9c3d98000)},
		{"Guid_Part6_5226", "912b9672 75fa e64a 8d28b404dc7daf63", guid},
		{"ByteString", "02000000 0001", []byte{0, 1}},
		{"ByteStringEmpty", "00000000", []byte{}},
		{"ByteStringNull", "ffffffff", []byte(nil)},
		{"XmlElement", "04000000 3c612f3e", XMLElement("<a/>")},
		{"NodeIdString_Part6_5229", "03 0100 06000000 486f74e6b0b4", StringID(1, "Hot水")},
		{"NodeIdTwoByte_Part6_5229", "00 72", NumericID(0, 0x72)},
		{"NodeIdFourByte_Part6_5229", "01 05 0104", NumericID(5, 1025)},
		{"NodeIdNumericLargeNamespace", "02 0001 01000000", NumericID(256, 1)},
		{"NodeIdNumericLargeIdentifier", "02 0000 00000100", NumericID(0, 65536)},
		{"NodeIdGuid", "04 0200 912b9672 75fa e64a 8d28b404dc7daf63", GUIDID(2, guid)},
		{"NodeIdOpaque", "05 0200 02000000 00ff", OpaqueID(2, []byte{0, 0xff})},
		{"ExpandedNodeId", "c0 05 02000000 7572 07000000", ExpandedNodeID{NumericID(0, 5), "ur", 7}},
		{"StatusCode", "00003180", ua.StatusCode(0x80310000)},
		{"QualifiedName", "0200 01000000 61", QualifiedName{2, "a"}},
		{"LocalizedText", "03 02000000 656e 01000000 74", LocalizedText{"en", "t"}},
		{"LocalizedTextEmpty", "00", LocalizedText{}},
		{"ExtensionObjectNull", "0000 00", ExtensionObject{}},
		{"ExtensionObject", "01 00 7603 01 02000000 aabb", ExtensionObject{NumericID(0, 886), BodyByteString, []byte{0xaa, 0xbb}}},
		{"ExtensionObjectXml", "0005 02 04000000 3c612f3e", ExtensionObject{NumericID(0, 5), BodyXMLElement, []byte("<a/>")}},
		{"DataValueEmpty", "00", DataValue{}},
		{"DataValue", "3f 0101 00003180 0100000000000000 0a00 0200000000000000 1400",
			DataValue{VariantOf(true), 0x80310000, 10, 20, 1, 2}},
		{"DiagnosticInfo", "7f 01000000 02000000 04000000 03000000 01000000 69 00009b80 20 00009b80",
			DiagnosticInfo{0x7f, 1, 2, 4, 3, "i", ua.StatusBadNoData, &inner}},
		{"VariantNull", "00", Variant{}},
		{"VariantBoolean", "01 01", VariantOf(true)},
		{"VariantSByte", "02 ff", VariantOf(int8(-1))},
		{"VariantByte", "03 ff", VariantOf(uint8(255))},
		{"VariantInt16", "04 feff", VariantOf(int16(-2))},
		{"VariantUInt16", "05 feff", VariantOf(uint16(65534))},
		{"VariantInt32", "06 ffffffff", VariantOf(int32(-1))},
		{"VariantUInt32", "07 ffffffff", VariantOf(uint32(math.MaxUint32))},
		{"VariantInt64", "08 ffffffffffffffff", VariantOf(int64(-1))},
		{"VariantUInt64", "09 ffffffffffffffff", VariantOf(uint64(math.MaxUint64))},
		{"VariantFloat", "0a 0000d0c0", VariantOf(float32(-6.5))},
		{"VariantDouble", "0b 0000000000001ac0", VariantOf(-6.5)},
		{"VariantDoubleNaN_Part6_5223", "0b 000000000000f8ff", VariantOf(math.NaN())},
		{"VariantFloatNaN_Part6_5223", "0a 0000c0ff", VariantOf(float32(math.NaN()))},
		{"VariantString", "0c 01000000 61", VariantOf("a")},
		{"VariantStringNull", "0c ffffffff", VariantOf("")},
		{"VariantDateTime", "0d 0080d9c3f9e0bd01", VariantOf(DateTime(0x01bde0f9c3d98000))},
		{"VariantGuid", "0e 912b9672 75fa e64a 8d28b404dc7daf63", VariantOf(guid)},
		{"VariantByteString", "0f 01000000 61", VariantOf([]byte("a"))},
		{"VariantByteStringEmpty", "0f 00000000", VariantOf([]byte{})},
		{"VariantByteStringNull", "0f ffffffff", VariantOf([]byte(nil))},
		{"VariantXmlElement", "10 04000000 3c612f3e", VariantOf(XMLElement("<a/>"))},
		{"VariantNodeId", "11 00 72", VariantOf(NumericID(0, 0x72))},
		{"VariantExpandedNodeId", "12 40 72 01000000", VariantOf(ExpandedNodeID{NodeID: NumericID(0, 0x72), ServerIndex: 1})},
		{"VariantStatusCode", "13 00003180", VariantOf(ua.StatusCode(0x80310000))},
		{"VariantQualifiedName", "14 0200 01000000 61", VariantOf(QualifiedName{2, "a"})},
		{"VariantLocalizedText", "15 02 01000000 74", VariantOf(LocalizedText{Text: "t"})},
		{"VariantExtensionObject", "16 0005 01 00000000", VariantOf(ExtensionObject{NumericID(0, 5), BodyByteString, []byte{}})},
		{"VariantDataValue", "17 01 01 01", VariantOf(DataValue{Value: VariantOf(true)})},
		{"VariantDiagnosticInfo", "19 20 00009b80", VariantOf(inner)},
		{"ArrayBoolean", "81 02000000 01 00", VariantOf([]bool{true, false})},
		{"ArraySByte", "82 01000000 ff", VariantOf([]int8{-1})},
		{"ArrayByte", "83 02000000 01ff", VariantOf(ByteArray{1, 255})},
		{"ArrayInt16", "84 01000000 feff", VariantOf([]int16{-2})},
		{"ArrayUInt16", "85 01000000 feff", VariantOf([]uint16{65534})},
		{"ArrayInt32", "86 01000000 ffffffff", VariantOf([]int32{-1})},
		{"ArrayUInt32", "87 01000000 ffffffff", VariantOf([]uint32{math.MaxUint32})},
		{"ArrayInt64", "88 01000000 ffffffffffffffff", VariantOf([]int64{-1})},
		{"ArrayUInt64", "89 01000000 ffffffffffffffff", VariantOf([]uint64{math.MaxUint64})},
		{"ArrayFloat", "8a 01000000 0000d0c0", VariantOf([]float32{-6.5})},
		{"ArrayDouble", "8b 01000000 0000000000001ac0", VariantOf([]float64{-6.5})},
		{"ArrayString", "8c 02000000 01000000 61 ffffffff", VariantOf([]string{"a", ""})},
		{"ArrayDateTime", "8d 01000000 0080d9c3f9e0bd01", VariantOf([]DateTime{0x01bde0f9c3d98000})},
		{"ArrayGuid", "8e 01000000 912b9672 75fa e64a 8d28b404dc7daf63", VariantOf([]GUID{guid})},
		{"ArrayByteString", "8f 02000000 01000000 61 ffffffff", VariantOf([][]byte{[]byte("a"), nil})},
		{"ArrayXmlElement", "90 01000000 01000000 61", VariantOf([]XMLElement{"a"})},
		{"ArrayNodeId", "91 01000000 00 72", VariantOf([]NodeID{NumericID(0, 0x72)})},
		{"ArrayExpandedNodeId", "92 01000000 40 72 01000000", VariantOf([]ExpandedNodeID{{NodeID: NumericID(0, 0x72), ServerIndex: 1}})},
		{"ArrayStatusCode", "93 01000000 00003180", VariantOf([]ua.StatusCode{0x80310000})},
		{"ArrayQualifiedName", "94 01000000 0200 01000000 61", VariantOf([]QualifiedName{{2, "a"}})},
		{"ArrayLocalizedText", "95 01000000 02 01000000 74", VariantOf([]LocalizedText{{Text: "t"}})},
		{"ArrayExtensionObject", "96 01000000 0000 00", VariantOf([]ExtensionObject{{}})},
		{"ArrayDataValue", "97 01000000 01 01 01", VariantOf([]DataValue{{Value: VariantOf(true)}})},
		{"ArrayVariant", "98 02000000 01 01 06 ffffffff", VariantOf([]Variant{VariantOf(true), VariantOf(int32(-1))})},
		{"ArrayDiagnosticInfo", "99 01000000 20 00009b80", VariantOf([]DiagnosticInfo{inner})},
		{"ArrayEmpty", "86 00000000", VariantOf([]int32{})},
		{"ArrayNull", "86 ffffffff", VariantOf([]int32(nil))},
		{"ArrayByteNull", "83 ffffffff", VariantOf(ByteArray(nil))},
		{"MatrixInt16", "c4 06000000 0100 0200 0300 0400 0500 0600 02000000 02000000 03000000",
			ArrayVariant([]int16{1, 2, 3, 4, 5, 6}, 2, 3)},
		{"MatrixByte", "c3 02000000 0102 02000000 01000000 02000000", ArrayVariant([]byte{1, 2}, 1, 2)},
		{"MatrixString", "cc 01000000 01000000 61 03000000 01000000 01000000 01000000", ArrayVariant([]string{"a"}, 1, 1, 1)},
		{"ReservedType_Part6_52216", "1f 01000000 61", Variant{typ: 31, num: 1, ref: ByteStringVariant([]byte("a")).ref}},
		{"ReservedTypeArray_Part6_52216", "9a 01000000 01000000 61", Variant{typ: 26, array: true, num: 1, ref: [][]byte{[]byte("a")}}},
	}
}

func (v vector) wire() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(v.bytes, " ", ""))
	if err != nil {
		panic(v.name + ": " + err.Error())
	}
	return b
}

// appendValue encodes a value of any built-in type.
func appendValue(value any) []byte {
	switch v := value.(type) {
	case bool:
		return AppendBool(nil, v)
	case int8:
		return AppendInt8(nil, v)
	case uint8:
		return AppendUint8(nil, v)
	case int16:
		return AppendInt16(nil, v)
	case uint16:
		return AppendUint16(nil, v)
	case int32:
		return AppendInt32(nil, v)
	case uint32:
		return AppendUint32(nil, v)
	case int64:
		return AppendInt64(nil, v)
	case uint64:
		return AppendUint64(nil, v)
	case float32:
		return AppendFloat32(nil, v)
	case float64:
		return AppendFloat64(nil, v)
	case string:
		return AppendString(nil, v)
	case DateTime:
		return AppendDateTime(nil, v)
	case []byte:
		return AppendByteString(nil, v)
	case XMLElement:
		return AppendXMLElement(nil, v)
	case ua.StatusCode:
		return AppendStatusCode(nil, v)
	}
	p := reflect.New(reflect.TypeOf(value))
	p.Elem().Set(reflect.ValueOf(value))
	return p.Interface().(interface{ Append([]byte) []byte }).Append(nil)
}

// parseValue reads a value of the type of like.
func parseValue(r *Reader, like any) any {
	switch like.(type) {
	case bool:
		return r.Bool()
	case int8:
		return r.Int8()
	case uint8:
		return r.Uint8()
	case int16:
		return r.Int16()
	case uint16:
		return r.Uint16()
	case int32:
		return r.Int32()
	case uint32:
		return r.Uint32()
	case int64:
		return r.Int64()
	case uint64:
		return r.Uint64()
	case float32:
		return r.Float32()
	case float64:
		return r.Float64()
	case string:
		return r.String()
	case DateTime:
		return r.DateTime()
	case []byte:
		return r.ByteString()
	case XMLElement:
		return r.XMLElement()
	case ua.StatusCode:
		return r.StatusCode()
	}
	p := reflect.New(reflect.TypeOf(like))
	p.Interface().(interface{ Parse(*Reader) }).Parse(r)
	return p.Elem().Interface()
}

func TestVectors(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			wire := v.wire()
			if got := appendValue(v.value); !bytes.Equal(got, wire) {
				t.Errorf("encoded\n% x, want\n% x", got, wire)
			}
			for _, borrow := range []bool{false, true} {
				r := NewReader(wire, nil)
				r.Borrow = borrow
				got := parseValue(r, v.value)
				if r.Err() != nil || r.Remaining() != 0 {
					t.Fatalf("decode: %v, %d bytes left", r.Err(), r.Remaining())
				}
				if again := appendValue(got); !bytes.Equal(again, wire) {
					t.Errorf("decoded %v, which encodes as\n% x, want\n% x", got, again, wire)
				}
				if !sameValue(got, v.value) {
					t.Errorf("decoded %#v, want %#v", got, v.value)
				}
			}
		})
	}
}

// sameValue compares deeply but by Equal for Variants, which hold pointers.
func sameValue(a, b any) bool {
	if v, ok := a.(Variant); ok {
		return v.Equal(b.(Variant))
	}
	if d, ok := a.(DataValue); ok {
		w := b.(DataValue)
		same := d.Value.Equal(w.Value)
		d.Value, w.Value = Variant{}, Variant{}
		return same && d == w
	}
	return reflect.DeepEqual(a, b)
}

// Every prefix fails with BadDecodingError and never panics.
func TestVectorsTruncated(t *testing.T) {
	for _, v := range vectors() {
		wire := v.wire()
		for n := range wire {
			r := NewReader(wire[:n:n], nil)
			parseValue(r, v.value)
			if !errors.Is(r.Err(), ua.StatusBadDecodingError) {
				t.Errorf("%s: %v after %d bytes", v.name, r.Err(), n)
			}
		}
	}
}
