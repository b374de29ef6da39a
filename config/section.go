package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// section reads one block of the main file by the rules of the table. Its getters are silent: what is wrong with a
// value has been reported by check.
type section struct {
	*loader
	element *xmltree.Element // nil: the block is missing and everything has its default
	path    string           // in the table
}

// rule finds the row of a child; asking for one that the table does not have is a mistake in this package.
func (s section) rule(name string) Element {
	rule, ok := s.rules[s.path+"/"+name]
	if !ok {
		panic(fmt.Sprintf("config: the table has no %s/%s", s.path, name))
	}
	return rule
}

// child returns the first element of that name, which is the one that counts, or nil.
func (s section) child(name string) *xmltree.Element {
	s.rule(name)
	if s.element == nil {
		return nil
	}
	return s.element.Child(name)
}

// all returns the elements of a list.
func (s section) all(name string) []*xmltree.Element {
	if !s.rule(name).Many || s.element == nil {
		return nil
	}
	return s.element.All(name)
}

// at is the element a message about a child should point to.
func (s section) at(name string) *xmltree.Element {
	if c := s.child(name); c != nil {
		return c
	}
	return s.element
}

func (s section) block(name string) section {
	return section{loader: s.loader, element: s.child(name), path: s.path + "/" + name}
}

func (s section) blocks(name string) []section {
	var all []section
	for _, e := range s.all(name) {
		all = append(all, section{loader: s.loader, element: e, path: s.path + "/" + name})
	}
	return all
}

// text returns the trimmed text with placeholders expanded, or what holds when it is missing or blank.
func (s section) text(name string) string {
	if c := s.child(name); c != nil {
		if t := strings.TrimSpace(c.Text); t != "" {
			return s.expand.Replace(t)
		}
	}
	return s.expand.Replace(s.rule(name).Absent)
}

// list returns the non-blank texts of a list.
func (s section) list(name string) []string {
	var all []string
	for _, c := range s.all(name) {
		if t := strings.TrimSpace(c.Text); t != "" {
			all = append(all, s.expand.Replace(t))
		}
	}
	return all
}

// flag returns a value of kind Bool or NotFalse.
func (s section) flag(name string) bool {
	rule := s.rule(name)
	text := rule.Absent
	if c := s.child(name); c != nil {
		text = strings.TrimSpace(c.Text)
	}
	if rule.Kind == NotFalse {
		return text != "false"
	}
	return text == "true"
}

// word returns a value of kind Word; another word counts as missing.
func (s section) word(name string) string {
	rule := s.rule(name)
	if c := s.child(name); c != nil {
		if t := strings.TrimSpace(c.Text); contains(rule.Words, t) {
			return t
		}
	}
	return rule.Absent
}

// number returns a value of kind Integer.
func (s section) number(name string) int {
	rule := s.rule(name)
	if c := s.child(name); c != nil {
		if n, ok := parseInteger(c.Text); ok {
			return n
		}
	}
	n, _ := parseInteger(rule.Absent)
	return n
}

// file returns a path made absolute, or "" if there is none.
func (s section) file(name string) string {
	text := s.text(name)
	if text == "" {
		return ""
	}
	text = strings.ReplaceAll(text, `\`, "/")
	if !filepath.IsAbs(text) {
		text = filepath.Join(s.dir, text)
	}
	return filepath.Clean(text)
}

// parseInteger accepts what the original does: a signed 32-bit number. Negative ones are refused by check.
func parseInteger(text string) (int, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	return int(n), err == nil && n >= 0
}

// parseNumber accepts a finite decimal fraction that is not negative.
func parseNumber(text string) (float64, bool) {
	const most = 1e9
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return f, err == nil && f >= 0 && f <= most
}
