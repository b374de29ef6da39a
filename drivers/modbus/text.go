package modbus

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// TextOrder is where the characters of a text stand in its registers.
type TextOrder string

// The orders, by what a register holds: A is the first character, B the second, 0 nothing.
const (
	TextAB TextOrder = "AB"
	TextBA TextOrder = "BA"
	TextA0 TextOrder = "A0" // one character, in the high byte
	Text0A TextOrder = "0A" // one character, in the low byte
)

// Encoding is how the bytes of a text make characters.
type Encoding string

// The encodings.
const (
	UTF8   Encoding = "utf8"
	ASCII7 Encoding = "ascii"
	Latin1 Encoding = "latin1"
	UTF16  Encoding = "utf16" // one register for a unit, whatever the order of text says about its bytes
)

// single tells whether a register holds one byte of the text.
func (o TextOrder) single() bool { return o == TextA0 || o == Text0A }

// bytesOf takes the bytes of a text out of registers.
func (o TextOrder) bytesOf(wire []byte) []byte {
	if !o.single() {
		s := slices.Clone(wire)
		if o == TextBA {
			swapBytes(s)
		}
		return s
	}
	s := make([]byte, len(wire)/2)
	for i := range s {
		s[i] = wire[2*i+o.at()]
	}
	return s
}

// at is which byte of a register is used when it holds one.
func (o TextOrder) at() int {
	if o == Text0A {
		return 1
	}
	return 0
}

// put writes the bytes of a text into registers; ok is false if they do not fit.
func (o TextOrder) put(wire, s []byte) bool {
	if !o.single() {
		copy(wire, s)
		if o == TextBA {
			swapBytes(wire)
		}
		return len(s) <= len(wire)
	}
	if 2*len(s) > len(wire) {
		return false
	}
	for i, c := range s {
		wire[2*i+o.at()] = c
	}
	return true
}

func swapBytes(b []byte) {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
}

// decode makes a text of bytes. It ends at the first NUL and has no blanks around it.
func (e Encoding) decode(b []byte) (text string, ok bool) {
	if e == UTF16 {
		return decodeUTF16(b)
	}
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	b = bytes.TrimSpace(b)
	switch e {
	case Latin1:
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return strings.TrimSpace(string(runes)), true
	case ASCII7:
		return string(b), !bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf })
	}
	return string(b), utf8.Valid(b)
}

func decodeUTF16(b []byte) (string, bool) {
	var units []uint16
	for i := 0; i+1 < len(b); i += 2 {
		u := binary.BigEndian.Uint16(b[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	runes := utf16.Decode(units)
	return strings.TrimSpace(string(runes)), !slices.Contains(runes, utf8.RuneError)
}

// encode makes bytes of a text; ok is false if it has characters that cannot be said, or a NUL, behind which it would
// come back cut off.
func (e Encoding) encode(text string) (b []byte, ok bool) {
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return nil, false
	}
	if e == UTF8 {
		return []byte(text), true
	}
	for _, r := range text {
		switch {
		case e == UTF16:
			for _, u := range utf16.Encode([]rune{r}) {
				b = binary.BigEndian.AppendUint16(b, u)
			}
			continue
		case e == ASCII7 && r >= utf8.RuneSelf, r > 0xFF:
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}
