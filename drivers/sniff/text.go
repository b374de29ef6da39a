package sniff

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const perRow = 16 // bytes

// WriteTo writes the burst for people: when it came, the silence before it, its bytes in hexadecimal, and what of them is
// text.
func (b *Burst) WriteTo(w io.Writer) (int64, error) {
	var out strings.Builder
	head := fmt.Sprintf("%9.3f s %+8.1f ms", b.At.Seconds(), float64(b.Gap)/float64(time.Millisecond))
	for rest := b.Data; len(rest) > 0; {
		row := rest[:min(perRow, len(rest))]
		rest = rest[len(row):]
		fmt.Fprintf(&out, "%23s  %-47s  %s\n", head, fmt.Sprintf("% X", row), printable(row))
		head = ""
	}
	n, err := io.WriteString(w, out.String())
	return int64(n), err
}

func printable(b []byte) string {
	text := make([]byte, len(b))
	for i, c := range b {
		if text[i] = c; c < ' ' || c > '~' {
			text[i] = '.'
		}
	}
	return string(text)
}

// Verdict says in a few words what the setting brought.
func (t *Trial) Verdict() string {
	r := t.Recorder
	switch {
	case r.Bytes == 0:
		return "nothing came"
	case len(t.Guesses) == 0:
		return fmt.Sprintf("%d bytes without sense%s", r.Bytes, t.lineErrors())
	}
	return fmt.Sprintf("%d bytes, %s%s", r.Bytes, t.Guesses[0].Verdict(), t.lineErrors())
}

func (t *Trial) lineErrors() string {
	if t.LineErrors == 0 {
		return ""
	}
	return fmt.Sprintf(", %d characters with a wrong stop bit or parity", t.LineErrors)
}

// Verdict is the guess in a few words.
func (g *Guess) Verdict() string {
	return fmt.Sprintf("%s: %d, which explain %.0f %% of the bytes", g.Name, g.Frames, 100*g.Share)
}

// WriteTo writes the report of a setting for people: counts, the best guess with what was noticed, others that are
// nearly as good, and what to write into edgeua.xml.
func (t *Trial) WriteTo(w io.Writer) (int64, error) {
	var out strings.Builder
	r := t.Recorder
	fmt.Fprintf(&out, "%d bursts, %d bytes", r.Count, r.Bytes)
	if gap := r.shortestGap(); gap > 0 {
		fmt.Fprintf(&out, ", at least %.1f ms apart", float64(gap)/float64(time.Millisecond))
	}
	out.WriteString(t.lineErrors() + "\n")
	if r.Lost > 0 {
		fmt.Fprintf(&out, "bytes were lost %d times, because they came faster than they were taken\n", r.Lost)
	}
	switch {
	case r.Bytes == 0:
		out.WriteString("nothing came: is it the right port, are RX and ground connected, and does the device speak without being asked?\n")
	case t.Score() < Likely:
		t.unlikely(&out)
	default:
		t.likely(&out)
	}
	n, err := io.WriteString(w, out.String())
	return int64(n), err
}

func (t *Trial) unlikely(out *strings.Builder) {
	if len(t.Guesses) > 0 {
		fmt.Fprintf(out, "perhaps %s\n", t.Guesses[0].Verdict())
	}
	fmt.Fprintf(out, "no framing is likely at %d %d%c%d: --detect tries other settings\n", t.Config.BaudRate, t.Config.DataBits, t.Config.Parity, t.Config.StopBits)
}

func (t *Trial) likely(out *strings.Builder) {
	best := &t.Guesses[0]
	fmt.Fprintf(out, "looks like %s\n", best.Verdict())
	for _, note := range best.Notes {
		fmt.Fprintf(out, "  %s\n", note)
	}
	for i := range t.Guesses[1:] {
		if g := &t.Guesses[1+i]; g.Score() > best.Score()-0.1 {
			fmt.Fprintf(out, "or %s\n", g.Verdict())
		}
	}
	fmt.Fprintf(out, "\nfor edgeua.xml:\n\n%s", best.Snippet(t.Config))
}
