package instrument

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// moments is how a device writes times: plain data.
type moments struct {
	layout string // in the form of package time; empty: unit
	unit   time.Duration
	zone   string // name of a time zone, or Local
	dated  bool   // there is a date; otherwise it is the day that brings it nearest to its arrival
}

// parseMoments reads a layout such as yyyy-MM-dd HH:mm:ss; fractions of a second may always follow. unix and unixms count
// from 1970.
func parseMoments(layout, zone string) (moments, bool) {
	m := moments{zone: zone, dated: true}
	if _, err := time.LoadLocation(zone); err != nil {
		return m, false
	}
	switch layout {
	case "unix":
		m.unit = time.Second
		return m, true
	case "unixms":
		m.unit = time.Millisecond
		return m, true
	}
	m.layout = strings.NewReplacer("yyyy", "2006", "yy", "06", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05").Replace(layout)
	m.dated = strings.Contains(layout, "dd") && strings.Contains(layout, "MM") && strings.Contains(layout, "yy")
	return m, m.layout != layout
}

// parse reads a time; arrived is when it came.
func (m *moments) parse(s string, arrived time.Time) (time.Time, bool) {
	if m.layout == "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > 1<<53 {
			return time.Time{}, false
		}
		per := int64(time.Second / m.unit)
		return time.Unix(n/per, n%per*int64(m.unit)).UTC(), true
	}
	zone, err := time.LoadLocation(m.zone)
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.ParseInLocation(m.layout, s, zone)
	if err != nil {
		return time.Time{}, false
	}
	if m.dated {
		return at, true
	}
	return nearest(at, arrived.In(zone)), true
}

// nearest puts a time of day on the day that brings it nearest to another time.
func nearest(at, arrived time.Time) time.Time {
	year, month, day := arrived.Date()
	on := func(day int) time.Time {
		return time.Date(year, month, day, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), at.Location())
	}
	best := on(day)
	for _, other := range []time.Time{on(day - 1), on(day + 1)} {
		if other.Sub(arrived).Abs() < best.Sub(arrived).Abs() {
			best = other
		}
	}
	return best
}

// stamp is where the SourceTimestamp of a message comes from: plain data.
type stamp struct {
	last    bool     // arrival of the last byte instead of the first
	from    []source // of the device's own time, joined by blanks; nil: arrival
	moments moments
	limit   time.Duration // by which it may differ from the arrival; 0: any
}

// of returns the time of a message. ok is false if the device's own time is none, or too far off: then it is that of its
// arrival.
func (t *stamp) of(v *view, first, last time.Time) (at time.Time, ok bool) {
	arrived := first
	if t.last {
		arrived = last
	}
	if len(t.from) == 0 {
		return arrived, true
	}
	var words [][]byte
	for i := range t.from {
		text, found := v.get(&t.from[i])
		if !found {
			return arrived, false
		}
		words = append(words, bytes.TrimSpace(text))
	}
	at, ok = t.moments.parse(string(bytes.Join(words, []byte(" "))), arrived)
	if !ok || t.limit > 0 && at.Sub(arrived).Abs() > t.limit {
		return arrived, false
	}
	return at, true
}
