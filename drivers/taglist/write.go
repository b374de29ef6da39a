package taglist

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Format is how a CSV file looks. The zero value is RFC 4180 with commas and without carriage returns.
type Format struct {
	Separator   rune // , or ; or a tab; numbers have a decimal comma where it is the semicolon. 0: the comma
	Spreadsheet bool // a byte order mark and carriage returns, as spreadsheets want them
}

// WriteXML writes groups as they stand in a Device of edgeua.xml.
func WriteXML(w io.Writer, groups []*xmltree.Element) error {
	var out bytes.Buffer
	all := Columns()
	for _, g := range groups {
		out.WriteString("<Group")
		for i := range all {
			if all[i].group {
				writeAttr(&out, groupAttr(&all[i]), g)
			}
		}
		out.WriteString(">\n")
		for _, tag := range g.Children {
			out.WriteString("  <Tag")
			for i := range all {
				if !all[i].group {
					writeAttr(&out, all[i].Name, tag)
				}
			}
			out.WriteString("/>\n")
		}
		out.WriteString("</Group>\n")
	}
	_, err := out.WriteTo(w)
	return err
}

// groupAttr is the name of the attribute of Group for a column.
func groupAttr(c *Column) string {
	if c.Name == groupColumn {
		return nameColumn
	}
	return c.Name
}

func writeAttr(out *bytes.Buffer, name string, e *xmltree.Element) {
	if value := lookup(e, name); value != "" {
		out.WriteString(" " + name + `="`)
		_ = xml.EscapeText(out, []byte(value)) // writing into memory does not fail
		out.WriteByte('"')
	}
}

// lookup finds a value, which may be an attribute or a child element.
func lookup(e *xmltree.Element, name string) string {
	if v, ok := e.Attr(name); ok {
		return strings.TrimSpace(v)
	}
	if c := e.Child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// WriteCSV writes groups as CSV: the usual columns, and the others where a tag has them. What a CSV file cannot hold is
// reported, and then nothing is written.
func WriteCSV(w io.Writer, r *xmltree.Report, groups []*xmltree.Element, f Format) error {
	if f.Separator == 0 {
		f.Separator = ','
	}
	t := writer{report: r, format: f, all: Columns()}
	rows := t.rows(groups)
	if t.failed {
		return errors.New("the list of tags was not written")
	}
	used := make([]bool, len(t.all))
	for i := range t.all {
		used[i] = t.all[i].always || slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" })
	}
	if f.Spreadsheet {
		if _, err := io.WriteString(w, bom); err != nil {
			return err
		}
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = f.Separator, f.Spreadsheet
	for _, row := range append([][]string{columnNames(t.all)}, rows...) {
		n := 0
		for i := range row {
			if used[i] {
				row[n] = row[i]
				n++
			}
		}
		if err := out.Write(row[:n]); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

type writer struct {
	report *xmltree.Report
	format Format
	all    []Column
	failed bool
}

func (t *writer) fail(e *xmltree.Element, format string, args ...any) {
	t.failed = true
	t.report.Error(e, format, args...)
}

// rows are all tags, one row for each, with a field for every column.
func (t *writer) rows(groups []*xmltree.Element) [][]string {
	var rows [][]string
	for _, g := range groups {
		t.unknown(g, true)
		tags := g.All("Tag")
		if len(tags) == 0 {
			t.report.Warn(g, "has no tags and is not in the list")
		}
		if lookup(g, nameColumn) == "" {
			t.fail(g, "Name is missing; it is required")
		}
		for _, tag := range tags {
			t.unknown(tag, false)
			rows = append(rows, t.row(g, tag))
		}
	}
	return rows
}

// unknown reports what has no column and would be lost.
func (t *writer) unknown(e *xmltree.Element, group bool) {
	has := func(name string) bool {
		return name != bitColumn && slices.ContainsFunc(t.all, func(c Column) bool {
			return c.group == group && (c.Name == name && c.Name != groupColumn || c.Name == groupColumn && name == nameColumn)
		})
	}
	for _, a := range e.Attrs {
		if !has(a.Name) {
			t.fail(e, "attribute %s has no column in a list of tags", xmltree.Quote(a.Name))
		}
	}
	for _, c := range e.Children {
		if !has(c.Name) && (!group || c.Name != "Tag") {
			t.fail(c, "has no column in a list of tags")
		}
	}
}

func (t *writer) row(g, tag *xmltree.Element) []string {
	row := make([]string, len(t.all))
	for i := range t.all {
		c := &t.all[i]
		if c.group {
			row[i] = t.value(c, g, groupAttr(c))
		} else {
			row[i] = t.value(c, tag, c.Name)
		}
	}
	address := column(t.all, addressColumn)
	row[address], row[column(t.all, bitColumn)] = splitBit(row[address])
	for _, name := range []string{nameColumn, addressColumn} {
		if row[column(t.all, name)] == "" {
			t.fail(tag, "%s is missing; it is required", name)
		}
	}
	if strings.HasPrefix(row[column(t.all, nameColumn)], "#") {
		t.fail(tag, "Name must not begin with #, which begins a comment in a list of tags")
	}
	return row
}

// splitBit takes the bit off an address: a spreadsheet would take both for a number, and 400120.10 for 400120.1.
func splitBit(address string) (base, bit string) {
	if base, bit, found := strings.Cut(address, "."); found && base != "" && digits(bit) {
		return base, bit
	}
	return address, ""
}

// value is the text of an attribute as it stands in a cell.
func (t *writer) value(c *Column, e *xmltree.Element, name string) string {
	text := lookup(e, name)
	switch {
	case text == "":
		return ""
	case unprintable(text) != "":
		t.fail(e, "%s %s %s", name, xmltree.Quote(text), unprintable(text))
	case c.canonical(text) != text:
		t.fail(e, "%s %s is not a word of this file; it is %s", name, xmltree.Quote(text), c.canonical(text))
	case c.kind == number && !isNumber(text):
		t.fail(e, "%s %s is not a number, such as 0.1 or -50", name, xmltree.Quote(text))
	case c.kind == number && t.format.Separator == ';':
		return strings.Replace(text, ".", ",", 1)
	case c.Name == accessColumn:
		if short, ok := accessShort()[text]; ok {
			return short
		}
	}
	return text
}
