package instrument

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/edgeua/edgeua/drivers/framing"
)

// template is what is sent: bytes, with a value and a checksum in between. Plain data.
type template []part

// part is one piece of a template.
type part struct {
	literal  []byte
	value    bool
	verb     string // how the value is written, as of package fmt; empty: plainly
	checksum bool
}

// maxSend bounds what is sent at once, so that a port that does not take it cannot hold up the channel for long.
const maxSend = 1024

// placeholder matches {checksum}, {value} and {value:05.1f}. Other braces are what they are.
func placeholder() *regexp.Regexp {
	return regexp.MustCompile(`\\.|\{checksum\}|\{value(?::([^{}]*))?\}`)
}

// verb matches what may stand behind {value: and its last letter.
func verb() *regexp.Regexp {
	return regexp.MustCompile(`^[-+0 ]{0,3}[0-9]{0,2}(?:\.[0-9]{1,2})?([dxXeEfgGs])$`)
}

// parseTemplate reads what is to be sent; value tells whether there is a value to be sent.
func parseTemplate(text string, value valueType) (template, error) {
	var t template
	from, length := 0, 0
	literal := func(to int) error {
		b, err := framing.Unescape(text[from:to])
		if err == nil && len(b) > 0 {
			t = append(t, part{literal: b})
			length += len(b)
		}
		return err
	}
	for _, m := range placeholder().FindAllStringSubmatchIndex(text, -1) {
		if text[m[0]] == '\\' {
			continue
		}
		if err := literal(m[0]); err != nil {
			return nil, err
		}
		p, err := parsePlaceholder(text, m, value)
		if err != nil {
			return nil, err
		}
		t, from = append(t, p), m[1]
	}
	if err := literal(len(text)); err != nil {
		return nil, err
	}
	if length > maxSend {
		return nil, fmt.Errorf("has %d bytes, more than %d", length, maxSend)
	}
	return t, nil
}

func parsePlaceholder(text string, m []int, value valueType) (part, error) {
	if strings.HasPrefix(text[m[0]:], "{checksum") {
		return part{checksum: true}, nil
	}
	p := part{value: true}
	if value == "" {
		return p, fmt.Errorf("has {value}, but there is none: that needs a Type")
	}
	if m[2] < 0 {
		return p, nil
	}
	format := text[m[2]:m[3]]
	found := verb().FindStringSubmatch(format)
	fits := map[bool]string{value == String: "s", value.integer(): "dxX", value == Float32 || value == Float64: "eEfgG"}[true]
	if found == nil || !strings.Contains(fits, found[1]) {
		return p, fmt.Errorf("{value:%s} is no format of a %s, such as {value:05d} or {value:.1f}", format, value)
	}
	p.verb = "%" + format
	return p, nil
}

// has tells whether the template has a part of that kind.
func (t template) has(which func(p part) bool) bool {
	for _, p := range t {
		if which(p) {
			return true
		}
	}
	return false
}

// fill makes the bytes to send. value is what format gives for a verb.
func (t template) fill(spec *framing.Spec, sum *framing.Checksum, value func(verb string) string) []byte {
	var b []byte
	for _, p := range t {
		switch {
		case p.value:
			b = append(b, value(p.verb)...)
		case p.checksum:
			b = sum.Append(b, covered(b, spec, sum))
		default:
			b = append(b, p.literal...)
		}
	}
	return b
}

// covered is which of the bytes before a checksum it covers.
func covered(b []byte, spec *framing.Spec, sum *framing.Checksum) []byte {
	if !sum.Start {
		b = trimMark(b, spec.Start, bytes.HasPrefix, func(b []byte, n int) []byte { return b[n:] })
	}
	if !sum.End {
		end := spec.End
		if len(sum.After) > 0 {
			end = [][]byte{sum.After}
		}
		b = trimMark(b, end, bytes.HasSuffix, func(b []byte, n int) []byte { return b[:len(b)-n] })
	}
	return b
}

func trimMark(b []byte, marks [][]byte, has func(b, mark []byte) bool, trim func(b []byte, n int) []byte) []byte {
	for _, m := range marks {
		if has(b, m) {
			return trim(b, len(m))
		}
	}
	return b
}
