package instrument

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// decoded reads one field F out of one message.
func decoded(t testing.TB, message, field, body string) (uabinary.DataValue, bool) {
	t.Helper()
	c := parseGood(t, dev(``, `<Frame Kind="idle" Gap="10"/><Message Name="M" `+message+`><Field Name="F" `+field+`/></Message>`))
	m := &c.devices[0].messages[0]
	v, ok := m.find([]byte(body))
	if !ok {
		return uabinary.DataValue{}, false
	}
	dv := uabinary.DataValue{Status: ua.StatusOK}
	found := m.fields[0].decode(v, time.Date(2026, 11, 21, 23, 59, 0, 0, time.UTC), &dv)
	return dv, found
}

func TestFields(t *testing.T) {
	const bin, cols, kv, js, fix = `Format="binary"`, `Format="columns"`, `Format="keyvalue"`, `Format="json"`, `Format="fixed"`
	wrong, none := ua.StatusBadConfigurationError, ua.StatusBadSensorFailure
	for _, c := range []struct {
		message, field, body string
		status               ua.StatusCode
		want                 any // absent{}: the message does not have it
	}{
		// How numbers are written.
		{``, `Type="Float64"`, " 12.5 ", good, 12.5},
		{``, `Type="Float64"`, "+  12.5", good, 12.5},
		{``, `Type="Float64"`, "-  12.5", good, -12.5},
		{``, `Type="Float64"`, "12.5-", good, -12.5},
		{``, `Type="Float64"`, "1E3", good, 1000.0},
		{``, `Type="Float64"`, "12,5", wrong, nil},
		{``, `Type="Float64" DecimalComma="1"`, "12,5", good, 12.5},
		{``, `Type="Float64" DecimalComma="1"`, "1.012,5", wrong, nil},
		{``, `Type="Float64"`, "NaN", good, "NaN"},
		{``, `Type="Float64" NaNStatus="BadSensorFailure"`, "inf", none, nil},
		{``, `Type="Float64"`, "0x10", wrong, nil},
		{``, `Type="Float64"`, "1_000", wrong, nil},
		{``, `Type="Float64"`, "1e999", wrong, nil},
		{``, `Type="Float32"`, "1e39", wrong, nil},
		{``, `Type="Float32"`, "0.5", good, float32(0.5)},
		{``, `Type="Float64"`, "", none, nil},
		{``, `Type="Float64" NotAvailableStatus="BadOutOfService"`, "", ua.StatusBadOutOfService, nil},
		{``, `Type="Float64" NotAvailableText="---|n/a"`, "---", none, nil},
		{``, `Type="Float64"`, "12..5", wrong, nil},
		{``, `Type="Float64"`, "--5", wrong, nil},
		{``, `Type="Float64" EULow="0" EUHigh="10" RangeStatus="UncertainEngineeringUnitsExceeded"`, "11", ua.StatusUncertainEngineeringUnitsExceeded | 0x600, 11.0},
		{``, `Type="Float64" Scale="0.1" Offset="-5"`, "100", good, 5.0},
		{``, `Type="Int16"`, "-32768", good, int16(-32768)},
		{``, `Type="Int16"`, "32768", wrong, nil},
		{``, `Type="Int16"`, "1.0", wrong, nil},
		{``, `Type="UInt8"`, "+255", good, uint8(255)},
		{``, `Type="UInt8"`, "-1", wrong, nil},
		{``, `Type="Int16" Base="16"`, "FFFF", good, int16(-1)},
		{``, `Type="UInt32" Base="16"`, "0xdeadBEEF", good, uint32(0xDEADBEEF)},
		{``, `Type="UInt16" Base="16"`, "12G4", wrong, nil},
		{``, `Type="UInt64"`, "18446744073709551615", good, uint64(18446744073709551615)},
		{``, `Type="Int64"`, "-9223372036854775808", good, int64(-9223372036854775808)},
		{``, `Type="Int16" Scale="0.1"`, "217", good, 21.7},
		{``, `Type="Int16" NotAvailable="0x8000"`, "-32768", none, nil},
		{``, `Type="Int16" NotAvailable="0xFFFF"`, "-1", none, nil},
		{``, `Type="UInt16" Enum="0=Off;1=On"`, "On", good, uint16(1)},
		{``, `Type="UInt16" Enum="0=Off;1=On"`, "7", good, uint16(7)},
		{``, `Type="UInt16" Enum="0=Off;1=On" EnumStrict="1"`, "7", wrong, nil},
		{cols, `Type="Float64" From="1" Sign="0"`, "-,12", good, -12.0},
		{cols, `Type="Int16" From="1" Sign="0"`, "-,12", good, int16(-12)},
		{cols, `Type="Float64" From="1" Sign="0"`, "x,12", wrong, nil},
		{cols, `Type="Float64" From="0" ExpectUnit="1=kg|KG"`, "12,KG", good, 12.0},
		{cols, `Type="Float64" From="0" ExpectUnit="1=kg|KG"`, "12,lb", wrong, nil},
		{cols, `Type="Float64" From="0" Angle="degreesminutes" Hemisphere="1"`, "01131.000,W", good, -(11 + 31.0/60)},
		{cols, `Type="Float64" From="0" Angle="degreesminutes" Hemisphere="1"`, "4860.000,N", wrong, nil},
		{cols, `Type="Float64" From="0" Angle="degreesminutes" Hemisphere="1"`, "4800.000,Q", wrong, nil},
		{cols, `Type="Float64" From="0" Angle="degreesminutes"`, "-4800.0", wrong, nil},
		{cols, `Type="Float64" From="0" Angle="degreesminutes"`, "18100.0", wrong, nil},
		// Words.
		{``, `Type="Bool"`, "on", good, true},
		{``, `Type="Bool"`, "maybe", wrong, nil},
		{``, `Type="Bool" True="ST"`, "US", good, false},
		{``, `Type="Bool" False="US"`, "ST", good, true},
		{``, `Type="String"`, "  a b ", good, "a b"},
		{``, `Type="String" Trim="0"`, " a ", good, " a "},
		{``, `Type="String"`, "", good, ""},
		{``, `Type="String"`, "\xFF", wrong, nil},
		{``, `Type="String" Encoding="latin1"`, "\xE4", good, "ä"},
		{``, `Type="Bytes"`, "\x00\xFF", good, []byte{0, 255}},
		{``, `Type="DateTime" Layout="yyyy-MM-dd HH:mm:ss"`, "2026-11-21 10:00:00.5", good, time.Date(2026, 11, 21, 10, 0, 0, 5e8, time.UTC)},
		{``, `Type="DateTime" Layout="HHmmss"`, "000130", good, time.Date(2026, 11, 22, 0, 1, 30, 0, time.UTC)}, // it is just before midnight
		{``, `Type="DateTime" Layout="unix"`, "1700000000", good, time.Unix(1700000000, 0).UTC()},
		{``, `Type="DateTime" Layout="unixms"`, "1700000000123", good, time.UnixMilli(1700000000123).UTC()},
		{``, `Type="DateTime" Layout="unix"`, "-1", wrong, nil},
		{``, `Type="DateTime" Layout="yyyy-MM-dd"`, "2026-13-01", wrong, nil},
		// Where they stand.
		{`Match="^(?P&lt;a&gt;[a-z]+)(?:=(?P&lt;b&gt;[0-9]+))?"`, `Type="Int16" From="b"`, "x=5", good, int16(5)},
		{`Match="^(?P&lt;a&gt;[a-z]+)(?:=(?P&lt;b&gt;[0-9]+))?"`, `Type="Int16" From="b"`, "x", good, absent{}},
		{`Match="^(?P&lt;a&gt;[a-z]+)(?:=(?P&lt;b&gt;[0-9]+))?"`, `Type="Int16" From="b" Required="1"`, "x", wrong, nil},
		{cols + ` Separator=";"`, `Type="Int16" From="1"`, "1;2;3", good, int16(2)},
		{cols + ` Separator="blanks"`, `Type="Int16" From="1"`, " 1   2\t3", good, int16(2)},
		{cols, `Type="Int16" From="3"`, "1,2,3", wrong, nil},
		{cols, `Type="Int16" From="3" Required="0"`, "1,2,3", good, absent{}},
		{cols + ` Quote="'"`, `Type="String" From="1"`, "'a,b','c''d',e", good, "c'd"},
		{cols + ` Quote="'"`, `Type="String" From="0"`, "'a,b", good, "'a,b"},
		{kv, `Type="Int16" From="b"`, "a=1, b = 2", good, int16(2)},
		{kv + ` Separator="blanks" Assign=":"`, `Type="Int16" From="b"`, "a:1 b:2", good, int16(2)},
		{kv, `Type="Int16" From="c"`, "a=1,b=2,nonsense", good, absent{}},
		{js, `Type="Float64" From="/a~1b/0"`, `{"a/b":[1.5]}`, good, 1.5},
		{js, `Type="String" From="/a"`, `{"a":{"b":1}}`, good, `{"b":1}`},
		{js, `Type="Float64" From="/a"`, `{"a":{"b":1}}`, wrong, nil},
		{js, `Type="Float64" From="/a/9"`, `{"a":[1]}`, good, absent{}},
		{js, `Type="Int64" From="/a"`, `{"a":9007199254740993}`, good, int64(9007199254740993)},
		{fix, `Type="Int16" From="2+3"`, "ab123cd", good, int16(123)},
		{fix, `Type="Int16" From="2+"`, "ab123", good, int16(123)},
		{fix, `Type="Int16" From="2+3"`, "ab12", wrong, nil},
		{``, `Type="Float64" Find="P=([0-9.]+)"`, "x P=1.5 y", good, 1.5},
		{``, `Type="Float64" Find="P=([0-9.]+)"`, "x", good, absent{}},
		// Bytes.
		{bin, `Type="Int16" From="1"`, "\x00\xFF\xFE", good, int16(-2)},
		{bin, `Type="Int16" From="1" ByteOrder="little"`, "\x00\xFE\xFF", good, int16(-2)},
		{bin, `Type="UInt32" From="0"`, "\x01\x02\x03\x04", good, uint32(0x01020304)},
		{bin, `Type="Float32" From="0"`, "\x3F\x80\x00\x00", good, float32(1)},
		{bin, `Type="Float64" From="0" ByteOrder="little"`, "\x00\x00\x00\x00\x00\x00\xF0\x3F", good, 1.0},
		{bin, `Type="Float32" From="0" NaNStatus="BadSensorFailure"`, "\x7F\xC0\x00\x00", none, nil},
		{bin, `Type="Bool" From="0" Bit="7"`, "\x80", good, true},
		{bin, `Type="Bcd" From="0+2"`, "\x12\x34", good, uint64(1234)},
		{bin, `Type="Bcd" From="0+2" Scale="0.1"`, "\x12\x34", good, 123.4},
		{bin, `Type="Bcd" From="0+2"`, "\x1A\x34", wrong, nil},
		{bin, `Type="Bcd" From="0+9"`, "123456789", wrong, nil},
		{bin, `Type="String" From="1+4"`, "xab\x00d", good, "ab"},
		{bin, `Type="Bytes" From="1+"`, "xab", good, []byte("ab")},
		{bin, `Type="UInt32" From="2"`, "abc", wrong, nil},
		{bin, `Type="UInt8" From="0" NotAvailable="0xFF"`, "\xFF", none, nil},
	} {
		dv, found := decoded(t, c.message, c.field, c.body)
		if _, isAbsent := c.want.(absent); isAbsent {
			if found {
				t.Errorf("%s %s %q: found", c.message, c.field, c.body)
			}
			continue
		}
		got := dv.Value.Any()
		if at, isTime := got.(uabinary.DateTime); isTime {
			got = at.Time()
		}
		if !found || dv.Status != c.status || fmt.Sprint(got) != fmt.Sprint(c.want) || c.want != nil && c.want != "NaN" && fmt.Sprintf("%T", got) != fmt.Sprintf("%T", c.want) {
			t.Errorf("%s %s %q: %v %T %v, want %v %T %v", c.message, c.field, c.body, driverstest.StatusName(dv.Status), got, got, driverstest.StatusName(c.status), c.want, c.want)
		}
	}
}

// absent says that a message does not have a field.
type absent struct{}

func TestMatching(t *testing.T) {
	for message, bodies := range map[string][2]string{
		`Prefix="\x02A"`:                 {"\x02Abc", "Abc"},
		`Length="3"`:                     {"abc", "abcd"},
		`Match="^a.c$"`:                  {"abc", "abcd"},
		`Format="columns" Where="1=x|y"`: {"a,y", "a,z"},
		`Format="json"`:                  {"{}", "{"},
	} {
		for i, body := range bodies {
			if _, found := decoded(t, message, `Type="String"`, body); found != (i == 0) {
				t.Errorf("%s %q: %v", message, body, found)
			}
		}
	}
}

// The time of a device is believed within limits.
func TestStamps(t *testing.T) {
	c := parseGood(t, dev(``, `<Frame Kind="idle" Gap="10"/><Message Name="M" Format="columns" Arrival="last"><Field Name="F" From="0" Type="String"/>
		<Time From="0 1" Layout="yyyy-MM-dd HH:mm:ss" Zone="UTC" Limit="5000"/></Message>`))
	m := &c.devices[0].messages[0]
	first := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	last := first.Add(time.Second)
	for body, want := range map[string]time.Time{
		"2026-11-21,12:00:03": first.Add(3 * time.Second), "2026-11-21,13:00:03": last, "nonsense,x": last, "2026-11-21": last,
	} {
		v, _ := m.find([]byte(body))
		if at, ok := m.stamp.of(v, first, last); !at.Equal(want) || ok != !want.Equal(last) {
			t.Errorf("%s: %v %v", body, at, ok)
		}
	}
}

func TestTemplates(t *testing.T) {
	spec := framing.Spec{Kind: framing.StartEnd, Start: [][]byte{[]byte("$")}, End: [][]byte{[]byte("\r\n")}}
	star := framing.Checksum{Sum: framing.XOR, Encoding: framing.Hex, After: []byte("*")}
	for text, want := range map[string]string{
		`$PMTK220,{value:d}*{checksum}\r\n`: "$PMTK220,1000*1F\r\n", `{"set":{value}}`: `{"set":1000}`, `\{value}`: "{value}", `{checksum`: "{checksum",
		`{value:06d}{value:X}`: "0010003E8",
	} {
		tm, err := parseTemplate(text, Int32)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		o := outgoing{raw: Int32}
		value, _ := o.format(uabinary.Int32Variant(1000))
		if got := string(tm.fill(&spec, &star, value)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzMessages: no bytes of an instrument do more than give a value its status.
func FuzzMessages(f *testing.F) {
	for _, body := range []string{"ST,GS,+  12.5kg", `{"a":[1,{"b":null}]}`, "a=1,b=2", "'a,b',c", "\x00\xFF\x80", "$GPGGA,1*00", telegram("1"),
		"GNGGA,123519.25,4807.038,N,01131.000,W,1,08,0.9,545.4,M,46.9,M,,"} {
		f.Add([]byte(body))
	}
	const fields = `<Field Name="A" %s Type="Float64"/><Field Name="B" %s Type="Int16"/><Field Name="C" %s Type="String"/>
		<Field Name="D" %s Type="Bool"/><Field Name="E" %s Type="DateTime" Layout="yyyy-MM-dd"/>`
	at := func(from string) string {
		from = `From="` + from + `"`
		return fmt.Sprintf(fields, from, from, from, from, from)
	}
	text := `<Frame Kind="idle" Gap="10"/><Message Name="columns" Format="columns" Quote="'">` + at("1") + `</Message>
		<Message Name="pairs" Format="keyvalue">` + at("a") + `</Message><Message Name="json" Format="json">` + at("/a/0") + `</Message>
		<Message Name="fixed" Format="fixed">` + at("1+4") + `</Message>
		<Message Name="bytes" Format="binary"><Field Name="F" From="1" Type="Float32"/><Field Name="G" From="0+3" Type="Bcd"/><Field Name="C" From="2+" Type="String"/></Message>`
	var all []message
	for _, c := range []*channel{parseGood(f, dev(``, text)), parseGood(f, dev(`Profile="nmea0183"`, ``)), parseGood(f, dev(`Profile="dsmr"`, ``)), parseGood(f, dev(`Profile="sics"`, ``))} {
		all = append(all, c.devices[0].messages...)
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		for i := range all {
			v, ok := all[i].find(body)
			if !ok {
				continue
			}
			for j := range all[i].fields {
				dv := uabinary.DataValue{Status: ua.StatusOK}
				if all[i].fields[j].decode(v, now, &dv) && dv.Status>>31 != 0 && !dv.Value.IsNull() {
					t.Fatalf("%s: Bad with a value", all[i].name)
				}
			}
			all[i].stamp.of(v, now, now)
		}
	})
}

// FuzzTemplate: what is to be sent is either refused or can be sent.
func FuzzTemplate(f *testing.F) {
	f.Add(`$PMTK220,{value:05.1f}*{checksum}\r\n`)
	f.Fuzz(func(t *testing.T, text string) {
		tm, err := parseTemplate(text, Float64)
		if err != nil {
			return
		}
		o := outgoing{raw: Float64}
		value, _ := o.format(uabinary.DoubleVariant(1.5))
		tm.fill(&framing.Spec{}, &framing.Checksum{Sum: framing.CRC32}, value)
	})
}
