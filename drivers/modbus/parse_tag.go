package modbus

import (
	"math"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// The most that one request can write (Application Protocol, 6.11 and 6.12).
const (
	maxWriteBits      = 1968
	maxWriteRegisters = 123
)

// tagParser reads the tags of one device.
type tagParser struct {
	*deviceParser
	notation Notation
	order    Order
	msb1     bool
	text     TextOrder
	readOnly bool
	factors  []factorOf   // tags whose scale is another tag
	spans    map[Area]int // the most that a tag that is written may cover
	names    *drivers.TagNames
}

// tag reads a tag, and gives the members of one that has bits as further tags behind it.
func (p *tagParser) tag(e *xmltree.Element, d *device) []Tag {
	s := p.report.Settings(e)
	g := len(d.groups) - 1
	t := Tag{Group: g, Order: p.byteOrder(s, p.order), Factor: -1}
	t.Name, t.Description, t.Period = p.names.Read(s), s.String("Description", ""), d.groups[g].period
	addressed := p.address(s, &t)
	p.valueType(s, &t)
	t.Access = p.access(s, &t, addressed)
	p.convert(s, &t)
	p.factor(s, &t, len(d.tags))
	p.output(s, &t)
	if t.Idempotent = s.Bool("Idempotent", false); t.Idempotent && t.Access&drivers.WriteOnly == 0 {
		s.Error("Idempotent", "is only for what can be written")
	}
	members := p.members(s, &t)
	s.Done()
	if addressed {
		p.span(s, &t, d.limits)
	}
	return append([]Tag{t}, members...)
}

// output makes Doubles of a Float if that is wanted, as by clients that know no other number.
func (p *tagParser) output(s *xmltree.Settings, t *Tag) {
	if s.Choice("Output", "Float", "Float", "Double") == "Float" {
		return
	}
	if t.Raw != Float16 && t.Raw != Float32 {
		s.Error("Output", "is only for Float16 and Float32; %s has one type already", t.Raw)
	}
	t.Type = uabinary.TypeDouble
	if !t.Conversion.Linear.Active() {
		t.Conversion.Linear = drivers.Linear{Scale: 1}
	}
}

// members are the bits of a register that have names: Booleans below the Variable of the register.
func (p *tagParser) members(s *xmltree.Settings, t *Tag) []Tag {
	list := s.String("Bits", "")
	if list == "" {
		return nil
	}
	if t.Raw != Bits16 || t.Length > 0 {
		s.Error("Bits", "names the bits of a Bits16; for a single bit make a tag with an address such as %s.0", s.String("Address", "400001"))
		return nil
	}
	low, high := int64(0), int64(15)
	if p.msb1 {
		low, high = 1, 16
	}
	var all []Tag
	for _, bit := range drivers.ParseNames(s, "Bits", list) {
		name := t.Name + "." + bit.Text
		switch {
		case bit.Value < low || bit.Value > high:
			s.Error("Bits", "bit %d is not %d to %d", bit.Value, low, high)
			continue
		case strings.ContainsAny(bit.Text, "./#"):
			s.Error("Bits", "%s must not contain . / or #, which separate the parts of a node's path", xmltree.Quote(bit.Text))
		case p.names.Has(name):
			s.Error("Bits", "%s exists already", xmltree.Quote(bit.Text))
		}
		p.names.Keep(name)
		m := Tag{Address: t.Address, Raw: Bool, Registers: 1, Order: t.Order, Factor: -1, Group: t.Group, Idempotent: t.Idempotent}
		m.Name, m.Type, m.Access, m.Period = name, uabinary.TypeBoolean, t.Access, t.Period
		if m.Address.Bit = int8(bit.Value); p.msb1 {
			m.Address.Bit = int8(16 - bit.Value)
		}
		all = append(all, m)
	}
	return all
}

func (p *deviceParser) byteOrder(s *xmltree.Settings, def Order) Order {
	word := s.String("ByteOrder", "")
	if word == "" {
		return def
	}
	order, ok := orderNames()[word]
	if !ok {
		s.Error("ByteOrder", "%s is not one of ABCD, BADC, CDAB, DCBA, CDABGHEF, EFGHABCD", xmltree.Quote(word))
	}
	return order
}

func (p *tagParser) address(s *xmltree.Settings, t *Tag) bool {
	text := s.Required("Address")
	if text == "" || p.notation == "" {
		return false
	}
	a, err := ParseAddress(text, p.notation, p.msb1)
	if err != nil {
		s.Error("Address", "%s is no address in the notation %s: %v", xmltree.Quote(text), p.notation, err)
		return false
	}
	t.Address = a
	return true
}

// valueType reads Type and Length and sets what the node shows.
func (p *tagParser) valueType(s *xmltree.Settings, t *Tag) {
	t.Raw = UInt16
	if bit := t.Address.Area.bits() || t.Address.Area != 0 && t.Address.Bit != noBit; bit {
		if word := s.String("Type", "Bool"); word != "Bool" {
			s.Error("Type", "%s does not fit: a single bit is a Bool", xmltree.Quote(word))
		}
		t.Raw = Bool
	} else if word := s.Required("Type"); word != "" {
		p.registerType(s, t, word)
	}
	t.Registers = t.Raw.row().registers
	if t.Raw == Bool && !t.Address.Area.bits() {
		t.Registers = 1
	}
	p.sized(s, t)
	t.Type, t.Length = t.Raw.row().node, t.Address.Length
	if t.Length > 0 && (t.Raw.sized() || t.Raw.half() || t.Raw == Bool && !t.Address.Area.bits()) {
		s.Error("Address", "an array of %s in registers is not supported; make one tag for each", t.Raw)
	}
}

func (p *tagParser) registerType(s *xmltree.Settings, t *Tag, word string) {
	raw, ok := typeByName(word)
	switch {
	case !ok:
		s.Error("Type", "%s is not one of %s%s", xmltree.Quote(word), strings.Join(typeNames(), ", "), xmltree.Suggest(word, typeNames()))
	case raw == Bool && t.Address.Area != 0:
		s.Error("Type", "Bool needs a bit of the register, as in %s.0", s.String("Address", ""))
	case raw.half() != (t.Address.Half != 0) && t.Address.Area != 0:
		s.Error("Type", "%s: Int8 and UInt8 go with an address that says which byte, as in 400001H or 400001L, and no other type does", raw)
	default:
		t.Raw = raw
	}
}

// sized reads what only texts and bytes have.
func (p *tagParser) sized(s *xmltree.Settings, t *Tag) {
	switch {
	case t.Raw.sized():
		if s.Required("Length") != "" {
			t.Registers = s.Int("Length", 1, 1, 125)
		}
	case s.Has("Length"):
		s.Error("Length", "is the number of registers of a String or of Bytes; the length of an array goes into the address, as in %s[10]", s.String("Address", "400001"))
	}
	if t.Raw != String {
		return
	}
	t.Encoding = Encoding(s.Choice("Encoding", string(UTF8), string(UTF8), string(ASCII7), string(Latin1), string(UTF16)))
	t.Text = textOrder(s, p.text)
	if t.Encoding == UTF16 && t.Text.single() {
		s.Error("Encoding", "utf16 fills registers; it does not go with StringOrder %s", t.Text)
	}
}

func textOrder(s *xmltree.Settings, def TextOrder) TextOrder {
	return TextOrder(s.Choice("StringOrder", string(def), string(TextAB), string(TextBA), string(TextA0), string(Text0A)))
}

// factorOf is a tag that names another one as its scale; that may come later in the file.
type factorOf struct {
	settings *xmltree.Settings
	tag      int
	name     string
}

func (p *tagParser) factor(s *xmltree.Settings, t *Tag, index int) {
	name := s.String("ScaleFactorTag", "")
	switch {
	case name == "":
		return
	case !t.Raw.number() || len(t.Enum) > 0:
		s.Error("ScaleFactorTag", "is only for numbers")
	case t.Conversion.Linear.Active():
		s.Error("ScaleFactorTag", "stands beside another way to scale; use one")
	}
	t.Type = uabinary.TypeDouble
	p.factors = append(p.factors, factorOf{s, index, name})
}

// resolveFactors finds the tags that others name as their scale.
func (p *tagParser) resolveFactors(d *device) {
	for _, f := range p.factors {
		i := slices.IndexFunc(d.tags, func(t Tag) bool { return t.Name == f.name })
		switch {
		case i < 0:
			f.settings.Error("ScaleFactorTag", "there is no tag %s in this device", xmltree.Quote(f.name))
			continue
		case !d.tags[i].Raw.number() || d.tags[i].Length > 0 || d.tags[i].Factor >= 0 || i == f.tag || d.tags[i].Access&drivers.ReadOnly == 0:
			f.settings.Error("ScaleFactorTag", "%s cannot be a power of ten: that is one number that can be read", xmltree.Quote(f.name))
			continue
		}
		d.tags[f.tag].Factor = i
	}
}

// access is what was asked for, less what area and device allow.
func (p *tagParser) access(s *xmltree.Settings, t *Tag, addressed bool) drivers.Access {
	word := s.Choice("Access", "Read", "Read", "ReadWrite", "Write")
	if word == "Read" {
		return drivers.ReadOnly
	}
	if addressed && !t.Address.Area.writable() {
		s.Error("Access", "%s: %ss can only be read", word, t.Address.Area)
	}
	switch {
	case p.readOnly && word == "Write":
		s.Error("Access", "Write does not go with ReadOnly of the device")
		return drivers.ReadOnly
	case p.readOnly:
		return drivers.ReadOnly
	case word == "Write":
		return drivers.WriteOnly
	}
	return drivers.ReadWrite
}

// convert reads scaling, units and limits.
func (p *tagParser) convert(s *xmltree.Settings, t *Tag) {
	c := &t.Conversion
	*c = p.conversions.Read(s)
	t.Unit, t.Range, t.Enum = c.Unit, c.Range, c.Enum
	number := t.Raw.number()
	if !number && (c.Linear.Active() || c.Range.Valid()) {
		s.Error("Type", "%s has no scale or range", t.Raw)
	}
	if (t.Raw == Bool || t.Raw.sized()) && len(c.NotAvailable) > 0 {
		s.Error("Type", "%s has no NotAvailable pattern", t.Raw)
	}
	if t.Length > 0 && len(c.NotAvailable) > 0 {
		s.Error("NotAvailable", "is not for arrays, which have one status for all elements")
	}
	p.enumeration(s, t)
	if c.Linear.Active() && number {
		t.Type = t.Raw.row().scaled
		if low, high, ok := t.Raw.span(); ok && !t.Range.Valid() { // Part 8 (1.05), 5.3.2.4: an AnalogItem has an EURange
			a, b := c.Linear.EU(low), c.Linear.EU(high)
			t.Range = drivers.Range{Low: min(a, b), High: max(a, b)}
		}
		if t.Raw == Int64 || t.Raw == UInt64 {
			s.Warn("Type", "a scaled %s is a Double, which is exact only up to 2 to the power of 53", t.Raw)
		}
	}
	p.writeLimits(s, t, number)
	p.deadband(s, t, number)
}

// enumeration checks that names of values go with the tag.
func (p *tagParser) enumeration(s *xmltree.Settings, t *Tag) {
	if len(t.Enum) == 0 {
		return
	}
	carrier := t.Raw.row().carrier
	switch low, high := carrier.limits(); {
	case t.Length > 0:
		s.Error("Enum", "is not for arrays")
	case t.Raw == Bool:
		if t.Enum[0].Value != 0 || t.Enum[len(t.Enum)-1].Value != 1 {
			s.Error("Enum", "of a Bool names 0 and 1, as in 0=Off;1=On")
		}
	case !t.Raw.number() || carrier == Float32 || carrier == Float64 || t.Conversion.Linear.Active():
		s.Error("Enum", "is only for whole numbers without a scale")
	case float64(t.Enum[0].Value) < low || float64(t.Enum[len(t.Enum)-1].Value) >= high:
		s.Error("Enum", "has a value that does not fit into %s", t.Raw)
	}
}

func (p *tagParser) writeLimits(s *xmltree.Settings, t *Tag, number bool) {
	if !s.Has("WriteMin") && !s.Has("WriteMax") {
		return
	}
	t.Write = drivers.Range{Low: s.Float("WriteMin", -math.MaxFloat64), High: s.Float("WriteMax", math.MaxFloat64)}
	if !t.Write.Valid() {
		s.Error("WriteMin", "%v is not below WriteMax %v", t.Write.Low, t.Write.High)
	}
	if !number || t.Access&drivers.WriteOnly == 0 {
		s.Error("WriteMin", "is only for numbers that can be written")
	}
}

// deadband is for what is only read: a client that writes wants to read what it has written.
func (p *tagParser) deadband(s *xmltree.Settings, t *Tag, number bool) {
	t.Deadband = s.Float("Deadband", 0)
	switch {
	case !s.Has("Deadband"):
	case !number || t.Address.Length > 0 || t.Access != drivers.ReadOnly:
		s.Error("Deadband", "is only for numbers, not arrays, that are only read")
	case t.Deadband <= 0:
		s.Error("Deadband", "%v must be above 0", t.Deadband)
	}
}

// span refuses what does not fit into the area or into one request.
func (p *tagParser) span(s *xmltree.Settings, t *Tag, lim limits) {
	most, unit := lim.registers, "registers"
	if t.Address.Area.bits() {
		most, unit = lim.bits, "bits"
	}
	switch {
	case t.end() > lastOffset+1:
		s.Error("Address", "%d %s from offset %d run past the last, %d", t.span(), unit, t.first(), lastOffset)
	case t.span() > most:
		s.Error("Address", "%d %s do not fit into one request of at most %d; a value must come in one piece", t.span(), unit, most)
	case t.Access&drivers.WriteOnly != 0 && t.span() > p.spans[t.Address.Area]:
		s.Error("Address", "%d %s do not fit into one write of at most %d", t.span(), unit, p.spans[t.Address.Area])
	}
}
