// Package taglist reads and writes the tags of a device as CSV, for people who keep them in a spreadsheet.
//
// In memory a tag list is what edgeua.xml has inside of a Device: Group elements with Tag elements, whose attributes are
// the columns. [Parse] makes them from CSV (RFC 4180, or with the semicolons and decimal commas of a spreadsheet),
// remembering line and column of every value, so that the driver which reads the tags later points into the CSV file.
// [WriteCSV] and [WriteXML] are the inverse. One table, [Columns], drives reading, writing and the documentation.
//
// Left out: what a value means. An address, a type or a range is judged by the driver of the device.
package taglist

import (
	"slices"
	"strings"
)

// Column is one row of the table of columns.
type Column struct {
	Name    string            // as in the header, and the name of the attribute of Tag or Group
	Aliases []string          // other headers that are accepted
	Meaning string            // for the documentation
	Words   map[string]string // other words for values, in lower case; nil: none

	kind   kind
	always bool // written even if no tag has it
	group  bool // belongs to the Group
}

// kind is what can be told of the values of a column without knowing the device.
type kind uint8

const (
	free   kind = iota
	number      // a decimal fraction; a spreadsheet may write it with a comma
)

// The columns that are more than an attribute of the same name.
const (
	nameColumn    = "Name"
	addressColumn = "Address"
	typeColumn    = "Type"
	groupColumn   = "Group"
	bitColumn     = "Bit"
	accessColumn  = "Access"
	periodColumn  = "Period"
)

// Columns are all columns, in the order in which they are written.
func Columns() []Column {
	fixed := func(name, meaning string, aliases ...string) Column {
		return Column{Name: name, Aliases: aliases, Meaning: meaning, always: true}
	}
	number := func(c Column) Column { c.kind = number; return c }
	group := func(c Column) Column { c.group = true; return c }
	words := func(c Column, words map[string]string) Column { c.Words = words; return c }
	rare := func(name, meaning string) Column { return Column{Name: name, Meaning: meaning} }
	return []Column{
		fixed(nameColumn, "dots make folders; required", "Tag Name", "Tag", "Signal"),
		fixed(addressColumn, "in the notation of the device; required", "Register", "Reg"),
		fixed(bitColumn, "bit of the register, instead of `.3` behind the address"),
		words(fixed(typeColumn, "as in edgeua.xml; required", "Data Type"), typeWords()),
		group(fixed(groupColumn, "name of the group; without it there is one for each period")),
		group(fixed(periodColumn, "of the group, in milliseconds; may be empty for a group that edgeua.xml has", "Scan Rate")),
		words(fixed(accessColumn, "`R`, `RW` or `W`", "Client Access"), accessWords()),
		fixed("ByteOrder", "if not that of the device"),
		fixed("Length", "registers of a text or of bytes"),
		number(fixed("Scale", "with Offset: linear")),
		number(fixed("Offset", "")),
		number(fixed("RawLow", "with the next three: linear, too", "Raw Low")),
		number(fixed("RawHigh", "", "Raw High")),
		number(fixed("EULow", "engineering value of RawLow; with EUHigh the range of the node", "Scaled Low", "EU Low")),
		number(fixed("EUHigh", "engineering value of RawHigh", "Scaled High", "EU High")),
		fixed("Unit", "UNECE code or text", "Eng Units", "Units"),
		fixed("Conversion", "name of one in edgeua.xml"),
		fixed("Enum", "`0=Off;1=On`"),
		fixed("NotAvailable", "raw values that mean none, as in `0x8000,0x7FFF`"),
		number(fixed("Deadband", "changes that are smaller do not count")),
		number(fixed("WriteMin", "least value that may be written")),
		number(fixed("WriteMax", "greatest value that may be written")),
		fixed("Description", "text of the node"),
		group(rare("PollMode", "of the group")),
		group(rare("Phase", "of the group, in milliseconds")),
		rare("Clamp", "values outside of the range become its border"),
		rare("NotAvailableStatus", "status of those values"),
		rare("NaNStatus", "status of what is not a number"),
		rare("RangeStatus", "status of a value outside of the range"),
		rare("EnumStrict", "values without a name are none"),
		rare("ScaleFactorTag", "tag that holds the power of ten"),
		rare("StringOrder", "if not that of the device"),
		rare("Encoding", "of a text"),
		rare("Idempotent", "1: writing twice is as good as once"),
		rare("Bits", "names of the bits of a Bits16, `0=Running;3=Alarm`"),
		rare("Output", "`Double` for a Float16 or Float32 that is shown as one"),
	}
}

// accessWords are the short forms, which are those of a CSV file.
func accessWords() map[string]string {
	return map[string]string{"r": "Read", "ro": "Read", "rw": "ReadWrite", "r/w": "ReadWrite", "w": "Write", "wo": "Write"}
}

// accessShort is what is written for a word of edgeua.xml.
func accessShort() map[string]string {
	return map[string]string{"Read": "R", "ReadWrite": "RW", "Write": "W"}
}

// typeWords are the types of another maker of servers, whose lists people have.
func typeWords() map[string]string {
	return map[string]string{
		"boolean": "Bool", "char": "Int8", "byte": "UInt8", "short": "Int16", "word": "UInt16", "long": "Int32", "dword": "UInt32",
		"llong": "Int64", "qword": "UInt64", "float": "Float32", "double": "Float64", "bcd": "Bcd16", "lbcd": "Bcd32",
	}
}

// The columns of other programs that are taken into account, or are of no importance.
const (
	scalingColumn   = "scaling"    // None or Linear
	clampLowColumn  = "clamp low"  // 0 or 1
	clampHighColumn = "clamp high" // 0 or 1
)

// foreign tells whether a header, in lower case, is one of those.
func foreign(header string) bool {
	return slices.Contains([]string{scalingColumn, clampLowColumn, clampHighColumn}, header)
}

// scaled are the columns that Scaling = None switches off.
func scaled() []string { return []string{"RawLow", "RawHigh", "EULow", "EUHigh"} }

// column finds the index of the column that a header names, -1 if there is none.
func column(all []Column, header string) int {
	return slices.IndexFunc(all, func(c Column) bool {
		return strings.EqualFold(c.Name, header) ||
			slices.ContainsFunc(c.Aliases, func(a string) bool { return strings.EqualFold(a, header) })
	})
}

// index finds columns by their names alone.
func index(all []Column) map[string]int {
	m := make(map[string]int, len(all))
	for i := range all {
		m[all[i].Name] = i
	}
	return m
}

// canonical is the word of edgeua.xml for a value.
func (c *Column) canonical(text string) string {
	if len(c.Words) > 0 {
		if word, ok := c.Words[strings.ToLower(text)]; ok {
			return word
		}
	}
	return text
}
