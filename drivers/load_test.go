package drivers

import (
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	var l Load
	now := time.Unix(1000, 0)
	for range 10 {
		now = now.Add(time.Second)
		l.Add(400*time.Millisecond, now)
	}
	l.Add(400*time.Millisecond, now.Add(time.Second))
	if p := l.Percent(now.Add(time.Second)); p < 39 || p > 45 {
		t.Errorf("%v percent", p)
	}
	if p := l.Percent(now.Add(time.Hour)); p != 0 {
		t.Errorf("%v percent after an hour of nothing", p)
	}
}

// A warning about the load comes once, and again only after it was low.
func TestLoad_TooHigh(t *testing.T) {
	var l Load
	now := time.Unix(1000, 0)
	warnings := func(part float64) (n int) {
		for range 30 {
			now = now.Add(time.Second)
			l.Add(time.Duration(part*float64(time.Second)), now)
			if percent, ok := l.TooHigh(); ok {
				if n++; percent < 80 {
					t.Errorf("%d percent", percent)
				}
			}
		}
		return n
	}
	for i, step := range []struct {
		part float64
		want int
	}{{0.5, 0}, {0.95, 1}, {0.95, 0}, {0.7, 0}, {0.95, 0}, {0.3, 0}, {0.95, 1}} {
		if got := warnings(step.part); got != step.want {
			t.Errorf("step %d with %v: %d warnings", i, step.part, got)
		}
	}
}
