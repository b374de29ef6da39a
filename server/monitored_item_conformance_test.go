package server

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

type itemChange = func(*uabinary.MonitoredItemCreateRequest)

// onNode puts an item on a node that is not one of the test Variables.
func onNode(n uabinary.NodeID) itemChange {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.ItemToMonitor.NodeID = n }
}

func encoding(name string) itemChange {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.ItemToMonitor.DataEncoding.Name = name }
}

func deadband(kind uint32, value float64) *uabinary.DataChangeFilter {
	return &uabinary.DataChangeFilter{Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: kind, DeadbandValue: value}
}

func only(trigger ua.DataChangeTrigger) *uabinary.DataChangeFilter {
	return &uabinary.DataChangeFilter{Trigger: trigger}
}

// Every item has a result of its own (Part 4 (1.05), 5.13.2.4).
func TestMonitorBasic_CreateResults(t *testing.T) {
	server := onNode(uabinary.NumericID(0, id.Server))
	cases := []struct {
		name string
		it   uabinary.MonitoredItemCreateRequest
		want []ua.StatusCode // any of these
	}{
		{"good", item("Int16"), []ua.StatusCode{ua.StatusOK}},
		{"unknown node", item("Nowhere"), []ua.StatusCode{ua.StatusBadNodeIDUnknown}},
		{"null node", item("", onNode(uabinary.NodeID{})), []ua.StatusCode{ua.StatusBadNodeIDUnknown, ua.StatusBadNodeIDInvalid}},
		{"attribute 0", item("Int16", attribute(0)), []ua.StatusCode{ua.StatusBadAttributeIDInvalid}},
		{"attribute 99", item("Int16", attribute(99)), []ua.StatusCode{ua.StatusBadAttributeIDInvalid}},
		{"value of an Object", item("", server), []ua.StatusCode{ua.StatusBadAttributeIDInvalid}},
		{"range syntax", item("Array", indexRange("a")), []ua.StatusCode{ua.StatusBadIndexRangeInvalid}},
		{"range backwards", item("Array", indexRange("3:1")), []ua.StatusCode{ua.StatusBadIndexRangeInvalid}},
		{"range of one in range syntax", item("Array", indexRange("2:2")), []ua.StatusCode{ua.StatusBadIndexRangeInvalid}},
		{"range without data in a dynamic array", item("Array", indexRange("10:12")), []ua.StatusCode{ua.StatusOK}},
		{"good again", item("Double"), []ua.StatusCode{ua.StatusOK}},
		{"mode", item("Int16", mode(3)), []ua.StatusCode{ua.StatusBadMonitoringModeInvalid}},
		{"negative mode", item("Int16", mode(math.MaxUint32)), []ua.StatusCode{ua.StatusBadMonitoringModeInvalid}},
		{"encoding", item("Int16", encoding("Rubbish")), []ua.StatusCode{ua.StatusBadDataEncodingInvalid, ua.StatusBadDataEncodingUnsupported}},
		{"no right to read", item("Secret"), []ua.StatusCode{ua.StatusOK}},
		{"no filter at all", item("Int16", filter(&uabinary.Argument{})), []ua.StatusCode{ua.StatusBadMonitoredItemFilterInvalid, ua.StatusBadMonitoredItemFilterUnsupported}},
		{"filter for events", item("Int16", filter(&uabinary.EventFilter{})), []ua.StatusCode{ua.StatusBadFilterNotAllowed}},
		{"filter on another attribute", item("Int16", attribute(ua.AttributeIDDisplayName), filter(deadband(0, 0))), []ua.StatusCode{ua.StatusBadFilterNotAllowed}},
		{"deadband on text", item("Text", filter(deadband(1, 1))), []ua.StatusCode{ua.StatusBadFilterNotAllowed}},
		{"negative deadband", item("Int16", filter(deadband(1, -1))), []ua.StatusCode{ua.StatusBadDeadbandFilterInvalid}},
		{"deadband NaN", item("Int16", filter(deadband(1, math.NaN()))), []ua.StatusCode{ua.StatusBadDeadbandFilterInvalid}},
		{"percent without EURange", item("Int16", filter(deadband(2, 10))),
			[]ua.StatusCode{ua.StatusBadMonitoredItemFilterUnsupported, ua.StatusBadFilterNotAllowed, ua.StatusBadDeadbandFilterInvalid}},
		{"deadband type", item("Int16", filter(deadband(3, 1))),
			[]ua.StatusCode{ua.StatusBadDeadbandFilterInvalid, ua.StatusBadMonitoredItemFilterInvalid, ua.StatusBadMonitoredItemFilterUnsupported}},
		{"trigger", item("Int16", filter(only(3))), []ua.StatusCode{ua.StatusBadMonitoredItemFilterInvalid}},
		{"good to the end", item("Array"), []ua.StatusCode{ua.StatusOK}},
	}
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		var items []uabinary.MonitoredItemCreateRequest
		for i, c := range cases {
			handle(uint32(i))(&c.it)
			items = append(items, c.it)
		}
		results, code := s.createItems(sub, ua.TimestampsToReturnBoth, items...)
		s.wantOK(code)
		want, got := []uint32{}, []uint32{}
		for i, c := range cases {
			res := results[i]
			if !slices.Contains(c.want, res.StatusCode) || (res.StatusCode == ua.StatusOK) != (res.MonitoredItemID != 0) {
				t.Errorf("%s: %v, item %d", c.name, res.StatusCode, res.MonitoredItemID)
			}
			if c.want[0] == ua.StatusOK {
				want = append(want, uint32(i))
			}
		}
		for _, n := range s.cycle().values() {
			got = append(got, n.ClientHandle)
			switch cases[n.ClientHandle].name {
			case "no right to read":
				s.want(ua.StatusBadNotReadable, n.Value.Status)
			case "range without data in a dynamic array":
				s.want(ua.StatusBadIndexRangeNoData, n.Value.Status)
			default:
				s.want(ua.StatusOK, n.Value.Status)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("initial values of %v instead of %v", got, want)
		}
	})
}

func TestMonitorBasic_ServiceResults(t *testing.T) {
	limits := func(c *Config) { c.Limits.MaxItemsPerCall = 10 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		its := s.monitor(sub, item("Int16"))
		many := make([]uint32, 11)
		code := func(_ any, code ua.StatusCode) ua.StatusCode { return code }
		both := ua.TimestampsToReturnBoth
		for i, c := range []struct{ got, want ua.StatusCode }{
			{code(s.createItems(sub, both)), ua.StatusBadNothingToDo},
			{code(s.createItems(sub, both, make([]uabinary.MonitoredItemCreateRequest, 11)...)), ua.StatusBadTooManyOperations},
			{code(s.createItems(sub, 4, item("Int16"))), ua.StatusBadTimestampsToReturnInvalid},
			{code(s.createItems(sub+1, both, item("Int16"))), ua.StatusBadSubscriptionIDInvalid},
			{code(s.modifyItems(sub)), ua.StatusBadNothingToDo},
			{code(s.modifyItems(sub, make([]uabinary.MonitoredItemModifyRequest, 11)...)), ua.StatusBadTooManyOperations},
			{code(s.modifyItems(sub+1, make([]uabinary.MonitoredItemModifyRequest, 1)...)), ua.StatusBadSubscriptionIDInvalid},
			{code(s.setMode(sub, ua.MonitoringModeReporting)), ua.StatusBadNothingToDo},
			{code(s.setMode(sub, ua.MonitoringModeReporting, many...)), ua.StatusBadTooManyOperations},
			{code(s.setMode(sub, 3, its...)), ua.StatusBadMonitoringModeInvalid},
			{code(s.setMode(sub+1, 2, its...)), ua.StatusBadSubscriptionIDInvalid},
			{code(s.deleteItems(sub)), ua.StatusBadNothingToDo},
			{code(s.deleteItems(sub, many...)), ua.StatusBadTooManyOperations},
			{code(s.deleteItems(sub+1, its...)), ua.StatusBadSubscriptionIDInvalid},
		} {
			if c.got != c.want {
				t.Errorf("call %d: %v, want %v", i, c.got, c.want)
			}
		}
		for i, f := range []func() ([]ua.StatusCode, ua.StatusCode){
			func() ([]ua.StatusCode, ua.StatusCode) { return s.setMode(sub, 2, its[0], 0, its[0]+1, its[0]) },
			func() ([]ua.StatusCode, ua.StatusCode) { return s.deleteItems(sub, its[0], 0, its[0]+1, its[0]) },
		} {
			results, code := f()
			last := []ua.StatusCode{ua.StatusOK, ua.StatusBadMonitoredItemIDInvalid}[i] // deleted twice
			want := []ua.StatusCode{ua.StatusOK, ua.StatusBadMonitoredItemIDInvalid, ua.StatusBadMonitoredItemIDInvalid, last}
			if code != ua.StatusOK || !slices.Equal(results, want) {
				t.Errorf("results %v, %v", results, code)
			}
		}
	})
}

// Sampling intervals and queue sizes are revised (Part 4 (1.05), 7.21).
func TestMonitorBasic_RevisedParameters(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		check := func(asked, got float64, queueAsked, queueGot uint32) {
			t.Helper()
			ok := got >= 0 && !math.IsInf(got, 0)
			switch {
			case asked < 0:
				ok = got == second
			case asked >= 50 && asked <= 3600_000:
				ok = got == asked
			case asked >= 0 && asked < 50:
				ok = got >= asked && got <= 50
			}
			if !ok {
				t.Errorf("sampling interval %v revised to %v", asked, got)
			}
			if want := min(max(queueAsked, 1), 100); queueGot != want {
				t.Errorf("queue size %d revised to %d", queueAsked, queueGot)
			}
		}
		for _, asked := range []float64{-1, -5, math.Inf(-1), 0, 1, 49, 50, 75.5, second, 60 * second, 1e12, 1e300, math.Inf(1), math.NaN()} {
			for _, size := range []uint32{0, 1, 2, 100, 101, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
				results, _ := s.createItems(sub, ua.TimestampsToReturnBoth, item("Int16", sampling(asked), queue(size, true)))
				check(asked, results[0].RevisedSamplingInterval, size, results[0].RevisedQueueSize)
				modified, _ := s.modifyItems(sub, uabinary.MonitoredItemModifyRequest{
					MonitoredItemID:     results[0].MonitoredItemID,
					RequestedParameters: uabinary.MonitoringParameters{SamplingInterval: asked, QueueSize: size},
				})
				s.wantOK(modified[0].StatusCode)
				check(asked, modified[0].RevisedSamplingInterval, size, modified[0].RevisedQueueSize)
			}
		}
	})
}

func TestMonitorBasic_Timestamps(t *testing.T) {
	for asked, want := range map[ua.TimestampsToReturn][2]bool{
		ua.TimestampsToReturnSource: {true, false}, ua.TimestampsToReturnServer: {false, true},
		ua.TimestampsToReturnBoth: {true, true}, ua.TimestampsToReturnNeither: {false, false},
	} {
		inTime(t, nil, func(t *testing.T, r *rig) {
			s := r.subscriber()
			_, code := s.createItems(s.subscribe(second), asked, item("Int16"), item("Int16", attribute(ua.AttributeIDBrowseName)))
			s.wantOK(code)
			n := s.cycle().values()
			if len(n) != 2 {
				t.Fatalf("%d values", len(n))
			}
			if v := n[0].Value; (v.SourceTimestamp == 42) != want[0] || (v.ServerTimestamp != 0) != want[1] {
				t.Errorf("%v: source %v, server %v", asked, v.SourceTimestamp, v.ServerTimestamp)
			}
			if v := n[1].Value; v.SourceTimestamp != 0 { // only for the Value Attribute (7.11.3)
				t.Errorf("%v: SourceTimestamp of a BrowseName", asked)
			}
		})
	}
}

// A value is reported at most once per sampling interval, and the last one is
// never lost.
func TestMonitorBasic_SamplingInterval(t *testing.T) {
	for _, tt := range []struct{ interval, per3s float64 }{{50, 30}, {0, 30}, {200, 15}, {500, 6}, {second, 3}, {-1, 3}, {2 * second, 2}} {
		t.Run(fmt.Sprint(tt.interval), func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				s.monitor(s.subscribe(second), item("Int16", sampling(tt.interval), queue(100, true)))
				s.cycle()
				for range 10 {
					s.publish()
				}
				for i := range 30 {
					time.Sleep(100 * time.Millisecond)
					r.set("Int16", int16(1000+i))
				}
				time.Sleep(3 * time.Second)
				var got []int16
				for p := s.now(); p != nil; p = s.now() {
					got = append(got, p.int16s()...)
				}
				if n := float64(len(got)); n > tt.per3s+1 || n < tt.per3s-1 {
					t.Errorf("%v values in 3 s: %v", n, got)
				}
				if !slices.IsSorted(got) || got[len(got)-1] != 1029 {
					t.Errorf("values %v", got)
				}
			})
		})
	}
}

func TestMonitorQueue_DiscardPolicyAndOverflow(t *testing.T) {
	for _, tt := range []struct {
		size   uint32
		oldest bool
		pushes int16
		want   []int16
		marked int // index of the value with the Overflow bit, -1 if none
	}{
		{1, true, 5, []int16{105}, -1},
		{1, false, 5, []int16{105}, -1},
		{0, false, 2, []int16{102}, -1},
		{3, true, 3, []int16{101, 102, 103}, -1},
		{3, false, 3, []int16{101, 102, 103}, -1},
		{3, true, 4, []int16{102, 103, 104}, 0},
		{3, true, 50, []int16{148, 149, 150}, 0},
		{3, false, 4, []int16{101, 102, 104}, 2},
		{3, false, 50, []int16{101, 102, 150}, 2},
		{2, true, 3, []int16{102, 103}, 0},
		{2, false, 3, []int16{101, 103}, 1},
	} {
		t.Run(fmt.Sprint(tt.size, tt.oldest, tt.pushes), func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				sub := s.subscribe(10 * second)
				s.monitor(sub, item("Int16", queue(tt.size, tt.oldest)))
				s.cycle()
				for range 2 { // the second time shows that the mark went with the first
					for i := range tt.pushes {
						r.set("Int16", 101+i)
						time.Sleep(60 * time.Millisecond)
					}
					p := s.cycle()
					if got := p.int16s(); !slices.Equal(got, tt.want) {
						t.Errorf("got %v, want %v", got, tt.want)
					}
					for i, n := range p.values() {
						if want := i == tt.marked; want != (n.Value.Status == overflow) || !want && n.Value.Status != ua.StatusOK {
							t.Errorf("value %d has status %#x", i, uint32(n.Value.Status))
						}
					}
				}
				r.set("Int16", int16(1))
				if v := s.cycle().values(); len(v) != 1 || v[0].Value.Status != ua.StatusOK {
					t.Errorf("afterwards: %+v", v)
				}
			})
		})
	}
}

// What a filter lets through (Part 4 (1.05), 7.10, 7.22.2).
func TestMonitorValueChange_Filters(t *testing.T) {
	nan := math.NaN()
	at := func(v any, status ua.StatusCode, source uabinary.DateTime) uabinary.DataValue {
		return uabinary.DataValue{Value: uabinary.VariantOf(v), Status: status, SourceTimestamp: source}
	}
	good := func(values ...any) (all []uabinary.DataValue) {
		for i, v := range values {
			all = append(all, at(v, 0, uabinary.DateTime(1000+i)))
		}
		return all
	}
	uncertain := ua.StatusUncertainLastUsableValue
	mixed := []uabinary.DataValue{at(1.0, 0, 1), at(1.0, 0, 2), at(2.0, 0, 2), at(2.0, uncertain, 2), at(2.0, uncertain, 3), at(3.0, 0, 4), at(3.0, 0, 4)}
	array := func(v ...float64) any { return v }
	for _, tt := range []struct {
		name   string
		filter *uabinary.DataChangeFilter
		values []uabinary.DataValue
		want   []int // which of them are reported
	}{
		{"no filter", nil, mixed, []int{0, 2, 3, 5}},
		{"Status", only(ua.DataChangeTriggerStatus), mixed, []int{0, 3, 5}},
		{"StatusValue", only(ua.DataChangeTriggerStatusValue), mixed, []int{0, 2, 3, 5}},
		{"StatusValueTimestamp", only(ua.DataChangeTriggerStatusValueTimestamp), mixed, []int{0, 1, 2, 3, 4, 5}},
		{"NaN is reported once", nil, good(1.0, nan, nan, -nan, 1.0, nan), []int{0, 1, 4, 5}},
		{"deadband and NaN", deadband(1, 10), good(1.0, nan, nan, 1.0, 2.0), []int{0, 1, 3}},
		{"other type, same number", nil, good(1.0, float32(1)), []int{0, 1}},
		{"deadband", deadband(1, 10), good(100.0, 105.0, 110.0, 110.5, 111.0, 100.5, 100.4, 90.0), []int{0, 3, 6, 7}},
		{"deadband 0", deadband(1, 0), good(1.0, 1.0, 1.1), []int{0, 2}},
		{"deadband creeping", deadband(1, 10), good(0.0, 4.0, 8.0, 12.0, 16.0, 23.0), []int{0, 3, 5}},
		{"deadband with an infinity", deadband(1, 10), good(0.0, math.Inf(1), math.Inf(1), math.Inf(-1), 0.0), []int{0, 1, 3, 4}},
		{"deadband and timestamps", &uabinary.DataChangeFilter{Trigger: 2, DeadbandType: 1, DeadbandValue: 10}, good(1.0, 1.0, 2.0, 12.0), []int{0, 3}},
		{"deadband on the status only", &uabinary.DataChangeFilter{Trigger: 0, DeadbandType: 1, DeadbandValue: 10}, mixed, []int{0, 3, 5}},
		{"deadband ignored with the status", deadband(1, 10), []uabinary.DataValue{at(1.0, 0, 1), at(1.5, uncertain, 1), at(1.7, uncertain, 1), at(2.0, 0, 1)}, []int{0, 1, 3}},
		{"deadband, array", deadband(1, 10), good(array(1, 2), array(9, 8), array(1, 12), array(1, 12.5), array(1), array(1, 1), array()), []int{0, 3, 4, 5, 6}},
		{"deadband, one element", deadband(1, 10), good(array(1, 2, 3), array(1, 2, 14), array(12, 2, 14)), []int{0, 1, 2}},
		{"null", deadband(1, 10), []uabinary.DataValue{at(1.0, 0, 1), {SourceTimestamp: 1}, {SourceTimestamp: 2}, at(1.0, 0, 1)}, []int{0, 1, 3}},
		{"array", nil, good(array(1, 2), array(1, 2), array(1, 3), array(nan, 3), array(nan, 3)), []int{0, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				it := item("Number", queue(100, true))
				if tt.filter != nil {
					filter(tt.filter)(&it)
				}
				r.setValue("Number", tt.values[0])
				s.monitor(s.subscribe(10*second), it)
				for _, v := range tt.values[1:] {
					time.Sleep(100 * time.Millisecond)
					r.setValue("Number", v)
				}
				var want, got []string
				for _, i := range tt.want {
					want = append(want, fmt.Sprint(tt.values[i].Value.Any(), tt.values[i].Status))
				}
				for _, n := range s.cycle().values() {
					got = append(got, fmt.Sprint(n.Value.Value.Any(), n.Value.Status))
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}
