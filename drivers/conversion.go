package drivers

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// Linear turns a raw number into engineering units: EU = raw * scale + offset. The zero value leaves numbers as they are.
type Linear struct{ Scale, Offset float64 }

// Active tells whether there is anything to convert.
func (l Linear) Active() bool { return l.Scale != 0 }

// inverse is 1/Scale if that is a whole number, else 0. A scale such as 0.1 is applied as a division by 10, which gives
// 21.7 for 217 and not 21.700000000000003.
func (l Linear) inverse() float64 {
	n := math.Round(1 / l.Scale)
	if math.Abs(n) > 1 && math.Abs(n*l.Scale-1) < 1e-12 {
		return n
	}
	return 0
}

// EU converts a raw number.
func (l Linear) EU(raw float64) float64 {
	if n := l.inverse(); n != 0 {
		return (raw + l.Offset*n) / n
	}
	return raw*l.Scale + l.Offset
}

// Raw converts back, without rounding.
func (l Linear) Raw(eu float64) float64 {
	if n := l.inverse(); n != 0 {
		return eu*n - l.Offset*n
	}
	return (eu - l.Offset) / l.Scale
}

// Conversion is how a raw value becomes the value of a tag.
type Conversion struct {
	Linear             Linear
	Range              Range         // EURange; zero: none
	Unit               string        // UNECE code or plain text
	Clamp              bool          // values outside of Range are set to its border
	NotAvailable       []uint64      // raw patterns that mean "no value"
	NotAvailableStatus ua.StatusCode // status for those
	NaNStatus          ua.StatusCode // of a float that is infinite or not a number; Good passes it on
	RangeStatus        ua.StatusCode // of a value read outside of Range; Good passes it on
	Enum               []EnumValue   // names of the values, in ascending order
	EnumStrict         bool          // a value read that has no name is none
}

// Conversions are the named ones of a file.
type Conversions map[string]Conversion

// ParseConversions reads the Conversions elements of a file.
func ParseConversions(r *xmltree.Report, lists []*xmltree.Element) Conversions {
	all := Conversions{}
	for _, list := range lists {
		s := r.Settings(list)
		for _, e := range s.Children("Conversion") {
			parseNamed(r, e, all)
		}
		s.Done()
	}
	return all
}

func parseNamed(r *xmltree.Report, e *xmltree.Element, all Conversions) {
	s := r.Settings(e)
	name := s.Required("Name")
	c := Conversion{}
	c.Parse(s)
	s.Done()
	if _, twice := all[name]; twice {
		s.Error("Name", "conversion %s exists already; names must be unique", xmltree.Quote(name))
	}
	all[name] = c
}

// Read reads the conversion of a tag: the one that the setting Conversion names, if it does, refined by the words of s.
func (all Conversions) Read(s *xmltree.Settings) Conversion {
	var c Conversion
	if name := s.String("Conversion", ""); name != "" {
		named, ok := all[name]
		if !ok {
			s.Error("Conversion", "there is no conversion %s in Conversions%s", xmltree.Quote(name),
				xmltree.Suggest(name, slices.Sorted(maps.Keys(all))))
		}
		c = named
	}
	c.Parse(s)
	return c
}

// Parse reads the words of a conversion from s over what c already holds, so that a tag refines a named conversion.
func (c *Conversion) Parse(s *xmltree.Settings) {
	c.Unit = s.String("Unit", c.Unit)
	c.Clamp = s.Bool("Clamp", c.Clamp)
	c.parseRange(s)
	c.parseLinear(s)
	c.parseNotAvailable(s)
	c.parseEnum(s)
	c.NaNStatus = ParseStatus(s, "NaNStatus", c.NaNStatus)
	c.RangeStatus = ParseStatus(s, "RangeStatus", c.RangeStatus)
	if c.RangeStatus != ua.StatusOK && !c.Range.Valid() {
		s.Error("RangeStatus", "needs EULow and EUHigh, the range that it is about")
	}
	if c.Clamp && !c.Range.Valid() {
		s.Error("Clamp", "needs EULow and EUHigh to clamp to")
	}
}

func (c *Conversion) parseRange(s *xmltree.Settings) {
	if !both(s, "EULow", "EUHigh") {
		return
	}
	c.Range = Range{s.Float("EULow", 0), s.Float("EUHigh", 0)}
	if !c.Range.Valid() {
		s.Error("EULow", "%v is not below EUHigh %v", c.Range.Low, c.Range.High)
	}
}

// parseLinear reads Scale and Offset, or the four corners RawLow, RawHigh, EULow and EUHigh.
func (c *Conversion) parseLinear(s *xmltree.Settings) {
	direct := s.Has("Scale") || s.Has("Offset")
	corners := both(s, "RawLow", "RawHigh")
	switch {
	case direct && corners:
		s.Error("Scale", "stands beside RawLow and RawHigh; use one way to scale")
	case direct:
		if c.Linear = (Linear{s.Float("Scale", 1), s.Float("Offset", 0)}); c.Linear.Scale == 0 {
			s.Error("Scale", "0 would lose every value")
		}
	case corners:
		c.parseCorners(s)
	}
}

func (c *Conversion) parseCorners(s *xmltree.Settings) {
	low, high := s.Float("RawLow", 0), s.Float("RawHigh", 0)
	switch {
	case !c.Range.Valid():
		s.Error("RawLow", "needs EULow and EUHigh, the engineering values of RawLow and RawHigh")
	case low == high:
		s.Error("RawLow", "is equal to RawHigh; a range is needed to scale")
	default:
		scale := (c.Range.High - c.Range.Low) / (high - low)
		c.Linear = Linear{scale, c.Range.Low - low*scale}
	}
}

// parseNotAvailable reads raw patterns as they stand in a manual: 0x8000,0x7FFF.
func (c *Conversion) parseNotAvailable(s *xmltree.Settings) {
	if list := s.String("NotAvailable", ""); list != "" {
		c.NotAvailable = nil
		for word := range strings.SplitSeq(list, ",") {
			pattern, err := strconv.ParseUint(strings.TrimSpace(word), 0, 64)
			if err != nil {
				s.Error("NotAvailable", "%s is not a raw value such as 0x8000", xmltree.Quote(word))
			}
			c.NotAvailable = append(c.NotAvailable, pattern)
		}
	}
	if c.NotAvailableStatus == 0 {
		c.NotAvailableStatus = ua.StatusBadSensorFailure
	}
	c.NotAvailableStatus = ParseStatus(s, "NotAvailableStatus", c.NotAvailableStatus)
}

// parseEnum reads names of values: 0=Off;1=Manual;2=Automatic.
func (c *Conversion) parseEnum(s *xmltree.Settings) {
	c.EnumStrict = s.Bool("EnumStrict", c.EnumStrict)
	list := s.String("Enum", "")
	if list == "" {
		if c.EnumStrict && len(c.Enum) == 0 {
			s.Error("EnumStrict", "needs Enum, the values that are allowed")
		}
		return
	}
	c.Enum = ParseNames(s, "Enum", list)
}

// ParseNames reads numbers with their names, 0=Off;1=On, which are the setting that word names. They come in ascending
// order.
func ParseNames(s *xmltree.Settings, word, list string) []EnumValue {
	var all []EnumValue
	for part := range strings.SplitSeq(list, ";") {
		digits, text, found := strings.Cut(part, "=")
		value, err := strconv.ParseInt(strings.TrimSpace(digits), 0, 64)
		text = strings.TrimSpace(text)
		if !found || err != nil || text == "" {
			s.Error(word, "%s is not a value and its name, as in 0=Off;1=On", xmltree.Quote(part))
			continue
		}
		if slices.ContainsFunc(all, func(e EnumValue) bool { return e.Value == value || e.Text == text }) {
			s.Error(word, "%s: value and name must be unique", xmltree.Quote(part))
		}
		all = append(all, EnumValue{value, text})
	}
	slices.SortFunc(all, func(a, b EnumValue) int { return cmp.Compare(a.Value, b.Value) })
	return all
}

// ParseStatus reads a Bad or Uncertain StatusCode by its name in the standard; def is what holds if none is given.
func ParseStatus(s *xmltree.Settings, word string, def ua.StatusCode) ua.StatusCode {
	name := s.String(word, "")
	if name == "" {
		return def
	}
	for code, desc := range ua.StatusCodes {
		if desc.Name == "Status"+name && !isGood(code) {
			return code
		}
	}
	s.Error(word, "%s is not a Bad or Uncertain status code such as BadSensorFailure", xmltree.Quote(name))
	return ua.StatusBadSensorFailure
}

// both tells whether two settings are there, and reports one without the other.
func both(s *xmltree.Settings, a, b string) bool {
	hasA, hasB := s.Has(a), s.Has(b)
	if hasA != hasB {
		s.Error(a, "%s and %s belong together; one is missing", a, b)
	}
	return hasA && hasB
}
