package uabinary

import (
	"math"
	"time"
)

// DateTime counts 100 ns intervals since 1601-01-01T00:00:00Z (Part 6 (1.05),
// 5.2.2.5). 0 stands for absent and for everything before that day,
// math.MaxInt64 for everything from the last second of the year 9999 on.
type DateTime int64

const (
	ticksPerSecond = 10_000_000
	// unixEpoch is 1970-01-01 in seconds since 1601-01-01.
	unixEpoch = 11_644_473_600
	// lastSecond is 9999-12-31T23:59:59Z in seconds since 1601-01-01.
	lastSecond = 265_046_774_399
)

// DateTimeOf returns t in OPC UA time. The zero time.Time is absent: 0.
func DateTimeOf(t time.Time) DateTime {
	seconds := t.Unix() + unixEpoch
	switch {
	case seconds < 0:
		return 0
	case seconds >= lastSecond:
		return math.MaxInt64
	}
	return DateTime(seconds*ticksPerSecond + int64(t.Nanosecond()/100))
}

// Time returns d in UTC: the zero time.Time if d is absent or negative, and
// 9999-12-31T23:59:59Z at most.
func (d DateTime) Time() time.Time {
	if d <= 0 {
		return time.Time{}
	}
	if d >= lastSecond*ticksPerSecond {
		return time.Unix(lastSecond-unixEpoch, 0).UTC()
	}
	return time.Unix(int64(d)/ticksPerSecond-unixEpoch, int64(d)%ticksPerSecond*100).UTC()
}
