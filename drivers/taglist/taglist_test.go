package taglist

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/xmltree"
	"pgregory.net/rapid"
)

// plain is a list without positions, for comparisons: every Group and Tag with its sorted attributes.
func plain(groups []*xmltree.Element) string {
	var b strings.Builder
	line := func(e *xmltree.Element) {
		var attrs []string
		for _, a := range e.Attrs {
			attrs = append(attrs, fmt.Sprintf("%s=%q", a.Name, strings.TrimSpace(a.Value)))
		}
		slices.Sort(attrs)
		fmt.Fprintln(&b, e.Name, attrs)
	}
	for _, g := range groups {
		line(g)
		for _, tag := range g.Children {
			line(tag)
		}
	}
	return b.String()
}

func parse(t testing.TB, text string, want ...string) []*xmltree.Element {
	t.Helper()
	r := &xmltree.Report{}
	groups := Parse(r, "t.csv", []byte(text))
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
	}
	if r.HasErrors() != (groups == nil) && len(groups) > 0 {
		t.Errorf("%q: rows were applied in spite of errors", text)
	}
	return groups
}

const boiler = `Group Name="Fast" Period="250"
SupplyTemp 300001 Int16
Pump1.Run 400120.3 Bool
`

// short is name, address and type of each tag below its group.
func short(groups []*xmltree.Element) string {
	var b strings.Builder
	for _, g := range groups {
		b.WriteString("Group")
		for _, a := range g.Attrs {
			fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
		}
		b.WriteString("\n")
		for _, tag := range g.Children {
			fmt.Fprintln(&b, lookup(tag, "Name"), lookup(tag, "Address"), lookup(tag, "Type"))
		}
	}
	return b.String()
}

// The same list as different programs save it.
func TestParse_Dialects(t *testing.T) {
	for name, text := range map[string]string{
		"RFC 4180":              "Name,Address,Type,Group,Period\nSupplyTemp,300001,Int16,Fast,250\nPump1.Run,400120.3,Bool,Fast,250\n",
		"BOM, CRLF, semicolons": "\uFEFFName;Address;Type;Group;Period\r\nSupplyTemp;300001;Int16;Fast;250\r\nPump1.Run;400120.3;Bool;Fast;250\r\n",
		"tabs":                  "Name\tAddress\tType\tGroup\tPeriod\nSupplyTemp\t300001\tInt16\tFast\t250\nPump1.Run\t400120.3\tBool\tFast\t250",
		"carriage returns":      "Name,Address,Type,Group,Period\rSupplyTemp,300001,Int16,Fast,250\rPump1.Run,400120.3,Bool,Fast,250\r",
		"sep=":                  "sep=;\r\nName;Address;Type;Group;Period\r\nSupplyTemp;300001;Int16;Fast;250\r\nPump1.Run;400120.3;Bool;Fast;250\r\n",
		"quotes and blanks":     "\"Name\",\"Address\",Type,Group,Period\n\" SupplyTemp \",\"300001\", Int16 ,Fast,250\nPump1.Run,400120.3,Bool,Fast,250\n",
		"comments, blank rows":  "# from the manual\n\nName,Address,Type,Group,Period\n# page 7\nSupplyTemp,300001,Int16,Fast,250\n,,,,\n\nPump1.Run,400120.3,Bool,Fast,250\n",
		"order and case":        "PERIOD,type,name,group,ADDRESS\n250,Int16,SupplyTemp,Fast,300001\n250,Bool,Pump1.Run,Fast,400120.3\n",
		"a bit of its own":      "Name,Address,Bit,Type,Group,Period\nSupplyTemp,300001,,Int16,Fast,250\nPump1.Run,400120,3,Bool,Fast,\n",
		"empty columns behind":  "Name,Address,Type,Group,Period,,\nSupplyTemp,300001,Int16,Fast,250,,\nPump1.Run,400120.3,Bool,Fast,250\n",
	} {
		if got := short(parse(t, text)); got != boiler {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// The list of another server, with its words for types, rates and scaling.
func TestParse_Kepware(t *testing.T) {
	groups := parse(t, `Tag Name,Address,Data Type,Respect Data Type,Client Access,Scan Rate,Scaling,Raw Low,Raw High,Scaled Low,Scaled High,Clamp Low,Clamp High,Eng Units,Description
"Flow",400001,Word,1,R/W,100,Linear,0,1000,0,10,1,1,"m³/h","say ""hi"", you"
"Total",400002,DWord,1,RO,100,None,0,1000,0,10,0,0,,
`, `t.csv:1:28: warning: column "Respect Data Type" is not known and has no effect`)
	got := plain(groups)
	for _, line := range []string{
		`Group [Name="100 ms" Period="100"]`,
		`Tag [Access="ReadWrite" Address="400001" Clamp="1" Description="say \"hi\", you" EUHigh="10" EULow="0" Name="Flow" RawHigh="1000" RawLow="0" Type="UInt16" Unit="m³/h"]`,
		`Tag [Access="Read" Address="400002" Name="Total" Type="UInt32"]`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("lacks %s in\n%s", line, got)
		}
	}
}

func TestParse_DecimalComma(t *testing.T) {
	groups := parse(t, "Name;Address;Type;Scale;Offset\nA;h0;Int16;0,1;-1,5e3\nB;h1;Int16;0.5;\n")
	if got := plain(groups); !strings.Contains(got, `Offset="-1.5e3" Scale="0.1"`) || !strings.Contains(got, `Scale="0.5"`) {
		t.Error(got)
	}
}

// Every fault has its line and column, and the value.
func TestParse_Faults(t *testing.T) {
	const head = "Name,Address,Type\n"
	for text, want := range map[string]string{
		"":                      "t.csv: error: there is no header; the first row names the columns, such as Name,Address,Type",
		"Name,Address\nA,h0\n":  "t.csv:1: error: there is no column Type; the first row names the columns, such as Name,Address,Type",
		"Name,Tag,Address,Type": `t.csv:1:6: error: "Tag" stands twice for the column Name`,
		head + "A,h0,Int16,x":   `t.csv:2:12: error: "x" stands behind the last column; a value with a separator in it stands in quotes`,
		head + ",h0,Int16":      "t.csv:2: error: Name: is empty; every tag has a name",
		head + "A,,Int16":       "t.csv:2: error: Address: is empty; every tag has an address",
		head + "A,h0,Int16\nB,h1,Int16\na,h2,Int16":                          `t.csv:4:1: error: Name: tag "a" exists already in line 2; names must differ in more than case`,
		head + "A,h0,\"Int16":                                                "t.csv:2:12: error: extraneous or missing \" in quoted-field: a value with a quote or a separator stands in quotes, and quotes in it are doubled",
		head + "A,h\"0,Int16":                                                "t.csv:2:4: error: bare \" in non-quoted-field: a value with a quote or a separator stands in quotes, and quotes in it are doubled",
		head + "A,h0,\xFF":                                                   `t.csv:2:6: error: byte 0xFF is no UTF-8 text; save it as "CSV UTF-8"`,
		"\xFF\xFEN\x00":                                                      `t.csv:1: error: the file is UTF-16; save it as "CSV UTF-8"`,
		head + "A\x01,h0,Int16":                                              `t.csv:2:1: error: Name: "A\x01" holds characters that are no text`,
		head + "\"#A\",h0,Int16":                                             `t.csv:2:1: error: Name: "#A" must not begin with #, which begins a comment`,
		"Name,Address,Type,Scale\nA,h0,Int16,\"0,1\"":                        `t.csv:2:12: error: Scale: "0,1" is not a number, such as 0.1 or -50`,
		"Name;Address;Type;Scale\nA;h0;Int16;1.234,5":                        `t.csv:2:12: error: Scale: "1.234,5" is not a number, such as 0.1 or -50`,
		"Name,Address,Type,Bit\nA,h0,Bool,x":                                 `t.csv:2:11: error: Bit: "x" is not the number of a bit`,
		"Name,Address,Type,Bit\nA,h0.1,Bool,2":                               `t.csv:2:13: error: Bit: "2" stands beside the address "h0.1", which has a bit already`,
		"Name,Address,Type,Scaling\nA,h0,Int16,Square Root":                  `t.csv:2:12: error: Scaling "Square Root" is not known; it is None or Linear`,
		"Name,Address,Type,Clamp Low,Clamp High\nA,h0,Int16,1,0":             `t.csv:2:12: error: Clamp Low and Clamp High are not the same; values are clamped on both sides or on none`,
		"Name,Address,Type,Group,Period\nA,h0,Int16,G,100\nB,h1,Int16,G,200": `t.csv:3:14: error: Period: "200" differs from "100" in line 2 of the same group`,
		head + strings.Repeat("x", maxLine+1):                                "t.csv:2: error: the line has 65537 bytes, more than the 65536 that are accepted; is a quote missing?",
		head + "\"A\nB\",h0,\"Int16":                                         "t.csv:3:13: error: extraneous or missing \" in quoted-field: a value with a quote or a separator stands in quotes, and quotes in it are doubled",
	} {
		parse(t, text, want)
	}
}

func TestParse_NumberOfTags(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("Name,Address,Type\n")
	for i := range maxRows {
		fmt.Fprintf(&b, "T%d,h0,Int16\n", i)
	}
	if groups := parse(t, b.String()); len(groups) != 1 || len(groups[0].Children) != maxRows {
		t.Error("the greatest list is refused")
	}
	parse(t, b.String()+"More,h0,Int16\n", "t.csv:100002: error: there are more than 100000 tags")
}

func TestParse_EveryTruncation(t *testing.T) {
	const text = "sep=;\r\nName;Address;Type;Group;Scale;Description\r\n\"A\"\"B\";h0;Int16;G;0,1;\"two\r\nlines\"\r\n"
	for i := range text {
		r := &xmltree.Report{}
		if groups := Parse(r, "t.csv", []byte(text[:i])); groups != nil && r.HasErrors() {
			t.Errorf("%q: both groups and errors", text[:i])
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.csv")
	if err := os.WriteFile(file, []byte("Name,Address,Type\nA,h0,Int16\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if groups := Load(&xmltree.Report{}, file); len(groups) != 1 || groups[0].Children[0].File() != file {
		t.Error(groups)
	}
	for bad, want := range map[string]string{dir: ": error: cannot be read: not a regular file", filepath.Join(dir, "none.csv"): ": error: cannot be read: no such file or directory"} {
		r := &xmltree.Report{}
		if groups := Load(r, bad); groups != nil || len(r.Problems) != 1 || r.Problems[0].String() != bad+want {
			t.Errorf("%s: %v", bad, r.Problems)
		}
	}
}

// The tags of a CSV file join those of the device, and point to where they came from.
func TestExpand(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expand := func(device string) (*xmltree.Element, *xmltree.Report, string) {
		root, err := xmltree.Parse(filepath.Join(dir, "edgeua.xml"), []byte(device), xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r := &xmltree.Report{}
		file := Expand(r, root)
		return root, r, file
	}
	write("Name,Address,Type,Group,Period\nB,h1,Int16,Fast,\nC,h2,Int16,Slow,5000\n")
	root, r, file := expand(`<Device Name="D"><TagFile>t.csv</TagFile><Group Name="Fast" Period="100"><Tag Name="A" Address="h0" Type="Int16"/></Group></Device>`)
	if want := "Group Name=\"Fast\" Period=\"100\"\nA h0 Int16\nB h1 Int16\nGroup Name=\"Slow\" Period=\"5000\"\nC h2 Int16\n"; short(root.Children) != want || len(r.Problems) > 0 || file == "" {
		t.Errorf("%s%v", short(root.Children), r.Problems)
	}
	b := root.Child("Group").Children[1]
	r.Settings(b).Error("Address", "wrong")
	if want := filepath.Join(dir, "t.csv") + ":2:3: error: Device[D]/Group[Fast]/Tag[B]/Address: wrong"; r.Problems[0].String() != want {
		t.Error(r.Problems[0])
	}
	write("Name,Address,Type,Group,Period\nB,h1,Int16,Fast,200\n")
	for device, want := range map[string]string{
		"<Device TagFile='t.csv'>\n<Group Name='Fast' Period='100'/></Device>":  `t.csv:2:17: error: Device/Group[Fast]/Period: "200" differs from "100" in line 2 of ` + filepath.Join(dir, "edgeua.xml"),
		"<Device>\n<TagFile>none.csv</TagFile></Device>":                        `edgeua.xml:2: error: Device/TagFile: "` + filepath.Join(dir, "none.csv") + `" cannot be read: no such file or directory`,
		"<Device>\n<TagFile/></Device>":                                         `edgeua.xml:2: error: Device/TagFile: is empty; it is required`,
		"<Device>\n<TagFile>t.csv</TagFile>\n<TagFile>t.csv</TagFile></Device>": `edgeua.xml:2: error: Device/TagFile[1]: stands twice; a device has one list of tags`,
	} {
		root, r, _ := expand(device)
		if len(r.Problems) != 1 || r.Problems[0].String() != filepath.Join(dir, want) || root.Child(fileSetting) != nil {
			t.Errorf("%s: %v", device, r.Problems)
		}
	}
	if root, r, file := expand("<Device><Group/></Device>"); len(r.Problems) > 0 || file != "" || len(root.Children) != 1 {
		t.Error("a device without a list has changed")
	}
}

// anyList makes a list as edgeua.xml may have it, with every column.
func anyList() *rapid.Generator[[]*xmltree.Element] {
	return rapid.Custom(func(t *rapid.T) []*xmltree.Element {
		text := rapid.StringMatching(`[A-Za-z0-9",;=ä°\n\t'<&|#-][A-Za-z0-9 ",;=ä°\n'<&|#-]{0,8}`)
		used := map[string]bool{}
		name := func() string {
			n := fmt.Sprintf("%s%d", rapid.StringMatching(`[A-Z][a-z".;,]{0,5}`).Draw(t, "name"), len(used))
			used[n] = true
			return n
		}
		var groups []*xmltree.Element
		for range rapid.IntRange(0, 3).Draw(t, "groups") {
			g := &xmltree.Element{Name: "Group", Attrs: []xmltree.Attr{{Name: "Name", Value: name()}}}
			for _, word := range []string{"Period", "PollMode", "Phase"} {
				if rapid.Bool().Draw(t, word) {
					g.Attrs = append(g.Attrs, xmltree.Attr{Name: word, Value: strings.TrimSpace("x" + text.Draw(t, word))})
				}
			}
			for range rapid.IntRange(1, 4).Draw(t, "tags") {
				g.Children = append(g.Children, anyTag(t, name(), text))
			}
			groups = append(groups, g)
		}
		return groups
	})
}

func anyTag(t *rapid.T, name string, text *rapid.Generator[string]) *xmltree.Element {
	tag := &xmltree.Element{Name: "Tag", Attrs: []xmltree.Attr{{Name: "Name", Value: name}}}
	add := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			tag.Attrs = append(tag.Attrs, xmltree.Attr{Name: name, Value: value})
		}
	}
	add("Address", rapid.SampledFrom([]string{"000003", "400120.10", "400200[24]", "h7H", "h0.3[2]", "a.b.3", ".5", "h0x1F4", "1-2"}).Draw(t, "Address"))
	for _, c := range Columns() {
		switch {
		case c.group || c.Name == nameColumn || c.Name == addressColumn || c.Name == bitColumn || rapid.Bool().Draw(t, "absent"):
		case c.kind == number:
			add(c.Name, rapid.SampledFrom([]string{"0.1", "-50", "1e3", "+1.5E-3", ".5", "0x1.8p1"}).Draw(t, c.Name))
		case c.Name == accessColumn:
			add(c.Name, rapid.SampledFrom([]string{"Read", "ReadWrite", "Write", "Never"}).Draw(t, c.Name))
		default:
			add(c.Name, text.Draw(t, c.Name))
		}
	}
	return tag
}

func formats() []Format {
	return []Format{{}, {Separator: ';', Spreadsheet: true}, {Separator: '\t'}, {Separator: ';'}, {Spreadsheet: true}}
}

// Nothing is lost on the way from XML to CSV and back, in every dialect, and back to XML.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := anyList().Draw(t, "list")
		f := rapid.SampledFrom(formats()).Draw(t, "format")
		r := &xmltree.Report{}
		var text bytes.Buffer
		if err := WriteCSV(&text, r, list, f); err != nil {
			t.Fatal(err, r.Problems)
		}
		back := Parse(r, "t.csv", text.Bytes())
		if r.HasErrors() || plain(back) != plain(list) {
			t.Fatalf("%s\nis read as\n%s\n%v\nfrom\n%s", plain(list), plain(back), r.Problems, text.String())
		}
		var again, xml bytes.Buffer
		if err := WriteCSV(&again, r, back, f); err != nil || again.String() != text.String() {
			t.Fatalf("%v: %s\nis written again as\n%s", err, text.String(), again.String())
		}
		if err := WriteXML(&xml, list); err != nil {
			t.Fatal(err)
		}
		device, err := xmltree.Parse("d.xml", []byte("<Device>"+xml.String()+"</Device>"), xmltree.Limits{})
		if err != nil || plain(device.Children) != plain(list) {
			t.Fatalf("%v: %s\nis written as\n%s", err, plain(list), xml.String())
		}
	})
}

// FuzzParse: what is read is written so that it reads the same, whatever it was.
func FuzzParse(f *testing.F) {
	f.Add([]byte("sep=;\r\nName;Address;Type;Bit;Scale\r\nA;400120;Bool;3;\"0,1\"\r\n"))
	f.Add([]byte("\uFEFFTag Name,Address,Data Type,Scan Rate,Client Access,Scaling,Clamp Low,Clamp High\nA,1,Word,100,R/W,Linear,1,1\n"))
	f.Add([]byte("Name\tAddress\tType\tGroup\tPeriod\tPollMode\nA\th0\tInt16\tG\t5\tOnce\nB\th1\tx\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &xmltree.Report{}
		groups := Parse(r, "t.csv", data)
		if groups == nil {
			return
		}
		for _, format := range formats() {
			var text, xml bytes.Buffer
			if err := WriteCSV(&text, r, groups, format); err != nil {
				t.Fatal(err, r.Problems)
			}
			again := Parse(r, "t.csv", text.Bytes())
			if plain(again) != plain(groups) {
				t.Fatalf("%s\nbecame\n%s\n%v\nby\n%s", plain(groups), plain(again), r.Problems, text.String())
			}
			if err := WriteXML(&xml, groups); err != nil {
				t.Fatal(err)
			}
			device, err := xmltree.Parse("d.xml", []byte("<Device>"+xml.String()+"</Device>"), xmltree.Limits{})
			if err != nil || plain(device.Children) != plain(groups) {
				t.Fatalf("%v: %s\nis written as\n%s", err, plain(groups), xml.String())
			}
		}
	})
}

func TestWriteCSV_RefusesWhatItWouldLose(t *testing.T) {
	for text, want := range map[string]string{
		`<Group Name="G"><Tag Name="A" Address="h0" Nonsense="1"/></Group>`:   `x.xml:1: error: Device/Group[G]/Tag[A]: attribute "Nonsense" has no column in a list of tags`,
		`<Group Name="G" Nonsense="1"/>`:                                      `x.xml:1: error: Device/Group[G]: attribute "Nonsense" has no column in a list of tags`,
		`<Group Name="G"><Tag Name="A" Address="h0"><Sub/></Tag></Group>`:     `x.xml:1: error: Device/Group[G]/Tag[A]/Sub: has no column in a list of tags`,
		`<Group Name="G"><Tag Name="A" Address="h0" Type="Word"/></Group>`:    `x.xml:1: error: Device/Group[G]/Tag[A]: Type "Word" is not a word of this file; it is UInt16`,
		`<Group Name="G"><Tag Name="A" Address="h0" Scale="0,1"/></Group>`:    `x.xml:1: error: Device/Group[G]/Tag[A]: Scale "0,1" is not a number, such as 0.1 or -50`,
		`<Group Name="G"><Tag Name="A"/></Group>`:                             `x.xml:1: error: Device/Group[G]/Tag[A]: Address is missing; it is required`,
		`<Group><Tag Name="A" Address="h0"/></Group>`:                         `x.xml:1: error: Device/Group: Name is missing; it is required`,
		`<Group Name="G"><Tag Name="#A" Address="h0"/></Group>`:               `x.xml:1: error: Device/Group[G]/Tag[#A]: Name must not begin with #, which begins a comment in a list of tags`,
		`<Group Name="G"><Tag Name="A" Address="h0" Unit="a&#13;b"/></Group>`: `x.xml:1: error: Device/Group[G]/Tag[A]: Unit "a\rb" holds characters that are no text`,
	} {
		device, err := xmltree.Parse("x.xml", []byte("<Device>"+text+"</Device>"), xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		r := &xmltree.Report{}
		if err := WriteCSV(&out, r, device.Children, Format{}); err == nil || out.Len() > 0 {
			t.Errorf("%s was written: %s", text, out.String())
		}
		if !slices.ContainsFunc(r.Problems, func(p xmltree.Problem) bool { return p.String() == want }) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, r.Problems, want)
		}
	}
}

// Every word that a tag is read with is a column, so that no list of tags loses it.
func TestColumns_HaveEveryWordOfATag(t *testing.T) {
	word := regexp.MustCompile(`\b(?:s|g)\.(?:String|Required|Choice|Int|Float|Bool|Millis)\("([A-Za-z]+)"`)
	all := Columns()
	ofDevice := []string{"Addressing", "ReadOnly", "BitOrder"} // read from the device in the same files
	found := 0
	for _, file := range []string{"../modbus/parse_tag.go", "../conversion.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range word.FindAllSubmatch(source, -1) {
			name := string(match[1])
			found++
			if column(all, name) < 0 && !slices.Contains(ofDevice, name) {
				t.Errorf("%s reads %s, which is no column of a list of tags", file, name)
			}
		}
	}
	if found < 25 {
		t.Errorf("only %d words found", found)
	}
}

var update = flag.Bool("update", false, "write the table of columns into docs/drivers.md")

// The table in docs/drivers.md is that of the program.
func TestColumns_AreDocumented(t *testing.T) {
	const file, begin, end = "../../docs/drivers.md", "<!-- columns: written by go test ./drivers/taglist -update -->\n", "<!-- end of columns -->\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the columns", file)
	}
	var want strings.Builder
	want.WriteString("\n| Column | Meaning | Also read as |\n|---|---|---|\n")
	for _, c := range Columns() {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", c.Name, c.Meaning, strings.Join(c.Aliases, ", "))
	}
	want.WriteString("\n")
	if table == want.String() {
		return
	}
	if !*update {
		t.Fatalf("the columns in %s are not those of the program; run go test ./drivers/taglist -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
