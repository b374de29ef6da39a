package uabinary

import (
	"math"
	"testing"
	"time"
)

// Part 6 (1.05), 5.2.2.5.
func TestDateTime(t *testing.T) {
	for _, test := range []struct {
		text  string
		ticks DateTime
	}{
		{"1601-01-01T00:00:00.0000001Z", 1},
		{"1970-01-01T00:00:00Z", 116_444_736_000_000_000},
		{"2024-05-17T11:30:00.1234567Z", 133_604_190_001_234_567},
		{"9999-12-31T23:59:58.9999999Z", lastSecond*ticksPerSecond - 1},
	} {
		want, err := time.Parse(time.RFC3339Nano, test.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := DateTimeOf(want); got != test.ticks {
			t.Errorf("%s is %d, want %d", test.text, got, test.ticks)
		}
		if got := test.ticks.Time(); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%d is %v, want %v", test.ticks, got, want)
		}
	}
}

func TestDateTimeOutOfRange(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, when := range []time.Time{{}, time.Date(1600, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := DateTimeOf(when); got != 0 {
			t.Errorf("%v is %d", when, got)
		}
	}
	for _, when := range []time.Time{last, last.Add(time.Hour), time.Date(290000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := DateTimeOf(when); got != math.MaxInt64 {
			t.Errorf("%v is %d", when, got)
		}
	}
	for _, d := range []DateTime{0, -1, math.MinInt64} {
		if got := d.Time(); !got.IsZero() {
			t.Errorf("%d is %v", d, got)
		}
	}
	for _, d := range []DateTime{lastSecond * ticksPerSecond, math.MaxInt64} {
		if got := d.Time(); !got.Equal(last) {
			t.Errorf("%d is %v", d, got)
		}
	}
}
