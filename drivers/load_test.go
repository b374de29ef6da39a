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
