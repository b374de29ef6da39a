package instrument

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/socket"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Kinds are the rows for plain serial instruments in the table of drivers: on a port, and behind a device server.
func Kinds() []drivers.Kind {
	return []drivers.Kind{{Type: "Serial", Parse: parseLine}, {Type: "SerialTcp", Parse: parseSocket}}
}

// Defaults and bounds that need a name.
const (
	lineTimeout   = 500 * time.Millisecond
	socketTimeout = time.Second
	maxWait       = time.Hour
	streamSilence = 10 * time.Second
	maxRegexp     = 1000 // characters
)

func parseLine(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
	s, c, p := begin(r, e, conversions)
	c.line = serial.Parse(r, s, serial.Config{BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1})
	p.timeout = lineTimeout
	return p.finish(s, c, devices)
}

func parseSocket(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
	s, c, p := begin(r, e, conversions)
	s.Required("TcpPort") // there is no usual one
	c.socket = socket.Parse(r, s, "tcp", 0, 0)
	c.bus.reconnectAfter = s.Int("ReconnectAfterTimeouts", 3, 0, 1000)
	p.timeout = socketTimeout
	return p.finish(s, c, devices)
}

func begin(r *xmltree.Report, e *xmltree.Element, conversions drivers.Conversions) (*xmltree.Settings, *channel, *parser) {
	s := r.Settings(e)
	c := &channel{name: s.Required("Name")}
	s.Required("Type")
	return s, c, &parser{report: r, conversions: conversions}
}

// parser reads the devices of one channel.
type parser struct {
	report      *xmltree.Report
	conversions drivers.Conversions
	timeout     time.Duration // default
	channel     *channel
}

func (p *parser) finish(s *xmltree.Settings, c *channel, devices []*xmltree.Element) drivers.Channel {
	p.channel = c
	c.bus.echo = echoMode(s.Choice("LocalEcho", string(echoAuto), string(echoOff), string(echoOn), string(echoAuto)))
	c.bus.silence = s.Millis("InterFrameDelay", 0, 0, time.Minute)
	c.bus.startup = s.Millis("StartupDelay", 0, 0, time.Minute)
	s.Done()
	for i, e := range devices {
		c.devices = append(c.devices, p.device(withProfile(p.report, e), i == 0))
	}
	if c.line != nil { // without a checksum nothing else finds a damaged character
		c.line.CheckParity = !c.sum.Active()
	}
	if !p.report.HasErrors() {
		c.loads().Warn(p.report, s.Element())
	}
	return c
}

func (p *parser) device(e *xmltree.Element, first bool) device {
	s := p.report.Settings(e)
	d := device{name: drivers.ReadDeviceName(s), description: s.String("Description", "")}
	s.Required("Channel")
	s.String("Profile", "")
	p.framing(s, first)
	d.plate = drivers.ParseIdentity(p.report, s)
	d.disabled = s.Bool("Disabled", false)
	d.Patience = drivers.ReadPatience(s, p.timeout)
	b := &builder{parser: p, device: &d, names: drivers.NewTagNames(), silence: s.Millis("SilenceTimeout", streamSilence, 0, 24*maxWait),
		readOnly: s.Bool("ReadOnly", false)}
	b.build(s)
	s.Done()
	return d
}

// framing reads Frame and Checksum. All devices of a channel share the line, and with it where frames begin and end.
func (p *parser) framing(s *xmltree.Settings, first bool) {
	var spec framing.Spec
	var sum framing.Checksum
	frames := s.Children("Frame")
	for _, e := range frames {
		spec = p.frame(e)
	}
	for _, e := range s.Children("Checksum") {
		sum = p.checksum(e, &spec)
	}
	switch {
	case len(frames) == 0:
		p.report.Error(s.Element(), "Frame is missing; it says how messages are told apart, as in <Frame Kind=\"delimiter\" End=\"\\r\\n\"/>, or stands in a Profile")
	case len(frames) > 1 || len(s.Children("Checksum")) > 1:
		p.report.Error(frames[len(frames)-1], "Frame and Checksum stand once in a device")
	case first:
		p.channel.spec, p.channel.sum = spec, sum
	case !reflect.DeepEqual(p.channel.spec, spec) || !reflect.DeepEqual(p.channel.sum, sum):
		p.report.Error(frames[0], "Frame and Checksum must be the same for all devices on channel %s; give this device a channel of its own", xmltree.Quote(p.channel.name))
	}
}

func (p *parser) frame(e *xmltree.Element) framing.Spec {
	s := p.report.Settings(e)
	var kinds []string
	for _, k := range framing.Kinds() {
		kinds = append(kinds, string(k))
	}
	s.Required("Kind")
	spec := framing.Spec{
		Kind:    framing.Kind(s.Choice("Kind", "", kinds...)),
		Start:   marks(s, "Start"),
		End:     marks(s, "End"),
		Trailer: s.Int("Trailer", 0, 0, 16),
		Keep:    s.Bool("Keep", false),
		Max:     s.Int("Max", framing.DefaultMax, 1, framing.MaxFrame),
		Gap:     s.Millis("Gap", 0, 0, time.Minute),
	}
	p.frameOf(s, &spec)
	s.Done()
	return spec
}

// frameOf reads what belongs to one kind only.
func (p *parser) frameOf(s *xmltree.Settings, spec *framing.Spec) {
	need := func(word string, has bool) {
		if !has {
			s.Error("Kind", "%s needs %s", spec.Kind, word)
		}
	}
	switch spec.Kind {
	case framing.Delimiter:
		need("End", len(spec.End) > 0)
		if len(spec.Start) > 0 {
			s.Error("Start", "does not go with delimiter; use Kind=\"startend\"")
		}
	case framing.StartEnd:
		need("Start", len(spec.Start) > 0)
		need("End", len(spec.End) > 0)
	case framing.Fixed:
		need("Size", s.Has("Size"))
		spec.Size = s.Int("Size", 1, 1, spec.Max)
	case framing.Length:
		spec.Length = framing.LengthField{
			Offset: s.Int("LengthOffset", 0, 0, 255),
			Size:   s.Int("LengthSize", 1, 1, 4),
			Little: s.Choice("LengthOrder", "big", "big", "little") == "little",
			Adjust: s.Int("LengthAdjust", 0, -1000, 1000),
		}
		if spec.Length.Size == 3 {
			s.Error("LengthSize", "3 is not one of 1, 2, 4")
		}
	case framing.Idle:
		need("Gap", spec.Gap > 0)
		if len(spec.Start) > 0 || len(spec.End) > 0 {
			s.Error("Start", "and End do not go with idle, where silence ends a frame")
		}
	}
}

func marks(s *xmltree.Settings, word string) [][]byte {
	if !s.Has(word) {
		return nil
	}
	m, err := framing.Marks(s.String(word, ""))
	if err != nil {
		s.Error(word, "%s: %v", xmltree.Quote(s.String(word, "")), err)
	}
	return m
}

func (p *parser) checksum(e *xmltree.Element, spec *framing.Spec) framing.Checksum {
	s := p.report.Settings(e)
	var kinds, encodings []string
	for _, k := range framing.Sums() {
		kinds = append(kinds, string(k))
	}
	for _, k := range framing.Encodings() {
		encodings = append(encodings, string(k))
	}
	s.Required("Kind")
	covers := s.Choice("Covers", "body", "body", "start", "end", "all")
	c := framing.Checksum{
		Sum:      framing.Sum(s.Choice("Kind", string(framing.None), kinds...)),
		Encoding: framing.Encoding(s.Choice("Encoding", string(framing.Binary), encodings...)),
		After:    unescape(s, "After"),
		Start:    covers == "start" || covers == "all",
		End:      covers == "end" || covers == "all",
		Optional: s.Bool("Optional", false),
	}
	if c.Optional && len(c.After) == 0 {
		s.Error("Optional", "needs After, which tells a message with a checksum from one without")
	}
	if len(c.After) == 0 && spec.Trailer > 0 && c.Width() > spec.Trailer {
		s.Error("Kind", "%s takes %d bytes, and Trailer has %d", c.Sum, c.Width(), spec.Trailer)
	}
	s.Done()
	return c
}

// unescape reads bytes that are written with escapes.
func unescape(s *xmltree.Settings, word string) []byte {
	text := s.String(word, "")
	b, err := framing.Unescape(text)
	if err != nil {
		s.Error(word, "%s: %v", xmltree.Quote(text), err)
	}
	return b
}

// pattern reads a regular expression; nil if there is none.
func pattern(s *xmltree.Settings, word string) *regexp.Regexp {
	text := s.String(word, "")
	if text == "" {
		return nil
	}
	if len(text) > maxRegexp {
		s.Error(word, "has %d characters, more than %d", len(text), maxRegexp)
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		s.Error(word, "%s is no regular expression: %v", xmltree.Quote(text), err)
		return nil
	}
	return re
}

// words reads alternatives that are separated by |.
func words(s *xmltree.Settings, word string) []string {
	text := s.String(word, "")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
