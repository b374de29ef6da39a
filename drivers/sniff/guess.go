package sniff

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/edgeua/edgeua/drivers/framing"
)

// Guess is one explanation of what came.
type Guess struct {
	Name     string           // for people: Modbus RTU, lines that end with \r\n
	Type     string           // of a Channel that reads it
	Frame    framing.Spec     // of a Serial channel
	Checksum framing.Checksum // of a Serial channel
	Units    []int            // of Modbus: who was spoken to, or spoke
	Profile  string           // of a Serial channel: what devices of this kind need; empty: there is none
	Text     bool             // of a Serial channel: frames are text
	Number   bool             // of a Serial channel: there is one number in each of them
	Frames   int
	Share    float64  // of the bytes that are in those frames, 0 to 1
	Notes    []string // what else was seen

	trust float64 // how much of a coincidence it could be, 0 to 1: a checksum is none
}

// Score is how well the guess explains what came, 0 to 1. From [Likely] on it is worth to be believed.
func (g *Guess) Score() float64 { return g.Share * g.trust }

// Likely is the least score of a guess that is no coincidence.
const Likely = 0.7

// How far a framing can be trusted that explains everything.
const (
	trustChecksum = 1
	trustMarks    = 0.9
	trustLines    = 0.85
	trustSize     = 0.6
	trustSilence  = 0.4
)

// Guesses are all explanations that are worth a word, the best one first.
func Guesses(r *Recorder) []Guess {
	s := streamOf(r)
	all := []Guess{s.rtu(), s.ascii(), s.nmea(), s.telegram(), s.marks(), s.lines(), s.size(), s.silence(r.shortestGap())}
	all = slices.DeleteFunc(all, func(g Guess) bool { return g.Frames < 2 || g.Score() < 0.2 })
	slices.SortStableFunc(all, func(a, b Guess) int { return cmp.Compare(b.Score(), a.Score()) })
	return all
}

// stream is all that came, with the bursts it came in.
type stream struct {
	data   []byte
	bursts []Burst
	starts []int // of the bursts in data
}

func streamOf(r *Recorder) *stream {
	s := &stream{bursts: r.Bursts}
	for _, b := range r.Bursts {
		s.starts = append(s.starts, len(s.data))
		s.data = append(s.data, b.Data...)
	}
	return s
}

// at is when a byte came: that of its burst.
func (s *stream) at(offset int) time.Duration {
	i, found := slices.BinarySearch(s.starts, offset)
	if !found {
		i--
	}
	return s.bursts[i].At
}

// cut is what a framing makes of the stream.
type cut struct {
	frames []framing.Frame // with bytes of their own
	share  float64         // of the bytes, but for a beginning and an end that are parts of frames
}

// text tells whether the frames are text, and whether there is one number in each.
func (c *cut) text() (text, oneNumber bool) {
	bytes, printable := 0, 0
	oneNumber = len(c.frames) > 0
	for i := range c.frames {
		body := c.frames[i].Body()
		bytes += len(body)
		printable += countPrintable(body)
		oneNumber = oneNumber && len(number().FindAllIndex(body, 2)) == 1
	}
	text = float64(printable) >= 0.97*float64(bytes)
	return text, text && oneNumber
}

// number is how instruments write one.
func number() *regexp.Regexp { return regexp.MustCompile(numberPattern) }

const numberPattern = `[+-]?\s*[0-9]+(?:\.[0-9]+)?`

// try cuts the stream.
func (s *stream) try(spec framing.Spec) cut {
	var c cut
	begin := time.Unix(0, 0)
	scanner := framing.NewScanner(spec)
	scanner.Join(begin)
	inFrames, before := 0, 0
	for i, b := range s.bursts {
		scanner.Feed(b.Data, begin.Add(b.At))
		if i+1 < len(s.bursts) && spec.Kind == framing.Idle {
			scanner.Expire(begin.Add(s.bursts[i+1].At))
		}
		for f, ok := scanner.Next(); ok; f, ok = scanner.Next() {
			if len(c.frames) == 0 {
				before = int(scanner.Noise)
			}
			f.Raw = slices.Clone(f.Raw)
			c.frames = append(c.frames, f)
			inFrames += len(f.Raw)
		}
	}
	if len(c.frames) == 0 {
		return c
	}
	part := min(before, 2*inFrames/len(c.frames)) // more than that is no part of a frame
	c.share = float64(inFrames) / float64(max(inFrames, len(s.data)-part-min(len(scanner.Pending()), spec.Limit())))
	return c
}

func countPrintable(b []byte) int {
	n := 0
	for _, c := range b {
		if c >= ' ' && c <= '~' || c == '\t' || c == '\r' || c == '\n' {
			n++
		}
	}
	return n
}

// valid counts the frames whose checksum is right.
func (c *cut) valid(sum *framing.Checksum) int {
	n := 0
	for i := range c.frames {
		if _, err := sum.Verify(&c.frames[i]); err == nil {
			n++
		}
	}
	return n
}

// nmea looks for the sentences of NMEA 0183.
func (s *stream) nmea() Guess {
	g := Guess{Name: "NMEA 0183", Type: "Serial", Profile: "nmea0183", trust: trustChecksum,
		Frame:    framing.Spec{Kind: framing.StartEnd, Start: [][]byte{{'$'}, {'!'}}, End: [][]byte{[]byte("\r\n")}},
		Checksum: framing.Checksum{Sum: framing.XOR, Encoding: framing.Hex, After: []byte("*")},
	}
	c := s.try(g.Frame)
	g.checked(&c)
	kinds := map[string]int{}
	for i := range c.frames {
		if word, _, ok := bytes.Cut(c.frames[i].Body(), []byte(",")); ok && len(word) <= 8 {
			kinds[string(word)]++
		}
	}
	if words := sortedKeys(kinds); len(words) > 0 {
		g.Notes = append(g.Notes, fmt.Sprintf("sentences %q", words))
	}
	return g
}

// telegram looks for those of DSMR P1, the customer port of electricity meters.
func (s *stream) telegram() Guess {
	g := Guess{Name: "DSMR P1 telegrams", Type: "Serial", Profile: "dsmr", trust: trustChecksum,
		Frame:    framing.Spec{Kind: framing.StartEnd, Start: [][]byte{{'/'}}, End: [][]byte{{'!'}}, Trailer: 6, Max: framing.DefaultMax},
		Checksum: framing.Checksum{Sum: framing.CRC16ARC, Encoding: framing.Hex, Start: true, End: true},
	}
	c := s.try(g.Frame)
	g.checked(&c)
	return g
}

// checked takes over a cut as far as the checksums are right.
func (g *Guess) checked(c *cut) {
	valid := c.valid(&g.Checksum)
	if g.Frames, g.Text = valid, true; valid == 0 {
		return
	}
	g.Share = c.share * float64(valid) / float64(len(c.frames))
	if wrong := len(c.frames) - valid; wrong > 0 {
		g.Notes = append(g.Notes, fmt.Sprintf("%d frames have a wrong checksum", wrong))
	}
}

// Marks that are looked for, and what may follow the end of a frame.
func startMarks() [][]byte {
	return [][]byte{{0x02}, {0x01}, {0x7E}, {0xAA}, {0xAA, 0x55}, {'<'}, {'['}, {'@'}}
}

func endMarks() [][]byte {
	return [][]byte{{0x03}, {0x04}, []byte("\r\n"), {'\r'}, {'\n'}, {'>'}, {']'}, {0x7E}}
}

// marks looks for frames between two marks.
func (s *stream) marks() Guess {
	var best Guess
	for _, start := range startMarks() {
		if bytes.Count(s.data, start) < 2 {
			continue
		}
		for _, end := range endMarks() {
			if g := s.between(start, end); g.Score() > best.Score() {
				best = g
			}
		}
	}
	return best
}

func (s *stream) between(start, end []byte) Guess {
	g := Guess{Type: "Serial", trust: trustMarks, Frame: framing.Spec{Kind: framing.StartEnd, Start: [][]byte{start}, End: [][]byte{end}}}
	g.Frame.Trailer = s.trailer(start, end)
	c := s.try(g.Frame)
	if g.Frames, g.Share = len(c.frames), c.share; g.Frames < 3 || g.Share < 0.9 {
		g.trust = trustSilence // in noise, too, a mark follows another one now and then
	}
	g.Name = fmt.Sprintf("frames from %s to %s", framing.Escape(start), framing.Escape(end))
	if g.Frame.Trailer > 0 {
		g.Name += fmt.Sprintf(" and %d bytes", g.Frame.Trailer)
	}
	g.Text, g.Number = c.text()
	g.sum(&c)
	return g
}

// maxTrailer is the longest checksum behind an end that is looked for.
const maxTrailer = 4

// trailer is how many bytes always stand between an end and the next start.
func (s *stream) trailer(start, end []byte) int {
	n := -1
	for rest := s.data; ; {
		i := bytes.Index(rest, start)
		if i < 0 {
			break
		}
		rest = rest[i+len(start):]
		e := bytes.Index(rest, end)
		if e < 0 {
			break
		}
		rest = rest[e+len(end):]
		next := bytes.Index(rest[:min(len(rest), maxTrailer+len(start))], start)
		if next < 0 || n >= 0 && next != n { // the bytes behind may look like a start, too; then they differ
			if len(rest) > maxTrailer {
				return 0
			}
			break
		}
		n = next
	}
	return max(n, 0)
}

// lines looks for text in lines.
func (s *stream) lines() Guess {
	crlf := bytes.Count(s.data, []byte("\r\n"))
	lf, cr := bytes.Count(s.data, []byte("\n"))-crlf, bytes.Count(s.data, []byte("\r"))-crlf
	end := []byte("\r\n")
	switch {
	case lf > crlf && lf >= cr:
		end = []byte("\n")
	case cr > crlf:
		end = []byte("\r")
	}
	g := Guess{Type: "Serial", trust: trustLines, Frame: framing.Spec{Kind: framing.Delimiter, End: [][]byte{end}}}
	c := s.try(g.Frame)
	g.Name = "lines of text that end with " + framing.Escape(end)
	g.Text, g.Number = c.text()
	if g.Frames, g.Share = len(c.frames), c.share; !g.Text {
		g.Share = 0
	}
	g.sum(&c)
	return g
}

// size looks for bursts that are all of one length.
func (s *stream) size() Guess {
	if len(s.bursts) < 4 || len(s.bursts[0].Data) < 2 {
		return Guess{}
	}
	inner := s.bursts[1 : len(s.bursts)-1] // the first and the last one may be parts
	n := len(inner[0].Data)
	if n < 2 || slices.ContainsFunc(inner, func(b Burst) bool { return len(b.Data) != n }) {
		return Guess{}
	}
	g := Guess{Type: "Serial", trust: trustSize, Frame: framing.Spec{Kind: framing.Fixed, Size: n}, Share: 1, Frames: len(s.bursts)}
	g.Name = fmt.Sprintf("frames of %d bytes", n)
	c := cut{}
	for _, b := range inner {
		c.frames = append(c.frames, framing.Frame{Raw: b.Data, End: n})
	}
	g.sum(&c)
	return g
}

// silence takes every burst for a frame.
func (s *stream) silence(shortest time.Duration) Guess {
	if len(s.bursts) < 4 {
		return Guess{}
	}
	gap := max((shortest / 2).Round(time.Millisecond), time.Millisecond)
	g := Guess{Name: fmt.Sprintf("frames with at least %v of silence between them", shortest.Round(time.Millisecond)),
		Type: "Serial", trust: trustSilence, Frame: framing.Spec{Kind: framing.Idle, Gap: gap}, Share: 1, Frames: len(s.bursts)}
	c := cut{}
	for _, b := range s.bursts {
		c.frames = append(c.frames, framing.Frame{Raw: b.Data, End: len(b.Data)})
	}
	g.sum(&c)
	return g
}

// sum looks for a checksum that is right in all frames. It takes different frames to tell one from a coincidence.
func (g *Guess) sum(c *cut) {
	const least = 4
	different := map[string]bool{}
	for i := range c.frames {
		different[string(c.frames[i].Raw)] = true
	}
	if len(different) < least {
		return
	}
	for _, sum := range sums(len(g.Frame.Start) > 0, g.Frame.Trailer) {
		if g.Frame.Trailer > 0 && sum.Width() != g.Frame.Trailer {
			continue
		}
		if c.valid(&sum) == len(c.frames) {
			g.Checksum, g.trust = sum, trustChecksum
			g.Notes = append(g.Notes, fmt.Sprintf("checksum %s, %s, right in all of them", sum.Sum, sum.Encoding))
			return
		}
	}
}

// sums are the checksums that are tried, from the more to the less usual ones.
func sums(marks bool, trailer int) []framing.Checksum {
	covers := []framing.Checksum{{}}
	if marks {
		covers = append(covers, framing.Checksum{Start: true})
		if trailer > 0 {
			covers = append(covers, framing.Checksum{End: true}, framing.Checksum{Start: true, End: true})
		}
	}
	var all []framing.Checksum
	for _, sum := range framing.Sums() {
		for _, encoding := range []framing.Encoding{framing.Binary, framing.BinaryLittle, framing.Hex} {
			for _, c := range covers {
				for _, after := range []string{"", "*"} {
					c.Sum, c.Encoding, c.After = sum, encoding, nil
					if after != "" {
						c.After = []byte(after)
					}
					if sum.Size() > 0 && (sum.Size() > 1 || encoding != framing.BinaryLittle) && (trailer == 0 || after == "") {
						all = append(all, c)
					}
				}
			}
		}
	}
	return all
}

func sortedKeys[K cmp.Ordered](m map[K]int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
