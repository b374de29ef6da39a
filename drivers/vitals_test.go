package drivers

import (
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Until when a demoted unit is left alone is shown as long as it is.
func TestVitals_Follow(t *testing.T) {
	var v Vitals
	until := func() uabinary.Variant {
		for _, g := range v.UnitGauges() {
			if g.Name == "DemotedUntil" {
				return g.Read()
			}
		}
		return uabinary.Variant{}
	}
	none, start := uabinary.DateTimeVariant(0), time.Unix(1000, 0)
	h := Health{DemoteAfter: 1, Suspend: Backoff{Min: time.Minute, Max: time.Minute}}
	if v.Follow(&h, start); until() != none {
		t.Errorf("%v before anything has failed", until())
	}
	h.Failed(time.Second)
	want := uabinary.DateTimeVariant(uabinary.DateTimeOf(start.Add(h.ProbeAt())))
	if v.Follow(&h, start); until() != want {
		t.Errorf("%v, want %v", until(), want)
	}
	h.Good()
	if v.Follow(&h, start); until() != none {
		t.Errorf("%v after an answer", until())
	}
}
