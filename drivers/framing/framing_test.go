package framing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func marks(texts ...string) [][]byte {
	var all [][]byte
	for _, t := range texts {
		all = append(all, []byte(t))
	}
	return all
}

// epoch is when every test begins to listen.
func epoch() time.Time { return time.Unix(1_000_000, 0) }

// scan feeds chunks, one every step, and returns the bodies of the frames found, and the scanner.
func scan(spec Spec, step time.Duration, chunks ...string) ([]string, *Scanner) {
	s := NewScanner(spec)
	at := epoch()
	var got []string
	for _, c := range chunks {
		s.Feed([]byte(c), at)
		got = append(got, drain(s)...)
		at = at.Add(step)
	}
	s.Expire(at.Add(time.Hour))
	return append(got, drain(s)...), s
}

func drain(s *Scanner) []string {
	var got []string
	for {
		f, ok := s.Next()
		if !ok {
			return got
		}
		got = append(got, string(f.Body()))
	}
}

// specs are one of each kind of framing, the bytes of a stream and the frames in it.
func specs() map[string]struct {
	spec        Spec
	stream      string
	want        []string
	torn, noise int
} {
	type row = struct {
		spec        Spec
		stream      string
		want        []string
		torn, noise int
	}
	line := Spec{Kind: Delimiter, End: marks("\r\n")}
	scale := Spec{Kind: StartEnd, Start: marks("\x02"), End: marks("\r"), Max: 20}
	length := Spec{Kind: Length, Start: marks("\xAA\x55"), Length: LengthField{Offset: 2, Size: 1, Adjust: 4}, Max: 20}
	return map[string]row{
		"lines":                {line, "one\r\ntwo\r\n\r\nthr\ree\r\nfou", []string{"one", "two", "thr\ree"}, 0, 0},
		"lines kept":           {Spec{Kind: Delimiter, End: marks("\n"), Keep: true}, "one\ntwo\n", []string{"one\n", "two\n"}, 0, 0},
		"any line end":         {Spec{Kind: Delimiter, End: marks("\r", "\n", "\r\n")}, "one\r\ntwo\nthree\rfour\n", []string{"one", "two", "three", "four"}, 0, 0},
		"line too long":        {Spec{Kind: Delimiter, End: marks("\n"), Max: 8}, "good\n1234567890123456789012\nfine\n", []string{"good", "fine"}, 1, 23},
		"start and end":        {scale, "noise\x02+1.5\rnoise\x02+2.5\r", []string{"+1.5", "+2.5"}, 0, 10},
		"start inside":         {scale, "\x02+1.\x02+2.5\r", []string{"+2.5"}, 1, 4},
		"start without end":    {scale, "\x02" + strings.Repeat("9", 50) + "\x02+1.5\r", []string{"+1.5"}, 1, 51},
		"empty frame":          {scale, "\x02\r", []string{""}, 0, 0},
		"trailer":              {Spec{Kind: StartEnd, Start: marks("/"), End: marks("!"), Trailer: 6}, "/abc!1234\r\n/def!5678\r\n", []string{"abc", "def"}, 0, 0},
		"long start":           {Spec{Kind: StartEnd, Start: marks("<<"), End: marks(">>")}, "<x<<a>b>>", []string{"a>b"}, 0, 2},
		"two starts":           {Spec{Kind: StartEnd, Start: marks("$", "!"), End: marks("\r\n")}, "$A\r\n!B\r\n", []string{"A", "B"}, 0, 0},
		"fixed":                {Spec{Kind: Fixed, Size: 3}, "abcdefg", []string{"abc", "def"}, 1, 1},
		"fixed with start":     {Spec{Kind: Fixed, Size: 4, Start: marks("#")}, "x#abcyz#def", []string{"abc", "def"}, 0, 3},
		"fixed with both":      {Spec{Kind: Fixed, Size: 5, Start: marks("#"), End: marks(";")}, "#abc;#ab#def;", []string{"abc", "def"}, 1, 3},
		"fixed with trailer":   {Spec{Kind: Fixed, Size: 5, Start: marks("#"), Trailer: 1}, "#abcX", []string{"abc"}, 0, 0},
		"length":               {length, "\xAA\x55\x02hi!\xAA\x55\x03you!", []string{"\x02hi!", "\x03you!"}, 0, 0},
		"length after noise":   {length, "\xAA\xFF\xAA\x55\x02hi!", []string{"\x02hi!"}, 0, 2},
		"length out of reason": {length, "\xAA\x55\xFFhi\xAA\x55\x01h!", []string{"\x01h!"}, 1, 5},
		"length little endian": {Spec{Kind: Length, Length: LengthField{Size: 2, Little: true, Adjust: 2}}, "\x02\x00hi\x03\x00you", []string{"\x02\x00hi", "\x03\x00you"}, 0, 0},
		"length too small":     {Spec{Kind: Length, Length: LengthField{Offset: 1, Size: 1}}, "a\x00abcdefgh", nil, 1, 10},
		"length of 4 GiB":      {Spec{Kind: Length, Length: LengthField{Size: 4, Adjust: 4}}, "\xFF\xFF\xFF\xFFabcd", nil, 1, 8},
		"idle":                 {Spec{Kind: Idle, Gap: 20 * time.Millisecond}, "what comes", []string{"what comes"}, 0, 0},
		"idle without end":     {Spec{Kind: Idle, Gap: 20 * time.Millisecond, Max: 4}, "what comes", nil, 1, 10},
	}
}

func TestFrames(t *testing.T) {
	for name, row := range specs() {
		got, s := scan(row.spec, time.Millisecond, row.stream)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) || s.Torn != uint64(row.torn) || s.Noise != uint64(row.noise) {
			t.Errorf("%s: %q torn %d noise %d, want %q torn %d noise %d", name, got, s.Torn, s.Noise, row.want, row.torn, row.noise)
		}
	}
}

// However the stream is split, the frames are the same.
func TestFramesInPieces(t *testing.T) {
	for name, row := range specs() {
		if name == "any line end" || name == "idle without end" { // \r alone ends a line before \n is seen: an empty one follows
			continue
		}
		for size := 1; size < len(row.stream); size++ {
			var pieces []string
			for c := range slices.Chunk([]byte(row.stream), size) {
				pieces = append(pieces, string(c))
			}
			if got, _ := scan(row.spec, time.Millisecond, pieces...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
				t.Errorf("%s in pieces of %d: %q, want %q", name, size, got, row.want)
			}
		}
	}
	got, _ := scan(specs()["any line end"].spec, time.Millisecond, "one\r", "\ntwo\n")
	if fmt.Sprint(got) != "[one two]" {
		t.Errorf("split line end: %q", got)
	}
}

// A stream that ends anywhere gives whole frames only.
func TestTruncated(t *testing.T) {
	for name, row := range specs() {
		if row.spec.Kind == Idle { // whose end is the end
			continue
		}
		for n := range len(row.stream) {
			got, _ := scan(row.spec, time.Millisecond, row.stream[:n])
			for i, body := range got {
				if i >= len(row.want) || body != row.want[i] {
					t.Errorf("%s cut at %d: %q", name, n, got)
				}
			}
		}
	}
}

// Bytes without end neither fill the memory nor take the frames behind them away.
func TestEndlessFrame(t *testing.T) {
	for name, spec := range map[string]Spec{
		"delimiter": {Kind: Delimiter, End: marks("\n"), Max: MaxFrame * 10},
		"startend":  {Kind: StartEnd, Start: marks("$"), End: marks("\n"), Max: 4096},
		"idle":      {Kind: Idle, Gap: time.Second, Max: 4096},
		"length":    {Kind: Length, Length: LengthField{Size: 4}},
	} {
		s := NewScanner(spec)
		at := epoch()
		for range 2000 {
			s.Feed([]byte(strings.Repeat("$", 512)), at)
			if got := drain(s); len(got) > 0 {
				t.Fatalf("%s: %q", name, got)
			}
			if len(s.buf) > spec.Limit()+512+MaxMark {
				t.Fatalf("%s: %d bytes are kept", name, len(s.buf))
			}
		}
		if s.Torn == 0 || s.Noise < 500_000 {
			t.Errorf("%s: torn %d, noise %d", name, s.Torn, s.Noise)
		}
	}
}

// Who begins to listen in the middle of a line does not take its end for a value.
func TestJoin(t *testing.T) {
	line := Spec{Kind: Delimiter, End: marks("\n")}
	for name, c := range map[string]struct {
		spec  Spec
		after time.Duration // of the first byte
		in    string
		want  string
	}{
		"in a line":       {line, time.Millisecond, "2.5 kg\n+12.5 kg\n", "[+12.5 kg]"},
		"after silence":   {line, time.Second, "+12.5 kg\n", "[+12.5 kg]"},
		"with a start":    {Spec{Kind: StartEnd, Start: marks("$"), End: marks("\n")}, 0, "2.5\n$+12.5\n", "[+12.5]"},
		"fixed":           {Spec{Kind: Fixed, Size: 4}, time.Millisecond, "2.5+12.5", "[]"},
		"fixed, silence":  {Spec{Kind: Fixed, Size: 4}, time.Second, "12.5", "[12.5]"},
		"idle, in a line": {Spec{Kind: Idle, Gap: time.Second}, time.Millisecond, "2.5", "[]"},
	} {
		s := NewScanner(c.spec)
		s.Join(epoch())
		s.Feed([]byte(c.in), epoch().Add(c.after))
		got := drain(s)
		s.Expire(epoch().Add(time.Hour))
		if got = append(got, drain(s)...); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
	}
	s := NewScanner(line)
	s.Feed([]byte("+1"), epoch())
	s.Break(epoch())
	s.Feed([]byte("2.5\n+12.5\n"), epoch())
	if got := drain(s); fmt.Sprint(got) != "[+12.5]" || s.Torn != 1 {
		t.Errorf("after a loss: %q, torn %d", got, s.Torn)
	}
}

// Silence separates frames also when it is noticed late.
func TestIdleFramesAndTimes(t *testing.T) {
	s := NewScanner(Spec{Kind: Idle, Gap: 20 * time.Millisecond})
	ms := func(n int) time.Time { return epoch().Add(time.Duration(n) * time.Millisecond) }
	s.Feed([]byte("one"), ms(0))
	if got := drain(s); len(got) > 0 {
		t.Errorf("%q before the silence", got)
	}
	s.Feed([]byte(" more"), ms(10))
	if at, ok := s.Deadline(); !ok || !at.Equal(ms(30)) {
		t.Errorf("deadline %v %v", at, ok)
	}
	s.Feed([]byte("two"), ms(50))
	f, ok := s.Next()
	if !ok || string(f.Body()) != "one more" || !f.First.Equal(ms(0)) || !f.Last.Equal(ms(10)) {
		t.Errorf("%q %v to %v", f.Body(), f.First, f.Last)
	}
	s.Expire(ms(69))
	if got := drain(s); len(got) > 0 {
		t.Errorf("%q too early", got)
	}
	s.Expire(ms(70))
	if f, ok = s.Next(); !ok || string(f.Body()) != "two" || !f.First.Equal(ms(50)) {
		t.Errorf("%q at %v", f.Body(), f.First)
	}
}

// Two frames in one chunk, one frame in two: each has the time of its own bytes.
func TestTimesOfBytes(t *testing.T) {
	s := NewScanner(Spec{Kind: Delimiter, End: marks("\n")})
	ms := func(n int) time.Time { return epoch().Add(time.Duration(n) * time.Millisecond) }
	s.Feed([]byte("a\nb\nc"), ms(0))
	var got []string
	note := func() {
		for f, ok := s.Next(); ok; f, ok = s.Next() {
			got = append(got, fmt.Sprintf("%s %v %v", f.Body(), f.First.Sub(ms(0)), f.Last.Sub(ms(0))))
		}
	}
	note()
	s.Feed([]byte("c"), ms(5))
	note()
	s.Feed([]byte("\nd"), ms(9))
	note()
	s.Feed([]byte("\n"), ms(20))
	note()
	if want := "[a 0s 0s b 0s 0s cc 0s 9ms d 9ms 20ms]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// A Fixed frame with a wrong checksum may have begun at a Start that was none.
func TestReject(t *testing.T) {
	s := NewScanner(Spec{Kind: Fixed, Size: 4, Start: marks("#")})
	sum := Checksum{Sum: XOR}
	s.Feed([]byte("#x#ab\x03#"), epoch())
	var got []string
	for f, ok := s.Next(); ok; f, ok = s.Next() {
		body, err := sum.Verify(&f)
		if err != nil {
			s.Reject(&f)
			continue
		}
		got = append(got, string(body))
	}
	if fmt.Sprint(got) != "[ab]" {
		t.Errorf("%q", got)
	}
}

func TestSums(t *testing.T) {
	for s, want := range map[Sum]uint32{ // the usual check values
		XOR: 0x31, Sum8: 0xDD, LRC: 0x23, CRC8: 0xF4, CRC8Maxim: 0xA1, CRC16ARC: 0xBB3D, CRC16Modbus: 0x4B37,
		CRC16CCITT: 0x29B1, CRC16XModem: 0x31C3, CRC16Kermit: 0x2189, CRC16X25: 0x906E, CRC32: 0xCBF43926, None: 0,
	} {
		if got := s.Of([]byte("123456789")); got != want {
			t.Errorf("%s is %X, want %X", s, got, want)
		}
	}
	if len(Sums()) != 13 {
		t.Error("a checksum is not tested")
	}
}

// p1Telegram is in the form of DSMR 5.0.2; its sum was computed by a program in another language.
const p1Telegram = "/EDG5\\2TEST-0001\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(000123.456*kWh)\r\n!"

func TestChecksums(t *testing.T) {
	nmea := Spec{Kind: StartEnd, Start: marks("$"), End: marks("\r\n")}
	star := Checksum{Sum: XOR, Encoding: Hex, After: []byte("*")}
	p1 := Spec{Kind: StartEnd, Start: marks("/"), End: marks("!"), Trailer: 6}
	etx := Spec{Kind: StartEnd, Start: marks("\x02"), End: marks("\x03"), Trailer: 1}
	for name, c := range map[string]struct {
		spec Spec
		sum  Checksum
		in   string
		want string // empty: wrong
	}{
		"NMEA":                  {nmea, star, "$GPGLL,5057.970,N,00146.110,E,142451,A*27\r\n", "GPGLL,5057.970,N,00146.110,E,142451,A"},
		"NMEA lower case":       {nmea, star, "$PMTK386*3f\r\n", "PMTK386"},
		"NMEA wrong":            {nmea, star, "$GPGLL,5057.970,N,00146.110,E,142452,A*27\r\n", ""},
		"NMEA without":          {nmea, star, "$GPGLL\r\n", ""},
		"NMEA no hex":           {nmea, star, "$GPGLL*G7\r\n", ""},
		"NMEA cut":              {nmea, star, "$GPGLL*2\r\n", ""},
		"NMEA signed":           {nmea, star, "$GPGLL*+7\r\n", ""},
		"optional":              {nmea, Checksum{Sum: XOR, Encoding: Hex, After: []byte("*"), Optional: true}, "$GPGLL\r\n", "GPGLL"},
		"DSMR P1":               {p1, Checksum{Sum: CRC16ARC, Encoding: Hex, Start: true, End: true}, "/ab!72b0\r\n", "ab"},
		"DSMR P1, foreign":      {p1, Checksum{Sum: CRC16ARC, Encoding: Hex, Start: true, End: true}, p1Telegram + "D5E4\r\n", p1Telegram[1 : len(p1Telegram)-1]},
		"in the trailer":        {etx, Checksum{Sum: XOR}, "\x02ab\x03\x03", "ab"},
		"in the trailer, whole": {etx, Checksum{Sum: XOR, Start: true, End: true}, "\x02ab\x03\x02", "ab"},
		"in the trailer, wrong": {etx, Checksum{Sum: XOR, End: true}, "\x02ab\x03\x03", ""},
		"before the end":        {Spec{Kind: Delimiter, End: marks("\r")}, Checksum{Sum: Sum8, Encoding: Decimal}, "ab195\r", "ab"},
		"too short":             {Spec{Kind: Delimiter, End: marks("\r")}, Checksum{Sum: CRC32}, "abc\r", ""},
		"little":                {Spec{Kind: Fixed, Size: 11}, Checksum{Sum: CRC16Modbus, Encoding: BinaryLittle}, "123456789\x37\x4B", "123456789"},
		"big":                   {Spec{Kind: Fixed, Size: 11}, Checksum{Sum: CRC16Modbus}, "123456789\x4B\x37", "123456789"},
		"none":                  {Spec{Kind: Delimiter, End: marks("\r")}, Checksum{}, "ab\r", "ab"},
		"kept":                  {Spec{Kind: StartEnd, Start: marks("$"), End: marks("\r"), Keep: true}, star, "$PMTK314*34\r", "$PMTK314"},
	} {
		s := NewScanner(c.spec)
		s.Feed([]byte(c.in), epoch())
		f, ok := s.Next()
		if !ok {
			t.Errorf("%s: no frame", name)
			continue
		}
		body, err := c.sum.Verify(&f)
		if string(body) != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrChecksum) {
			t.Errorf("%s: %q, %v, want %q", name, body, err, c.want)
		}
	}
}

func TestEscapes(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if back, err := Unescape(Escape(all)); err != nil || string(back) != string(all) {
		t.Errorf("%q %v", back, err)
	}
	for text, want := range map[string]string{`SI\r\n`: "SI\r\n", `\x02A\x1b\e\0\s\|`: "\x02A\x1B\x1B\x00 |", "äö": "äö"} {
		if got, err := Unescape(text); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	for _, text := range []string{`\`, `\q`, `\x`, `\x0`, `\x0g`, `a\`} {
		if got, err := Unescape(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got, err := Marks(`\r\n|\x7C|\|`); err != nil || fmt.Sprintf("%q", got) != `["\r\n" "|" "|"]` {
		t.Errorf("%q %v", got, err)
	}
	for _, text := range []string{"", "a|", "123456789", `\q`} {
		if got, err := Marks(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// FuzzScanner: however bytes come, a scanner holds no more than the largest frame, gives back nothing that did not come,
// and counts every byte once.
func FuzzScanner(f *testing.F) {
	for _, row := range specs() {
		f.Add([]byte(row.stream), uint8(len(row.stream)))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint8) {
		for name, row := range specs() {
			spec := row.spec
			spec.Max = 64
			s := NewScanner(spec)
			sum := Checksum{Sum: XOR, Encoding: Encodings()[int(seed)%len(Encodings())], Start: seed&1 != 0, End: seed&2 != 0}
			if seed&4 != 0 {
				sum.After = []byte("*")
			}
			at, total := epoch(), 0
			for rest, size := stream, int(seed)%7+1; len(rest) > 0; {
				n := min(size, len(rest))
				s.Feed(rest[:n], at)
				rest, at = rest[n:], at.Add(time.Duration(seed)*time.Millisecond)
				for f, ok := s.Next(); ok; f, ok = s.Next() {
					total += len(f.Raw)
					if len(f.Raw) > spec.Limit()+spec.Trailer || f.First.After(f.Last) {
						t.Fatalf("%s: %q from %v to %v", name, f.Raw, f.First, f.Last)
					}
					if body, err := sum.Verify(&f); err == nil && len(body) > len(f.Raw) {
						t.Fatalf("%s: %q of %q", name, body, f.Raw)
					}
				}
				if len(s.Pending()) > spec.Limit()+MaxMark+spec.Trailer {
					t.Fatalf("%s: %d bytes are kept", name, len(s.Pending()))
				}
			}
			// Empty lines are neither frames nor noise, so what is left may be more than was seen.
			if seen := total + int(s.Noise) + len(s.Pending()); seen > len(stream) {
				t.Fatalf("%s: %d bytes of %d", name, seen, len(stream))
			}
		}
	})
}

// FuzzUnescape: what is read back is what was written.
func FuzzUnescape(f *testing.F) {
	f.Add(`\x02SI\r\n`)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Unescape(text)
		if err != nil {
			return
		}
		if again, err := Unescape(Escape(b)); err != nil || string(again) != string(b) {
			t.Errorf("%q becomes %q, %v", b, again, err)
		}
	})
}
