package instrument

import (
	"slices"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// builder reads what one device says and does.
type builder struct {
	*parser
	device   *device
	names    *drivers.TagNames
	methods  []string
	silence  time.Duration // default of messages
	readOnly bool
}

func (b *builder) build(s *xmltree.Settings) {
	for _, e := range s.Children("Message") {
		b.message(e)
	}
	for _, e := range s.Children("Poll") {
		b.poll(e)
	}
	for _, e := range s.Children("Command") {
		b.command(e)
	}
	for _, e := range s.Children("Init") {
		i := b.report.Settings(e)
		b.device.inits = append(b.device.inits, b.exchange(i, ""))
		i.Done()
	}
	for _, e := range s.Children("KeepAlive") {
		b.keepAlive(e)
	}
	if len(b.device.tags) == 0 {
		b.report.Warn(s.Element(), "device %s has no tags; they are Field elements in a Message or a Poll", xmltree.Quote(b.device.name))
	}
}

// exchange reads what is sent and what answers it.
func (b *builder) exchange(s *xmltree.Settings, value valueType) exchange {
	text := s.Required("Send")
	t, err := parseTemplate(text, value)
	switch {
	case err != nil:
		s.Error("Send", "%s %v", xmltree.Quote(text), err)
	case t.has(func(p part) bool { return p.checksum }) && !b.channel.sum.Active():
		s.Error("Send", "%s has {checksum}, but the device has no Checksum", xmltree.Quote(text))
	}
	x := exchange{
		send: t, ack: pattern(s, "Ack"), nak: pattern(s, "Nak"), ackBytes: unescape(s, "AckBytes"), nakBytes: unescape(s, "NakBytes"),
		nakStatus: drivers.ParseStatus(s, "NakStatus", drivers.NegativeAcknowledge.Status()),
		timeout:   s.Millis("Timeout", b.device.Timeout, time.Millisecond, time.Minute),
	}
	return x
}

func (b *builder) keepAlive(e *xmltree.Element) {
	s := b.report.Settings(e)
	s.Required("Period")
	k := poll{exchange: b.exchange(s, ""), name: "KeepAlive", period: s.Millis("Period", time.Minute, 100*time.Millisecond, 24*maxWait)}
	b.device.keepAlives = append(b.device.keepAlives, k)
	s.Done()
}

func (b *builder) poll(e *xmltree.Element) {
	s := b.report.Settings(e)
	p := poll{name: s.Required("Name"), exchange: b.exchange(s, "")}
	p.period = s.Millis("Period", time.Second, 0, 24*maxWait)
	if p.period > 0 && p.period < 10*time.Millisecond {
		s.Error("Period", "%d is less than 10 ms; 0 sends once on each connection", p.period.Milliseconds())
	}
	p.retries = s.Int("Retries", b.device.Retries, 0, 10)
	if slices.ContainsFunc(b.device.polls, func(o poll) bool { return o.name == p.name }) {
		s.Error("Name", "poll %s exists already in this device", xmltree.Quote(p.name))
	}
	own := len(s.Children("Field")) > 0
	expected := strings.Fields(s.String("Expect", ""))
	switch {
	case own && len(expected) > 0:
		s.Error("Expect", "stands beside Field; a poll with fields is its own message")
	case own:
		p.expect = []int{b.fields(s, p.name, p.period, true)}
	default:
		p.expect = b.expect(s, expected, p.period)
	}
	disabled := s.Bool("Disabled", false)
	s.Done()
	if !disabled {
		b.device.polls = append(b.device.polls, p)
	}
}

// expect finds the messages that answer a poll: those that are named, or all that are no events.
func (b *builder) expect(s *xmltree.Settings, names []string, period time.Duration) []int {
	var found []int
	for i := range b.device.messages {
		m := &b.device.messages[i]
		if slices.Contains(names, m.name) || len(names) == 0 && m.sequence < 0 {
			found = append(found, i)
			m.polled = true
			b.period(m, period)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(b.device.messages, func(m message) bool { return m.name == name }) {
			s.Error("Expect", "there is no message %s in this device", xmltree.Quote(name))
		}
	}
	if len(found) == 0 && len(names) == 0 {
		s.Error("Expect", "is missing, and there is no message that could be the reply; name one, put Field elements into the Poll, or use KeepAlive for what is not answered")
	}
	return found
}

// period tells clients how often the values of a message come.
func (b *builder) period(m *message, period time.Duration) {
	for i := range m.fields {
		b.device.tags[m.fields[i].tag].Period = period
	}
}

func (b *builder) message(e *xmltree.Element) {
	s := b.report.Settings(e)
	name := s.Required("Name")
	if s.Bool("Disabled", false) {
		return
	}
	if slices.ContainsFunc(b.device.messages, func(m message) bool { return m.name == name }) {
		s.Error("Name", "message %s exists already in this device", xmltree.Quote(name))
	}
	i := b.fields(s, name, 0, false)
	m := &b.device.messages[i]
	if m.silence = s.Millis("SilenceTimeout", b.silence, 0, 24*maxWait); m.sequence >= 0 && !s.Has("SilenceTimeout") {
		m.silence = 0 // nobody knows when the next event comes
	}
	s.Done()
}

// fields reads a message with its fields, from a Message or a Poll, and returns its index.
func (b *builder) fields(s *xmltree.Settings, name string, period time.Duration, polled bool) int {
	m := message{name: name, match: pattern(s, "Match"), prefix: unescape(s, "Prefix"), length: s.Int("Length", 0, 0, 64<<10),
		sequence: -1, eventMoment: -1, polled: polled}
	m.format = b.format(s)
	if text := s.String("Where", ""); text != "" {
		m.where = b.condition(s, &m, "Where", text)
	}
	names := map[string]int{}
	for _, e := range s.Children("Field") {
		if f, fieldName, ok := b.field(e, &m, period); ok {
			if _, twice := names[fieldName]; twice {
				b.report.Error(e, "field %s stands twice in this message", xmltree.Quote(fieldName))
			}
			names[fieldName] = len(m.fields)
			m.fields = append(m.fields, f)
		}
	}
	for _, e := range s.Children("Status") {
		b.rule(e, &m, names)
	}
	b.stamp(s, &m)
	if s.Bool("Event", false) {
		m.sequence = b.tag(s, drivers.Tag{Name: name + ".Sequence", Type: uabinary.TypeUint64, Access: drivers.ReadOnly,
			Description: "counts the messages, so that two of the same content are two events"})
		m.eventMoment = b.tag(s, drivers.Tag{Name: name + ".Time", Type: uabinary.TypeDateTime, Access: drivers.ReadOnly,
			Description: "when the last message came"})
	}
	b.device.messages = append(b.device.messages, m)
	return len(b.device.messages) - 1
}

func (b *builder) format(s *xmltree.Settings) format {
	f := format{layout: layout(s.Choice("Format", string(layoutRegexp), layouts()...)), assign: "="}
	switch f.layout {
	case layoutColumns, layoutKeyValue:
		f.separator = ","
		if s.Has("Separator") {
			f.separator = string(unescape(s, "Separator"))
		}
		if f.separator == "blanks" {
			f.separator = ""
		}
	}
	switch f.layout {
	case layoutKeyValue:
		if f.assign = string(unescapeOr(s, "Assign", "=")); f.assign == "" {
			s.Error("Assign", "is empty; it stands between key and value")
		}
	case layoutColumns:
		quote := unescapeOr(s, "Quote", "")
		if len(quote) > 1 {
			s.Error("Quote", "%s is more than one character", xmltree.Quote(string(quote)))
		}
		if len(quote) > 0 && f.separator != "" {
			f.quote = quote[0]
		}
	}
	return f
}

func unescapeOr(s *xmltree.Settings, word, def string) []byte {
	if !s.Has(word) {
		return []byte(def)
	}
	return unescape(s, word)
}

// condition reads a place and the words that stand there, as in st=OL or 1=GGA|GNS.
func (b *builder) condition(s *xmltree.Settings, m *message, word, text string) *condition {
	place, list, found := strings.Cut(text, "=")
	if !found || place == "" {
		s.Error(word, "%s is not a place and a word, as in st=OL", xmltree.Quote(text))
		return &condition{}
	}
	from, err := m.parseSource(strings.TrimSpace(place))
	if err != nil {
		s.Error(word, "%s %v", xmltree.Quote(place), err)
	}
	c := &condition{from: from, words: strings.Split(list, "|")}
	for i := range c.words {
		c.words[i] = strings.TrimSpace(c.words[i])
	}
	return c
}

func (b *builder) source(s *xmltree.Settings, m *message, word string) *source {
	text := s.String(word, "")
	if text == "" {
		return nil
	}
	from, err := m.parseSource(text)
	if err != nil {
		s.Error(word, "%s %v", xmltree.Quote(text), err)
	}
	return &from
}

// rule reads a Status element: the status of some or all fields when something stands at a place.
func (b *builder) rule(e *xmltree.Element, m *message, names map[string]int) {
	s := b.report.Settings(e)
	rule := statusRule{code: drivers.ParseStatus(s, "Code", 0)}
	s.Required("Code")
	if text := s.Required("When"); text != "" {
		rule.when = *b.condition(s, m, "When", text)
	}
	if name := s.String("Field", ""); name != "" {
		i, known := names[name]
		if !known {
			s.Error("Field", "there is no field %s in this message", xmltree.Quote(name))
		}
		rule.fields = []int{i}
	} else {
		for i := range m.fields {
			rule.fields = append(rule.fields, i)
		}
	}
	s.Done()
	m.rules = append(m.rules, rule)
}

// stamp reads where the SourceTimestamp comes from.
func (b *builder) stamp(s *xmltree.Settings, m *message) {
	m.stamp.last = s.Choice("Arrival", "first", "first", "last") == "last"
	for i, e := range s.Children("Time") {
		if i > 0 {
			b.report.Error(e, "stands twice")
		}
		t := b.report.Settings(e)
		for place := range strings.FieldsSeq(t.Required("From")) {
			from, err := m.parseSource(place)
			if err != nil {
				t.Error("From", "%s %v", xmltree.Quote(place), err)
			}
			m.stamp.from = append(m.stamp.from, from)
		}
		t.Required("Layout")
		m.stamp.moments = b.moments(t)
		m.stamp.limit = t.Millis("Limit", 0, 0, 24*maxWait)
		t.Done()
	}
}

func (b *builder) moments(s *xmltree.Settings) moments {
	layout, zone := s.String("Layout", ""), s.String("Zone", "UTC")
	m, ok := parseMoments(layout, zone)
	if !ok && layout != "" {
		s.Error("Layout", "%s with Zone %s is no layout of a time, such as yyyy-MM-dd HH:mm:ss, unix or unixms, with a zone such as UTC, Local or Europe/Berlin",
			xmltree.Quote(layout), xmltree.Quote(zone))
	}
	return m
}

// tag adds a tag with a new name.
func (b *builder) tag(s *xmltree.Settings, t drivers.Tag) int {
	b.names.Add(s, t.Name)
	b.device.tags = append(b.device.tags, t)
	return len(b.device.tags) - 1
}

// field reads a Field. A tag may be fed by fields of several messages, if they agree on what it is.
func (b *builder) field(e *xmltree.Element, m *message, period time.Duration) (f field, name string, ok bool) {
	s := b.report.Settings(e)
	name = s.Required("Name")
	if s.Bool("Disabled", false) {
		return f, name, false
	}
	f = field{bit: -1, base: 10, raw: b.valueType(s)}
	b.place(s, m, &f)
	b.reading(s, m, &f)
	b.convert(s, &f.conversion, f.raw)
	if f.raw == DateTime {
		s.Required("Layout")
		f.moment = b.moments(s)
	}
	t := drivers.Tag{Name: name, Description: s.String("Description", ""), Type: f.raw.row().node, Access: drivers.ReadOnly, Period: period,
		Unit: f.conversion.Unit, Range: f.conversion.Range, Enum: f.conversion.Enum}
	if f.conversion.Linear.Active() {
		t.Type = f.raw.row().scaled
	}
	f.tag = b.shared(s, t)
	s.Done()
	return f, name, true
}

// shared finds the tag of that name that another message feeds, or adds one.
func (b *builder) shared(s *xmltree.Settings, t drivers.Tag) int {
	i := slices.IndexFunc(b.device.tags, func(o drivers.Tag) bool { return o.Name == t.Name })
	if i < 0 {
		return b.tag(s, t)
	}
	if o := &b.device.tags[i]; o.Type != t.Type || o.Unit != t.Unit || o.Range != t.Range {
		s.Error("Name", "tag %s has another Type, Unit or range in another message", xmltree.Quote(t.Name))
	}
	return i
}

func (b *builder) valueType(s *xmltree.Settings) valueType {
	word := s.Required("Type")
	if word != "" && !slices.Contains(typeNames(), word) {
		s.Error("Type", "%s is not one of %s%s", xmltree.Quote(word), strings.Join(typeNames(), ", "), xmltree.Suggest(word, typeNames()))
	}
	return valueType(word)
}

// place reads where the value stands.
func (b *builder) place(s *xmltree.Settings, m *message, f *field) {
	if from := b.source(s, m, "From"); from != nil {
		f.from = *from
	}
	f.from.find = pattern(s, "Find")
	binary := f.from.kind == layoutBinary
	switch {
	case f.from.find != nil && s.Has("From"):
		s.Error("Find", "stands beside From; use one way to say where the value is")
	case f.from.find != nil && f.from.find.NumSubexp() == 0:
		s.Error("Find", "%s has no group (...), which would be the value", xmltree.Quote(s.String("Find", "")))
	case m.format.layout == layoutBinary && f.from.find == nil && !s.Has("From"):
		s.Error("From", "is missing; it is the place of the first byte, counted from 0")
	}
	if size := f.raw.row().size; f.from.size < 0 && (binary || f.from.kind == layoutFixed) {
		if f.from.size = size; !binary || size == 0 {
			s.Error("From", "%s does not say how long the value is, as in %d+4", xmltree.Quote(s.String("From", "")), f.from.at)
		}
	}
	if f.raw == BCD && !binary {
		s.Error("Type", "Bcd is for the binary format")
	}
	f.required = s.Bool("Required", m.format.layout == layoutColumns || m.format.layout == layoutFixed || binary)
	if binary {
		f.little = s.Choice("ByteOrder", "big", "big", "little") == "little"
		if f.raw == Bool && s.Has("Bit") {
			f.bit = s.Int("Bit", 0, 0, 7)
		}
	}
}

// reading reads how the value is written.
func (b *builder) reading(s *xmltree.Settings, m *message, f *field) {
	switch {
	case f.raw == Bool && f.from.kind != layoutBinary:
		f.on, f.off = words(s, "True"), words(s, "False")
		if f.on == nil && f.off == nil {
			f.on, f.off = []string{"1", "true", "TRUE", "True", "on", "ON", "yes"}, []string{"0", "false", "FALSE", "False", "off", "OFF", "no"}
		}
	case f.raw == String:
		f.keepBlanks = !s.Bool("Trim", true)
		f.latin1 = s.Choice("Encoding", "utf8", "utf8", "latin1") == "latin1"
	case f.raw.number() && f.from.kind != layoutBinary:
		f.comma = s.Bool("DecimalComma", false)
		f.sign = b.source(s, m, "Sign")
		if f.raw.integer() {
			f.base = map[string]int{"10": 10, "16": 16}[s.Choice("Base", "10", "10", "16")]
		} else {
			f.angle = s.Choice("Angle", "degrees", "degrees", "degreesminutes") == "degreesminutes"
			f.hemisphere = b.source(s, m, "Hemisphere")
		}
	}
	if f.hemisphere != nil && !f.angle {
		s.Error("Hemisphere", "goes with Angle=\"degreesminutes\"")
	}
	f.missing = words(s, "NotAvailableText")
	if text := s.String("ExpectUnit", ""); text != "" {
		f.unit = b.condition(s, m, "ExpectUnit", text)
	}
}

// convert reads scale, range, unit and names of values.
func (b *builder) convert(s *xmltree.Settings, c *drivers.Conversion, raw valueType) {
	*c = b.conversions.Read(s)
	switch {
	case raw == "":
	case !raw.number() && (c.Linear.Active() || c.Range.Valid() || len(c.NotAvailable) > 0):
		s.Error("Type", "%s has no scale, range or NotAvailable", raw)
	case raw != Bool && !raw.integer() && len(c.Enum) > 0, raw.integer() && c.Linear.Active() && len(c.Enum) > 0:
		s.Error("Enum", "is only for whole numbers without a scale, and for Bool")
	case raw == Bool && len(c.Enum) > 0 && (c.Enum[0].Value != 0 || c.Enum[len(c.Enum)-1].Value != 1):
		s.Error("Enum", "of a Bool names 0 and 1, as in 0=Off;1=On")
	case (raw == Float32 || raw == Float64) && len(c.NotAvailable) > 0:
		s.Error("NotAvailable", "is for whole numbers; use NotAvailableText")
	}
}

// command reads a Command: with a Type it is a Variable to write, else a Method.
func (b *builder) command(e *xmltree.Element) {
	s := b.report.Settings(e)
	c := command{name: s.Required("Name"), description: s.String("Description", ""), tag: -1}
	if s.Has("Type") {
		c.value.raw = b.valueType(s)
		b.outgoing(s, &c)
	}
	c.exchange = b.exchange(s, c.value.raw)
	c.retries = s.Int("Retries", 0, 0, 10) // a repeated command may act twice
	switch {
	case c.value.raw != "" && !c.send.has(func(p part) bool { return p.value }):
		s.Error("Send", "%s has no {value}, although the command has a Type", xmltree.Quote(s.String("Send", "")))
	case c.value.raw != "":
		c.tag = b.writable(s, &c)
	case strings.ContainsAny(c.name, "./#") || slices.Contains(b.methods, c.name) || c.name == "Diagnostics":
		s.Error("Name", "%s must be unique, without . / or #, to be the name of a Method", xmltree.Quote(c.name))
	default:
		b.methods = append(b.methods, c.name)
		b.names.Add(s, c.name)
	}
	disabled := s.Bool("Disabled", false)
	s.Done()
	if !disabled && !b.readOnly {
		b.device.commands = append(b.device.commands, c)
	}
}

// outgoing reads how the value of a command is written.
func (b *builder) outgoing(s *xmltree.Settings, c *command) {
	o := &c.value
	if o.raw == Bytes || o.raw == DateTime || o.raw == BCD {
		s.Error("Type", "%s cannot be written", o.raw)
	}
	o.comma = s.Bool("DecimalComma", false)
	if o.raw == Bool {
		o.on, o.off = string(unescapeOr(s, "True", "1")), string(unescapeOr(s, "False", "0"))
	}
	b.convert(s, &o.conversion, o.raw)
	if s.Has("WriteMin") || s.Has("WriteMax") {
		o.limits = drivers.Range{Low: s.Float("WriteMin", -1e300), High: s.Float("WriteMax", 1e300)}
		if !o.limits.Valid() {
			s.Error("WriteMin", "%v is not below WriteMax %v", o.limits.Low, o.limits.High)
		}
		if !o.raw.number() {
			s.Error("WriteMin", "is only for numbers")
		}
	}
}

// writable is the tag that a command writes: one that a field feeds and that can then be read as well, or a new one.
func (b *builder) writable(s *xmltree.Settings, c *command) int {
	t := drivers.Tag{Name: c.name, Description: c.description, Type: c.value.raw.row().node, Access: drivers.WriteOnly,
		Unit: c.value.conversion.Unit, Range: c.value.conversion.Range, Enum: c.value.conversion.Enum}
	if c.value.conversion.Linear.Active() {
		t.Type = c.value.raw.row().scaled
	}
	i := slices.IndexFunc(b.device.tags, func(o drivers.Tag) bool { return o.Name == c.name })
	switch {
	case i < 0 && b.readOnly:
		return -1
	case i < 0:
		return b.tag(s, t)
	case b.device.tags[i].Type != t.Type:
		s.Error("Type", "%s makes another type than the field %s has", c.value.raw, xmltree.Quote(c.name))
	case b.device.tags[i].Access&drivers.WriteOnly != 0:
		s.Error("Name", "command %s exists already in this device", xmltree.Quote(c.name))
	}
	if !b.readOnly {
		b.device.tags[i].Access |= drivers.WriteOnly
	}
	return i
}

// overridden is the status that the rules of a message give to one of its fields; Good if they give none.
func (m *message) overridden(field int, v *view) ua.StatusCode {
	for i := range m.rules {
		if r := &m.rules[i]; slices.Contains(r.fields, field) && r.when.is(v) {
			return r.code
		}
	}
	return ua.StatusOK
}
