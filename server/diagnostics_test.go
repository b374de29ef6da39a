package server

import (
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func TestCounts(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		if got := r.Counts(); got != (Counts{}) {
			t.Errorf("at rest %+v", got)
		}
		s := r.subscriber()
		s.monitor(s.subscribe(second), item("Int16"), item("Double"))
		query := &uabinary.QueryFirstRequest{}
		s.want(ua.StatusBadServiceUnsupported, s.call(&query.RequestHeader, query, &uabinary.QueryFirstResponse{}))
		want := Counts{Connections: 1, Sessions: 1, Subscriptions: 1, MonitoredItems: 2, CumulatedSessions: 1, RejectedRequests: 1}
		if got := r.Counts(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
