package modbus

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tagOf makes a tag at offset 0 of the holding registers.
func tagOf(raw Type, order Order) *Tag {
	t := &Tag{Raw: raw, Registers: max(1, raw.row().registers), Order: order, Address: Address{Area: HoldingRegisters, Bit: noBit}}
	t.Factor, t.Text, t.Encoding = -1, TextAB, UTF8
	t.Type, t.Access = raw.row().node, drivers.ReadWrite
	return t
}

func decodeValue(t *Tag, data []byte) uabinary.DataValue {
	var dv uabinary.DataValue
	t.decode(data, t.first(), &dv)
	return dv
}

func TestByteOrders(t *testing.T) {
	for _, c := range []struct {
		raw   Type
		order Order
		wire  string
		want  any
	}{
		{Float32, ABCD, "47F1 2000", float32(123456)},
		{Float32, BADC, "F147 0020", float32(123456)},
		{Float32, CDAB, "2000 47F1", float32(123456)},
		{Float32, DCBA, "0020 F147", float32(123456)},
		{Float32, CDABGHEF, "2000 47F1", float32(123456)},
		{Float32, EFGHABCD, "47F1 2000", float32(123456)},
		{Float32, ABCD, "C388 9333", float32(-273.15)},
		{Float32, BADC, "88C3 3393", float32(-273.15)},
		{Float32, CDAB, "9333 C388", float32(-273.15)},
		{Float32, DCBA, "3393 88C3", float32(-273.15)},
		{Int32, ABCD, "F8A4 32EB", int32(-123456789)},
		{Int32, BADC, "A4F8 EB32", int32(-123456789)},
		{Int32, CDAB, "32EB F8A4", int32(-123456789)},
		{Int32, DCBA, "EB32 A4F8", int32(-123456789)},
		{Float64, ABCD, "C093 4A45 6D5C FAAD", -1234.5678},
		{Float64, BADC, "93C0 454A 5C6D ADFA", -1234.5678},
		{Float64, CDAB, "FAAD 6D5C 4A45 C093", -1234.5678},
		{Float64, DCBA, "ADFA 5C6D 454A 93C0", -1234.5678},
		{Float64, CDABGHEF, "4A45 C093 FAAD 6D5C", -1234.5678},
		{Float64, EFGHABCD, "6D5C FAAD C093 4A45", -1234.5678},
		{Int64, ABCD, "FFFF FFFF FFFF FFFE", int64(-2)},
		{UInt64, CDAB, "0004 0003 0002 0001", uint64(0x0001000200030004)},
		{UInt32, CDAB, "0002 0001", uint32(0x10002)},
		{Int16, ABCD, "8000", int16(-32768)},
		{Int16, BADC, "0080", int16(-32768)},
		{UInt16, CDAB, "1234", uint16(0x1234)},
	} {
		tag, wire := tagOf(c.raw, c.order), unhex(t, c.wire)
		if got := decodeValue(tag, wire); got.Value.Any() != c.want || got.Status != ua.StatusOK {
			t.Errorf("%s in order %d from %s: %v %v, want %v", c.raw, c.order, c.wire, got.Value.Any(), got.Status, c.want)
		}
		back, status := tag.encode(uabinary.VariantOf(c.want))
		if status != ua.StatusOK || hex.EncodeToString(back) != hex.EncodeToString(wire) {
			t.Errorf("%s in order %d of %v: %x %v, want %s", c.raw, c.order, c.want, back, status, c.wire)
		}
	}
}

// Whatever can be written comes back the same.
func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SampledFrom([]Type{Int16, UInt16, Int32, UInt32, Int64, UInt64, Float16, Float32, Float64, Bcd16, Bcd32, Bcd64, Bits16, UnixTime32, UnixTime64ms}).Draw(t, "type")
		tag := tagOf(raw, rapid.SampledFrom([]Order{ABCD, BADC, CDAB, DCBA, CDABGHEF, EFGHABCD}).Draw(t, "order"))
		tag.Address.Length = rapid.IntRange(0, 5).Draw(t, "length")
		tag.Length = tag.Address.Length
		wire := rapid.SliceOfN(rapid.Byte(), 2*tag.span(), 2*tag.span()).Draw(t, "wire")
		dv := decodeValue(tag, wire)
		if dv.Status == ua.StatusBadConfigurationError {
			return // no digits, no time
		}
		if s := tag.CheckWrite(uabinary.DataValue{Value: dv.Value}); s != ua.StatusOK {
			t.Fatalf("%v: %v", dv.Value.Any(), s)
		}
		back, status := tag.encode(dv.Value)
		if status == ua.StatusBadOutOfRange && strings.ContainsAny(fmt.Sprint(dv.Value.Any()), "NI") {
			return // NaN and infinity are read but not written
		}
		if status != ua.StatusOK || string(back) != string(wire) {
			t.Fatalf("%v: %x %v, was %x", dv.Value.Any(), back, status, wire)
		}
	})
}

func TestScaling(t *testing.T) {
	tag := tagOf(Int16, ABCD)
	tag.Type, tag.Conversion.Linear = uabinary.TypeDouble, drivers.Linear{Scale: 0.1, Offset: -50}
	for raw, want := range map[int16]float64{0: -50, 217: -28.3, 718: 21.8, -1: -50.1, math.MaxInt16: 3226.7, math.MinInt16: -3326.8} {
		wire := []byte{byte(uint16(raw) >> 8), byte(raw)}
		if got := decodeValue(tag, wire).Value.Any(); got != want {
			t.Errorf("%d: %v, want %v", raw, got, want)
		}
		if back, s := tag.encode(uabinary.DoubleVariant(want)); s != ua.StatusOK || string(back) != string(wire) {
			t.Errorf("%v: %x %v, want %x", want, back, s, wire)
		}
	}
	for _, eu := range []float64{3226.75 + 0.1, -3326.9, math.NaN(), math.Inf(1), 1e300} {
		if back, s := tag.encode(uabinary.DoubleVariant(eu)); s != ua.StatusBadOutOfRange {
			t.Errorf("%v: %x %v", eu, back, s)
		}
	}
}

func TestIntegerLimitsAreExact(t *testing.T) {
	for _, c := range []struct {
		raw Type
		v   float64
		ok  bool
	}{
		{UInt16, 65535.4, true}, {UInt16, 65535.5, false}, {UInt16, -0.4, true}, {UInt16, -0.5, false},
		{Int16, 32767, true}, {Int16, 32768, false}, {Int16, -32768, true}, {Int16, -32769, false},
		{UInt32, 4294967295, true}, {UInt32, 4294967296, false}, {Int32, -2147483648, true}, {Int32, 2147483648, false},
		{Int64, 9223372036854774784, true}, {Int64, 9223372036854775808, false}, {Int64, -9223372036854775808, true},
		{UInt64, 18446744073709549568, true}, {UInt64, 18446744073709551616, false},
		{Float32, 3.4e38, true}, {Float32, 3.5e38, false}, {Int16, math.NaN(), false},
	} {
		if _, ok := c.raw.bits(c.v); ok != c.ok {
			t.Errorf("%v as %s: fits is %v", c.v, c.raw, ok)
		}
	}
}

func TestText(t *testing.T) {
	tag := tagOf(String, ABCD)
	tag.Registers = 3
	for wire, want := range map[string]any{
		"416263646566": "Abcdef", "416200000000": "Ab", "200041000000": "", "204120202000": "A", "c3a400000000": "ä", "000000000000": "",
	} {
		if dv := decodeValue(tag, unhex(t, wire)); dv.Status != ua.StatusOK || dv.Value.Any() != want {
			t.Errorf("%s: %q %v, want %q", wire, dv.Value.Any(), dv.Status, want)
		}
	}
	if dv := decodeValue(tag, unhex(t, "ff00ff00ff00")); dv.Status != ua.StatusBadConfigurationError || !dv.Value.IsNull() {
		t.Errorf("bad UTF-8: %v", dv)
	}
	tag.Text = TextBA
	if dv := decodeValue(tag, unhex(t, "624164636665")); dv.Value.Any() != "Abcdef" {
		t.Errorf("swapped: %v", dv)
	}
	if back, s := tag.encode(uabinary.StringVariant("Abc")); s != ua.StatusOK || hex.EncodeToString(back) != "624100630000" {
		t.Errorf("swapped: %x %v", back, s)
	}
}

func TestNotAvailable(t *testing.T) {
	tag := tagOf(Int16, ABCD)
	tag.Conversion.NotAvailable, tag.Conversion.NotAvailableStatus = []uint64{0x8000}, ua.StatusBadSensorFailure
	if dv := decodeValue(tag, []byte{0x80, 0}); dv.Status != ua.StatusBadSensorFailure || !dv.Value.IsNull() {
		t.Errorf("%v", dv)
	}
	tag.Conversion.NotAvailableStatus = ua.StatusUncertainSensorNotAccurate
	if dv := decodeValue(tag, []byte{0x80, 0}); dv.Status != ua.StatusUncertainSensorNotAccurate || dv.Value.IsNull() {
		t.Errorf("%v", dv)
	}
	if dv := decodeValue(tag, []byte{0x80, 1}); dv.Status != ua.StatusOK {
		t.Errorf("%v", dv)
	}
}

func TestRegisterBitFollowsTheByteOrder(t *testing.T) {
	tag := tagOf(Bool, ABCD)
	tag.Address.Bit = 8
	if decodeValue(tag, []byte{1, 0}).Value.Any() != true {
		t.Error("bit 8 is in the high byte")
	}
	tag.Order = BADC
	if decodeValue(tag, []byte{0, 1}).Value.Any() != true {
		t.Error("with swapped bytes bit 8 is in the second byte")
	}
}
