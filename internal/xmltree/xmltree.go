// Package xmltree reads an XML document into a small tree that remembers the line of every element, so that whoever
// checks the content can say where a fault is.
//
// It is a bounded reader for configuration files: bytes, depth and number of elements are limited, document types and
// entities beyond the five of XML 1.0 (section 4.6) are refused, and nothing outside the file is ever opened.
// Namespaces are ignored (local names only), comments and processing instructions are skipped, mixed content is kept.
// [Report] collects every problem of a run instead of the first, and [Settings] is the strict reader of one element.
//
// Left out: writing XML, UTF-16, and XML 1.1.
package xmltree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Attr is one attribute; namespace declarations and prefixed attributes are not kept.
type Attr struct {
	Name, Value  string
	Line, Column int // where the value stands, from 1; 0: in the start tag. Parse leaves them 0.
}

// Element is one element with its own text and its children, in the order of the file.
type Element struct {
	Name     string     // local name
	Attrs    []Attr     // in file order, duplicates included
	Text     string     // own character data, concatenated and not trimmed
	Line     int        // line of the start tag, from 1
	Children []*Element // in file order
	Parent   *Element   // nil for the root

	file string // empty: that of the parent
}

// Limits bounds what Parse accepts. A zero field means its default.
type Limits struct {
	Bytes    int // size of the file; default 4 MiB
	Depth    int // nesting of elements; default 32
	Elements int // number of elements; default 200,000
}

// Defaults of [Limits].
const (
	DefaultBytes    = 4 << 20
	DefaultDepth    = 32
	DefaultElements = 200_000
)

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.Elements == 0 {
		l.Elements = DefaultElements
	}
	return l
}

// SyntaxError says where a document is not well formed or exceeds a limit. Line 0 is the file as a whole.
type SyntaxError struct {
	File string
	Line int
	Msg  string
}

// Error formats as file:line: message.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// frame is one element that is still open.
type frame struct {
	element *Element
	text    []byte
}

type parser struct {
	file  string
	lim   Limits
	dec   *xml.Decoder
	line  int // of the token being read
	count int
	open  []frame
	root  *Element
}

// Parse reads one document; file is the name used in messages. The error is always a *[SyntaxError].
func Parse(file string, data []byte, lim Limits) (*Element, error) {
	p := parser{file: file, lim: lim.orDefault()}
	if len(data) > p.lim.Bytes {
		return nil, p.tooBig(int64(len(data)))
	}
	if bytes.HasPrefix(data, []byte{0xFE, 0xFF}) || bytes.HasPrefix(data, []byte{0xFF, 0xFE}) {
		return nil, &SyntaxError{File: file, Line: 1, Msg: "the file is UTF-16; save it as UTF-8"}
	}
	data, bom := bytes.CutPrefix(data, []byte("\xEF\xBB\xBF"))
	p.dec = xml.NewDecoder(bytes.NewReader(data))
	p.dec.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		if bom { // the byte order mark is the stronger statement
			return in, nil
		}
		return charsetReader(label, in)
	}
	return p.document()
}

func (p *parser) document() (*Element, error) {
	for {
		p.line, _ = p.dec.InputPos() // the end of the previous token is where this one starts
		token, err := p.dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.token(token)
		}
		if err != nil {
			return nil, p.explain(err)
		}
	}
	if p.root == nil {
		return nil, p.fail("there is no XML element in the file")
	}
	return p.root, nil
}

func (p *parser) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		top := len(p.open) - 1
		p.open[top].element.Text = string(p.open[top].text)
		p.open = p.open[:top]
	case xml.CharData:
		return p.text(t)
	case xml.Directive:
		return p.fail("document types and entity declarations are refused; remove <!%s", firstWord(t))
	}
	return nil
}

func (p *parser) start(t xml.StartElement) error {
	e := &Element{Name: t.Name.Local, Attrs: plainAttrs(t.Attr), Line: p.line}
	p.count++
	switch {
	case p.count > p.lim.Elements:
		return p.fail("more than %d elements", p.lim.Elements)
	case len(p.open) >= p.lim.Depth:
		return p.fail("<%s> is nested more than %d deep", e.Name, p.lim.Depth)
	case len(p.open) > 0:
		e.Parent = p.open[len(p.open)-1].element
		e.Parent.Children = append(e.Parent.Children, e)
	case p.root != nil:
		return p.fail("a second root element <%s> follows <%s>; a document has one", e.Name, p.root.Name)
	default:
		e.file = p.file
		p.root = e
	}
	p.open = append(p.open, frame{element: e})
	return nil
}

func (p *parser) text(t xml.CharData) error {
	if len(p.open) > 0 {
		top := &p.open[len(p.open)-1]
		top.text = append(top.text, t...)
		return nil
	}
	if blank := bytes.TrimSpace(t); len(blank) > 0 {
		p.line += bytes.Count(t[:bytes.Index(t, blank)], []byte("\n"))
		return p.fail("text outside of the root element: %s", Quote(string(blank)))
	}
	return nil
}

// explain turns the decoder's error into one with our file, line and remedy.
func (p *parser) explain(err error) error {
	if own := (*SyntaxError)(nil); errors.As(err, &own) {
		return own
	}
	line, _ := p.dec.InputPos()
	msg := strings.TrimPrefix(err.Error(), "xml: ")
	if syntax := (*xml.SyntaxError)(nil); errors.As(err, &syntax) {
		line, msg = syntax.Line, syntax.Msg
	}
	switch {
	case msg == "unexpected EOF" && len(p.open) > 0:
		top := p.open[len(p.open)-1].element
		msg = fmt.Sprintf("the file ends inside <%s>, which starts in line %d; it is incomplete", top.Name, top.Line)
	case strings.HasPrefix(msg, "invalid character entity"):
		msg += "; only &lt; &gt; &amp; &apos; &quot; and character numbers are accepted, write & as &amp;"
	case msg == "invalid UTF-8":
		msg = "the text is not UTF-8; save the file as UTF-8 or declare its encoding in the first line"
	}
	return &SyntaxError{File: p.file, Line: line, Msg: msg}
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{File: p.file, Line: p.line, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) tooBig(size int64) error {
	return &SyntaxError{File: p.file, Msg: fmt.Sprintf("the file has %d bytes, more than the %d that are accepted", size, p.lim.Bytes)}
}

func plainAttrs(in []xml.Attr) []Attr {
	var out []Attr
	for _, a := range in {
		if a.Name.Space == "" && a.Name.Local != "xmlns" {
			out = append(out, Attr{Name: a.Name.Local, Value: a.Value})
		}
	}
	return out
}

func firstWord(b []byte) string {
	word, _, _ := strings.Cut(string(b), " ")
	return word
}

// File returns the name of the file the element was read from.
func (e *Element) File() string {
	for e.file == "" && e.Parent != nil {
		e = e.Parent
	}
	return e.file
}

// SetFile names the file of an element, and of what is below it, that was made from another one than its parent.
func (e *Element) SetFile(file string) { e.file = file }

// Child returns the first child of that name, or nil.
func (e *Element) Child(name string) *Element {
	i := slices.IndexFunc(e.Children, func(c *Element) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return e.Children[i]
}

// All returns the children of that name in file order.
func (e *Element) All(name string) []*Element {
	var found []*Element
	for _, c := range e.Children {
		if c.Name == name {
			found = append(found, c)
		}
	}
	return found
}

// Attr returns the value of the first attribute of that name and whether there is one.
func (e *Element) Attr(name string) (string, bool) {
	for _, a := range e.Attrs {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// Path names the element for a message: "EdgeUa/Device[Boiler]/Group[Fast]/Tag[Pump1.Run]". In brackets stands the Name
// attribute or child; where there is none, the position among siblings of the same name if there are several.
func (e *Element) Path() string {
	step := e.Name + e.label()
	if e.Parent == nil {
		return step
	}
	return e.Parent.Path() + "/" + step
}

func (e *Element) label() string {
	name, ok := e.Attr("Name")
	if c := e.Child("Name"); !ok && c != nil {
		name = c.Text
	}
	if name = strings.TrimSpace(name); name != "" {
		return "[" + printable(name) + "]"
	}
	if e.Parent == nil {
		return ""
	}
	position, same := 0, 0
	for _, c := range e.Parent.Children {
		if c.Name == e.Name {
			same++
		}
		if c == e {
			position = same
		}
	}
	if same < 2 {
		return ""
	}
	return fmt.Sprintf("[%d]", position)
}
