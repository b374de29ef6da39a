package framing

import (
	"slices"
	"time"
)

// Scanner finds frames in a stream. It is not safe for concurrent use.
type Scanner struct {
	// Torn counts frames that were begun and never finished, or grew larger than allowed; Noise counts bytes that belong to
	// no frame.
	Torn, Noise uint64

	spec    Spec
	buf     []byte
	used    int    // bytes at the front that were handed out
	times   []mark // when bytes came, in ascending order
	scanned int    // behind used, that hold no End
	last    time.Time
	skip    skipping
	ripe    int // Idle: bytes behind used that are a frame
}

// mark says when the bytes from pos on came.
type mark struct {
	pos int
	at  time.Time
}

// skipping says what a scanner that is out of step waits for.
type skipping uint8

const (
	inStep  skipping = iota
	joining          // began in the middle of a stream: a frame begins after the next End, or after silence
	toEnd            // the rest of a frame that was too large, up to its End
	toQuiet          // everything up to the next silence
)

// Timing of a scanner.
const (
	// joinSilence before the first byte shows that it is the first one of a frame.
	joinSilence = 100 * time.Millisecond
	// sameTime is how far bytes may be apart to share a mark, which bounds the memory for marks.
	sameTime = time.Millisecond
)

// NewScanner returns a scanner that is in step: the next byte begins a frame.
func NewScanner(spec Spec) *Scanner { return &Scanner{spec: spec} }

// Spec returns what the scanner cuts by.
func (s *Scanner) Spec() *Spec { return &s.spec }

// Sync forgets what came and expects the beginning of a frame.
func (s *Scanner) Sync() {
	s.drop(len(s.buf))
	s.skip, s.ripe = inStep, 0
}

// Join forgets what came and expects to be in the middle of a stream from now on: where frames have no Start, what comes
// up to the first End may be half a frame and is dropped. What comes after silence is a frame from its beginning.
func (s *Scanner) Join(now time.Time) {
	s.Sync()
	s.skip, s.last = joining, now
	if (s.spec.Kind == Fixed || s.spec.Kind == Length) && len(s.spec.Start) == 0 {
		s.skip = toQuiet
	}
}

// Feed takes bytes that came at a time. Call Next until it finds nothing before the next Feed.
func (s *Scanner) Feed(data []byte, at time.Time) {
	if len(data) == 0 {
		return
	}
	s.compact()
	s.Expire(at)
	if s.skip == joining && s.joined(at) || s.skip == toQuiet && at.Sub(s.last) >= s.spec.gap() {
		s.skip = inStep
	}
	s.last = at
	if s.skip == toQuiet {
		s.Noise += uint64(len(data))
		return
	}
	if n := len(s.times); n == 0 || at.Sub(s.times[n-1].at) >= sameTime {
		s.times = append(s.times, mark{len(s.buf), at})
	}
	s.buf = append(s.buf, data...)
}

// joined tells whether the byte that comes now is the first one of a frame.
func (s *Scanner) joined(at time.Time) bool {
	return at.Sub(s.last) >= max(joinSilence, s.spec.Gap) || len(s.spec.Start) > 0
}

func (s *Spec) gap() time.Duration {
	if s.Gap <= 0 {
		return DefaultGap
	}
	return s.Gap
}

// Expire ends by silence what silence ends, if it has lasted long enough at that time: an Idle frame, which Next then
// returns, and the beginning of a frame whose rest did not come.
func (s *Scanner) Expire(now time.Time) {
	if until, ok := s.Deadline(); !ok || now.Before(until) {
		return
	}
	switch {
	case s.spec.Kind != Idle:
		s.tear(len(s.pending()))
	case s.skip == joining: // that was the rest of something, and this is the silence
		s.Noise += uint64(len(s.pending()))
		s.drop(len(s.pending()))
		s.skip = inStep
	default:
		s.ripe = len(s.pending())
	}
}

// Deadline is when the silence will have lasted long enough to end what is there; ok is false if it ends nothing.
func (s *Scanner) Deadline() (at time.Time, ok bool) {
	switch {
	case len(s.pending()) == 0, s.skip == toQuiet, s.ripe > 0:
		return time.Time{}, false
	case s.spec.Gap > 0, s.spec.Kind == Fixed, s.spec.Kind == Length, s.spec.Kind == Idle:
		return s.last.Add(s.spec.gap()), true
	}
	return time.Time{}, false
}

// Break says that bytes were lost: what was begun is torn.
func (s *Scanner) Break(now time.Time) {
	if len(s.pending()) > 0 {
		s.Torn++
	}
	s.Join(now)
}

// Next returns the next frame; ok is false if there is none yet. Frames with nothing between two delimiters are left out.
func (s *Scanner) Next() (f Frame, ok bool) {
	for {
		b := s.pending()
		if n := s.ripe; n > 0 {
			s.ripe = 0
			return s.take(cut{size: n, end: n})
		}
		c := s.spec.find(b, s.scanned)
		switch c.verdict {
		case torn:
			s.tear(c.skip)
			if s.skip = inStep; c.open {
				s.skip = toEnd
			}
		case silent:
			s.tear(c.skip)
			s.skip = toQuiet
		case more:
			s.Noise += uint64(c.skip)
			s.drop(c.skip)
			if s.scanned = c.scanned; c.skip == 0 || len(s.pending()) == 0 {
				return Frame{}, false
			}
		case whole:
			if f, ok = s.take(c); ok {
				return f, true
			}
		}
	}
}

// take hands out a whole frame, unless it is empty or the rest of one.
func (s *Scanner) take(c cut) (Frame, bool) {
	b := s.pending()
	f := Frame{Raw: b[:c.size], Start: c.start, End: c.end, Mark: c.mark, keep: s.spec.Keep, First: s.time(0), Last: s.time(c.size - 1)}
	s.scanned, s.used = 0, s.used+c.size
	switch {
	case s.skip == joining || s.skip == toEnd:
		s.Noise += uint64(c.size)
		s.skip = inStep
		return Frame{}, false
	case s.spec.Kind == Delimiter && c.end == 0:
		return Frame{}, false
	}
	return f, true
}

// Reject takes the last frame back, because its checksum is wrong. Where a frame is told by its size it may have been cut
// at the wrong place, and what is inside of it is searched for another one.
func (s *Scanner) Reject(f *Frame) {
	if (s.spec.Kind == Fixed || s.spec.Kind == Length) && len(s.spec.Start) > 0 && s.used >= len(f.Raw) {
		s.used += 1 - len(f.Raw)
		s.Noise++
	}
}

// Pending is what has come and is no frame yet.
func (s *Scanner) Pending() []byte { return s.pending() }

// Discard drops bytes from the front of what is pending.
func (s *Scanner) Discard(n int) { s.drop(min(n, len(s.pending()))) }

func (s *Scanner) pending() []byte { return s.buf[s.used:] }

func (s *Scanner) tear(n int) {
	s.Torn++
	s.Noise += uint64(n)
	s.drop(n)
}

func (s *Scanner) drop(n int) {
	s.used, s.scanned = min(s.used+n, len(s.buf)), 0
}

// time is when a byte of what is pending came.
func (s *Scanner) time(offset int) time.Time {
	i, found := slices.BinarySearchFunc(s.times, s.used+offset, func(m mark, pos int) int { return m.pos - pos })
	if !found {
		i--
	}
	if i < 0 {
		return s.last
	}
	return s.times[i].at
}

// compact moves what is pending to the front.
func (s *Scanner) compact() {
	if s.used == 0 {
		return
	}
	kept := s.times[:0]
	for i, m := range s.times {
		if i+1 < len(s.times) && s.times[i+1].pos <= s.used {
			continue
		}
		kept = append(kept, mark{max(0, m.pos-s.used), m.at})
	}
	if s.times = kept; s.used == len(s.buf) {
		s.times = kept[:0]
	}
	s.buf = append(s.buf[:0], s.buf[s.used:]...)
	s.used = 0
}
