package xmltree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const small = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<EdgeUa xmlns="urn:any" xmlns:xsi="urn:other" xsi:schemaLocation="a b" MaxSockets="3">
  <Device>
    <Name> Boiler </Name> - stray
    <Group Name="Fast"><Tag
       Name="A"/><Tag Name="B&amp;C"/></Group>
  </Device>
  <x:Listeners xmlns:x="urn:x"/><Plain/><Plain/>
</EdgeUa>
<!-- the end -->
`

func TestParse_PositionsAndContent(t *testing.T) {
	root, err := Parse("e.xml", []byte(small), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(root.Attrs) != 1 || root.Attrs[0] != (Attr{Name: "MaxSockets", Value: "3"}) {
		t.Errorf("attributes %v: namespaces must be dropped, the rest kept", root.Attrs)
	}
	device := root.Child("Device")
	if text := device.Text; !strings.Contains(text, "- stray") {
		t.Errorf("mixed content lost: %q", text)
	}
	if got := device.Child("Name").Text; got != " Boiler " {
		t.Errorf("text %q must not be trimmed", got)
	}
	tags := device.Child("Group").All("Tag")
	for _, tc := range []struct {
		e    *Element
		line int
		path string
	}{
		{root, 3, "EdgeUa"},
		{device, 4, "EdgeUa/Device[Boiler]"},
		{tags[0], 6, "EdgeUa/Device[Boiler]/Group[Fast]/Tag[A]"},
		{tags[1], 7, "EdgeUa/Device[Boiler]/Group[Fast]/Tag[B&C]"},
		{root.Child("Listeners"), 9, "EdgeUa/Listeners"},
		{root.All("Plain")[1], 9, "EdgeUa/Plain[2]"},
	} {
		if tc.e.Line != tc.line || tc.e.Path() != tc.path || tc.e.File() != "e.xml" {
			t.Errorf("%s at %s:%d, want %s line %d", tc.e.Path(), tc.e.File(), tc.e.Line, tc.path, tc.line)
		}
	}
}

func TestParse_Refusals(t *testing.T) {
	deep := strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33)
	for name, tc := range map[string]struct{ in, want string }{
		"empty":        {"", "f.xml:1: there is no XML element in the file"},
		"only text":    {"hello", `f.xml:1: text outside of the root element: "hello"`},
		"truncated":    {"<a>\n<b>\n  <c/>", "f.xml:3: the file ends inside <b>, which starts in line 2; it is incomplete"},
		"in a tag":     {"<a>\n<b", "f.xml:2: the file ends inside <a>, which starts in line 1; it is incomplete"},
		"two roots":    {"<a/>\n<b/>", "f.xml:2: a second root element <b> follows <a>; a document has one"},
		"trailing":     {"<a/>\n\njunk", `f.xml:3: text outside of the root element: "junk"`},
		"mismatch":     {"<a>\n</b>", "f.xml:2: element <a> closed by </b>"},
		"doctype":      {"<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a>&b;</a>", "f.xml:1: document types and entity declarations are refused; remove <!DOCTYPE"},
		"entity":       {"<a>\n&lol;</a>", "f.xml:2: invalid character entity &lol;; only &lt;"},
		"ampersand":    {"<a>R & D</a>", "invalid character entity & (no semicolon); only"},
		"depth":        {deep, "f.xml:1: <a> is nested more than 32 deep"},
		"elements":     {"<a>" + strings.Repeat("<b/>", 100) + "</a>", "f.xml:1: more than 100 elements"},
		"bytes":        {"<a>" + strings.Repeat(" ", 2000) + "</a>", "f.xml: the file has 2007 bytes, more than the 1000 that are accepted"},
		"utf-16":       {"\xFF\xFE<\x00a\x00/\x00>\x00", "f.xml:1: the file is UTF-16; save it as UTF-8"},
		"other":        {`<?xml version="1.0" encoding="Shift_JIS"?><a/>`, `encoding "Shift_JIS" is not supported; save the file as UTF-8`},
		"xml 1.1":      {`<?xml version="1.1"?><a/>`, "only version 1.0 is supported"},
		"not utf-8":    {"<a>\n\xE9</a>", "f.xml:2: the text is not UTF-8; save the file as UTF-8 or declare its encoding"},
		"control char": {"<a>\x00</a>", "illegal character code"},
	} {
		root, err := Parse("f.xml", []byte(tc.in), Limits{Bytes: 1000, Elements: 100})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, %v, want %q", name, root, err, tc.want)
		}
		if own := (*SyntaxError)(nil); !errors.As(err, &own) {
			t.Errorf("%s: %T is no *SyntaxError", name, err)
		}
	}
}

// TestParse_TruncatedAnywhere cuts the document behind each byte: no prefix but the complete root may be accepted.
func TestParse_TruncatedAnywhere(t *testing.T) {
	end := strings.Index(small, "</EdgeUa>") + len("</EdgeUa>")
	for n := range end {
		if _, err := Parse("f.xml", []byte(small[:n]), Limits{}); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
}

func TestParse_Encodings(t *testing.T) {
	for name, in := range map[string]string{
		"utf-8":                   "<a>é€</a>",
		"bom":                     "\xEF\xBB\xBF<a>é€</a>",
		"bom beats declaration":   "\xEF\xBB\xBF<?xml version='1.0' encoding='ISO-8859-1'?><a>é€</a>",
		"windows-1252":            "<?xml version='1.0' encoding='Windows-1252'?><a>\xE9\x80</a>",
		"ascii with number":       "<?xml version='1.0' encoding='us-ascii'?><a>&#xE9;&#8364;</a>",
		"latin 1 and a reference": "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9&#8364;</a>",
	} {
		root, err := Parse("f.xml", []byte(in), Limits{})
		if err != nil || root.Text != "é€" {
			t.Errorf("%s: %v, %v", name, root, err)
		}
	}
}

// TestParse_ManyTextPieces guards against joining text piece by piece, which would take minutes here.
func TestParse_ManyTextPieces(t *testing.T) {
	in := "<a>" + strings.Repeat("x<!---->", 100_000) + "</a>"
	root, err := Parse("f.xml", []byte(in), Limits{})
	if err != nil || len(root.Text) != 100_000 {
		t.Fatal(err)
	}
}

func TestLoad_Files(t *testing.T) {
	dir := t.TempDir()
	good, huge, pipe := filepath.Join(dir, "good.xml"), filepath.Join(dir, "huge.xml"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(good, []byte("<a/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 100<<20); err != nil { // sparse: takes no room
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if root, err := Load(good, Limits{}); err != nil || root.File() != good {
		t.Errorf("good file: %v", err)
	}
	for file, want := range map[string]string{
		huge:                      "has 104857600 bytes, more than the 4194304",
		dir:                       "is a directory",
		pipe:                      "is not a regular file",
		filepath.Join(dir, "nil"): "cannot be read: no such file or directory",
	} {
		if _, err := Load(file, Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "nil"), Limits{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file must be recognisable: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("<?xml version='1.0' encoding='windows-1252'?><a>\x80</a>"))
	f.Add([]byte("<a><b/></a><c/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := Parse("f.xml", data, Limits{Bytes: 1 << 16, Elements: 500})
		if err != nil {
			if own := (*SyntaxError)(nil); !errors.As(err, &own) {
				t.Fatalf("%T is no *SyntaxError", err)
			}
			return
		}
		walk(t, root, 1)
	})
}

// walk checks the invariants of a tree: lines never decrease, parents fit, depth is bounded, every element has a path.
func walk(t *testing.T, e *Element, depth int) {
	if depth > DefaultDepth || e.Line < 1 || !strings.Contains(e.Path(), e.Name) {
		t.Fatalf("%s: line %d, depth %d", e.Path(), e.Line, depth)
	}
	line := e.Line
	for _, c := range e.Children {
		if c.Parent != e || c.Line < line {
			t.Fatalf("%s: line %d after %d", c.Path(), c.Line, line)
		}
		line = c.Line
		walk(t, c, depth+1)
	}
}

// What was made from a table stands in another file, and knows its columns.
func TestProblem_ColumnAndOtherFile(t *testing.T) {
	root, err := Parse("e.xml", []byte("<EdgeUa>\n<Device Name=\"D\"/></EdgeUa>"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	device := root.Child("Device")
	tag := &Element{Name: "Tag", Line: 7, Parent: device, Attrs: []Attr{{Name: "Name", Value: "T"}, {Name: "Address", Value: "x", Line: 8, Column: 12}}}
	tag.SetFile("tags.csv")
	device.Children = append(device.Children, tag)
	r := &Report{}
	s := r.Settings(tag)
	s.Error("Name", "a")
	s.Error("Address", "b")
	r.Error(device, "c")
	want := []string{"tags.csv:7: error: EdgeUa/Device[D]/Tag[T]/Name: a", "tags.csv:8:12: error: EdgeUa/Device[D]/Tag[T]/Address: b", "e.xml:2: error: EdgeUa/Device[D]: c"}
	for i, p := range r.Problems {
		if p.String() != want[i] {
			t.Errorf("%s, want %s", p, want[i])
		}
	}
}
