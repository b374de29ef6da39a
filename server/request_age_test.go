package server

import (
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func TestMaxRequestAge(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name  string
		limit time.Duration
		sent  uabinary.DateTime
		want  ua.StatusCode
	}{
		{"fresh", time.Minute, uabinary.DateTimeOf(now.Add(-50 * time.Second)), ua.StatusOK},
		{"old", time.Minute, uabinary.DateTimeOf(now.Add(-70 * time.Second)), ua.StatusBadInvalidTimestamp},
		{"from the future", time.Minute, uabinary.DateTimeOf(now.Add(time.Hour)), ua.StatusOK},
		{"none", time.Minute, 0, ua.StatusOK},
		{"absurd", time.Minute, -1 << 63, ua.StatusBadInvalidTimestamp},
		{"old, not checked", 0, uabinary.DateTimeOf(now.Add(-70 * time.Hour)), ua.StatusOK},
	} {
		r := newRig(t, func(cfg *Config) { cfg.Limits.MaxRequestAge = tt.limit })
		c := r.session(ua.MessageSecurityModeNone)
		req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
		req.RequestHeader.Timestamp = tt.sent
		var resp uabinary.ReadResponse
		if code := c.do(&req.RequestHeader, req, &resp); code != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, code, tt.want)
		}
	}
}

// A gateway that booted in 1970 cannot tell how old a request is.
func TestMaxRequestAge_ClockNeverSet(t *testing.T) {
	inTime(t, func(cfg *Config) { cfg.Limits.MaxRequestAge = time.Minute }, func(t *testing.T, r *rig) { // it is 2000 in here
		c := r.session(ua.MessageSecurityModeNone)
		req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
		req.RequestHeader.Timestamp = uabinary.DateTimeOf(time.Now().Add(-time.Hour))
		var resp uabinary.ReadResponse
		c.wantOK(c.do(&req.RequestHeader, req, &resp))
	})
}
