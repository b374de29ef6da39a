package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tagsDevice = `<EdgeUa>
<Channel><Name>Line</Name><Type>ModbusTcp</Type><Host>127.0.0.1</Host></Channel>
<Device><Name>Boiler</Name><Channel>Line</Channel><Unit>17</Unit><Addressing>modicon6</Addressing>%s</Device>
</EdgeUa>`

const tagsXML = `<Group Name="Fast" Period="250" PollMode="Always">
  <Tag Name="SupplyTemp" Address="300001" Type="Int16" Scale="0.1" Offset="-50" Unit="CEL"/>
  <Tag Name="Pump1.Run" Address="400120.10" Type="Bool" Access="ReadWrite" Description="&#34;on&#34;, or off"/>
</Group>
<Group Name="Slow">
  <Tag Name="Firmware" Address="400300" Type="String" Length="16"/>
</Group>
`

const tagsCSV = `Name,Address,Bit,Type,Group,Period,Access,ByteOrder,Length,Scale,Offset,RawLow,RawHigh,EULow,EUHigh,Unit,Conversion,Enum,NotAvailable,Deadband,WriteMin,WriteMax,Description,PollMode
SupplyTemp,300001,,Int16,Fast,250,,,,0.1,-50,,,,,CEL,,,,,,,,Always
Pump1.Run,400120,10,Bool,Fast,250,RW,,,,,,,,,,,,,,,,"""on"", or off",Always
Firmware,400300,,String,Slow,,,,16,,,,,,,,,,,,,,,
`

// tempFile puts one file into a new directory.
func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What is exported is imported as it was, in every dialect, and the other way round.
func TestTags_ThereAndBack(t *testing.T) {
	edge := tempFile(t, "edgeua.xml", strings.Replace(tagsDevice, "%s", tagsXML, 1))
	if got := edgeua(t, "tags", "export", edge); got.code != exitOK || got.stdout != tagsCSV || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	for _, flags := range [][]string{nil, {"--separator", ";", "--spreadsheet"}, {"--separator", "tab", "--device", "Boiler"}} {
		text := edgeua(t, append([]string{"tags", "export", edge}, flags...)...)
		if got := edgeua(t, "tags", "import", tempFile(t, "t.csv", text.stdout)); got.code != exitOK || got.stdout != tagsXML {
			t.Errorf("%v: %s\nfrom\n%s", flags, got.stdout+got.stderr, text.stdout)
		}
	}
	german := edgeua(t, "tags", "export", edge, "--separator", ";", "--spreadsheet")
	german.want(t, exitOK, "\uFEFFName;", ";0,1;-50;", "\r\n")
}

// A device with a TagFile is the same as one with those tags inside.
func TestTags_TagFile(t *testing.T) {
	inside := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""), "edgeua.xml": strings.Replace(tagsDevice, "%s", tagsXML, 1)})
	beside := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""),
		"edgeua.xml": strings.Replace(tagsDevice, "%s", "<TagFile>boiler.csv</TagFile>", 1), "boiler.csv": tagsCSV})
	edgeua(t, "check", "--diff", inside, beside).want(t, exitOK)
	if got := edgeua(t, "check", "--diff", inside, beside); strings.Contains(got.stdout, "Channels") {
		t.Errorf("they differ: %s", got.stdout)
	}
	edgeua(t, "check", "--config", beside).want(t, exitOK, "device Boiler: 3 tags", "read "+filepath.Join(filepath.Dir(beside), "boiler.csv"))
	if got := edgeua(t, "tags", "export", filepath.Join(filepath.Dir(beside), "edgeua.xml")); got.stdout != tagsCSV {
		t.Errorf("%+v", got)
	}
}

// What the driver finds wrong with a tag points into the CSV file.
func TestTags_FaultsHaveLineAndColumn(t *testing.T) {
	main := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""),
		"edgeua.xml": strings.Replace(tagsDevice, "%s", "<TagFile>boiler.csv</TagFile>", 1),
		"boiler.csv": "Name;Address;Type;Period;Scale;Access\r\nA;3;Bool;1000;;\r\nB;300002;Int17;1000;;\r\nC;300003;Int16;1000;0;\r\nD;300004;Int16;1000;;RW\r\nE;300005;Int16;5;;\r\nF;465537;Int16;1000;;\r\n"})
	edgeua(t, "check", "--config", main).want(t, exitConfig,
		"boiler.csv:2:3: error:", `"3" is no address in the notation modicon6`, "000003",
		"boiler.csv:3:10: error:", `"Int17" is not one of`,
		"boiler.csv:4:21: error:", "0 would lose every value",
		"boiler.csv:5:22: error:", "input registers can only be read",
		"boiler.csv:6:16: error:", `"5" is not a whole number of milliseconds`,
		"boiler.csv:7:3: error:", `"465537"`)
	for text, want := range map[string]string{
		"Name,Address,Type\nA,h0,Int16\na,h1,Int16\n": `t.csv:3:1: error: Name: tag "a" exists already in line 2`,
		"Name,Address\n": "there is no column Type",
	} {
		got := edgeua(t, "tags", "import", tempFile(t, "t.csv", text))
		got.want(t, exitConfig, want)
		if got.stdout != "" {
			t.Errorf("written all the same: %s", got.stdout)
		}
	}
}

func TestTags_WrongUse(t *testing.T) {
	edge := tempFile(t, "edgeua.xml", "<EdgeUa><Device Name='A'/><Device><Name>B</Name></Device></EdgeUa>")
	edgeua(t, "tags", "export", edge).want(t, exitConfig, "choose one with --device: A, B")
	edgeua(t, "tags", "export", edge, "--device", "C").want(t, exitConfig, `there is no device "C"; there are A, B`)
	edgeua(t, "tags", "export", edge, "--device", "A", "--separator", "x").want(t, exitConfig, `separator "x" is not one of`)
	edgeua(t, "tags", "export", edge, "--device", "A").want(t, exitConfig, "edgeua.xml:1: the device has no groups of tags")
	edgeua(t, "tags", "export", edge+"x").want(t, exitConfig, "cannot be read")
	edgeua(t, "tags", "import", edge+"x").want(t, exitConfig, "edgeua.xmlx: error: cannot be read: no such file or directory")
	lossy := tempFile(t, "edgeua.xml", "<EdgeUa><Device Name='A'><Group Name='G'>\n<Tag Name='T' Address='h0' Colour='red'/></Group></Device></EdgeUa>")
	edgeua(t, "tags", "export", lossy).want(t, exitConfig, `edgeua.xml:2: error: EdgeUa/Device[A]/Group[G]/Tag[T]: attribute "Colour" has no column`)
	edgeua(t, "tags").want(t, exitOK, "import", "export")
	edgeua(t, "tags", "import", "--help").want(t, exitOK, "Client Access", "power of ten")
}
