package xmltree

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Severity tells whether a problem refuses the configuration.
type Severity uint8

// Warning leaves the configuration usable, Error refuses the part it names.
const (
	Warning Severity = iota
	Error
)

// String is the word used in messages.
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// MarshalText gives the word, for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one finding. Line 0 is the file as a whole, Column 0 the line as a whole; Path is empty where no element is
// meant.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"` // in bytes, from 1
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"`
	Message  string   `json:"message"`
}

// String formats as "file:line: error: path: message", with the column behind the line where it is known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	if p.Column > 0 {
		b.WriteString(":" + strconv.Itoa(p.Column))
	}
	b.WriteString(": " + p.Severity.String() + ": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// maxProblems bounds a report: a file made of nothing but faults must not fill the memory or the log.
const maxProblems = 500

// Report collects the problems of one run. The zero value is ready for use.
type Report struct {
	Problems []Problem
	Omitted  int // findings beyond the first 500

	failed bool
}

// Add appends a problem that has no element, such as a missing file.
func (r *Report) Add(p Problem) {
	r.failed = r.failed || p.Severity == Error
	if r.full() {
		r.Omitted++
		return
	}
	r.Problems = append(r.Problems, p)
}

// AddError records the error of [Load] or [Parse].
func (r *Report) AddError(err error) {
	p := Problem{Severity: Error, Message: err.Error()}
	if syntax := (*SyntaxError)(nil); errors.As(err, &syntax) {
		p.File, p.Line, p.Message = syntax.File, syntax.Line, syntax.Msg
	}
	r.Add(p)
}

// Error reports a fault of e that refuses it.
func (r *Report) Error(e *Element, format string, args ...any) {
	r.at(e, "", Error, format, args...)
}

// Warn reports something about e that the administrator should know.
func (r *Report) Warn(e *Element, format string, args ...any) {
	r.at(e, "", Warning, format, args...)
}

// Unknown reports an attribute or element nobody asked for as an error, with the nearest known name.
func (r *Report) Unknown(at *Element, kind, name string, known []string) {
	suggestion := ""
	if !r.full() {
		suggestion = Suggest(name, known)
	}
	r.Error(at, "unknown %s %s%s", kind, printable(name), suggestion)
}

// full tells that a further problem is only counted, so that no work is spent on its wording.
func (r *Report) full() bool { return len(r.Problems) >= maxProblems }

// at reports about e or, with a name, about that attribute or child of it.
func (r *Report) at(e *Element, name string, s Severity, format string, args ...any) {
	if r.full() {
		r.Add(Problem{Severity: s})
		return
	}
	p := Problem{File: e.File(), Line: e.Line, Severity: s, Path: e.Path(), Message: fmt.Sprintf(format, args...)}
	if name != "" {
		p.Path += "/" + name
	}
	if i := slices.IndexFunc(e.Attrs, func(a Attr) bool { return a.Name == name }); i >= 0 && e.Attrs[i].Line > 0 {
		p.Line, p.Column = e.Attrs[i].Line, e.Attrs[i].Column
	}
	r.Add(p)
}

// HasErrors tells whether any problem is an error.
func (r *Report) HasErrors() bool { return r.failed }

// Sort orders by file, then line, and drops what was said twice.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := make(map[Problem]bool, len(r.Problems))
	r.Problems = slices.DeleteFunc(r.Problems, func(p Problem) bool {
		twice := seen[p]
		seen[p] = true
		return twice
	})
}

// WriteTo prints one problem per line.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.String() + "\n")
	}
	if r.Omitted > 0 {
		fmt.Fprintf(&b, "%d more problems are not shown\n", r.Omitted)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Quote prepares a value for a message: quoted, without control characters, and shortened.
func Quote(s string) string { return strconv.Quote(shorten(s)) }

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, shorten(s))
}

func shorten(s string) string {
	const most = 60
	runes := 0
	for i := range s {
		if runes == most {
			return s[:i] + "..."
		}
		runes++
	}
	return s
}
