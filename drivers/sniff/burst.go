// Package sniff listens to a serial line without ever writing to it, and guesses what is spoken there.
//
// [Listen] collects bytes into bursts, which silence separates; a [Recorder] keeps them. [Guesses] looks for Modbus RTU by
// its CRC, Modbus ASCII, NMEA 0183, DSMR P1, start and end marks, line ends, checksums, fixed lengths and silence, and
// says how much of what came each explains. [Detect] does so at one setting of the line after the other until one makes
// sense.
//
// It cannot know who sent what: two wires carry both directions. Left out: protocols that need a question first.
package sniff

import (
	"context"
	"slices"
	"time"

	"github.com/edgeua/edgeua/drivers"
)

// Burst is what came without a pause.
type Burst struct {
	At   time.Duration // of the first bytes, since listening began
	Gap  time.Duration // of silence before; of the first burst since listening began
	Data []byte
}

// Bounds of what is kept.
const (
	maxBurst = 4 << 10   // bytes; a stream without a pause is cut there
	maxKept  = 256 << 10 // bytes; what comes later is shown and counted, but no guess is made from it
)

// Recorder puts bytes into bursts.
type Recorder struct {
	Gap    time.Duration // the silence that ends a burst
	Show   func(*Burst)  // called with every burst that has ended; nil: nobody is
	Bursts []Burst       // at most 256 KiB
	Count  int           // bursts, those that are not kept too
	Bytes  int
	Lost   int // times that bytes came faster than they were taken

	start, last time.Time
	open        Burst
}

// NewRecorder starts the time.
func NewRecorder(gap time.Duration, start time.Time) *Recorder {
	return &Recorder{Gap: gap, start: start, last: start}
}

// Feed takes what came.
func (r *Recorder) Feed(c drivers.Chunk) {
	if c.Lost {
		r.Lost++
	}
	if len(c.Data) == 0 {
		return
	}
	r.Expire(c.At)
	if len(r.open.Data)+len(c.Data) > maxBurst {
		r.Flush()
	}
	if len(r.open.Data) == 0 {
		r.open = Burst{At: c.At.Sub(r.start), Gap: c.At.Sub(r.last)}
	}
	r.open.Data = append(r.open.Data, c.Data...)
	r.last = c.At
	r.Bytes += len(c.Data)
}

// Expire ends the burst if there has been silence for long enough.
func (r *Recorder) Expire(now time.Time) {
	if now.Sub(r.last) >= r.Gap {
		r.Flush()
	}
}

// Flush ends the burst.
func (r *Recorder) Flush() {
	if len(r.open.Data) == 0 {
		return
	}
	b := r.open
	r.open = Burst{}
	r.Count++
	if r.Bytes <= maxKept {
		r.Bursts = append(r.Bursts, b)
	}
	if r.Show != nil {
		r.Show(&b)
	}
}

// deadline is when the open burst ends, or the end of listening.
func (r *Recorder) deadline(until time.Time) time.Time {
	if end := r.last.Add(r.Gap); len(r.open.Data) > 0 && end.Before(until) {
		return end
	}
	return until
}

// shortestGap is the least silence between two bursts; 0 if there are not two.
func (r *Recorder) shortestGap() time.Duration {
	if len(r.Bursts) < 2 {
		return 0
	}
	return slices.MinFunc(r.Bursts[1:], func(a, b Burst) int { return int(a.Gap - b.Gap) }).Gap
}

// Listen feeds r from the link until that time, until ctx ends, or until enough says so after a burst (nil: never). The
// error is that of the link.
func Listen(ctx context.Context, link drivers.Link, r *Recorder, until time.Time, enough func() bool) error {
	defer r.Flush()
	stop := context.AfterFunc(ctx, link.Interrupt)
	defer stop()
	for count := 0; ctx.Err() == nil && time.Now().Before(until); {
		c, err := link.Receive(r.deadline(until))
		if err != nil {
			return err
		}
		r.Feed(c)
		r.Expire(time.Now())
		if r.Count > count && enough != nil && enough() {
			return nil
		}
		count = r.Count
	}
	return nil
}
