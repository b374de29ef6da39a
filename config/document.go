package config

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// String says in a word or two what becomes of a value.
func (h Handling) String() string {
	return [...]string{"honoured", "mapped", "no effect, with a warning", "no effect", "refused"}[h]
}

// describe says how the text of an element is read.
func (e Element) describe() string {
	what := [...]string{"elements", "anything", "text", "path", "one of " + strings.Join(e.Words, ", "), "true or false", "true or false", "whole number", "number"}[e.Kind]
	if e.Many {
		what += "; any number of them"
	}
	return what
}

// effect is the handling with what happens instead.
func (e Element) effect() string {
	if e.Note == "" {
		return e.Handling.String()
	}
	return e.Handling.String() + ": " + e.Note
}

// WriteElements writes the reference of TcUaServerConfig.xml, docs/twincat-elements.md, from the table of [Elements].
func WriteElements(w io.Writer) error {
	var b strings.Builder
	b.WriteString(preface)
	all := Elements()
	for i, parents := 0, parents(all); i < len(parents); i++ {
		title := "OpcServerConfig"
		if parents[i] != "" {
			title += "/" + parents[i]
		}
		fmt.Fprintf(&b, "\n## %s\n\n| Element | Meaning | Value | If absent | TwinCAT ships | Here |\n|---|---|---|---|---|---|\n", title)
		for _, e := range all {
			if e.parent() == parents[i] {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", e.name(), e.Meaning, e.describe(), code(e.Absent), code(e.Shipped), e.effect())
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const preface = `# TcUaServerConfig.xml, element by element

Written by ` + "`go test ./config -update`" + ` from the table that edgeua reads and checks the file with (config/elements.go);
` + "`edgeua check --explain ELEMENT`" + ` prints the same. [migrating-from-twincat.md](migrating-from-twincat.md) leads through a move.

How the file is read, as TwinCAT's server does:

* The order of elements does not matter. Where an element may stand once, the first one counts. Unknown, misplaced and
  doubled elements do no harm, and are reported with their line.
* A value is true if it is exactly ` + "`true`" + `; ` + "`True`, `1` and `yes`" + ` are not. IsVisible and IsDiscoveryUrl are false if they
  are exactly ` + "`false`" + `. Blanks around a value are ignored. A number that does not parse leaves the default; a negative one refuses the start.
* ` + "`[NodeName]`" + ` is the host name, ` + "`[ServerName]`" + ` the ServerName, and ` + "`[ApplicationPath]`, `[ConfigPath]`, `[TracePath]`" + ` and
  ` + "`[BkTracePath]`" + ` the directory of the file. An unknown placeholder stays as it is and is reported.
* Paths may use / or \ and are relative to the directory of the file.

For every element that is honoured or mapped, a test starts a gateway with it and one without, and compares what their clients see.

"No effect, with a warning" warns only if the value asks for something else than the file TwinCAT ships.
`

// parents lists the blocks in the order of the table.
func parents(all []Element) []string {
	var list []string
	for _, e := range all {
		if !slices.Contains(list, e.parent()) {
			list = append(list, e.parent())
		}
	}
	return list
}

func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

// placeInFile is what the path of a problem, as check prints it, has more than that of an element.
var placeInFile = regexp.MustCompile(`^/?OpcServerConfig/|\[[0-9]+\]`)

// Explain writes what is known about the elements of a name, which may be a path's end such as ReverseConnect/Url, or the
// path of a problem. Case does not matter. The error suggests the nearest name.
func Explain(w io.Writer, name string) error {
	var b strings.Builder
	var names []string
	name = placeInFile.ReplaceAllString(name, "")
	for _, e := range Elements() {
		names = append(names, e.name())
		if strings.HasSuffix(strings.ToLower("/"+e.Path), "/"+strings.ToLower(strings.Trim(name, "/"))) {
			e.explain(&b)
		}
	}
	if b.Len() == 0 {
		return fmt.Errorf("%s is not an element of TcUaServerConfig.xml%s", xmltree.Quote(name), xmltree.Suggest(name, names))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e Element) explain(b *strings.Builder) {
	fmt.Fprintf(b, "OpcServerConfig/%s\n  meaning        %s\n  value          %s\n", e.Path, e.Meaning, e.describe())
	for _, line := range [][2]string{{"if absent", e.Absent}, {"TwinCAT ships", e.Shipped}, {"here", e.effect()}} {
		if line[1] != "" {
			fmt.Fprintf(b, "  %-14s %s\n", line[0], line[1])
		}
	}
}
