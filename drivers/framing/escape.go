package framing

import (
	"fmt"
	"strings"
)

// escapes are the characters behind a backslash and what they stand for, besides \xHH.
func escapes() map[byte]byte {
	return map[byte]byte{'r': '\r', 'n': '\n', 't': '\t', '0': 0, 'e': 0x1B, 's': ' ', '\\': '\\', '|': '|', '{': '{'}
}

// Unescape makes bytes of a text with escapes: \r \n \t \0 \e (escape) \s (blank) \\ \| \{ and \x with two hexadecimal
// digits.
func Unescape(text string) ([]byte, error) {
	var b []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b = append(b, text[i])
			continue
		}
		if i++; i == len(text) {
			return nil, fmt.Errorf("ends with a single \\; write \\\\ for one")
		}
		if text[i] != 'x' {
			c, known := escapes()[text[i]]
			if !known {
				return nil, fmt.Errorf(`\%c is none of \r \n \t \0 \e \s \xHH \\ \| \{`, text[i])
			}
			b = append(b, c)
			continue
		}
		var c byte
		if i+2 >= len(text) || !hexByte(text[i+1:i+3], &c) {
			return nil, fmt.Errorf(`\x needs two hexadecimal digits, as in \x02`)
		}
		b, i = append(b, c), i+2
	}
	return b, nil
}

func hexByte(digits string, c *byte) bool {
	for i := range 2 {
		n := strings.IndexByte("0123456789abcdef", digits[i]|0x20)
		if n < 0 {
			return false
		}
		*c = *c<<4 | byte(n)
	}
	return true
}

// Escape writes bytes so that Unescape reads them back.
func Escape(b []byte) string {
	var text strings.Builder
	for _, c := range b {
		switch c {
		case '\r':
			text.WriteString(`\r`)
		case '\n':
			text.WriteString(`\n`)
		case '\t':
			text.WriteString(`\t`)
		case '\\', '|', '{':
			text.WriteString(`\` + string(rune(c)))
		default:
			if c < ' ' || c > '~' {
				fmt.Fprintf(&text, `\x%02X`, c)
			} else {
				text.WriteByte(c)
			}
		}
	}
	return text.String()
}

// Marks reads alternatives of a Start or an End, which are separated by |.
func Marks(text string) ([][]byte, error) {
	var marks [][]byte
	for _, word := range splitAlternatives(text) {
		m, err := Unescape(word)
		switch {
		case err != nil:
			return nil, err
		case len(m) == 0 || len(m) > MaxMark:
			return nil, fmt.Errorf("a mark has 1 to %d bytes, and %q has %d", MaxMark, word, len(m))
		}
		marks = append(marks, m)
	}
	return marks, nil
}

// splitAlternatives splits at each | that is not escaped.
func splitAlternatives(text string) []string {
	var words []string
	from := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '|':
			words = append(words, text[from:i])
			from = i + 1
		}
	}
	return append(words, text[from:])
}
