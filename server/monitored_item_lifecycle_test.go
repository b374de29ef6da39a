package server

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// An item on part of a value hears of that part only (Part 4 (1.05), 7.27).
func TestMonitorBasic_IndexRange(t *testing.T) {
	for _, tt := range []struct {
		variable, part string
		values         []any
		want           []any // nil: BadIndexRangeNoData
	}{
		{"Array", "1:2", []any{[]int32{0, 1, 2, 3}, []int32{9, 1, 2, 9}, []int32{9, 1, 7, 9}, []int32{9}, []int32{8}, []int32{9, 1}},
			[]any{[]int32{1, 2}, []int32{1, 7}, nil, []int32{1}}},
		{"Array", "3", []any{[]int32{0, 1, 2, 3}, []int32{9, 9, 9, 3}, []int32{0, 1, 2, 4}}, []any{[]int32{3}, []int32{4}}},
		{"Text", "0:2", []any{"abcdef", "abcxyz", "xbc"}, []any{"abc", "xbc"}},
	} {
		inTime(t, nil, func(t *testing.T, r *rig) {
			s := r.subscriber()
			r.set(tt.variable, tt.values[0])
			s.monitor(s.subscribe(10*second), item(tt.variable, indexRange(tt.part), queue(100, true)))
			for _, v := range tt.values[1:] {
				time.Sleep(100 * time.Millisecond)
				r.set(tt.variable, v)
			}
			var got []any
			for _, n := range s.cycle().values() {
				got = append(got, n.Value.Value.Any())
				if (n.Value.Status == ua.StatusBadIndexRangeNoData) != (n.Value.Value.Any() == nil) {
					t.Errorf("%v with status %v", n.Value.Value, n.Value.Status)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%s[%s]: got %v, want %v", tt.variable, tt.part, got, tt.want)
			}
		})
	}
}

// Modes (Part 4 (1.05), 5.13.1.3, 5.13.4.1, 7.23).
func TestMonitorBasic_MonitoringModes(t *testing.T) {
	const disabled, sampled, reporting = ua.MonitoringModeDisabled, ua.MonitoringModeSampling, ua.MonitoringModeReporting
	for _, tt := range []struct {
		name     string
		from, to ua.MonitoringMode
		want     []int16 // first value 7, 1 and 2 pushed before the change, 3 after it
	}{
		{"disabled to disabled", disabled, disabled, nil},
		{"disabled to sampling", disabled, sampled, nil},
		{"disabled to reporting", disabled, reporting, []int16{2, 3}},
		{"sampling to disabled", sampled, disabled, nil},
		{"sampling to sampling", sampled, sampled, nil},
		{"sampling to reporting", sampled, reporting, []int16{7, 1, 2, 3}},
		{"reporting to disabled", reporting, disabled, nil},
		{"reporting to sampling", reporting, sampled, nil},
		{"reporting to reporting", reporting, reporting, []int16{7, 1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, nil, func(t *testing.T, r *rig) {
				s := r.subscriber()
				sub := s.subscribe(second)
				its := s.monitor(sub, item("Int16", mode(tt.from), queue(10, true)))
				push := func(v int16) {
					time.Sleep(100 * time.Millisecond)
					r.set("Int16", v)
				}
				push(1)
				push(2)
				if results, code := s.setMode(sub, tt.to, its...); code != ua.StatusOK || results[0] != ua.StatusOK {
					t.Fatal(results, code)
				}
				if v := r.space.Variable(uabinary.StringID(2, "Int16")); v.Watched() != (tt.to != disabled) {
					t.Errorf("the Variable is watched: %v", v.Watched())
				}
				push(3)
				if got := s.cycle().int16s(); !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				s.setMode(sub, reporting, its...) // what Sampling mode has queued comes now
				if tt.to == sampled {
					want := []int16{7, 1, 2, 3}
					if tt.from == disabled {
						want = []int16{2, 3}
					}
					if got := s.cycle().int16s(); !slices.Equal(got, want) {
						t.Errorf("from sampling to reporting: got %v, want %v", got, want)
					}
				}
			})
		})
	}
}

func TestMonitorBasic_Modify(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(10 * second)
		its := s.monitor(sub, item("Int16", queue(5, true), handle(1)), item("Int16", queue(5, false), handle(2)))
		s.cycle()
		push := func(values ...int16) {
			for _, v := range values {
				time.Sleep(100 * time.Millisecond)
				r.set("Int16", v)
			}
		}
		change := func(p uabinary.MonitoringParameters) {
			t.Helper()
			results, code := s.modifyItems(sub,
				uabinary.MonitoredItemModifyRequest{MonitoredItemID: its[0], RequestedParameters: p},
				uabinary.MonitoredItemModifyRequest{MonitoredItemID: 4711, RequestedParameters: p},
				uabinary.MonitoredItemModifyRequest{MonitoredItemID: its[1], RequestedParameters: uabinary.MonitoringParameters{
					ClientHandle: p.ClientHandle + 1, Filter: p.Filter, QueueSize: p.QueueSize, DiscardOldest: !p.DiscardOldest,
				}})
			if code != ua.StatusOK || results[0].StatusCode != ua.StatusOK || results[1].StatusCode != ua.StatusBadMonitoredItemIDInvalid ||
				results[2].StatusCode != ua.StatusOK || results[0].RevisedQueueSize != p.QueueSize {
				t.Errorf("results %+v, %v", results, code)
			}
		}
		expect := func(want ...string) {
			t.Helper()
			var got []string
			for _, n := range s.cycle().values() {
				mark := ""
				if n.Value.Status == overflow {
					mark = "*"
				}
				got = append(got, fmt.Sprint(n.ClientHandle, ":", n.Value.Value.Any(), mark))
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		push(1, 2, 3, 4)
		change(uabinary.MonitoringParameters{ClientHandle: 11, QueueSize: 2, DiscardOldest: true})
		expect("11:3*", "11:4", "12:1", "12:4*")
		push(5)
		change(uabinary.MonitoringParameters{ClientHandle: 11, QueueSize: 4, DiscardOldest: true})
		push(6, 7, 8)
		expect("11:5", "11:6", "11:7", "11:8", "12:5", "12:6", "12:7", "12:8")
		push(1, 2, 3)
		change(uabinary.MonitoringParameters{ClientHandle: 21, QueueSize: 1, DiscardOldest: true})
		expect("21:3", "22:3")
		change(uabinary.MonitoringParameters{ClientHandle: 31, QueueSize: 4, Filter: uabinary.ExtensionObjectOf(deadband(1, 10))})
		push(4, 13, 14, 15)
		expect("31:14", "32:14")
		results, _ := s.modifyItems(sub, uabinary.MonitoredItemModifyRequest{
			MonitoredItemID: its[0], RequestedParameters: uabinary.MonitoringParameters{Filter: uabinary.ExtensionObjectOf(deadband(1, -1))},
		})
		s.want(ua.StatusBadDeadbandFilterInvalid, results[0].StatusCode)
		push(25)
		expect("31:25", "32:25") // a refused change changes nothing
	})
}

// A longer or shorter sampling interval holds from the change on.
func TestMonitorBasic_ModifySamplingInterval(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		its := s.monitor(sub, item("Int16", queue(100, true), sampling(10*second)))
		s.cycle()
		s.publish()
		s.modifyItems(sub, uabinary.MonitoredItemModifyRequest{
			MonitoredItemID: its[0], RequestedParameters: uabinary.MonitoringParameters{SamplingInterval: 100, QueueSize: 100},
		})
		for i := range 10 {
			r.set("Int16", int16(100+i))
			time.Sleep(100 * time.Millisecond)
		}
		if p := s.next(); len(p.values()) < 8 {
			t.Errorf("%v", p.int16s())
		}
	})
}

// After the answer to DeleteMonitoredItems nothing comes any more.
func TestMonitorBasic_DeleteWhileValuesArrive(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		its := s.monitor(sub, item("Int16", handle(1), queue(10, true)), item("Int16", handle(2), queue(10, true)))
		r.set("Int16", int16(1))
		if results, code := s.deleteItems(sub, its[0]); code != ua.StatusOK || results[0] != ua.StatusOK {
			t.Fatal(results, code)
		}
		r.set("Int16", int16(2))
		for _, n := range s.cycle().values() {
			if n.ClientHandle != 2 {
				t.Error("a deleted item reports")
			}
		}
		s.deleteItems(sub, its[1])
		if r.space.Variable(uabinary.StringID(2, "Int16")).Watched() {
			t.Error("deleted items watch")
		}
		if p := s.cycle(); !p.keepAlive() {
			t.Error("deleted items report")
		}
	})
}

// A Variable that pushes nothing is asked, not more often than agreed, also
// while the client is late.
func TestMonitorBasic_DynamicVariable(t *testing.T) {
	clock := onNode(uabinary.NumericID(0, id.Server_ServerStatus_CurrentTime))
	for _, tt := range []struct {
		sampling, publishing float64
		want                 []int // values in each of the first six seconds
	}{
		{second, second, []int{1, 1, 1, 1, 1, 1}},
		{0, second, []int{1, 1, 1, 1, 1, 1}},
		{-1, second, []int{1, 1, 1, 1, 1, 1}},
		{3 * second, second, []int{1, 0, 1, 0, 0, 1}},
	} {
		inTime(t, nil, func(t *testing.T, r *rig) {
			s := r.subscriber()
			s.monitor(s.subscribe(tt.publishing), item("", clock, sampling(tt.sampling), queue(10, true)))
			for range 10 {
				s.publish()
			}
			got := make([]int, 6)
			for i := range got {
				time.Sleep(time.Second)
				for p := s.now(); p != nil; p = s.now() {
					got[i] += len(p.values())
				}
			}
			// the first value is taken at once and reported with that of the first cycle
			if got[0]--; got[0] == 0 {
				got[0]++
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("sampling %v: values per second %v, want %v", tt.sampling, got, tt.want)
			}
		})
	}
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.monitor(s.subscribe(second), item("", clock))
		time.Sleep(30500 * time.Millisecond)
		s.publish()
		p := s.now()
		if p == nil || len(p.values()) != 1 {
			t.Fatalf("late: %+v", p)
		}
		if at, _ := p.values()[0].Value.Value.Any().(uabinary.DateTime); time.Since(at.Time()) > time.Second {
			t.Errorf("the clock of a late Subscription is %v old", time.Since(at.Time()))
		}
	})
}

// Attributes other than Value report what they are, once.
func TestMonitorBasic_OtherAttributes(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		attributes := []ua.AttributeID{
			ua.AttributeIDNodeID, ua.AttributeIDNodeClass, ua.AttributeIDBrowseName, ua.AttributeIDDisplayName,
			ua.AttributeIDDataType, ua.AttributeIDValueRank, ua.AttributeIDAccessLevel,
		}
		var items []uabinary.MonitoredItemCreateRequest
		for _, a := range attributes {
			items = append(items, item("Int16", attribute(a), handle(uint32(a))))
		}
		s.monitor(sub, items...)
		p := s.cycle()
		if len(p.values()) != len(attributes) {
			t.Errorf("%d values", len(p.values()))
		}
		for _, n := range p.values() {
			if n.Value.Status != ua.StatusOK || n.Value.Value.IsNull() || n.Value.SourceTimestamp != 0 || n.Value.ServerTimestamp == 0 {
				t.Errorf("attribute %d: %+v", n.ClientHandle, n.Value)
			}
		}
		r.set("Int16", int16(99))
		if p := s.cycle(); !p.keepAlive() {
			t.Errorf("a new value reports as %+v", p.values())
		}
	})
}

func TestMonitorItems_TooMany(t *testing.T) {
	limits := func(c *Config) {
		c.Limits.MaxMonitoredItemsPerSubscription, c.Limits.MaxMonitoredItemsPerSession, c.Limits.MaxMonitoredItems = 3, 5, 7
	}
	inTime(t, limits, func(t *testing.T, r *rig) {
		s, other := r.subscriber(), r.subscriber()
		create := func(s *subscriber, sub uint32, n int) (good int) {
			t.Helper()
			items := make([]uabinary.MonitoredItemCreateRequest, n)
			for i := range items {
				items[i] = item("Int16", mode(ua.MonitoringModeDisabled))
			}
			results, code := s.createItems(sub, ua.TimestampsToReturnBoth, items...)
			s.wantOK(code)
			for i, res := range results {
				switch {
				case res.StatusCode == ua.StatusOK && good == i:
					good++
				case res.StatusCode != ua.StatusBadTooManyMonitoredItems:
					t.Errorf("item %d: %v", i, res.StatusCode)
				}
			}
			return good
		}
		a, b, c := s.subscribe(second), s.subscribe(second), other.subscribe(second)
		for i, step := range []struct{ got, want int }{
			{create(s, a, 5), 3}, // per Subscription
			{create(s, b, 5), 2}, // per Session
			{create(other, c, 5), 2},
		} {
			if step.got != step.want {
				t.Errorf("step %d: %d items instead of %d", i, step.got, step.want)
			}
		}
		s.unsubscribe(a)
		if got := create(other, c, 5); got != 1 {
			t.Errorf("%d items instead of 1", got)
		}
		if got := create(s, b, 5); got != 1 {
			t.Errorf("%d items instead of 1", got)
		}
	})
}

// The values of all queues together are bounded.
func TestMonitorQueue_BytesOfAllQueuesAreBounded(t *testing.T) {
	limits := func(c *Config) { c.Limits.NotificationBytesTotal = 64 << 10 }
	inTime(t, limits, func(t *testing.T, r *rig) {
		s := r.subscriber()
		s.monitor(s.subscribe(10*second), item("Text", queue(100, true)), item("Bytes", queue(100, true)))
		for i := range 100 {
			time.Sleep(60 * time.Millisecond)
			r.set("Text", fmt.Sprintf("%8000d", i))
			r.set("Bytes", uabinary.ByteArray(fmt.Sprintf("%8000d", i)))
		}
		if n := r.totals.queuedBytes.Load(); n > 64<<10+2*130_000 {
			t.Errorf("%d bytes are queued", n)
		}
		texts := 0
		for p := s.cycle(); ; p = s.cycle() {
			for _, n := range p.values() {
				if _, ok := n.Value.Value.Text(); ok {
					texts++
				}
			}
			if !p.MoreNotifications {
				break
			}
		}
		if texts == 0 || texts > 9 {
			t.Errorf("%d texts were kept", texts)
		}
		if n := r.totals.queuedBytes.Load(); n != 0 {
			t.Errorf("%d bytes are counted for empty queues", n)
		}
	})
}

// A node that goes away says so once; its items stay until they are deleted.
func TestMonitorBasic_NodeIsRemoved(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(second)
		its := s.monitor(sub, item("Int16"))
		s.cycle()
		if !r.space.Remove(uabinary.StringID(2, "Int16")) {
			t.Fatal("not removed")
		}
		v := s.cycle().values()
		if len(v) != 1 || v[0].Value.Status != ua.StatusBadNodeIDUnknown {
			t.Errorf("%+v", v)
		}
		if results, _ := s.deleteItems(sub, its...); results[0] != ua.StatusOK {
			t.Errorf("delete: %v", results)
		}
	})
}

// Everything at once: values from several goroutines while items and
// Subscriptions come and go and Sessions end. For the race detector; at
// the end nothing is left over.
func TestSubscription_Races(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		stop := make(chan struct{})
		var drivers, clients sync.WaitGroup
		names := []string{"Int16", "Double", "Number", "Array"}
		values := []any{int16(1), 2.0, 3.0, []int32{4, 5}}
		for i, name := range names {
			for j := range 2 {
				drivers.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						case <-time.After(time.Duration(7+j) * time.Millisecond):
							dv := uabinary.DataValue{Value: uabinary.VariantOf(values[i]), SourceTimestamp: uabinary.DateTime(n)}
							r.setValue(name, dv)
						}
					}
				})
			}
		}
		for i := range 4 {
			s := r.subscriber()
			clients.Go(func() { s.restless(20, i) })
		}
		clients.Wait()
		close(stop)
		drivers.Wait()
		synctest.Wait()
		for _, name := range names {
			if r.space.Variable(uabinary.StringID(2, name)).Watched() {
				t.Errorf("%s is watched", name)
			}
		}
		if n := &r.totals; n.subscriptions.Load() != 0 || n.monitoredItems.Load() != 0 || n.queuedBytes.Load() != 0 || n.retainedBytes.Load() != 0 {
			t.Errorf("left over: %d Subscriptions, %d items, %d bytes queued, %d retained",
				n.subscriptions.Load(), n.monitoredItems.Load(), n.queuedBytes.Load(), n.retainedBytes.Load())
		}
	})
}

// restless does all that a client can do, then closes the Session.
func (s *subscriber) restless(rounds, seed int) {
	timestamped := filter(only(ua.DataChangeTriggerStatusValueTimestamp))
	clock := onNode(uabinary.NumericID(0, id.Server_ServerStatus_CurrentTime))
	for i := range rounds {
		sub := s.subscribe(100)
		its := s.monitor(sub,
			item("Int16", timestamped, queue(10, true)), item("Double", timestamped, queue(3, false)),
			item("Array", timestamped, indexRange("0:1")), item("", clock), item("Number", mode(ua.MonitoringModeSampling), timestamped))
		for range 5 {
			s.publish(ack(sub, 1))
		}
		time.Sleep(time.Duration(50+37*((i+seed)%5)) * time.Millisecond)
		s.modifyItems(sub, uabinary.MonitoredItemModifyRequest{
			MonitoredItemID: its[0], RequestedParameters: uabinary.MonitoringParameters{QueueSize: uint32(1 + i%4), SamplingInterval: float64(50 * i)},
		})
		s.setMode(sub, ua.MonitoringMode(i%3), its...)
		s.republish(sub, 1)
		s.publishing(i%2 == 0, sub)
		time.Sleep(130 * time.Millisecond)
		s.setMode(sub, ua.MonitoringModeReporting, its...)
		s.modify(sub, 150, 30, 3)
		s.deleteItems(sub, its[i%5])
		if i%3 > 0 {
			s.unsubscribe(sub)
		}
		if i%9 == 8 {
			for _, left := range []uint32{sub, sub - 1, sub - 2, sub - 3} {
				s.unsubscribe(left)
			}
		}
	}
	req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
	s.wantOK(s.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{}))
}
