package taglist

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Bounds of a CSV file.
const (
	maxBytes = 32 << 20
	maxLine  = 64 << 10
	maxRows  = 100_000
)

const bom = "\xEF\xBB\xBF"

// Load reads a CSV file; every fault goes to the report.
func Load(r *xmltree.Report, file string) []*xmltree.Element {
	data, err := read(file)
	if err != nil {
		r.Add(xmltree.Problem{File: file, Severity: xmltree.Error, Message: "cannot be read: " + reason(err)})
		return nil
	}
	return Parse(r, file, data)
}

// reason is what the operating system says, without the path.
func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file) // before opening: opening a named pipe would block
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > maxBytes:
		return nil, fmt.Errorf("%d bytes are more than the %d that are accepted", info.Size(), maxBytes)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// Parse reads the tags of a device from CSV; file is the name used in messages. All rows are taken over or, when one of
// them is wrong, none. Every fault goes to the report with file, line and column.
func Parse(r *xmltree.Report, file string, data []byte) []*xmltree.Element {
	p := parser{report: r, file: file, columns: Columns(), names: map[string]int{}, byName: map[string]*xmltree.Element{}}
	p.index, p.cells = index(p.columns), make([]cell, len(p.columns))
	if data = p.text(data); !p.failed {
		p.rows(data)
	}
	if p.failed {
		return nil
	}
	return p.groups
}

type parser struct {
	report  *xmltree.Report
	file    string
	columns []Column
	index   map[string]int // of columns, by their names
	reader  *csv.Reader
	header  []int    // column of each field; -1: none of ours
	foreign []string // in lower case, the header of a field that another program has and we look at
	cells   []cell   // of the row at hand
	names   map[string]int
	byName  map[string]*xmltree.Element // groups
	groups  []*xmltree.Element
	failed  bool
}

func (p *parser) fail(line, column int, path, format string, args ...any) {
	p.failed = true
	p.report.Add(xmltree.Problem{File: p.file, Line: line, Column: column, Severity: xmltree.Error, Path: path, Message: fmt.Sprintf(format, args...)})
}

// text makes lines of UTF-8 of what a spreadsheet saved.
func (p *parser) text(data []byte) []byte {
	const remedy = "save it as \"CSV UTF-8\""
	switch {
	case len(data) > maxBytes:
		p.fail(0, 0, "", "the file has %d bytes, more than the %d that are accepted", len(data), maxBytes)
		return nil
	case bytes.HasPrefix(data, []byte("\xFF\xFE")), bytes.HasPrefix(data, []byte("\xFE\xFF")):
		p.fail(1, 0, "", "the file is UTF-16; %s", remedy)
		return nil
	}
	data = slices.Clone(bytes.TrimPrefix(data, []byte(bom)))
	if bytes.IndexByte(data, '\n') < 0 { // lines as on old Macintoshes
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	if len(data) >= 4 && strings.EqualFold(string(data[:4]), "sep=") {
		data[0] = '#' // Excel's word to itself becomes a comment; the header tells the separator as well
	}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if len(text) > maxLine {
			p.fail(line, 0, "", "the line has %d bytes, more than the %d that are accepted; is a quote missing?", len(text), maxLine)
			return nil
		}
		if i := invalid(text); i >= 0 {
			p.fail(line, i+1, "", "byte 0x%02X is no UTF-8 text; %s", text[i], remedy)
			return nil
		}
	}
	return data
}

// invalid is the index of the first byte that is no UTF-8, -1 if there is none.
func invalid(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// separator is the one that the header uses.
func separator(data []byte) rune {
	for line := range bytes.Lines(data) {
		if line[0] == '#' || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		best, most := ',', 0
		for _, c := range []byte{',', ';', '\t'} {
			if n := bytes.Count(line, []byte{c}); n > most {
				best, most = rune(c), n
			}
		}
		return best
	}
	return ','
}

func (p *parser) rows(data []byte) {
	p.reader = csv.NewReader(bytes.NewReader(data))
	p.reader.Comma, p.reader.Comment = separator(data), '#'
	p.reader.FieldsPerRecord, p.reader.ReuseRecord = -1, true
	for n := 0; ; {
		fields, err := p.reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			if p.header == nil {
				p.fail(0, 0, "", "there is no header; the first row names the columns, such as Name,Address,Type")
			}
			return
		case err != nil:
			p.syntax(err)
			return
		case p.header == nil:
			if !p.readHeader(fields) {
				return
			}
		case blank(fields):
		case n == maxRows:
			line, _ := p.reader.FieldPos(0)
			p.fail(line, 0, "", "there are more than %d tags", maxRows)
			return
		default:
			n++
			p.row(fields)
		}
	}
}

func (p *parser) syntax(err error) {
	if syntax := (*csv.ParseError)(nil); errors.As(err, &syntax) {
		p.fail(syntax.Line, syntax.Column, "", "%v: a value with a quote or a separator stands in quotes, and quotes in it are doubled", syntax.Err)
		return
	}
	p.fail(0, 0, "", "%v", err)
}

func blank(fields []string) bool {
	return !slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" })
}

// readHeader finds the column of each field. Nothing can be read without the three that a tag needs.
func (p *parser) readHeader(fields []string) bool {
	p.header, p.foreign = make([]int, len(fields)), make([]string, len(fields))
	seen := map[int]bool{-1: false}
	for i, text := range fields {
		line, at := p.reader.FieldPos(i)
		text = strings.TrimSpace(text)
		c := column(p.columns, text)
		switch p.header[i] = c; {
		case c >= 0 && seen[c]:
			p.fail(line, at, "", "%s stands twice for the column %s", xmltree.Quote(text), p.columns[c].Name)
		case c >= 0:
			seen[c] = true
		case foreign(strings.ToLower(text)):
			p.foreign[i] = strings.ToLower(text)
		case text != "":
			p.report.Add(xmltree.Problem{File: p.file, Line: line, Column: at, Message: fmt.Sprintf("column %s is not known and has no effect%s",
				xmltree.Quote(text), xmltree.Suggest(text, columnNames(p.columns)))})
		}
	}
	for _, name := range []string{nameColumn, addressColumn, typeColumn} {
		if !seen[column(p.columns, name)] {
			line, _ := p.reader.FieldPos(0)
			p.fail(line, 0, "", "there is no column %s; the first row names the columns, such as Name,Address,Type", name)
		}
	}
	return !p.failed
}

func columnNames(all []Column) []string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names
}

// cell is one value and where it stands.
type cell struct {
	text         string
	line, column int
}

// record is one row: the values by column, and those of other programs by header.
type record struct {
	cells   []cell
	foreign map[string]cell
	line    int
}

func (p *parser) row(fields []string) {
	rec := record{cells: p.cells}
	clear(rec.cells)
	rec.line, _ = p.reader.FieldPos(0)
	for i, text := range fields {
		c := cell{text: strings.TrimSpace(text)}
		c.line, c.column = p.reader.FieldPos(i)
		switch {
		case c.text == "":
		case i >= len(p.header):
			p.fail(c.line, c.column, "", "%s stands behind the last column; a value with a separator in it stands in quotes", xmltree.Quote(c.text))
		case p.header[i] >= 0:
			rec.cells[p.header[i]] = p.value(&p.columns[p.header[i]], c)
		case p.foreign[i] != "":
			if rec.foreign == nil {
				rec.foreign = map[string]cell{}
			}
			rec.foreign[p.foreign[i]] = c
		}
	}
	clamp := p.scaling(&rec)
	tag := p.tag(&rec)
	if clamp {
		tag.Attrs = append(tag.Attrs, xmltree.Attr{Name: "Clamp", Value: "1"})
	}
	g := p.group(&rec)
	tag.Parent = g
	g.Children = append(g.Children, tag)
}

// value turns the text of a cell into that of an attribute.
func (p *parser) value(col *Column, c cell) cell {
	if problem := unprintable(c.text); problem != "" {
		p.fail(c.line, c.column, col.Name, "%s %s", xmltree.Quote(c.text), problem)
	}
	if col.kind == number {
		if p.reader.Comma == ';' { // a spreadsheet separates with it where the comma is the decimal mark
			c.text = withPoint(c.text)
		}
		if !isNumber(c.text) {
			p.fail(c.line, c.column, col.Name, "%s is not a number, such as 0.1 or -50", xmltree.Quote(c.text))
		}
	}
	c.text = col.canonical(c.text)
	return c
}

// unprintable says what XML cannot hold.
func unprintable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError
	}) {
		return "holds characters that are no text"
	}
	return ""
}

func isNumber(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// withPoint turns the one decimal comma of a number into a point; what has points as well stays and is refused.
func withPoint(text string) string {
	if strings.Count(text, ",") == 1 && !strings.Contains(text, ".") {
		return strings.Replace(text, ",", ".", 1)
	}
	return text
}

// scaling follows the columns that another program has for scaling, and tells whether values are clamped.
func (p *parser) scaling(rec *record) (clamp bool) {
	switch c := rec.foreign[scalingColumn]; strings.ToLower(c.text) {
	case "", "linear":
	case "none":
		for _, name := range scaled() {
			rec.cells[p.index[name]] = cell{}
		}
		return false
	default:
		p.fail(c.line, c.column, "", "Scaling %s is not known; it is None or Linear", xmltree.Quote(c.text))
	}
	low, high := rec.foreign[clampLowColumn], rec.foreign[clampHighColumn]
	on := func(c cell) bool { return c.text == "1" || strings.EqualFold(c.text, "true") }
	if on(low) != on(high) {
		at := high
		if on(low) {
			at = low
		}
		p.fail(at.line, at.column, "", "Clamp Low and Clamp High are not the same; values are clamped on both sides or on none")
	}
	return on(low) && on(high) && rec.cells[p.index["Clamp"]].text == ""
}

// tag makes the Tag element of a row.
func (p *parser) tag(rec *record) *xmltree.Element {
	tag := &xmltree.Element{Name: "Tag", Line: rec.line}
	tag.SetFile(p.file)
	p.address(rec)
	for i := range p.columns {
		c := &rec.cells[i]
		if name := p.columns[i].Name; c.text != "" && !p.columns[i].group && name != bitColumn {
			tag.Attrs = append(tag.Attrs, xmltree.Attr{Name: name, Value: c.text, Line: c.line, Column: c.column})
		}
	}
	p.name(rec)
	return tag
}

// name refuses a name that is there already; many tools cannot tell names apart that differ only in case.
func (p *parser) name(rec *record) {
	c := rec.cells[p.index[nameColumn]]
	if c.text == "" {
		p.fail(rec.line, 0, nameColumn, "is empty; every tag has a name")
		return
	}
	if c.text[0] == '#' {
		p.fail(c.line, c.column, nameColumn, "%s must not begin with #, which begins a comment", xmltree.Quote(c.text))
	}
	key := strings.ToLower(c.text)
	if line, twice := p.names[key]; twice {
		p.fail(c.line, c.column, nameColumn, "tag %s exists already in line %d; names must differ in more than case", xmltree.Quote(c.text), line)
		return
	}
	p.names[key] = c.line
}

// address joins the address and its bit.
func (p *parser) address(rec *record) {
	c, bit := &rec.cells[p.index[addressColumn]], rec.cells[p.index[bitColumn]]
	switch {
	case c.text == "":
		p.fail(rec.line, 0, addressColumn, "is empty; every tag has an address")
	case bit.text == "":
	case !digits(bit.text):
		p.fail(bit.line, bit.column, bitColumn, "%s is not the number of a bit", xmltree.Quote(bit.text))
	case strings.Contains(c.text, "."):
		p.fail(bit.line, bit.column, bitColumn, "%s stands beside the address %s, which has a bit already", xmltree.Quote(bit.text), xmltree.Quote(c.text))
	default:
		c.text += "." + bit.text
	}
}

func digits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// group finds the Group element of a row, or makes it. Rows of one group must not contradict each other.
func (p *parser) group(rec *record) *xmltree.Element {
	name := rec.cells[p.index[groupColumn]]
	if period := rec.cells[p.index[periodColumn]]; name.text == "" {
		if name = period; period.text == "" {
			name = cell{text: "Default", line: rec.line}
		} else {
			name.text += " ms"
		}
	}
	g := p.byName[name.text]
	if g == nil {
		g = &xmltree.Element{Name: "Group", Line: rec.line, Attrs: []xmltree.Attr{{Name: nameColumn, Value: name.text, Line: name.line, Column: name.column}}}
		g.SetFile(p.file)
		p.byName[name.text] = g
		p.groups = append(p.groups, g)
	}
	for i := range p.columns {
		if c := rec.cells[i]; c.text != "" && p.columns[i].group && p.columns[i].Name != groupColumn {
			p.groupValue(g, p.columns[i].Name, c)
		}
	}
	return g
}

func (p *parser) groupValue(g *xmltree.Element, name string, c cell) {
	i := slices.IndexFunc(g.Attrs, func(a xmltree.Attr) bool { return a.Name == name })
	switch {
	case i < 0:
		g.Attrs = append(g.Attrs, xmltree.Attr{Name: name, Value: c.text, Line: c.line, Column: c.column})
	case g.Attrs[i].Value != c.text:
		p.fail(c.line, c.column, name, "%s differs from %s in line %d of the same group", xmltree.Quote(c.text), xmltree.Quote(g.Attrs[i].Value), g.Attrs[i].Line)
	}
}
