package server

import (
	"math"
	"testing"
	"time"
)

// Times that take more than the largest counts are kept all the same.
func TestReviseSubscription_LongTimes(t *testing.T) {
	l := Limits{MinKeepAliveInterval: time.Minute, MinSubscriptionLifetime: time.Hour}.withDefaults()
	if p := l.reviseSubscription(100, 1, 1, 0, 0); p.keepAliveCount != 600 || p.lifetimeCount != 36000 {
		t.Errorf("got %+v", p)
	}
	l.MinKeepAliveInterval, l.MinPublishingInterval = math.MaxInt64, time.Nanosecond
	if p := l.reviseSubscription(0, 1, 1, 0, 0); p.lifetimeCount < 3*p.keepAliveCount || p.keepAliveCount != math.MaxInt32/3 {
		t.Errorf("got %+v", p)
	}
}

func TestReviseSubscription_SubscriptionBasic(t *testing.T) {
	l := Limits{MinKeepAliveInterval: 5 * time.Second}.withDefaults()
	for _, tt := range []struct {
		name                string
		interval            float64
		lifetime, keepAlive uint32
		max                 uint32
		wantInterval        time.Duration
		wantLifetime        uint32
		wantKeepAlive       uint32
		wantMax             int
	}{
		{"as asked", 1000, 300, 20, 50, time.Second, 300, 20, 50},
		{"interval 0 is the fastest", 0, 3000, 60, 0, 100 * time.Millisecond, 3000, 60, 1000},
		{"interval NaN", math.NaN(), 3000, 60, 0, 100 * time.Millisecond, 3000, 60, 1000},
		{"interval huge", 1e300, 3, 1, 0, time.Hour, 3, 1, 1000},
		{"negative interval", -5, 3000, 60, 0, 100 * time.Millisecond, 3000, 60, 1000},
		{"lifetime at least three keep-alives", 1000, 1, 20, 0, time.Second, 60, 20, 1000},
		{"keep-alive at least 5 s", 100, 30000, 1, 0, 100 * time.Millisecond, 15000, 50, 1000},
		{"lifetime at least 10 s", 1000, 1, 1, 0, time.Second, 15, 5, 1000},
		{"all zero", 0, 0, 0, 0, 100 * time.Millisecond, 150, 50, 1000},
		{"all huge", 1e18, math.MaxUint32, math.MaxUint32, math.MaxUint32, time.Hour, 300, 100, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := l.reviseSubscription(tt.interval, tt.lifetime, tt.keepAlive, tt.max, 0)
			if p.interval != tt.wantInterval || p.lifetimeCount != tt.wantLifetime ||
				p.keepAliveCount != tt.wantKeepAlive || p.maxNotifications != tt.wantMax {
				t.Errorf("got %+v", p)
			}
			if p.lifetimeCount < 3*p.keepAliveCount {
				t.Errorf("lifetime %d is below three keep-alives of %d", p.lifetimeCount, p.keepAliveCount)
			}
		})
	}
}
