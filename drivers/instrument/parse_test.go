package instrument

import (
	"reflect"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// framed is a device whose only fault is in what is added; it begins in line 3.
func framed(children string) string {
	return "\n" + tcp() + "\n" + `<Device Name="Dev" Channel="Line1"><Frame Kind="delimiter" End="\n"/>` + children + `</Device>`
}

func tcp() string { return `<Channel Name="Line1" Type="SerialTcp" Host="127.0.0.1" TcpPort="4001"/>` }

const oneField = `<Message Name="M"><Field Name="F" Type="Float64"/></Message>`

func TestFaultsHaveLineAndValue(t *testing.T) {
	frame := func(f string) string {
		return "\n" + tcp() + "\n" + `<Device Name="Dev" Channel="Line1">` + f + oneField + `</Device>`
	}
	field := func(message, f string) string {
		return framed(`<Message Name="M" ` + message + `><Field Name="F" ` + f + `/></Message>`)
	}
	for _, c := range []struct{ name, text, want string }{
		{"no port", `<Channel Name="L" Type="SerialTcp" Host="h"/>`, `edge.xml:1: error: EdgeUa/Channel[L]: TcpPort is missing`},
		{"no tty", `<Channel Name="L" Type="Serial"/>`, `Port is missing`},
		{"bad rate", `<Channel Name="L" Type="Serial" Port="/dev/x" BaudRate="fast"/>`, `"fast" is not a whole number`},
		{"echo", `<Channel Name="L" Type="Serial" Port="/dev/x" LocalEcho="yes"/>`, `"yes" is not one of off, on, auto`},
		{"modbus word", "\n" + tcp() + "\n" + `<Device Name="Dev" Channel="Line1" Unit="1"><Frame Kind="delimiter" End="\n"/>` + oneField + `</Device>`, `edge.xml:3: error: EdgeUa/Device[Dev]: unknown attribute Unit`},
		{"name", strings.Replace(framed(oneField), `"Dev"`, `"a.b"`, 1), `"a.b" must not contain`},
		{"profile", framed(`<Profile>nmea</Profile>` + oneField), `"nmea" is not one of barcode, dsmr, jsonlines, keyvalue, nmea0183, scpi, sics`},
		{"no frame", frame(``), `edge.xml:3: error: EdgeUa/Device[Dev]: Frame is missing`},
		{"two frames", frame(`<Frame Kind="delimiter" End="\n"/><Frame Kind="delimiter" End="\n"/>`), `stand once`},
		{"frame kind", frame(`<Frame Kind="lines"/>`), `"lines" is not one of delimiter, startend, fixed, length, idle`},
		{"no end", frame(`<Frame Kind="delimiter"/>`), `delimiter needs End`},
		{"no start", frame(`<Frame Kind="startend" End="\r"/>`), `startend needs Start`},
		{"start of lines", frame(`<Frame Kind="delimiter" Start="$" End="\r"/>`), `use Kind="startend"`},
		{"no size", frame(`<Frame Kind="fixed"/>`), `fixed needs Size`},
		{"no gap", frame(`<Frame Kind="idle"/>`), `idle needs Gap`},
		{"idle end", frame(`<Frame Kind="idle" Gap="50" End="\n"/>`), `do not go with idle`},
		{"size word", frame(`<Frame Kind="delimiter" End="\n" Size="5"/>`), `unknown attribute Size`},
		{"length of 3", frame(`<Frame Kind="length" LengthSize="3"/>`), `3 is not one of 1, 2, 4`},
		{"escape", frame(`<Frame Kind="delimiter" End="\q"/>`), `\q is none of`},
		{"long mark", frame(`<Frame Kind="delimiter" End="123456789"/>`), `a mark has 1 to 8 bytes`},
		{"max", frame(`<Frame Kind="delimiter" End="\n" Max="100000"/>`), `"100000" is not a whole number from 1 to 65536`},
		{"checksum kind", frame(`<Frame Kind="delimiter" End="\n"/><Checksum Kind="crc"/>`), `"crc" is not one of none, xor`},
		{"checksum trailer", frame(`<Frame Kind="delimiter" End="\n" Trailer="1"/><Checksum Kind="crc32"/>`), `crc32 takes 4 bytes, and Trailer has 1`},
		{"optional", frame(`<Frame Kind="delimiter" End="\n"/><Checksum Kind="xor" Optional="1"/>`), `needs After`},
		{"another frame", framed(oneField) + `<Device Name="Dev2" Channel="Line1"><Frame Kind="delimiter" End="\r"/>` + oneField + `</Device>`, `must be the same for all devices on channel "Line1"`},
		{"no tags", framed(``), `warning: EdgeUa/Device[Dev]: device "Dev" has no tags`},
		{"type", field(``, `Type="Float"`), `"Float" is not one of Bool`},
		{"no type", field(``, ``), `Type is missing`},
		{"regexp", field(`Match="("`, `Type="String"`), `"(" is no regular expression`},
		{"group", field(`Match="(?P&lt;a&gt;x)"`, `From="b" Type="String"`), `"b" is no group of Match`},
		{"no match", field(``, `From="b" Type="String"`), `needs Match with a group`},
		{"column", field(`Format="columns"`, `From="x" Type="String"`), `"x" is not the number of a column`},
		{"pointer", field(`Format="json"`, `From="t" Type="String"`), `"t" is no JSON pointer`},
		{"place", field(`Format="binary"`, `From="a" Type="UInt8"`), `"a" is no place`},
		{"size of text", field(`Format="binary"`, `From="4" Type="String"`), `does not say how long`},
		{"bcd in text", field(``, `Type="Bcd"`), `Bcd is for the binary format`},
		{"find", field(``, `Find="abc" Type="String"`), `has no group`},
		{"find and from", field(`Format="columns"`, `From="1" Find="(a)" Type="String"`), `stands beside From`},
		{"hemisphere", field(`Format="columns"`, `From="1" Hemisphere="2" Type="Float64"`), `goes with Angle`},
		{"unit", field(`Format="columns"`, `From="1" ExpectUnit="kg" Type="Float64"`), `"kg" is not a place and a word`},
		{"layout", field(``, `Type="DateTime" Layout="kkkk"`), `is no layout of a time`},
		{"zone", field(``, `Type="DateTime" Layout="yyyy" Zone="Mars"`), `Zone "Mars"`},
		{"scale of text", field(``, `Type="String" Scale="2"`), `String has no scale`},
		{"enum of float", field(``, `Type="Float64" Enum="0=a"`), `only for whole numbers`},
		{"conversion", field(``, `Type="Float64" Conversion="c"`), `there is no conversion "c"`},
		{"status", field(``, `Type="Float64" NaNStatus="Good"`), `"Good" is not a Bad or Uncertain status`},
		{"typo", field(``, `Typ="Float64" Type="String"`), `unknown attribute Typ; did you mean Type?`},
		{"tag twice", framed(`<Message Name="M"><Field Name="F" Type="String"/><Field Name="F" Type="String"/></Message>`), `field "F" stands twice`},
		{"tag differs", framed(`<Message Name="M"><Field Name="F" Type="String"/></Message><Message Name="N"><Field Name="F" Type="Int16"/></Message>`), `another Type, Unit or range`},
		{"message twice", framed(oneField + `<Message Name="M"/>`), `message "M" exists already`},
		{"rule", framed(`<Message Name="M"><Field Name="F" Type="String"/><Status When="x=1" Code="Nothing"/></Message>`), `"Nothing" is not a Bad or Uncertain`},
		{"rule field", framed(`<Message Name="M" Format="columns"><Field Name="F" From="0" Type="String"/><Status When="0=1" Field="G" Code="BadDeviceFailure"/></Message>`), `there is no field "G"`},
		{"expect", framed(oneField + `<Poll Name="P" Send="x" Expect="N"/>`), `there is no message "N"`},
		{"expect nothing", framed(`<Poll Name="P" Send="x"/>`), `use KeepAlive for what is not answered`},
		{"expect and field", framed(oneField + `<Poll Name="P" Send="x" Expect="M"><Field Name="G" Type="String"/></Poll>`), `a poll with fields is its own message`},
		{"no send", framed(oneField + `<Poll Name="P"/>`), `Send is missing`},
		{"period", framed(oneField + `<Poll Name="P" Send="x" Period="5"/>`), `5 is less than 10 ms`},
		{"poll twice", framed(oneField + `<Poll Name="P" Send="x"/><Poll Name="P" Send="x"/>`), `poll "P" exists already`},
		{"no sum", framed(oneField + `<Poll Name="P" Send="x{checksum}"/>`), `but the device has no Checksum`},
		{"value in poll", framed(oneField + `<Poll Name="P" Send="x{value}"/>`), `that needs a Type`},
		{"no value", framed(oneField + `<Command Name="C" Type="Int16" Send="x"/>`), `has no {value}`},
		{"verb", framed(oneField + `<Command Name="C" Type="Int16" Send="{value:.1f}"/>`), `{value:.1f} is no format of a Int16`},
		{"verb of text", framed(oneField + `<Command Name="C" Type="String" Send="{value:%s}"/>`), `is no format of a String`},
		{"bytes", framed(oneField + `<Command Name="C" Type="Bytes" Send="{value}"/>`), `Bytes cannot be written`},
		{"limits", framed(oneField + `<Command Name="C" Type="Int16" Send="{value}" WriteMin="2" WriteMax="1"/>`), `2 is not below WriteMax 1`},
		{"method name", framed(oneField + `<Command Name="a.b" Send="x"/>`), `to be the name of a Method`},
		{"method is tag", framed(oneField + `<Command Name="F" Send="x"/>`), `tag "F" exists already`},
		{"command type", framed(oneField + `<Command Name="F" Type="Int16" Send="{value}"/>`), `another type than the field`},
		{"nak status", framed(oneField + `<Command Name="C" Send="x" NakStatus="Good"/>`), `"Good" is not a Bad or Uncertain`},
		{"keep alive", framed(oneField + `<KeepAlive Send="x"/>`), `Period is missing`},
		{"too long", framed(oneField + `<Poll Name="P" Send="` + strings.Repeat("x", 1100) + `"/>`), `more than 1024`},
		{"in a profile", framed(`<Profile>sics</Profile><Poll Name="Weight" Period="1"/>`), `1 is less than 10 ms`},
	} {
		_, r := parse(t, c.text)
		var all []string
		found := false
		for _, p := range r.Problems {
			all = append(all, p.String())
			found = found || strings.Contains(p.String(), c.want) && p.Line > 0
		}
		if !found {
			t.Errorf("%s: no %q in\n%s", c.name, c.want, strings.Join(all, "\n"))
		}
	}
}

// The example of the documentation, with all that a device may have.
func TestWholeDevice(t *testing.T) {
	text := `<Conversions><Conversion Name="deci" Scale="0.1"/></Conversions>
	<Channel><Name>ScalePort</Name><Type>Serial</Type><Port>/dev/serial/by-id/usb-Prolific-if00-port0</Port><BaudRate>9600</BaudRate><StartupDelay>0</StartupDelay></Channel>
	<Device><Name>Scale3</Name><Channel>ScalePort</Channel><DiComponent Manufacturer="Acme"/>` + scale + `<SilenceTimeout>3000</SilenceTimeout>
	<Poll Name="Read" Send="SI\r\n" Period="500" Timeout="300" Retries="1" Expect="Weight"/>
	<Command Name="Tare" Send="T\r\n" Ack="^T S" Nak="^T (I|\+|-)" NakStatus="BadInvalidState" Timeout="1000"/>
	<Command Name="Limit" Type="Int16" Conversion="deci" Send="L{value:+05d}\r"/></Device>`
	c, r := parse(t, text)
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	if got := c.Summary(); got != "serial /dev/serial/by-id/usb-Prolific-if00-port0 9600 8N1, 1 devices, 3 tags, bus load about 7 %" {
		t.Error(got)
	}
	if !c.line.CheckParity { // nothing else would find a damaged character
		t.Error("parity is not checked")
	}
	d := c.Devices()[0]
	if d.Tags[0].Name != "Weight" || d.Tags[0].Unit != "KGM" || d.Tags[0].Type != uabinary.TypeDouble || d.Tags[0].Period.Milliseconds() != 500 ||
		d.Tags[2].Name != "Limit" || d.Tags[2].Access != drivers.WriteOnly || d.Tags[2].Type != uabinary.TypeDouble {
		t.Errorf("%+v", d.Tags)
	}
	again, _ := parse(t, text)
	if !reflect.DeepEqual(c, again) {
		t.Error("a reload would see a change")
	}
	if other, _ := parse(t, strings.Replace(text, "^T S", "^T D", 1)); reflect.DeepEqual(c, other) {
		t.Error("a reload would not see a change")
	}
	c, _ = parse(t, strings.Replace(text, "<Device>", `<Device ReadOnly="1">`, 1))
	if d := c.Devices()[0]; len(d.Tags) != 2 || len(c.devices[0].commands) != 0 {
		t.Errorf("%+v", d.Tags)
	}
}
