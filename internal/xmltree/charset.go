package xmltree

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// windows1252 holds the code points of bytes 0x80 to 0x9F; everything else of the code page equals ISO-8859-1.
// The five bytes without a character stand for themselves, as browsers read them.
var windows1252 = [32]rune{
	0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D, 0x017D, 0x008F,
	0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
}

// charsetReader converts the encodings that configuration files declare besides UTF-8.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii", "utf8":
		return in, nil
	case "iso-8859-1", "latin1", "iso_8859-1":
		return &byteReader{in: bufio.NewReader(in)}, nil
	case "windows-1252", "cp1252":
		return &byteReader{in: bufio.NewReader(in), high: &windows1252}, nil
	}
	return nil, fmt.Errorf("encoding %s is not supported; save the file as UTF-8 (also read: US-ASCII, ISO-8859-1, windows-1252)", Quote(label))
}

// byteReader turns a one-byte encoding into UTF-8.
type byteReader struct {
	in      *bufio.Reader
	high    *[32]rune // bytes 0x80 to 0x9F; nil: they are code points
	pending []byte
	buf     [utf8.UTFMax]byte
}

// Read fills p with UTF-8; a character that does not fit is kept for the next call.
func (r *byteReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(r.pending) == 0 {
			b, err := r.in.ReadByte()
			if err != nil {
				return n, err
			}
			r.pending = utf8.AppendRune(r.buf[:0], r.decode(b))
		}
		c := copy(p[n:], r.pending)
		r.pending = r.pending[c:]
		n += c
	}
	return n, nil
}

func (r *byteReader) decode(b byte) rune {
	if r.high != nil && b >= 0x80 && b < 0xA0 {
		return r.high[b-0x80]
	}
	return rune(b)
}
