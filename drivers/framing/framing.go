// Package framing cuts the bytes of a serial instrument into frames and checks their checksums.
//
// It is pure: it does no I/O and starts nothing. A [Spec] says how frames are told apart (by delimiters, by start and end
// marks, by size, by a length field, by silence), a [Scanner] finds them in what arrives however that is split, keeps the
// time of their first and last byte, and never holds more than the largest frame. A [Checksum] says which bytes are
// covered, by which sum, and where and how the sum is written.
//
// Left out: byte stuffing such as that of SLIP, frames of bits.
package framing

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Kind is how frames are told apart.
type Kind string

// The kinds of framing.
const (
	Delimiter Kind = "delimiter" // a frame is what stands before each End
	StartEnd  Kind = "startend"  // from Start to End
	Fixed     Kind = "fixed"     // Size bytes, from Start if there is one
	Length    Kind = "length"    // the frame says how long it is
	Idle      Kind = "idle"      // a frame ends when nothing comes for Gap
)

// Kinds are all kinds, in the order in which they are explained.
func Kinds() []Kind { return []Kind{Delimiter, StartEnd, Fixed, Length, Idle} }

// Bounds of a frame, in bytes.
const (
	DefaultMax = 4 << 10
	MaxFrame   = 64 << 10 // no Spec can allow more
	MaxMark    = 8        // bytes of a Start or an End
)

// Spec says how a stream is cut into frames: plain data. The zero value of a field means that it does not apply.
type Spec struct {
	Kind    Kind
	Start   [][]byte // alternatives
	End     [][]byte // alternatives; of those that begin at the same byte the longest counts
	Trailer int      // bytes that follow End and belong to the frame, such as a checksum
	Size    int      // of a Fixed frame, all of it
	Length  LengthField
	Gap     time.Duration // Idle: the silence that ends a frame; otherwise the silence that ends a torn one, 0: DefaultGap
	Keep    bool          // Start and End stay in the body
	Max     int           // largest frame; 0: DefaultMax
}

// DefaultGap is the silence after which the beginning of a Fixed or Length frame is given up as torn.
const DefaultGap = 100 * time.Millisecond

// LengthField is the place of the length in a frame.
type LengthField struct {
	Offset int // from the first byte of the frame
	Size   int // 1, 2 or 4 bytes
	Little bool
	Adjust int // what must be added to make the length of the whole frame
}

// Limit is the largest frame.
func (s *Spec) Limit() int {
	switch {
	case s.Max <= 0:
		return DefaultMax
	case s.Max > MaxFrame:
		return MaxFrame
	}
	return s.Max
}

// Frame is one frame. Its slices are valid until the scanner is used again.
type Frame struct {
	Raw         []byte    // all of it
	Start, End  int       // Raw[Start:End] is what stands between the marks
	Mark        int       // bytes of the End mark that follow
	First, Last time.Time // when its first and its last byte came

	keep bool
}

// Body is what the frame carries: without the marks, unless they are kept, and without what follows the End.
func (f *Frame) Body() []byte {
	if f.keep {
		return f.Raw[:f.End+f.Mark]
	}
	return f.Raw[f.Start:f.End]
}

// verdict is what the first bytes of a stream are.
type verdict uint8

const (
	more   verdict = iota // the beginning of a frame
	whole                 // a frame of size bytes behind skip bytes
	torn                  // skip bytes that are no frame and should have been one
	silent                // a beginning that is never a frame; what follows it is of no use until the line is silent
)

// cut is where the next frame is.
type cut struct {
	verdict    verdict
	skip, size int
	start, end int // of what stands between the marks, counted from the frame
	mark       int
	scanned    int  // more: bytes behind skip that hold no End
	open       bool // torn: its End has not come yet
}

// find looks for the first frame in b. from is what an earlier call with less bytes returned as scanned.
func (s *Spec) find(b []byte, from int) cut {
	switch s.Kind {
	case Delimiter:
		return s.delimited(b, from)
	case StartEnd:
		return s.enclosed(b, from)
	case Fixed:
		return s.sized(b, func([]byte) (int, bool) { return s.Size, true })
	case Length:
		return s.sized(b, s.length)
	}
	if len(b) > s.Limit() {
		return cut{verdict: silent, skip: len(b)}
	}
	return cut{}
}

func (s *Spec) delimited(b []byte, from int) cut {
	at, mark := first(b, s.End, from)
	switch {
	case at < 0 && len(b) > s.Limit():
		return cut{verdict: torn, skip: len(b) - partial(b, s.End), open: true}
	case at+mark > s.Limit():
		return cut{verdict: torn, skip: at + mark}
	case at < 0:
		return cut{scanned: max(0, len(b)-MaxMark)}
	}
	return s.trailed(b, cut{verdict: whole, end: at, mark: mark, scanned: at})
}

// trailed completes a frame whose End was found, when what follows the End has come.
func (s *Spec) trailed(b []byte, c cut) cut {
	c.size = c.end + c.mark + s.Trailer
	if len(b)-c.skip < c.size {
		c.verdict = more
	}
	return c
}

// enclosed looks for an End behind a Start. A Start in between begins a new frame: the one before it was torn.
func (s *Spec) enclosed(b []byte, from int) cut {
	begin, startMark := first(b, s.Start, 0)
	if begin < 0 {
		return cut{skip: len(b) - partial(b, s.Start)}
	}
	if begin > 0 {
		return cut{skip: begin}
	}
	at, mark := first(b, s.End, max(startMark, from))
	if at < 0 {
		at, mark = len(b), 0
	}
	if again, _ := first(b[startMark:at], s.Start, max(0, from-startMark)); again >= 0 {
		return cut{verdict: torn, skip: startMark + again}
	}
	switch {
	case at+mark > s.Limit():
		return cut{verdict: torn, skip: startMark}
	case mark == 0:
		return cut{scanned: max(startMark, len(b)-MaxMark)}
	}
	return s.trailed(b, cut{verdict: whole, start: startMark, end: at, mark: mark, scanned: at})
}

// sized is for frames whose length is known from their beginning.
func (s *Spec) sized(b []byte, length func([]byte) (int, bool)) cut {
	startMark := 0
	if len(s.Start) > 0 {
		var begin int
		if begin, startMark = first(b, s.Start, 0); begin < 0 {
			return cut{skip: len(b) - partial(b, s.Start)}
		} else if begin > 0 {
			return cut{skip: begin}
		}
	}
	size, known := length(b)
	switch {
	case !known:
		return cut{}
	case size <= startMark || size > s.Limit():
		return s.nonsense(b, startMark)
	case len(b) < size:
		return cut{}
	}
	return s.closed(b, cut{verdict: whole, size: size, start: startMark, end: size})
}

// closed takes Trailer and End off a frame of known length; a frame that should end with End and does not is torn.
func (s *Spec) closed(b []byte, c cut) cut {
	if c.end -= s.Trailer; c.end < c.start {
		return s.nonsense(b, c.start)
	}
	if len(s.End) == 0 {
		return c
	}
	for _, mark := range s.End {
		if bytes.HasSuffix(b[c.start:c.end], mark) {
			c.end, c.mark = c.end-len(mark), len(mark)
			return c
		}
	}
	return s.nonsense(b, c.start)
}

// nonsense gives up a beginning: up to the next Start or, where there is none to look for, up to the next silence.
func (s *Spec) nonsense(b []byte, startMark int) cut {
	if startMark == 0 {
		return cut{verdict: silent, skip: len(b)}
	}
	return cut{verdict: torn, skip: startMark}
}

// length reads the length field.
func (s *Spec) length(b []byte) (int, bool) {
	l := s.Length
	if len(b) < l.Offset+l.Size {
		return 0, false
	}
	var wide [8]byte
	field := b[l.Offset : l.Offset+l.Size]
	if l.Little {
		copy(wide[:], field)
		return clamp(binary.LittleEndian.Uint64(wide[:]), l.Adjust), true
	}
	copy(wide[8-l.Size:], field)
	return clamp(binary.BigEndian.Uint64(wide[:]), l.Adjust), true
}

// clamp keeps a length that is out of all proportion from overflowing where an int has 32 bits.
func clamp(n uint64, adjust int) int {
	if n > 1<<30 {
		return 1 << 30
	}
	return int(n) + adjust
}

// first finds the mark that begins first in b[from:] and its length; -1 if there is none.
func first(b []byte, marks [][]byte, from int) (at, size int) {
	at = -1
	for _, m := range marks {
		end := len(b)
		if at >= 0 { // only what begins at the same place or before
			end = min(end, at+len(m))
		}
		if from > end {
			continue
		}
		if i := bytes.Index(b[from:end], m); i >= 0 && (at < 0 || from+i < at || len(m) > size) {
			at, size = from+i, len(m)
		}
	}
	return at, size
}

// partial is how many bytes at the end of b may be the beginning of a mark.
func partial(b []byte, marks [][]byte) int {
	most := 0
	for _, m := range marks {
		for n := min(len(m)-1, len(b)); n > most; n-- {
			if bytes.HasSuffix(b, m[:n]) {
				most = n
			}
		}
	}
	return most
}
