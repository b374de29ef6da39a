package sniff

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
)

// Open opens a line; [serial.Open] does.
type Open func(serial.Config) (drivers.Link, error)

// Line opens the line, listens and closes it. Line errors are those that the kernel counted meanwhile; 0 where it does
// not count.
func Line(ctx context.Context, open Open, c serial.Config, r *Recorder, until time.Time, enough func() bool) (lineErrors uint64, err error) {
	link, err := open(c)
	if err != nil {
		return 0, err
	}
	before := counted(link)
	err = Listen(ctx, link, r, until, enough)
	after := counted(link)
	return after - min(before, after), errors.Join(err, link.Close())
}

func counted(link drivers.Link) uint64 {
	counter, ok := link.(interface {
		Counters() (serial.Counters, error)
	})
	if !ok {
		return 0
	}
	n, err := counter.Counters()
	if err != nil {
		return 0
	}
	return n.Frame + n.Parity + n.Break
}

// Formats are the usual ones, the more usual first.
func Formats() []string { return []string{"8N1", "8E1", "7E1", "8O1"} }

// Rates are the usual ones, the more usual first.
func Rates() []int { return []int{9600, 19200, 115200, 38400, 57600, 4800, 2400, 1200} }

// ParseFormat reads data bits, parity and stop bits, as in 8N1.
func ParseFormat(text string, c *serial.Config) error {
	if len(text) != 3 || text[0] < '5' || text[0] > '8' || text[1] != 'N' && text[1] != 'E' && text[1] != 'O' || text[2] != '1' && text[2] != '2' {
		return fmt.Errorf("%q is no format of characters, such as 8N1, 8E1 or 7E1", text)
	}
	c.DataBits, c.Parity, c.StopBits = int(text[0]-'0'), text[1], int(text[2]-'0')
	return nil
}

// ParseRate reads a baud rate.
func ParseRate(text string, c *serial.Config) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 50 || n > 4000000 {
		return fmt.Errorf("%q is no baud rate from 50 to 4000000, such as 9600", text)
	}
	c.BaudRate = n
	return nil
}

// Trial is what one setting of the line brought.
type Trial struct {
	Config     serial.Config
	Recorder   *Recorder
	LineErrors uint64
	Guesses    []Guess
}

// Score is that of the best guess, less what the kernel found wrong: a character without a stop bit or with a wrong
// parity says that the setting is wrong, even if its bits look well.
func (t *Trial) Score() float64 {
	if len(t.Guesses) == 0 {
		return 0
	}
	wrong := min(1, 4*float64(t.LineErrors)/float64(max(1, t.Recorder.Bytes)))
	return t.Guesses[0].Score() * (1 - wrong)
}

// Settings of a detection.
const (
	sure      = 0.84 // no other setting can be better by more than chance
	fewFrames = 3    // that are needed to be sure
)

// Detect listens at one setting after the other, each at most for a time, and tells of each. It ends when one explains
// nearly everything. The best one is returned; nil if nothing came at all.
func Detect(ctx context.Context, open Open, settings []serial.Config, gap func(serial.Config) time.Duration, each time.Duration, tell func(*Trial)) (*Trial, error) {
	var best *Trial
	for _, c := range settings {
		t := &Trial{Config: c, Recorder: NewRecorder(gap(c), time.Now())}
		next := fewFrames
		enough := func() bool {
			if t.Recorder.Count < next {
				return false
			}
			next *= 2 // guessing takes longer the more has come
			t.Guesses = Guesses(t.Recorder)
			return t.convincing()
		}
		var err error
		if t.LineErrors, err = Line(ctx, open, c, t.Recorder, time.Now().Add(each), enough); err != nil {
			return best, err
		}
		t.Guesses = Guesses(t.Recorder)
		tell(t)
		if t.Recorder.Bytes > 0 && (best == nil || t.Score() > best.Score()) {
			best = t
		}
		if t.convincing() && t.Score() >= sure || ctx.Err() != nil {
			break
		}
	}
	return best, nil
}

func (t *Trial) convincing() bool {
	return len(t.Guesses) > 0 && t.Guesses[0].Frames >= fewFrames && t.Guesses[0].Score() >= sure
}
