package modbus

import (
	"encoding/hex"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

func TestMoreTypes(t *testing.T) {
	at := func(s string) uabinary.DateTime {
		when, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return uabinary.DateTimeOf(when)
	}
	for _, c := range []struct {
		raw   Type
		order Order
		wire  string
		want  any // nil: no value
	}{
		{Bcd16, ABCD, "1234", uint16(1234)},
		{Bcd16, BADC, "3412", uint16(1234)},
		{Bcd16, ABCD, "123A", nil},
		{Bcd32, ABCD, "12345678", uint32(12345678)},
		{Bcd32, CDAB, "56781234", uint32(12345678)},
		{Bcd32, ABCD, "F0000000", nil},
		{Bcd64, ABCD, "1234567890123456", uint64(1234567890123456)},
		{Bcd64, CDABGHEF, "5678123434569012", uint64(1234567890123456)},
		{SBcd16, ABCD, "0123", int16(123)},
		{SBcd16, ABCD, "F123", int16(-123)},
		{SBcd16, ABCD, "1123", nil},
		{SBcd16, ABCD, "F12A", nil},
		{SBcd32, CDAB, "5678F234", int32(-2345678)},
		{SBcd64, ABCD, "F999999999999999", int64(-999999999999999)},
		{Mod10k2, ABCD, "04D2162E", int64(12345678)},
		{Mod10k2, CDAB, "162E04D2", int64(12345678)},
		{Mod10k2, BADC, "D2042E16", int64(12345678)},
		{Mod10k2, ABCD, "FB2EE9D2", int64(-12345678)},
		{Mod10k2, ABCD, "0000FFFF", int64(-1)},
		{Mod10k2, ABCD, "0001FFFF", nil}, // neither positive nor negative
		{Mod10k2, ABCD, "00002710", nil}, // 10000
		{Mod10k2, ABCD, "D8F00000", nil}, // -10000
		{Mod10k3, ABCD, "0001 0000 270F", int64(100009999)},
		{Mod10k3, CDAB, "270F 0000 0001", int64(100009999)},
		{Mod10k3, CDABGHEF, "0001 0000 270F", int64(100009999)}, // there are no halves
		{Mod10k4, ABCD, "270F 270F 270F 270F", int64(9999999999999999)},
		{Mod10k4, EFGHABCD, "0003 0004 0001 0002", int64(1000200030004)},
		{Float16, ABCD, "3C00", float32(1)},
		{Float16, ABCD, "C000", float32(-2)},
		{Float16, ABCD, "3555", float32(0.33325195)},
		{Float16, ABCD, "0001", float32(math.Exp2(-24))},
		{Float16, ABCD, "7BFF", float32(65504)},
		{Bits16, ABCD, "8001", uint16(0x8001)},
		{UnixTime32, ABCD, "65920080", at("2024-01-01T00:00:00Z")},
		{UnixTime32, CDAB, "00806592", at("2024-01-01T00:00:00Z")},
		{UnixTime32, ABCD, "00000000", at("1970-01-01T00:00:00Z")},
		{UnixTime32, ABCD, "FFFFFFFF", at("2106-02-07T06:28:15Z")},
		{UnixTime64ms, ABCD, "0000018CC251F401", at("2024-01-01T00:00:00.001Z")},
		{UnixTime64ms, ABCD, "7FFFFFFFFFFFFFFF", nil},
	} {
		tag, wire := tagOf(c.raw, c.order), unhex(t, c.wire)
		got := decodeValue(tag, wire)
		if c.want == nil {
			if got.Status != ua.StatusBadConfigurationError || !got.Value.IsNull() {
				t.Errorf("%s from %s: %v %v", c.raw, c.wire, got.Value.Any(), got.Status)
			}
			continue
		}
		if got.Value.Any() != c.want || got.Status != ua.StatusOK {
			t.Errorf("%s from %s: %v %v, want %v", c.raw, c.wire, got.Value.Any(), got.Status, c.want)
		}
		back, status := tag.encode(uabinary.VariantOf(c.want))
		if status != ua.StatusOK || hex.EncodeToString(back) != hex.EncodeToString(wire) {
			t.Errorf("%s of %v: %x %v, want %s", c.raw, c.want, back, status, c.wire)
		}
	}
}

func TestEveryHalfFloat(t *testing.T) {
	for h := range 1 << 16 {
		f := fromHalf(uint16(h))
		if back := toHalf(f); back != uint16(h) && !math.IsNaN(float64(f)) {
			t.Fatalf("%04x is %v is %04x", h, f, back)
		}
	}
	for f, want := range map[float32]uint16{65519: 0x7BFF, 65520: 0x7C00, 1e9: 0x7C00, 2.9e-8: 0, 3e-8: 1, 1.00049: 0x3C01, 1.00048: 0x3C00, float32(math.Inf(-1)): 0xFC00} {
		if got := toHalf(f); got != want {
			t.Errorf("%v: %04x, want %04x", f, got, want)
		}
	}
}

func TestWhatDoesNotFitIsNotWritten(t *testing.T) {
	for _, c := range []struct {
		raw  Type
		v    any
		good bool
	}{
		{Bcd16, uint16(9999), true}, {Bcd16, uint16(10000), false}, {Bcd32, uint32(100000000), false}, {Bcd64, uint64(1e16), false},
		{SBcd16, int16(-999), true}, {SBcd16, int16(-1000), false}, {SBcd16, int16(1000), false}, {SBcd64, int64(1e15), false}, {SBcd64, int64(math.MinInt64), false},
		{Mod10k2, int64(99999999), true}, {Mod10k2, int64(100000000), false}, {Mod10k4, int64(-9999999999999999), true}, {Mod10k4, int64(1e16), false},
		{Float16, float32(65504), true}, {Float16, float32(65520), false},
		{UnixTime32, uabinary.DateTimeOf(time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC)), false},
		{UnixTime32, uabinary.DateTimeOf(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)), false},
		{UnixTime64ms, uabinary.DateTimeOf(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)), false},
	} {
		if _, s := tagOf(c.raw, ABCD).encode(uabinary.VariantOf(c.v)); (s == ua.StatusOK) != c.good || !c.good && s != ua.StatusBadOutOfRange {
			t.Errorf("%s of %v: %v", c.raw, c.v, s)
		}
	}
}

func TestTextsInOtherEncodings(t *testing.T) {
	for _, c := range []struct {
		encoding Encoding
		order    TextOrder
		wire     string
		want     any
	}{
		{Latin1, TextAB, "e4f6 fc00", "äöü"},
		{ASCII7, TextAB, "4162 6300", "Abc"},
		{ASCII7, TextAB, "e462 6300", nil},
		{UTF16, TextAB, "00e4 20ac", "ä€"},
		{UTF16, TextBA, "e400 ac20", "ä€"},
		{UTF16, TextAB, "d83d de00", "😀"},
		{UTF16, TextAB, "d83d 0041", nil},
		{UTF8, TextA0, "4100 6200", "Ab"},
		{UTF8, Text0A, "0041 0062", "Ab"},
	} {
		tag := tagOf(String, ABCD)
		tag.Registers, tag.Encoding, tag.Text = 2, c.encoding, c.order
		dv := decodeValue(tag, unhex(t, c.wire))
		if c.want == nil {
			if dv.Status != ua.StatusBadConfigurationError || !dv.Value.IsNull() {
				t.Errorf("%s %s %s: %v %v", c.encoding, c.order, c.wire, dv.Value.Any(), dv.Status)
			}
			continue
		}
		if dv.Value.Any() != c.want {
			t.Errorf("%s %s %s: %q %v, want %q", c.encoding, c.order, c.wire, dv.Value.Any(), dv.Status, c.want)
		}
		back, s := tag.encode(dv.Value)
		if want := hex.EncodeToString(unhex(t, c.wire)); s != ua.StatusOK || hex.EncodeToString(back) != want {
			t.Errorf("%s %s %q: %x %v, want %s", c.encoding, c.order, c.want, back, s, want)
		}
	}
	tag := tagOf(String, ABCD)
	tag.Registers = 2
	for _, bad := range []struct {
		encoding Encoding
		order    TextOrder
		text     string
	}{{UTF8, TextAB, "abcde"}, {UTF8, TextA0, "abc"}, {Latin1, TextAB, "€"}, {ASCII7, TextAB, "ä"}, {UTF16, TextAB, "abc"}, {UTF8, TextAB, "a\x00b"}, {UTF8, TextAB, "\xff"}} {
		tag.Encoding, tag.Text = bad.encoding, bad.order
		if b, s := tag.encode(uabinary.StringVariant(bad.text)); s != ua.StatusBadOutOfRange {
			t.Errorf("%s %q: %x %v", bad.encoding, bad.text, b, s)
		}
	}
}

func TestBytesKeepTheOrderOfTheWire(t *testing.T) {
	tag := tagOf(Bytes, CDAB)
	tag.Registers = 2
	dv := decodeValue(tag, []byte{1, 2, 3, 4})
	if b, _ := dv.Value.Any().([]byte); string(b) != "\x01\x02\x03\x04" {
		t.Errorf("%v", dv)
	}
	if b, s := tag.encode(dv.Value); s != ua.StatusOK || string(b) != "\x01\x02\x03\x04" {
		t.Errorf("%x %v", b, s)
	}
	if _, s := tag.encode(uabinary.ByteStringVariant([]byte{1, 2, 3})); s != ua.StatusBadOutOfRange {
		t.Error(s)
	}
}

// Both bytes and a bit of a register are written without changing the rest, whatever the byte order.
func TestHalvesOfARegister(t *testing.T) {
	for _, order := range []string{"ABCD", "BADC"} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, tcpChannel+dev(`ByteOrder="`+order+`" AfterWrite="verify"`, everySecond, `
				<Tag Name="High" Address="h0H" Type="UInt8" Access="ReadWrite"/>
				<Tag Name="Low" Address="h0L" Type="Int8" Access="ReadWrite" Scale="0.5"/>
				<Tag Name="Bit" Address="h0.9" Access="ReadWrite"/>`))
			initial, want := uint16(0x12FE), uint16(0x56FC)
			if order == "BADC" {
				initial, want = 0xFE12, 0xFC56
			}
			r.slave.Set(17, modbussim.HoldingRegisters, 0, initial)
			r.run()
			after(10 * time.Millisecond)
			r.want("High", ua.StatusOK, 0x12)
			r.want("Low", ua.StatusOK, -1)
			r.want("Bit", ua.StatusOK, true)
			for _, w := range []struct {
				name  string
				value any
			}{{"High", uint8(0x54)}, {"Low", -2.0}, {"Bit", true}} {
				if s := r.write(w.name, w.value); s != ua.StatusOK {
					t.Errorf("%s: %v", w.name, s)
				}
			}
			if got := r.slave.Get(17, modbussim.HoldingRegisters, 0); got != want {
				t.Errorf("%s: %04x, want %04x", order, got, want)
			}
		})
	}
}

func TestScaleFactorTag(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`HoldPolls="0"`, everySecond, `
			<Tag Name="Amps" Address="h0" Type="UInt16" ScaleFactorTag="AmpsSf" Access="ReadWrite"/>
			<Tag Name="AmpsSf" Address="h1" Type="Int16" NotAvailable="0x8000"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 1234, 0xFFFE)
		if s := r.write("Amps", 1.0); s == ua.StatusOK {
			t.Error("written without knowing the scale")
		}
		r.run()
		after(10 * time.Millisecond)
		r.want("Amps", ua.StatusOK, 12.34)
		if s := r.write("Amps", 5.67); s != ua.StatusOK || r.slave.Get(17, modbussim.HoldingRegisters, 0) != 567 {
			t.Errorf("write: %v", s)
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 1, 1)
		after(time.Second)
		r.want("Amps", ua.StatusOK, 5670)
		r.slave.Set(17, modbussim.HoldingRegisters, 1, 0x8000)
		after(time.Second)
		r.want("Amps", ua.StatusBadWaitingForInitialData, nil)
		r.slave.Set(17, modbussim.HoldingRegisters, 1, 400) // no power of ten that makes sense
		after(time.Second)
		r.want("Amps", ua.StatusBadWaitingForInitialData, nil)
	})
}

func TestQualityOfNumbers(t *testing.T) {
	tag := tagOf(Float32, ABCD)
	if dv := decodeValue(tag, unhex(t, "7FC00000")); dv.Status != ua.StatusOK || dv.Value.IsNull() {
		t.Errorf("NaN passes by default: %v", dv)
	}
	tag.Conversion.NaNStatus = ua.StatusBadSensorFailure
	if dv := decodeValue(tag, unhex(t, "7FC00000")); dv.Status != ua.StatusBadSensorFailure || !dv.Value.IsNull() {
		t.Errorf("NaN: %v", dv)
	}
	tag.Conversion.Range = drivers.Range{Low: 0, High: 10}
	tag.Conversion.RangeStatus = ua.StatusUncertainEngineeringUnitsExceeded
	for wire, want := range map[string]ua.StatusCode{ // with the bits for a limit (Part 4 (1.05), 7.38.1)
		"40A00000": ua.StatusOK,
		"41300000": ua.StatusUncertainEngineeringUnitsExceeded | 0x600,
		"BF800000": ua.StatusUncertainEngineeringUnitsExceeded | 0x500,
	} {
		if dv := decodeValue(tag, unhex(t, wire)); dv.Status != want || dv.Value.IsNull() {
			t.Errorf("%s: %x, want %x", wire, uint32(dv.Status), uint32(want))
		}
	}
}

func TestEnumerations(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond, `
			<Tag Name="Mode" Address="h0" Type="Int16" Enum="2=Automatic;-1=Fault;0=Off" Access="ReadWrite"/>
			<Tag Name="Strict" Address="h0" Type="Int16" Enum="0=Off" EnumStrict="1"/>
			<Tag Name="Valve" Address="c0" Enum="0=Closed;1=Open"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 2)
		r.slave.Set(17, modbussim.Coils, 0, 1)
		r.run()
		after(10 * time.Millisecond)
		r.want("Mode", ua.StatusOK, 2)
		r.want("Strict", ua.StatusBadConfigurationError, nil)
		r.want("Valve", ua.StatusOK, true)
		if got := r.property("Mode", "ValueAsText"); got != "{ Automatic}" {
			t.Error(got)
		}
		if got := r.property("Valve", "TrueState"); got != "{ Open}" {
			t.Error(got)
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		after(time.Second)
		if got := r.property("Mode", "ValueAsText"); got != "{ 7}" {
			t.Error(got)
		}
		if s := r.write("Mode", int16(-1)); s != ua.StatusOK {
			t.Error(s)
		}
		if s := r.write("Mode", int16(1)); s != ua.StatusBadOutOfRange {
			t.Error(s)
		}
	})
}

// property is the value of a Property of a tag as text.
func (r *rig) property(tag, name string) string {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(r.variable(tag).Node().ID.Namespace, "Dev."+tag+"#"+name))
	if n == nil {
		r.t.Fatalf("%s has no %s", tag, name)
	}
	return fmt.Sprint(n.Variable.Value().Value.Any())
}

// The bits of a register that have names are Booleans below it, come with the same request, and are written alone.
func TestMembersOfBits16(t *testing.T) {
	for _, order := range []string{"lsb0", "msb1"} {
		inBubble(t, func(t *testing.T) {
			bits := "0=Run;15=Alarm"
			if order == "msb1" {
				bits = "16=Run;1=Alarm"
			}
			r := newRig(t, tcpChannel+dev(`OneTagPerRequest="1" BitOrder="`+order+`"`, everySecond,
				`<Tag Name="Status" Address="h0" Type="Bits16" Bits="`+bits+`" Access="ReadWrite"/>`))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 0x8002)
			r.run()
			after(10 * time.Millisecond)
			r.want("Status", ua.StatusOK, 0x8002)
			r.want("Status.Run", ua.StatusOK, false)
			r.want("Status.Alarm", ua.StatusOK, true)
			if n := r.slave.Requests(); n != 1 {
				t.Errorf("%d requests for one register", n)
			}
			if s := r.write("Status.Run", true); s != ua.StatusOK || r.slave.Get(17, modbussim.HoldingRegisters, 0) != 0x8003 {
				t.Errorf("%v, %04x", s, r.slave.Get(17, modbussim.HoldingRegisters, 0))
			}
			below := false
			for ref := range r.variable("Status").Node().References() {
				below = below || !ref.Inverse && ref.Target == r.variable("Status.Run").Node().ID
			}
			if !below {
				t.Error("Status.Run is not below Status")
			}
		})
	}
}

func TestOutputDouble(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond, `<Tag Name="F" Address="h0" Type="Float32" Output="Double" Access="ReadWrite"/>
			<Tag Name="A" Address="h0[2]" Type="Float16" Output="Double"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 0x3FC0, 0)
		r.run()
		after(10 * time.Millisecond)
		r.want("F", ua.StatusOK, 1.5)
		r.want("A", ua.StatusOK, []float64{1.9375, 0})
		if got := r.variable("F").Value().Value.Type(); got != uabinary.TypeDouble {
			t.Errorf("type %v", got)
		}
		if s := r.write("F", 2.5); s != ua.StatusOK || r.slave.Get(17, modbussim.HoldingRegisters, 0) != 0x4020 {
			t.Errorf("%v, %04x", s, r.slave.Get(17, modbussim.HoldingRegisters, 0))
		}
	})
}

// A scaled whole number is an AnalogItem, whose range follows from what the registers can hold.
func TestRangeFollowsFromTheRegisters(t *testing.T) {
	for _, c := range []struct {
		attributes string
		want       drivers.Range
	}{
		{`Type="Int16" Scale="0.5"`, drivers.Range{Low: -16384, High: 16383.5}},
		{`Type="UInt16" Scale="-1"`, drivers.Range{Low: -65535, High: 0}},
		{`Type="Bcd16" Scale="2" Offset="1"`, drivers.Range{Low: 1, High: 19999}},
		{`Type="SBcd16" Scale="2"`, drivers.Range{Low: -1998, High: 1998}},
		{`Type="Mod10k2" Scale="2"`, drivers.Range{Low: -199999998, High: 199999998}},
		{`Type="Int16" Scale="2" EULow="0" EUHigh="9"`, drivers.Range{Low: 0, High: 9}},
		{`Type="Float32" Scale="2"`, drivers.Range{}},
		{`Type="Int16"`, drivers.Range{}},
	} {
		d := parseGood(t, TCP(), tcpChannel+dev("", "", `<Tag Name="T" Address="h0" `+c.attributes+`/>`)).devices[0]
		if got := d.tags[0].Range; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.attributes, got, c.want)
		}
	}
}

// Bits of a register that make a value make the same bits again, for every type.
func FuzzRegistersToValues(f *testing.F) {
	f.Add(uint64(0x1234F678), byte(0))
	f.Fuzz(func(t *testing.T, raw uint64, kind byte) {
		typ := Bool + 1 + Type(kind)%(Bytes-Bool)
		if n := typ.row().registers; n == 0 || typ.half() {
			return
		} else if n < 4 {
			raw &= 1<<(16*n) - 1
		}
		bits, ok := typ.unpack(raw)
		if !ok {
			return
		}
		if back, ok := typ.pack(bits); ok && back != raw && !math.IsNaN(typ.row().carrier.float(bits)) {
			if again, _ := typ.unpack(back); again != bits { // a sign may have two forms
				t.Fatalf("%s: %x is %x is %x", typ, raw, bits, back)
			}
		} else if !ok && !math.IsInf(typ.row().carrier.float(bits), 0) {
			t.Fatalf("%s: %x is %x, which does not fit", typ, raw, bits)
		}
	})
}
