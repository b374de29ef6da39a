package instrument

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// layout is how the values stand in a message.
type layout string

// The layouts.
const (
	layoutRegexp   layout = "regexp"   // named groups of Match
	layoutColumns  layout = "columns"  // separated, counted from 0
	layoutKeyValue layout = "keyvalue" // by key
	layoutJSON     layout = "json"     // by JSON pointer
	layoutFixed    layout = "fixed"    // characters from a place
	layoutBinary   layout = "binary"   // bytes from a place
)

func layouts() []string {
	return []string{string(layoutRegexp), string(layoutColumns), string(layoutKeyValue), string(layoutJSON), string(layoutFixed), string(layoutBinary)}
}

// format is the layout with what it needs to know.
type format struct {
	layout    layout
	separator string // of columns, and of pairs; empty: any blanks
	assign    string // between key and value
	quote     byte   // around columns; 0: none
}

// source is a place in a message. The zero value is all of it.
type source struct {
	kind     layout         // empty: all of the message
	find     *regexp.Regexp // its first group, whatever the layout is; nil: none
	group    int
	column   int
	key      string
	pointer  []string
	at, size int // size 0: up to the end
}

// parseSource reads a place in the words of the layout.
func (m *message) parseSource(text string) (source, error) {
	src := source{kind: m.format.layout}
	switch m.format.layout {
	case layoutRegexp:
		if m.match == nil {
			return src, fmt.Errorf("needs Match with a group (?P<%s>...), or another Format", text)
		}
		if src.group = m.match.SubexpIndex(text); src.group < 0 {
			return src, fmt.Errorf("is no group of Match; it would be written (?P<%s>...)", text)
		}
	case layoutColumns:
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return src, fmt.Errorf("is not the number of a column, which count from 0")
		}
		src.column = int(n)
	case layoutKeyValue:
		src.key = text
	case layoutJSON:
		return src, src.parsePointer(text)
	default:
		return src, src.parsePlace(text)
	}
	return src, nil
}

// parsePointer reads a JSON pointer (RFC 6901, 3).
func (s *source) parsePointer(text string) error {
	if !strings.HasPrefix(text, "/") {
		return fmt.Errorf("is no JSON pointer, such as /temperature or /sensors/0/value")
	}
	for step := range strings.SplitSeq(text[1:], "/") {
		s.pointer = append(s.pointer, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return nil
}

// parsePlace reads a place such as 4, 4+2 or 4+.
func (s *source) parsePlace(text string) error {
	at, size, sized := strings.Cut(text, "+")
	from, err := strconv.ParseUint(at, 10, 16)
	s.at, s.size = int(from), -1 // -1: as its type says
	if sized && err == nil {
		s.size = 0
		if size != "" {
			var n uint64
			n, err = strconv.ParseUint(size, 10, 16)
			if s.size = int(n); n == 0 && err == nil {
				err = strconv.ErrRange
			}
		}
	}
	if err != nil {
		return fmt.Errorf("is no place, such as 4, 4+2 (two from the fifth on) or 4+ (from the fifth to the end)")
	}
	return nil
}

// view is one message taken apart, as far as was needed.
type view struct {
	format  *format
	body    []byte
	groups  []int // of Match
	columns [][]byte
	pairs   map[string][]byte
	tree    any
	parsed  bool
}

// get returns what stands at a place; found is false if the message has no such place.
func (v *view) get(s *source) (text []byte, found bool) {
	switch {
	case s.find != nil:
		if m := s.find.FindSubmatchIndex(v.body); m != nil && m[2] >= 0 {
			return v.body[m[2]:m[3]], true
		}
		return nil, false
	case s.kind == "":
		return v.body, true
	case s.kind == layoutRegexp:
		if i := 2 * s.group; i+1 < len(v.groups) && v.groups[i] >= 0 {
			return v.body[v.groups[i]:v.groups[i+1]], true
		}
		return nil, false
	case s.kind == layoutFixed, s.kind == layoutBinary:
		return v.slice(s)
	}
	v.parse()
	switch s.kind {
	case layoutColumns:
		if s.column < len(v.columns) {
			return v.columns[s.column], true
		}
		return nil, false
	case layoutKeyValue:
		text, found = v.pairs[s.key]
		return text, found
	}
	return follow(v.tree, s.pointer)
}

func (v *view) slice(s *source) ([]byte, bool) {
	end := s.at + s.size
	if s.size <= 0 {
		end = len(v.body)
	}
	if s.at > len(v.body) || end > len(v.body) || end == s.at && s.size != 0 {
		return nil, false
	}
	return v.body[s.at:end], true
}

// parse takes the message apart once. What is no JSON has no places.
func (v *view) parse() {
	if v.parsed {
		return
	}
	v.parsed = true
	switch v.format.layout {
	case layoutColumns:
		v.columns = v.format.split(v.body)
	case layoutKeyValue:
		v.pairs = map[string][]byte{}
		for _, pair := range v.format.split(v.body) {
			if key, value, found := bytes.Cut(pair, []byte(v.format.assign)); found {
				v.pairs[string(bytes.TrimSpace(key))] = bytes.TrimSpace(value)
			}
		}
	case layoutJSON:
		d := json.NewDecoder(bytes.NewReader(v.body))
		d.UseNumber()
		if d.Decode(&v.tree) != nil {
			v.tree = nil
		}
	}
}

// split separates columns. A column that begins with a quote ends with the next one that is not doubled.
func (f *format) split(b []byte) [][]byte {
	if f.separator == "" {
		return bytes.Fields(b)
	}
	separator := []byte(f.separator)
	if f.quote == 0 {
		return bytes.Split(b, separator)
	}
	var columns [][]byte
	for {
		column, rest, again := f.column(b, separator)
		columns = append(columns, column)
		if !again {
			return columns
		}
		b = rest
	}
}

// column takes the first column off.
func (f *format) column(b, separator []byte) (column, rest []byte, again bool) {
	if len(b) == 0 || b[0] != f.quote {
		return bytes.Cut(b, separator)
	}
	quote := []byte{f.quote}
	for i := 1; i < len(b); i++ {
		if b[i] != f.quote {
			continue
		}
		if i+1 < len(b) && b[i+1] == f.quote {
			i++
			continue
		}
		_, rest, again = bytes.Cut(b[i+1:], separator)
		return bytes.ReplaceAll(b[1:i], append(slices.Clone(quote), f.quote), quote), rest, again
	}
	return b, nil, false
}

// follow goes along a JSON pointer. Null is there and has no text; an object or an array has its JSON.
func follow(tree any, pointer []string) ([]byte, bool) {
	for _, step := range pointer {
		switch node := tree.(type) {
		case map[string]any:
			next, found := node[step]
			if !found {
				return nil, false
			}
			tree = next
		case []any:
			i, err := strconv.ParseUint(step, 10, 31)
			if err != nil || i >= uint64(len(node)) {
				return nil, false
			}
			tree = node[i]
		default:
			return nil, false
		}
	}
	switch leaf := tree.(type) {
	case nil:
		return []byte{}, len(pointer) > 0
	case string:
		return []byte(leaf), true
	case json.Number:
		return []byte(leaf), true
	}
	text, err := json.Marshal(tree)
	return text, err == nil
}

// is tells whether the condition holds.
func (c *condition) is(v *view) bool {
	text, found := v.get(&c.from)
	return found && slices.Contains(c.words, string(bytes.TrimSpace(text)))
}

// find tells whether a frame is this message, and takes it apart.
func (m *message) find(body []byte) (*view, bool) {
	if m.length > 0 && len(body) != m.length || !bytes.HasPrefix(body, m.prefix) {
		return nil, false
	}
	v := &view{format: &m.format, body: body}
	if m.match != nil {
		if v.groups = m.match.FindSubmatchIndex(body); v.groups == nil {
			return nil, false
		}
	}
	if m.where != nil && !m.where.is(v) {
		return nil, false
	}
	if m.format.layout == layoutJSON {
		if v.parse(); v.tree == nil {
			return nil, false
		}
	}
	return v, true
}
