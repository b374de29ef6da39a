package modbus

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

const sample = `
<Conversions>
  <Conversion Name="pt100" Scale="0.1" Offset="-50" Unit="CEL" EULow="-50" EUHigh="150" NotAvailable="0x8000,0x7FFF"/>
  <Conversion Name="deci" RawLow="0" RawHigh="10000" EULow="0" EUHigh="1000"/>
</Conversions>
<Channel> <Name>Line1</Name> <Type>ModbusTcp</Type> <Host>127.0.0.1</Host> <TcpPort>1502</TcpPort> </Channel>
<Device>
  <Name>Boiler</Name> <Channel>Line1</Channel> <Unit>17</Unit> <Addressing>modicon6</Addressing>
  <Group Name="Fast" Period="250" PollMode="Always">
    <Tag Name="SupplyTemp" Address="300001" Type="Int16" Conversion="pt100" Description="Flow temperature"/>
    <Tag Name="Pump1.Run" Address="000003" Type="Bool" Access="ReadWrite"/>
    <Tag Name="Power" Address="400101" Type="Float32" ByteOrder="CDAB" Unit="KWT" EULow="0" EUHigh="250"/>
    <Tag Name="Level" Address="400110" Type="UInt16" Conversion="deci" Access="ReadWrite" WriteMax="500"/>
    <Tag Name="Profile" Address="400200[24]" Type="Int16" Scale="0.1"/>
  </Group>
  <Group Name="Slow" Period="60000" Phase="500" PollMode="Subscribed">
    <Tag Name="Firmware" Address="400300" Type="String" Length="16"/>
  </Group>
</Device>`

func TestParseSample(t *testing.T) {
	c := parseGood(t, TCP(), sample)
	if again := parseGood(t, TCP(), sample); !reflect.DeepEqual(c, again) {
		t.Error("two readings of one file differ")
	}
	if other := parseGood(t, TCP(), strings.Replace(sample, `Period="250"`, `Period="251"`, 1)); reflect.DeepEqual(c, other) {
		t.Error("a change does not show")
	}
	if got, want := c.Summary(), "Modbus TCP 127.0.0.1:1502, 1 devices, 6 tags"; got != want || c.Name() != "Line1" {
		t.Errorf("%q %q", got, c.Name())
	}
	d := c.devices[0]
	if d.unit != 17 || d.Timeout != time.Second || d.Retries != 1 || d.Hold != 1 || d.afterWrite != writeReadback || d.limits.gap != 32 {
		t.Errorf("defaults: %+v", d)
	}
	if g := d.groups[1]; g.period != time.Minute || g.phase != 500*time.Millisecond || !g.subscribed || d.groups[0].subscribed {
		t.Errorf("groups: %+v", d.groups)
	}
	tags := c.Devices()[0].Tags
	want := []drivers.Tag{
		{Name: "SupplyTemp", Description: "Flow temperature", Type: uabinary.TypeDouble, Access: drivers.ReadOnly,
			Period: 250 * time.Millisecond, Unit: "CEL", Range: drivers.Range{Low: -50, High: 150}},
		{Name: "Pump1.Run", Type: uabinary.TypeBoolean, Access: drivers.ReadWrite, Period: 250 * time.Millisecond},
		{Name: "Power", Type: uabinary.TypeFloat, Access: drivers.ReadOnly, Period: 250 * time.Millisecond, Unit: "KWT",
			Range: drivers.Range{High: 250}},
		{Name: "Level", Type: uabinary.TypeDouble, Access: drivers.ReadWrite, Period: 250 * time.Millisecond, Range: drivers.Range{High: 1000}},
		{Name: "Profile", Type: uabinary.TypeDouble, Length: 24, Access: drivers.ReadOnly, Period: 250 * time.Millisecond, Range: drivers.Range{Low: -3276.8, High: 3276.7}},
		{Name: "Firmware", Type: uabinary.TypeString, Access: drivers.ReadOnly, Period: time.Minute},
	}
	if !reflect.DeepEqual(tags, want) {
		t.Errorf("tags\n%+v\nwant\n%+v", tags, want)
	}
	if conv := d.tags[0].Conversion; len(conv.NotAvailable) != 2 || conv.NotAvailableStatus != ua.StatusBadSensorFailure {
		t.Errorf("conversion: %+v", conv)
	}
	if got := d.tags[3].Conversion.Linear.EU(5000); got != 500 {
		t.Errorf("four corners: 5000 is %v", got)
	}
}

func TestParseSerialLine(t *testing.T) {
	const devices = `<Device Name="D" Channel="Bus1" Unit="1" Addressing="protocol0"><Group Name="G"><Tag Name="T" Address="h0" Type="Int16"/></Group></Device>`
	c := parseGood(t, RTU(), `<Channel Name="Bus1" Type="ModbusRtu" Port="/dev/ttyS0"/>`+devices)
	want := serial.Config{Port: "/dev/ttyS0", BaudRate: 19200, DataBits: 8, Parity: 'E', StopBits: 1, LowLatency: true}
	if *c.line != want || c.bus.echo != echoAuto || c.devices[0].Timeout != 500*time.Millisecond {
		t.Errorf("%+v, timeout %v", c, c.devices[0].Timeout)
	}
	if got := c.Summary(); got != "Modbus RTU /dev/ttyS0 19200 8E1, 1 devices, 1 tags, bus load about 2 %" {
		t.Error(got)
	}
	// One character is 573 us; 13 of them, two silent intervals of 2 ms and 10 ms of thinking pay for 18 registers.
	if gap := c.devices[0].limits.gap; gap != 18 {
		t.Errorf("gap %d", gap)
	}
	c = parseGood(t, RTU(), `<Channel Name="Bus1" Type="ModbusRtu" Port="/dev/ttyS0" BaudRate="115200" Parity="N" StopBits="2" LocalEcho="off"/>`+devices)
	if c.line.Parity != 'N' || c.bus.echo != echoOff || c.wiring().silence != fastLineSilence {
		t.Errorf("%+v", c)
	}
}

// Each fault is reported once, with its line and the value.
func TestParseRefuses(t *testing.T) {
	tag := func(attributes string) string {
		return tcpChannel + "\n" + dev("", "", "\n<Tag "+attributes+"/>")
	}
	for text, want := range map[string]string{
		`<Channel Name="L" Type="ModbusTcp"/>`:                                                      `Host is missing`,
		`<Channel Name="L" Type="ModbusTcp" Host="192.0.2.1:502"/>`:                                 `"192.0.2.1:502"`,
		`<Channel Name="L" Type="ModbusTcp" Host="h" TcpPort="70000"/>`:                             `"70000"`,
		`<Channel Name="L" Type="ModbusTcp" Host="h" ConnectTimeout="0"/>`:                          `"0"`,
		tag(`Name="T" Address="h0" Type="UInt8"`):                                                   `UInt8: Int8 and UInt8 go with`,
		tag(`Name="T" Address="h0H" Type="UInt16"`):                                                 `UInt16: Int8 and UInt8 go with`,
		tag(`Name="T" Address="h0H.1"`):                                                             `"h0H.1"`,
		tag(`Name="T" Address="c0L"`):                                                               `"c0L"`,
		tag(`Name="T" Address="h0L[2]" Type="Int8"`):                                                `an array of Int8`,
		tag(`Name="T" Address="h0" Type="Bytes"`):                                                   `Length is missing`,
		tag(`Name="T" Address="h0" Type="Bits16" Scale="2"`):                                        `Bits16 has no scale`,
		tag(`Name="T" Address="h0" Type="UnixTime32" EULow="0" EUHigh="1"`):                         `UnixTime32 has no scale`,
		tag(`Name="T" Address="h0" Type="String" Length="2" Encoding="utf7"`):                       `"utf7"`,
		tag(`Name="T" Address="h0" Type="String" Length="2" Encoding="utf16" StringOrder="A0"`):     `utf16 fills`,
		tag(`Name="T" Address="h0" Type="Int16" ScaleFactorTag="X"`):                                `"X"`,
		tag(`Name="T" Address="h0" Type="Int16" ScaleFactorTag="T"`):                                `"T" cannot be`,
		tag(`Name="T" Address="h0" Type="Int16" Scale="2" ScaleFactorTag="T"`):                      `another way to scale`,
		tag(`Name="T" Address="h0" Type="String" Length="2" ScaleFactorTag="T"`):                    `is only for numbers`,
		tag(`Name="T" Address="h0" Type="Int16" Enum="0=Off;1"`):                                    `"1"`,
		tag(`Name="T" Address="h0" Type="Int16" Enum="0=Off;0=On"`):                                 `"0=On"`,
		tag(`Name="T" Address="h0" Type="Int16" Enum="70000=Off"`):                                  `does not fit into Int16`,
		tag(`Name="T" Address="h0" Type="Int16" Enum="0=Off" Scale="2"`):                            `only for whole numbers`,
		tag(`Name="T" Address="h0[3]" Type="Int16" Enum="0=Off"`):                                   `not for arrays`,
		tag(`Name="T" Address="c0" Enum="0=Off;2=On"`):                                              `names 0 and 1`,
		tag(`Name="T" Address="h0" Type="Int16" EnumStrict="1"`):                                    `needs Enum`,
		tag(`Name="T" Address="h0" Type="Float32" NaNStatus="Wrong"`):                               `"Wrong"`,
		tag(`Name="T" Address="h0" Type="Float32" RangeStatus="UncertainEngineeringUnitsExceeded"`): `needs EULow`,
		`<Channel Name="L" Type="ModbusTcp" Host="h" Port="x"/>`:                                    `Port`,
		tcpChannel + `<Device Name="D" Channel="L" Unit="1"/>`:                                      `Addressing is missing`,
		tcpChannel + `<Device Name="D" Channel="L" Addressing="protocol0"/>`:                        `Unit is missing`,
		tcpChannel + `<Device Name="D" Channel="L" Unit="256" Addressing="protocol0"/>`:             `"256"`,
		tcpChannel + `<Device Name="a.b" Channel="L" Unit="1" Addressing="protocol0"/>`:             `"a.b"`,
		tcpChannel + `<Device Name="D" Channel="L" Unit="1" Addressing="modicon"/>`:                 `"modicon"`,
		tcpChannel + dev(`Timeout="0"`, "", ""):                                                     `"0"`,
		tcpChannel + dev(`MaxGap="many"`, "", ""):                                                   `"many"`,
		tcpChannel + dev(`MaxRegisters="126"`, "", ""):                                              `"126"`,
		tcpChannel + dev(`Colour="red"`, "", ""):                                                    `Colour`,
		tcpChannel + dev("", `Period="5"`, ""):                                                      `"5"`,
		tcpChannel + dev("", `PollMode="Sometimes"`, ""):                                            `"Sometimes"`,
		tag(`Address="h0" Type="Int16"`):                                                            `edge.xml:3: error: EdgeUa/Device[Dev]/Group[G]/Tag: Name is missing`,
		tag(`Name="T" Type="Int16"`):                                                                `Address is missing`,
		tag(`Name="T" Address="40001" Type="Int16"`):                                                `"40001"`,
		tag(`Name="T" Address="h0"`):                                                                `Type is missing`,
		tag(`Name="T" Address="h0" Type="Int17"`):                                                   `did you mean`,
		tag(`Name="T" Address="h0" Type="Bool"`):                                                    `h0.0`,
		tag(`Name="T" Address="c0" Type="Int16"`):                                                   `Bool`,
		tag(`Name="T" Address="h0.3" Type="Int16"`):                                                 `Bool`,
		tag(`Name="T" Address="h65535" Type="Int32"`):                                               `past the last, 65535`,
		tag(`Name="T" Address="h65535[2]" Type="Int16"`):                                            `past the last, 65535`,
		tag(`Name="T" Address="h0[126]" Type="Int16"`):                                              `126 registers`,
		tag(`Name="T" Address="h0[124]" Type="Int16" Access="ReadWrite"`):                           `one write of at most 123`,
		tag(`Name="T" Address="c0[1969]" Access="ReadWrite"`):                                       `one write of at most 1968`,
		tag(`Name="T" Address="i0" Type="Int16" Access="ReadWrite"`):                                `input registers can only be read`,
		tag(`Name="T" Address="d0" Access="Write"`):                                                 `discrete inputs can only be read`,
		tag(`Name="T" Address="h0" Type="String"`):                                                  `Length is missing`,
		tag(`Name="T" Address="h0[2]" Type="String" Length="2"`):                                    `array of String`,
		tag(`Name="T" Address="h0" Type="Int16" Length="2"`):                                        `h0[10]`,
		tag(`Name="T" Address="h0" Type="Int16" Scale="0"`):                                         `lose every value`,
		tag(`Name="T" Address="h0" Type="Int16" Scale="x"`):                                         `"x"`,
		tag(`Name="T" Address="h0" Type="Int16" RawLow="0" RawHigh="1"`):                            `EULow and EUHigh`,
		tag(`Name="T" Address="h0" Type="Int16" RawLow="0" EULow="0" EUHigh="1"`):                   `belong together`,
		tag(`Name="T" Address="h0" Type="Int16" EULow="2" EUHigh="1"`):                              `not below`,
		tag(`Name="T" Address="h0" Type="Int16" Conversion="none"`):                                 `"none"`,
		tag(`Name="T" Address="h0" Type="Int16" NotAvailable="minus"`):                              `"minus"`,
		tag(`Name="T" Address="h0" Type="Int16" NotAvailable="1" NotAvailableStatus="Good"`):        `"Good"`,
		tag(`Name="T" Address="h0" Type="Int16" ByteOrder="ABDC"`):                                  `"ABDC"`,
		tag(`Name="T" Address="h0" Type="Int16" WriteMin="1"`):                                      `can be written`,
		tag(`Name="T" Address="h0" Type="Int16" Deadband="-1"`):                                     `-1 must be above 0`,
		tag(`Name="T" Address="h0" Type="Int16" Access="ReadWrite" Deadband="1"`):                   `only read`,
		tag(`Name="T" Address="h0[2]" Type="Int16" Deadband="1"`):                                   `not arrays`,
		tag(`Name="T" Address="c0" Deadband="1"`):                                                   `only for numbers`,
		tag(`Name="T" Address="h0[2]" Type="Int16" NotAvailable="0x8000"`):                          `not for arrays`,
		tag(`Name="T" Address="c0" Scale="2"`):                                                      `Bool has no scale`,
		tag(`Name="T" Address="h0" Type="Int16" Idempotent="1"`):                                    `what can be written`,
		tag(`Name="T" Address="h0" Type="Int16" Output="Double"`):                                   `only for Float16`,
		tag(`Name="T" Address="h0" Type="Int16" Bits="0=A"`):                                        `the bits of a Bits16`,
		tag(`Name="T" Address="h0" Type="Bits16" Bits="16=A"`):                                      `bit 16 is not 0 to 15`,
		tag(`Name="T" Address="h0" Type="Bits16" Bits="0=A;1"`):                                     `"1" is not a value and its name`,
		tag(`Name="T" Address="h0" Type="Bits16" Bits="0=A;1=a"`):                                   `"a" exists already`,
		tag(`Name="T" Address="h0" Type="Bits16" Bits="0=A.B"`):                                     `must not contain`,
		tag(`Name="T" Address="h0" Type="Bits16" Bits="0=A"/><Tag Name="T.B" Address="h1.0"`):       `that is a tag`,
		tag(`Name="T." Address="h0" Type="Int16"`):                                                  `empty part`,
		tag(`Name="T" Address="h0" Type="Int16"/><Tag Name="t" Address="h1" Type="Int16"`):          `exists already`,
		tag(`Name="T" Address="h0" Type="Int16"/><Tag Name="T.U" Address="h1" Type="Int16"`):        `that is a tag`,
		tag(`Name="T.U" Address="h0" Type="Int16"/><Tag Name="T" Address="h1" Type="Int16"`):        `is a folder`,
	} {
		_, r := parse(t, TCP(), text)
		var all []string
		for _, p := range r.Problems {
			all = append(all, p.String())
			if tagLine := 3; p.File != "edge.xml" || p.Line == 0 || strings.Contains(text, "\n<Tag") && p.Line != tagLine {
				t.Errorf("%s\nis said to be in %s:%d", text, p.File, p.Line)
			}
		}
		if !r.HasErrors() || !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("%s\n%s\nwant %q", text, strings.Join(all, "\n"), want)
		}
	}
}

func TestParseSerialRefuses(t *testing.T) {
	for attributes, want := range map[string]string{
		``:                                    `Port is missing`,
		`Port="/dev/ttyS0" BaudRate="19201"`:  `19201`,
		`Port="/dev/ttyS0" DataBits="7"`:      `needs 8`,
		`Port="/dev/ttyS0" Parity="M"`:        `"M"`,
		`Port="/dev/ttyS0" LocalEcho="maybe"`: `"maybe"`,
		`Port="/dev/ttyS0" Host="192.0.2.1"`:  `Host`,
	} {
		_, r := parse(t, RTU(), `<Channel Name="L" Type="ModbusRtu" `+attributes+`/>`)
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, want) {
			t.Errorf("%s: %v, want one with %q", attributes, r.Problems, want)
		}
	}
	_, r := parse(t, RTU(), `<Channel Name="L" Type="ModbusRtu" Port="p"/><Device Name="D" Channel="L" Unit="0" Addressing="protocol0"/>`)
	if !r.HasErrors() {
		t.Error("unit 0 is broadcast on a serial line; no device has it")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("SupplyTemp", "h12.3", "Int16", "ABCD", "0.1")
	f.Fuzz(func(t *testing.T, name, address, typ, order, scale string) {
		clean := strings.NewReplacer("<", "", "&", "", `"`, "")
		for _, s := range []*string{&name, &address, &typ, &order, &scale} {
			*s = clean.Replace(strings.ToValidUTF8(*s, ""))
			if strings.ContainsFunc(*s, func(r rune) bool { return r < 0x20 || r >= 0xFFFE && r <= 0xFFFF }) {
				return
			}
		}
		c, r := parse(t, TCP(), tcpChannel+dev("", "", `<Tag Name="`+name+`" Address="`+address+`" Type="`+typ+
			`" ByteOrder="`+order+`" Scale="`+scale+`" Access="ReadWrite"/>`))
		if r.HasErrors() {
			return
		}
		tag := &c.devices[0].tags[0] // what was accepted can be read and written
		data := make([]byte, 2*tag.span()+1)
		var dv uabinary.DataValue
		tag.decode(data, tag.first(), &dv)
		tag.encode(dv.Value)
	})
}
