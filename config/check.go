package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// checker reports everything in the main file that the table alone can tell.
type checker struct{ *loader }

// drive matches how a path of Windows starts.
var drive = regexp.MustCompile(`^([A-Za-z]:|\\\\)`)

func (l *loader) check(root *xmltree.Element) {
	checker{l}.children(root, "")
}

// children checks what is inside of e, whose own path in the table is given.
func (c checker) children(e *xmltree.Element, path string) {
	first := map[string]*xmltree.Element{}
	for _, child := range e.Children {
		rule, ok := c.rules[strings.TrimPrefix(path+"/"+child.Name, "/")]
		if !ok {
			c.unknown(child, path)
			continue
		}
		if before := first[child.Name]; before != nil && !rule.Many {
			c.report.Warn(child, "stands more than once; the first one, in line %d, counts", before.Line)
			continue
		}
		first[child.Name] = child
		c.element(child, rule)
	}
}

func (c checker) element(e *xmltree.Element, rule Element) {
	if rule.Kind == Opaque {
		return
	}
	for _, a := range e.Attrs {
		c.report.Warn(e, "attribute %s has no effect; settings of this file are elements", xmltree.Quote(a.Name))
	}
	c.value(e, rule)
	c.effect(e, rule)
	c.children(e, rule.Path)
}

// value checks the text against the kind.
func (c checker) value(e *xmltree.Element, rule Element) {
	text := strings.TrimSpace(e.Text)
	switch rule.Kind {
	case Text, Path:
		c.text(e, rule, text)
	case Bool:
		if e.Text != "true" && e.Text != "false" {
			c.report.Warn(e, "%s is not exactly true or false and counts as %t; write true or false", xmltree.Quote(e.Text), text == "true")
		}
	case NotFalse:
		if e.Text != "true" && e.Text != "false" {
			c.report.Warn(e, "%s is not exactly true or false and counts as %t; write true or false", xmltree.Quote(e.Text), text != "false")
		}
	case Word:
		if !contains(rule.Words, text) {
			c.report.Warn(e, "%s is not one of %s%s; %s counts", xmltree.Quote(text), strings.Join(rule.Words, ", "),
				xmltree.Suggest(text, rule.Words), rule.Absent)
		}
	case Integer:
		if _, ok := parseInteger(text); !ok {
			c.notInteger(e, rule, text)
		}
	case Number:
		if _, ok := parseNumber(text); !ok {
			c.report.Warn(e, "%s is not a number from 0; the default %s counts", xmltree.Quote(text), rule.Absent)
		}
	}
}

// notInteger refuses a negative number, which the original would turn into a huge one.
func (c checker) notInteger(e *xmltree.Element, rule Element, text string) {
	switch {
	case strings.HasPrefix(text, "-"):
		c.refuse(e, "%s is negative; a number from 0 to 2147483647 is needed", xmltree.Quote(text))
	case rule.Absent == "":
		c.report.Warn(e, "%s is not a whole number from 0 to 2147483647 and is ignored", xmltree.Quote(text))
	default:
		c.report.Warn(e, "%s is not a whole number from 0 to 2147483647; the default %s counts", xmltree.Quote(text), rule.Absent)
	}
}

func (c checker) text(e *xmltree.Element, rule Element, text string) {
	for _, p := range unknownPlaceholders(text) {
		c.report.Warn(e, "placeholder %s is unknown and stays as it is%s", p, xmltree.Suggest(p, placeholders()))
	}
	if rule.Kind == Path && rule.Handling == Honour && drive.MatchString(text) {
		c.report.Warn(e, "%s is a path of Windows and means a place below %s here; start it with [ApplicationPath]", xmltree.Quote(text), c.dir)
	}
}

// effect reports a value that asks for something this version does not do.
func (c checker) effect(e *xmltree.Element, rule Element) {
	if rule.Handling != Warn || rule.Note == "" {
		return
	}
	text := strings.TrimSpace(e.Text)
	switch rule.Kind {
	case Block:
		c.report.Warn(e, "has no effect: %s", rule.Note)
		return
	case Bool: // asks for something only when it is exactly true
		if text != "true" {
			text = "false"
		}
	case Integer:
		if _, ok := parseInteger(text); !ok {
			return
		}
	case Word:
		if !contains(rule.Words, text) {
			return
		}
	}
	if text != "" && text != rule.Absent && text != rule.Shipped {
		c.report.Warn(e, "%s has no effect: %s", xmltree.Quote(text), rule.Note)
	}
}

// unknown reports an element that stands where nobody looks for it, and where it belongs if it is known elsewhere.
func (c checker) unknown(e *xmltree.Element, path string) {
	var siblings, homes []string
	for _, rule := range c.rules {
		if rule.parent() == path {
			siblings = append(siblings, rule.name())
		}
		if rule.name() == e.Name {
			homes = append(homes, rule.parent())
		}
	}
	slices.Sort(siblings)
	slices.Sort(homes)
	parent := "the root element"
	if path != "" {
		parent = "<" + path[strings.LastIndexByte(path, '/')+1:] + ">"
	}
	switch {
	case path == "UaServerConfig/UaEndpoint/ReverseConnect":
		c.notReverseConnect(e)
	case len(homes) > 0:
		c.report.Warn(e, "is misplaced and has no effect; it belongs directly inside <%s>", strings.Join(homes, "> or <"))
	default:
		c.report.Warn(e, "unknown element inside %s; it has no effect%s", parent, xmltree.Suggest(e.Name, siblings))
	}
}

// notReverseConnect explains what is often copied from another product: the OPC Foundation's .NET stack has an element
// of the same name with another content.
func (c checker) notReverseConnect(e *xmltree.Element) {
	if e.Name == "Clients" || e.Name == "EndpointUrl" || e.Name == "ReverseConnectClient" {
		c.report.Error(e, "<%s> is how the OPC Foundation's .NET server is configured; here write <Url>opc.tcp://client:48060</Url> directly inside <ReverseConnect>", e.Name)
		return
	}
	c.report.Warn(e, "unknown element inside <ReverseConnect>; it has no effect, only <Url> has (timing stands in %s)", EdgeName)
}

func contains(words []string, word string) bool { return slices.Contains(words, word) }
