package commissioning

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/taglist"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Proposal is a tag that registers may be. Only their values speak for it: a person has to look at it.
type Proposal struct {
	Name, Address, Type, Order string
	Length                     int // of a String, in registers
	Writable                   bool
	Value                      string
}

// Kind is type, order and length in words.
func (p *Proposal) Kind() string {
	text := p.Type
	if p.Order != "" {
		text += " " + p.Order
	}
	if p.Length > 0 {
		text += fmt.Sprintf(" (%d registers)", p.Length)
	}
	return text
}

// Propose makes tags of what was found at a unit: texts where letters stand, floating point where two registers make a
// sensible number of it, single registers and bits for the rest.
func (u *Unit) Propose() []Proposal {
	order := u.order()
	var all []Proposal
	for _, f := range u.Areas {
		for _, r := range f.Runs {
			all = append(all, f.propose(r, order)...)
		}
	}
	return all
}

// order is the order of words in which more registers of the unit make sensible numbers.
func (u *Unit) order() string {
	score := map[string]int{}
	for _, f := range u.Areas {
		for _, r := range f.Runs {
			for i := 0; i+1 < len(r.Values) && !bits(f.Area); i++ {
				if n := letters(r.Values[i:]); n > 0 { // text makes sensible numbers by chance
					i += n - 1
					continue
				}
				for _, order := range []string{"ABCD", "CDAB"} {
					if sensible(r.Values[i:], order) {
						score[order]++
					}
				}
			}
		}
	}
	if score["CDAB"] > score["ABCD"] {
		return "CDAB"
	}
	return "ABCD"
}

// Numbers that a device shows are neither very small nor very large.
const (
	leastSensible = 1e-4
	mostSensible  = 1e9
)

// sensible tells whether the first two registers look like a Float32. Two small whole numbers never do: they make a
// number with a tiny exponent.
func sensible(values []uint16, order string) bool {
	high, low := values[0], values[1]
	if order == "CDAB" {
		high, low = low, high
	}
	f := math.Abs(float64(math.Float32frombits(uint32(high)<<16 | uint32(low))))
	return f >= leastSensible && f <= mostSensible
}

// letters is how many registers from the first on hold text, one or two characters each; a text has at least four.
func letters(values []uint16) int {
	n, characters := 0, 0
	for _, v := range values {
		b := [2]byte{byte(v >> 8), byte(v)}
		if !textual(b[0]) || b[1] != 0 && !textual(b[1]) {
			break
		}
		n, characters = n+1, characters+2
		if b[1] == 0 {
			characters--
			break
		}
	}
	if characters < 4 {
		return 0
	}
	return n
}

func textual(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" .-_/+:#()", c) >= 0
}

func (f *Findings) propose(r Run, order string) []Proposal {
	var all []Proposal
	writable := f.Area == modbus.HoldingRegisters || f.Area == modbus.Coils
	for i := 0; i < len(r.Values); {
		p := Proposal{Address: name(f.Area, r.Start+i), Type: "UInt16", Writable: writable}
		n := 1
		switch {
		case bits(f.Area):
			p.Type = "Bool"
		case letters(r.Values[i:]) > 0:
			n = letters(r.Values[i:])
			p.Type, p.Length = "String", n
		case i+1 < len(r.Values) && sensible(r.Values[i:], order):
			n, p.Type = 2, "Float32"
			if order != "ABCD" {
				p.Order = order
			}
		}
		p.Name, p.Value = p.Address, f.valueOf(&p, r, i, n)
		all = append(all, p)
		i += n
	}
	return all
}

func (f *Findings) valueOf(p *Proposal, r Run, i, n int) string {
	if bits(f.Area) {
		return fmt.Sprint(r.Values[i] != 0)
	}
	var wire []byte
	for _, v := range r.Values[i : i+n] {
		wire = binary.BigEndian.AppendUint16(wire, v)
	}
	item := Item{Address: p.Address, Type: p.Type, Order: p.Order, Length: p.Length}
	t, err := item.tag(false)
	if err != nil {
		return "-"
	}
	return Text(t.Decode(wire, 0))
}

// group makes the proposals a Group of edgeua.xml.
func group(all []Proposal) *xmltree.Element {
	g := element("Group", "Name", "Scan", "Period", "1000")
	for _, p := range all {
		tag := element("Tag", "Name", p.Name, "Address", p.Address, "Type", p.Type, "ByteOrder", p.Order, "Description", "was "+p.Value)
		if p.Length > 0 {
			tag.Attrs = append(tag.Attrs, xmltree.Attr{Name: "Length", Value: fmt.Sprint(p.Length)})
		}
		g.Children = append(g.Children, tag)
	}
	return g
}

// WriteCSV writes proposals as the TagFile of a device.
func WriteCSV(w io.Writer, all []Proposal) error {
	r := &xmltree.Report{}
	if err := taglist.WriteCSV(w, r, []*xmltree.Element{group(all)}, taglist.Format{}); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return fmt.Errorf("CSV: %s", r.Problems[0].Message)
	}
	return nil
}

// WriteXML writes an edgeua.xml with a channel and a device for each unit that has registers.
func WriteXML(w io.Writer, channel *xmltree.Element, units []*Unit) error {
	var out bytes.Buffer
	out.WriteString("<EdgeUa>\n  ")
	start(&out, channel)
	out.WriteString("</Channel>\n")
	name, _ := channel.Attr("Name")
	for _, u := range units {
		all := u.Propose()
		if len(all) == 0 {
			continue
		}
		out.WriteString("  ")
		start(&out, element("Device", "Name", fmt.Sprintf("Unit%d", u.ID), "Channel", name, "Unit", fmt.Sprint(u.ID), "Addressing", string(modbus.Protocol0)))
		out.WriteString("\n")
		var tags bytes.Buffer
		if err := taglist.WriteXML(&tags, []*xmltree.Element{group(all)}); err != nil {
			return err
		}
		for line := range strings.Lines(tags.String()) {
			out.WriteString("    " + line)
		}
		out.WriteString("  </Device>\n")
	}
	out.WriteString("</EdgeUa>\n")
	_, err := w.Write(out.Bytes())
	return err
}

// start writes the start tag of an element with its attributes.
func start(out *bytes.Buffer, e *xmltree.Element) {
	out.WriteString("<" + e.Name)
	for _, a := range e.Attrs {
		fmt.Fprintf(out, " %s=\"", a.Name)
		_ = xml.EscapeText(out, []byte(a.Value)) // writing into memory does not fail
		out.WriteString("\"")
	}
	out.WriteString(">")
}
