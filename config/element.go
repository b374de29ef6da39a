package config

import "strings"

// Kind is how the text of an element is read.
type Kind uint8

// The kinds of elements of TcUaServerConfig.xml.
const (
	Block    Kind = iota // holds elements only
	Opaque               // belongs to another tool and is not looked into
	Text                 // text; placeholders are expanded
	Path                 // file or directory; placeholders, both kinds of separators, relative to the main file
	Word                 // exactly one of the listed words
	Bool                 // exactly "true" is true, everything else false
	NotFalse             // exactly "false" is false, everything else true
	Integer              // decimal 0 to 2147483647; what does not parse leaves the default
	Number               // decimal fraction, not negative
)

// Handling says what becomes of a value.
type Handling uint8

// Handlings of elements.
const (
	Honour Handling = iota // does what it says
	Map                    // the nearest equivalent
	Warn                   // has no effect; said so when it asks for something else than the shipped file
	Accept                 // has no effect and needs none
	Refuse                 // what it asks for is refused
)

// Element is what is known about one element of TcUaServerConfig.xml.
type Element struct {
	Path     string // from below the root: UaServerConfig/UaEndpoint/Url
	Kind     Kind
	Many     bool     // a list; otherwise the first one counts
	Absent   string   // what holds if it is missing
	Shipped  string   // in the file TwinCAT ships; empty: not in it
	Words    []string // of Kind Word
	Handling Handling
	Meaning  string // in units and words for an administrator
	Note     string // what happens instead, of Handling Map, Warn and Refuse
}

// row makes an Element; a star behind the path marks a list.
func row(path string, k Kind, absent, shipped string, h Handling, meaning string) Element {
	path, many := strings.CutSuffix(path, "*")
	return Element{Path: path, Kind: k, Many: many, Absent: absent, Shipped: shipped, Handling: h, Meaning: meaning}
}

// note adds what happens instead.
func (e Element) note(text string) Element {
	e.Note = text
	return e
}

// words adds the accepted words.
func (e Element) words(list string) Element {
	e.Words = strings.Fields(list)
	return e
}

// name is the last step of the path.
func (e Element) name() string { return e.Path[strings.LastIndexByte(e.Path, '/')+1:] }

// parent is the path without its last step.
func (e Element) parent() string { return e.Path[:max(strings.LastIndexByte(e.Path, '/'), 0)] }

// below puts rows under the path of a block.
func below(path string, rows ...Element) []Element {
	for i := range rows {
		rows[i].Path = path + "/" + rows[i].Path
	}
	return rows
}
