package commissioning

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
)

// Scan says what to look for. It only reads.
type Scan struct {
	Units       []byte
	Areas       []modbus.Area
	From, To    int           // registers and bits, both inside
	Gap         time.Duration // between requests
	Timeout     time.Duration // of a unit that may not be there
	MaxRequests int           // after which it ends with what it has; 0: no bound
	// Progress, if set, is told after each request: parts of the whole, and what is being done.
	Progress func(done, total int, doing string)
}

// Found is what a scan has found.
type Found struct {
	Units    []*Unit
	Asked    int // units
	Requests int
	// Note says why there is less than asked for; empty: it is complete.
	Note string
}

// Unit is a unit that answers.
type Unit struct {
	ID    byte
	Plate [][2]string
	Areas []*Findings // in the order asked for
	Note  string      // why there is less; empty: it is complete
}

// Findings are the registers of one area.
type Findings struct {
	Area modbus.Area
	Runs []Run
	Note string
}

// Run is registers, or bits, that can be read, one after the other.
type Run struct {
	Start  int
	Values []uint16
}

// scanner is a Scan at work.
type scanner struct {
	Scan
	m           *modbus.Master
	found       *Found
	done, total int
	patience    time.Duration // the Timeout of a unit that is there
	last        time.Time     // of a request
	longest     int           // request that was granted in the block at work
}

// deafUnits is how many units in a row must answer before it is believed that the device looks at none.
const deafUnits = 8

// Run looks for units, and for the registers of each one. When ctx ends, or nobody can be reached any more, what has been
// found so far is returned with a note. The error is of a target that was never reached.
func (s Scan) Run(ctx context.Context, m *modbus.Master) (*Found, error) {
	if err := m.Connect(ctx); err != nil {
		return nil, err
	}
	w := &scanner{Scan: s, m: m, found: &Found{}, patience: m.Timeout}
	defer func(timeout time.Duration, retries int) { m.Timeout, m.Retries = timeout, retries }(m.Timeout, m.Retries)
	w.total = len(s.Units) + 1
	w.units(ctx)
	w.total = w.done + len(w.found.Units)*len(s.Areas)*(s.To-s.From+1)
	m.Timeout, m.Retries = w.patience, 1
	for _, u := range w.found.Units {
		w.unit(ctx, u)
	}
	w.stopped(ctx)
	return w.found, nil
}

// stopped tells whether to go no further, and notes why.
func (w *scanner) stopped(ctx context.Context) bool {
	switch {
	case w.found.Note != "":
	case ctx.Err() != nil:
		w.found.Note = "interrupted"
	case w.MaxRequests > 0 && w.found.Requests >= w.MaxRequests:
		w.found.Note = fmt.Sprintf("ended after %d requests (--max-requests)", w.found.Requests)
	default:
		return false
	}
	return true
}

// read asks once, after the gap. Losing the target for good stops the scan.
func (w *scanner) read(ctx context.Context, unit byte, area modbus.Area, start, count int) ([]byte, error) {
	if wait := w.Gap - time.Since(w.last); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	data, err := w.m.Read(ctx, unit, area, start, count)
	w.found.Requests++
	w.last = time.Now()
	if err != nil && modbus.FaultOf(err) == drivers.NoCommunication && ctx.Err() == nil {
		w.found.Note = "the connection cannot be made any more: " + cause(err).Error()
	}
	return data, err
}

func (w *scanner) progress(n int, doing string) {
	if w.done += n; w.Progress != nil {
		w.Progress(min(w.done, w.total), w.total, doing)
	}
}

// units asks every unit for one register. Any answer of its own proves that it is there.
func (w *scanner) units(ctx context.Context) {
	w.m.Timeout, w.m.Retries = w.Timeout, 0
	for _, id := range w.Units {
		if w.stopped(ctx) {
			return
		}
		_, err := w.read(ctx, id, modbus.HoldingRegisters, w.From, 1)
		if ctx.Err() != nil {
			return
		}
		w.found.Asked++
		w.progress(1, fmt.Sprintf("unit %d, %d found", id, len(w.found.Units)))
		if err != nil && silent(err) {
			if f := modbus.FaultOf(err); f == drivers.BadReply {
				w.found.Units = append(w.found.Units, &Unit{ID: id, Note: "something answers that is no valid frame: " + noiseRemedy(w.m)})
			}
			continue
		}
		w.found.Units = append(w.found.Units, &Unit{ID: id})
		if w.m.IDs() && len(w.found.Units) == w.found.Asked && w.found.Asked == deafUnits && len(w.Units) > deafUnits {
			w.found.Units = w.found.Units[:1]
			w.found.Units[0].Note = fmt.Sprintf("units %d to %d all answer: the device does not look at the unit, or each of them is one (--units says which)", w.Units[0], id)
			return
		}
	}
}

// unit finds the registers of a unit.
func (w *scanner) unit(ctx context.Context, u *Unit) {
	if w.stopped(ctx) || strings.HasPrefix(u.Note, "something") {
		return
	}
	if plate, err := w.m.Plate(ctx, u.ID); err == nil {
		u.Plate = plate
	}
	w.found.Requests++
	for _, a := range w.Areas {
		f := &Findings{Area: a}
		u.Areas = append(u.Areas, f)
		w.area(ctx, u, f)
	}
}

// area reads in blocks; those that are refused are halved until single registers are left.
func (w *scanner) area(ctx context.Context, u *Unit, f *Findings) {
	block := most
	for at := w.From; at <= w.To && f.Note == ""; {
		n := min(block, w.To+1-at)
		w.longest = 0
		if !w.block(ctx, u, f, at, n) && f.whole(at, n) {
			block = w.longest // it was only too long
		}
		at += n
	}
}

// whole tells whether everything of a block was read in the end.
func (f *Findings) whole(at, n int) bool {
	if len(f.Runs) == 0 {
		return false
	}
	last := f.Runs[len(f.Runs)-1]
	return last.Start <= at && last.Start+len(last.Values) == at+n
}

// block reads registers; false if they could not be read in one go.
func (w *scanner) block(ctx context.Context, u *Unit, f *Findings, at, n int) bool {
	if f.Note != "" || w.stopped(ctx) {
		return false
	}
	data, err := w.read(ctx, u.ID, f.Area, at, n)
	doing := fmt.Sprintf("unit %d, %s %d", u.ID, f.Area, at)
	switch fault := modbus.FaultOf(err); {
	case err == nil:
		w.longest = max(w.longest, n)
		for i := range n {
			f.add(at+i, wordAt(f.Area, data, i))
		}
		w.progress(n, doing)
		return true
	case ctx.Err() != nil, w.found.Note != "":
		return false
	case fault == drivers.IllegalFunction:
		f.Note = "not known to the device"
		w.progress(w.To+1-at, doing)
		return false
	case n == 1:
		if !isRange(fault) {
			f.Note = fmt.Sprintf("ended at %s: %s", name(f.Area, at), fault)
		}
		w.progress(1, doing)
		return false
	}
	w.block(ctx, u, f, at, n/2)
	w.block(ctx, u, f, at+n/2, n-n/2)
	return false
}

// add puts a register behind the others.
func (f *Findings) add(at int, value uint16) {
	if n := len(f.Runs); n > 0 && f.Runs[n-1].Start+len(f.Runs[n-1].Values) == at {
		f.Runs[n-1].Values = append(f.Runs[n-1].Values, value)
		return
	}
	f.Runs = append(f.Runs, Run{Start: at, Values: []uint16{value}})
}

// Text lists the addresses of an area.
func (f *Findings) Text() string {
	var parts []string
	for _, r := range f.Runs {
		text := name(f.Area, r.Start)
		if len(r.Values) > 1 {
			text += " to " + name(f.Area, r.Start+len(r.Values)-1)
		}
		parts = append(parts, text)
	}
	if f.Note != "" {
		parts = append(parts, f.Note)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// ParseUnits reads a list of units such as 1-10,17,255.
func ParseUnits(text string) ([]byte, error) {
	var all []byte
	seen := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		from, to, err := ParseRange(strings.TrimSpace(part), 255)
		if err != nil {
			return nil, fmt.Errorf("units: %w", err)
		}
		for id := from; id <= to; id++ {
			if !seen[id] {
				seen[id] = true
				all = append(all, byte(id))
			}
		}
	}
	return all, nil
}

// ParseRange reads a number or a span such as 0-199.
func ParseRange(text string, limit int) (from, to int, err error) {
	low, high, span := strings.Cut(text, "-")
	if !span {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 0, 32)
	last, err2 := strconv.ParseUint(high, 0, 32)
	if err1 != nil || err2 != nil || first > last || last > uint64(limit) {
		return 0, 0, fmt.Errorf("%s is neither a number from 0 to %d nor a span such as 0-99", quote(text), limit)
	}
	return int(first), int(last), nil
}

// ParseAreas reads letters such as hi.
func ParseAreas(text string) ([]modbus.Area, error) {
	letters := map[rune]modbus.Area{'c': modbus.Coils, 'd': modbus.DiscreteInputs, 'h': modbus.HoldingRegisters, 'i': modbus.InputRegisters}
	var all []modbus.Area
	for _, c := range text {
		if letters[c] == 0 {
			return nil, fmt.Errorf("areas: %s is none of the letters c (coils), d (discrete inputs), h (holding registers), i (input registers)", quote(string(c)))
		}
		all = append(all, letters[c])
	}
	return all, nil
}
