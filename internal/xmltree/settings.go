package xmltree

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings reads one element strictly. A value may be an attribute or a child element of that name; a value that does
// not parse is reported and the default returned, so that a run finds every fault. Call Done when everything was asked for.
type Settings struct {
	report  *Report
	element *Element
	scalars map[string]bool // asked for as one value
	lists   map[string]bool // asked for as children
}

// Settings starts the strict reading of e.
func (r *Report) Settings(e *Element) *Settings {
	return &Settings{report: r, element: e, scalars: map[string]bool{}, lists: map[string]bool{}}
}

// Element returns the element being read.
func (s *Settings) Element() *Element { return s.element }

// lookup finds the text of a value; attributes come before children.
func (s *Settings) lookup(name string) (string, bool) {
	s.scalars[name] = true
	if v, ok := s.element.Attr(name); ok {
		return strings.TrimSpace(v), true
	}
	if c := s.element.Child(name); c != nil {
		return strings.TrimSpace(c.Text), true
	}
	return "", false
}

// Has tells whether the value is there, even if empty.
func (s *Settings) Has(name string) bool {
	_, ok := s.lookup(name)
	return ok
}

// Pos returns the element a message about the value should point to.
func (s *Settings) Pos(name string) *Element {
	if _, ok := s.element.Attr(name); ok {
		return s.element
	}
	if c := s.element.Child(name); c != nil {
		return c
	}
	return s.element
}

// Error reports a fault of the value of that name.
func (s *Settings) Error(name, format string, args ...any) {
	s.tell(name, Error, format, args...)
}

// Warn reports something about the value of that name.
func (s *Settings) Warn(name, format string, args ...any) {
	s.tell(name, Warning, format, args...)
}

func (s *Settings) tell(name string, severity Severity, format string, args ...any) {
	if e := s.Pos(name); e != s.element {
		s.report.at(e, "", severity, format, args...)
		return
	}
	s.report.at(s.element, name, severity, format, args...)
}

// String returns the trimmed text, or def if the value is absent.
func (s *Settings) String(name, def string) string {
	if v, ok := s.lookup(name); ok {
		return v
	}
	return def
}

// Required returns the trimmed text and reports a value that is absent or empty.
func (s *Settings) Required(name string) string {
	v, ok := s.lookup(name)
	switch {
	case !ok:
		s.report.Error(s.element, "%s is missing; it is required", name)
	case v == "":
		s.Error(name, "is empty; it is required")
	}
	return v
}

// Int returns a decimal whole number between min and max.
func (s *Settings) Int(name string, def, min, max int) int {
	v, ok := s.lookup(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < min || n > max {
		s.Error(name, "%s is not a whole number from %d to %d", Quote(v), min, max)
		return def
	}
	return n
}

// Millis returns a duration written as whole milliseconds.
func (s *Settings) Millis(name string, def, min, max time.Duration) time.Duration {
	v, ok := s.lookup(name)
	if !ok {
		return def
	}
	low, high := min.Milliseconds(), max.Milliseconds()
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		s.Error(name, "%s is not a whole number of milliseconds from %d to %d", Quote(v), low, high)
		return def
	}
	return time.Duration(n) * time.Millisecond
}

// Float returns a finite number.
func (s *Settings) Float(name string, def float64) float64 {
	v, ok := s.lookup(name)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		s.Error(name, "%s is not a number, such as 0.1 or -50", Quote(v))
		return def
	}
	return f
}

// Bool returns a value written as 0, 1, true or false.
func (s *Settings) Bool(name string, def bool) bool {
	v, ok := s.lookup(name)
	switch {
	case !ok:
		return def
	case v == "1", v == "true":
		return true
	case v == "0", v == "false":
		return false
	}
	s.Error(name, "%s is neither 0, 1, true nor false", Quote(v))
	return def
}

// Choice returns one of the words, which are compared exactly.
func (s *Settings) Choice(name, def string, words ...string) string {
	v, ok := s.lookup(name)
	if !ok || slices.Contains(words, v) {
		return s.String(name, def)
	}
	s.Error(name, "%s is not one of %s%s", Quote(v), strings.Join(words, ", "), Suggest(v, words))
	return def
}

// Children returns the child elements of that name, any number of them.
func (s *Settings) Children(name string) []*Element {
	s.lists[name] = true
	return s.element.All(name)
}

// Done reports what was not asked for, what stands twice, and stray text.
func (s *Settings) Done() {
	if t := strings.TrimSpace(s.element.Text); t != "" {
		s.report.Error(s.element, "text %s does not belong here", Quote(t))
	}
	seen := map[string]bool{}
	for _, a := range s.element.Attrs {
		s.finish(s.element, a.Name, "attribute", seen)
	}
	for _, c := range s.element.Children {
		if s.lists[c.Name] {
			continue
		}
		s.finish(c, c.Name, "element", seen)
		if s.scalars[c.Name] {
			s.plain(c)
		}
	}
}

// finish checks one attribute or child element against what was asked for.
func (s *Settings) finish(at *Element, name, kind string, seen map[string]bool) {
	switch {
	case s.lists[name]:
		s.report.Error(at, "%s is an element of its own, not an attribute", name)
	case !s.scalars[name]:
		s.report.Unknown(at, kind, name, s.known())
	case seen[name]:
		s.report.Error(at, "%s stands twice", name)
	}
	seen[name] = true
}

// plain reports what is inside of a child element that should hold only a value.
func (s *Settings) plain(e *Element) {
	for _, a := range e.Attrs {
		s.report.Error(e, "unknown attribute %s", printable(a.Name))
	}
	for _, c := range e.Children {
		s.report.Error(c, "unknown element %s; %s holds only a value", printable(c.Name), e.Name)
	}
}

func (s *Settings) known() []string {
	var names []string
	for name := range s.scalars {
		names = append(names, name)
	}
	for name := range s.lists {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
