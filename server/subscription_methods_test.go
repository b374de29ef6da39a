package server

import (
	"slices"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// ofServer calls a Method of the Server object about a Subscription.
func (s *subscriber) ofServer(method, sub uint32) uabinary.CallMethodResult {
	s.t.Helper()
	req := &uabinary.CallRequest{MethodsToCall: []uabinary.CallMethodRequest{{
		ObjectID: uabinary.NumericID(0, id.Server), MethodID: uabinary.NumericID(0, method),
		InputArguments: []uabinary.Variant{uabinary.Uint32Variant(sub)},
	}}}
	var resp uabinary.CallResponse
	s.wantOK(s.call(&req.RequestHeader, req, &resp))
	return resp.Results[0]
}

func TestGetMonitoredItems_Part5_91(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		other := s.subscribe(second)
		items := s.monitor(sub, item("Int16", handle(70)), item("Text", handle(9), mode(ua.MonitoringModeDisabled)), item("Double", handle(8)))
		s.monitor(other, item("Int16", handle(1)))
		s.deleteItems(sub, items[2])
		result := s.ofServer(id.Server_GetMonitoredItems, sub)
		s.wantOK(result.StatusCode)
		if len(result.OutputArguments) != 2 {
			t.Fatalf("%+v", result)
		}
		servers, _ := result.OutputArguments[0].Any().([]uint32)
		clients, _ := result.OutputArguments[1].Any().([]uint32)
		if !slices.Equal(servers, items[:2]) || !slices.Equal(clients, []uint32{70, 9}) {
			t.Errorf("%v %v, want %v [70 9]", servers, clients, items[:2])
		}
	})
}

func TestGetMonitoredItems_OfAnEmptySubscription(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		result := s.ofServer(id.Server_GetMonitoredItems, s.subscribe(second))
		if result.StatusCode != ua.StatusOK || len(result.OutputArguments) != 2 || result.OutputArguments[0].Len() != 0 || result.OutputArguments[1].Len() != 0 {
			t.Errorf("%+v", result)
		}
	})
}

func TestSubscriptionMethodsOfOthers_Part5_9(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		owner, stranger := r.subscriber(), r.subscriber()
		sub := owner.subscribe(second)
		for _, method := range []uint32{id.Server_GetMonitoredItems, id.Server_ResendData} {
			stranger.want(ua.StatusBadUserAccessDenied, stranger.ofServer(method, sub).StatusCode)
			for _, unknown := range []uint32{0, sub + 1000} {
				stranger.want(ua.StatusBadSubscriptionIDInvalid, stranger.ofServer(method, unknown).StatusCode)
			}
		}
		_, code := owner.unsubscribe(sub)
		owner.wantOK(code)
		stranger.want(ua.StatusBadSubscriptionIDInvalid, stranger.ofServer(id.Server_ResendData, sub).StatusCode)
	})
}

// Every item that reports is heard of once more, with what it said last; the
// others are not.
func TestResendData_Part5_92(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16", handle(1)), item("Text", handle(2)),
			item("Double", handle(3), mode(ua.MonitoringModeSampling)), item("Number", handle(4), mode(ua.MonitoringModeDisabled)))
		if n := len(s.cycle().values()); n != 2 {
			t.Fatalf("%d first values", n)
		}
		r.set("Int16", int16(8))
		if n := len(s.cycle().values()); n != 1 {
			t.Fatalf("%d changed values", n)
		}
		s.wantOK(s.ofServer(id.Server_ResendData, sub).StatusCode)
		s.wantOK(s.ofServer(id.Server_ResendData, sub).StatusCode) // twice before a cycle is as once
		got := map[uint32]uabinary.Variant{}
		values := s.cycle().values()
		for _, v := range values {
			got[v.ClientHandle] = v.Value.Value
		}
		if len(values) != 2 || !got[1].Equal(uabinary.Int16Variant(8)) || !got[2].Equal(uabinary.StringVariant("grüße")) {
			t.Errorf("%+v", values)
		}
		s.publish()
		s.quietFor(5 * time.Second)
	})
}

// A value that waits to be sent is not doubled.
func TestResendData_WithQueuedValues(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		s.monitor(sub, item("Int16", queue(10, true)))
		s.cycle()
		for i := range 3 {
			r.set("Int16", int16(20+i))
			time.Sleep(100 * time.Millisecond)
		}
		s.wantOK(s.ofServer(id.Server_ResendData, sub).StatusCode)
		values := s.cycle().values()
		if len(values) != 3 || !values[2].Value.Value.Equal(uabinary.Int16Variant(22)) {
			t.Errorf("%+v", values)
		}
	})
}
