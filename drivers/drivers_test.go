package drivers

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"pgregory.net/rapid"
)

func TestBackoffDoublesToItsMaximum(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 30 * time.Second}
	for range 2 {
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			got := b.Next()
			if want *= time.Second; got < want*8/10 || got > want*12/10 {
				t.Errorf("pause %v, want %v and 20 %% more or less", got, want)
			}
		}
		b.Reset()
	}
}

func TestHealth(t *testing.T) {
	h := Health{DemoteAfter: 3, Suspend: Backoff{Min: 10 * time.Second, Max: 40 * time.Second}}
	step := func(name string, changed bool, want HealthState, wantChanged bool) {
		t.Helper()
		if h.State() != want || changed != wantChanged {
			t.Errorf("%s: %v (changed %v), want %v (%v)", name, h.State(), changed, want, wantChanged)
		}
	}
	step("start", false, HealthUnknown, false)
	step("first failure", h.Failed(0), HealthSuspect, false)
	step("good", h.Good(), HealthOnline, false)
	step("failure", h.Failed(0), HealthSuspect, false)
	step("failure", h.Failed(0), HealthSuspect, false)
	step("third failure in a row", h.Failed(time.Minute), HealthDemoted, true)
	if at := h.ProbeAt(); at < 68*time.Second || at > 72*time.Second {
		t.Errorf("probe at %v", at)
	}
	step("failed probe", h.Failed(2*time.Minute), HealthDemoted, false)
	if at := h.ProbeAt(); at < 136*time.Second || at > 144*time.Second {
		t.Errorf("second probe at %v", at)
	}
	step("good probe", h.Good(), HealthOnline, true)
	h.Failed(0)
	h.Failed(0)
	h.Failed(0)
	if at := h.ProbeAt(); at > 12*time.Second {
		t.Errorf("probe at %v after a recovery", at)
	}
}

func TestScheduleOrder(t *testing.T) {
	var q Schedule[string]
	add := func(name string, due time.Duration, order int) {
		q.At(NewSlot(name, time.Second, order), due)
	}
	add("late", 3, 0)
	add("unit 2", 1, 2)
	add("unit 1", 1, 1)
	var got []string
	for s := q.Next(); s != nil; s = q.Next() {
		got = append(got, s.Item)
		q.Remove(s)
	}
	if !slices.Equal(got, []string{"unit 1", "unit 2", "late"}) {
		t.Error(got)
	}
}

func TestScheduleKeepsItsRate(t *testing.T) {
	var q Schedule[int]
	s := NewSlot(0, 100, 0)
	q.At(s, 30)
	for _, c := range []struct {
		now, next time.Duration
		overruns  uint64
	}{{30, 130, 0}, {135, 230, 0}, {330, 430, 1}, {729, 730, 3}, {1000, 1030, 5}} {
		q.Served(s, c.now)
		if s.Due() != c.next || s.Overruns != c.overruns {
			t.Errorf("served at %d: next %d, %d overruns, want %d, %d", c.now, s.Due(), s.Overruns, c.next, c.overruns)
		}
	}
	q.Hasten(s, 1005)
	if s.Due() != 1005 {
		t.Error("not hastened")
	}
	q.Served(s, 1006)
	if s.Due() != 1030 {
		t.Errorf("a run in between moved the regular one to %d", s.Due())
	}
	q.Hasten(s, 2000)
	if s.Due() != 1030 {
		t.Error("hastened to later")
	}
}

func TestScheduleIsAHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Schedule[int]
		slots := make([]*Slot[int], 20)
		for i := range slots {
			slots[i] = NewSlot(i, time.Duration(i+1), i)
		}
		scheduled := map[*Slot[int]]bool{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			s := slots[rapid.IntRange(0, 19).Draw(t, "slot")]
			if rapid.Bool().Draw(t, "remove") {
				q.Remove(s)
				delete(scheduled, s)
			} else {
				q.At(s, time.Duration(rapid.IntRange(0, 50).Draw(t, "due")))
				scheduled[s] = true
			}
		}
		last := time.Duration(-1)
		for s := q.Next(); s != nil; s = q.Next() {
			if s.Due() < last || !scheduled[s] {
				t.Fatalf("slot %d at %d after %d", s.Item, s.Due(), last)
			}
			last = s.Due()
			q.Remove(s)
			delete(scheduled, s)
		}
		if len(scheduled) != 0 {
			t.Fatalf("%d slots are gone", len(scheduled))
		}
	})
}

// Values of the table of status codes, to the letter.
func TestFaultStatuses(t *testing.T) {
	for f, want := range map[Fault][3]ua.StatusCode{
		Waiting:             {0x80320000, 0x80320000, 0x80320000},
		NoCommunication:     {0x408F0000, 0x80310000, 0x80310000},
		NoReply:             {0x408F0000, 0x800A0000, 0x800A0000},
		BadReply:            {0x408F0000, 0x80050000, 0x80050000},
		LinkLost:            {0x408F0000, 0x80310000, 0x80050000},
		IllegalFunction:     {0x803D0000, 0x803D0000, 0x803D0000},
		IllegalAddress:      {0x80890000, 0x80890000, 0x80890000},
		IllegalValue:        {0x80AB0000, 0x80AB0000, 0x803C0000},
		DeviceFailure:       {0x808B0000, 0x808B0000, 0x808B0000},
		Acknowledged:        {0x40900000, 0x80320000, 0x002E0000},
		Busy:                {0x40900000, 0x80040000, 0x80040000},
		NegativeAcknowledge: {0x80AF0000, 0x80AF0000, 0x80AF0000},
		GatewayPath:         {0x408F0000, 0x80310000, 0x80310000},
		GatewayTarget:       {0x408F0000, 0x800A0000, 0x800A0000},
		OutOfService:        {0x808D0000, 0x808D0000, 0x808D0000},
	} {
		if got := [3]ua.StatusCode{f.Held(), f.Status(), f.WriteStatus()}; got != want {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
	for f := Waiting; f <= Undecodable; f++ {
		if isGood(f.Held()) || isGood(f.Status()) {
			t.Errorf("%v reads as Good", f)
		}
	}
}

func TestLinear(t *testing.T) {
	for _, c := range []struct {
		l       Linear
		raw, eu float64
	}{
		{Linear{0.1, 0}, 217, 21.7}, {Linear{0.1, -50}, 718, 21.8}, {Linear{0.01, 0}, 5, 0.05}, {Linear{-0.1, 0}, 217, -21.7},
		{Linear{2, 1}, 3, 7}, {Linear{0.3, 0}, 10, 3}, {Linear{1, 5}, 1, 6}, {Linear{0.001, 0.5}, 1234, 1.734},
	} {
		if got := c.l.EU(c.raw); got != c.eu {
			t.Errorf("%+v of %v: %v, want %v", c.l, c.raw, got, c.eu)
		}
		if got := c.l.Raw(c.eu); got < c.raw-1e-9 || got > c.raw+1e-9 {
			t.Errorf("%+v back from %v: %v, want %v", c.l, c.eu, got, c.raw)
		}
	}
}

func testSpace(t *testing.T, devices ...Device) (*addressspace.Space, map[string]*addressspace.Variable, error) {
	t.Helper()
	space := addressspace.New("urn:test")
	vars, err := AddToSpace(space, space.AddNamespace("urn:test:devices"), devices)
	return space, vars, err
}

func TestAddToSpace(t *testing.T) {
	space, vars, err := testSpace(t, Device{Name: "Boiler", Description: "in the cellar", Tags: []Tag{
		{Name: "Temp", Type: uabinary.TypeDouble, Access: ReadOnly, Period: 250 * time.Millisecond, Unit: "CEL", Range: Range{-50, 150}},
		{Name: "Pump1.Run", Type: uabinary.TypeBoolean, Access: ReadWrite, Description: "runs"},
		{Name: "Pump1.Speed", Type: uabinary.TypeUint16, Access: WriteOnly},
		{Name: "Profile", Type: uabinary.TypeInt16, Access: ReadOnly, Length: 24},
	}})
	if err != nil {
		t.Fatal(err)
	}
	run := vars["Boiler.Pump1.Run"]
	if run == nil || run.Node().ID != uabinary.StringID(2, "Boiler.Pump1.Run") || run.Node().BrowseName.Name != "Run" || run.AccessLevel != 3 {
		t.Fatalf("Pump1.Run: %+v", run)
	}
	if run.Node().Description.Text != "runs" || run.Value().Status != ua.StatusBadWaitingForInitialData {
		t.Errorf("Pump1.Run: %+v %+v", run.Node(), run.Value())
	}
	if v := vars["Boiler.Pump1.Speed"]; v.AccessLevel != 2 {
		t.Errorf("Pump1.Speed: %+v", v)
	}
	if v := vars["Boiler.Profile"]; v.ValueRank != 1 || !slices.Equal(v.ArrayDimensions, []uint32{24}) || v.DataType != uabinary.NumericID(0, id.Int16) {
		t.Errorf("Profile: %+v", v)
	}
	temp := vars["Boiler.Temp"]
	if temp.MinimumSamplingInterval != 250 || temp.Node().TypeDefinition() != uabinary.NumericID(0, id.AnalogItemType) {
		t.Errorf("Temp: %+v", temp)
	}
	var children []string
	for r := range space.Node(uabinary.StringID(2, "Boiler")).References() {
		if !r.Inverse && r.Target.Namespace == 2 {
			children = append(children, r.Target.Text)
		}
	}
	if !slices.Equal(children, []string{"Boiler.Temp", "Boiler.Pump1", "Boiler.Profile"}) {
		t.Errorf("children: %v", children)
	}
}

func TestAddToSpaceTwice(t *testing.T) {
	d := Device{Name: "Boiler"}
	if _, _, err := testSpace(t, d, d); err == nil || !strings.Contains(err.Error(), "Boiler") {
		t.Error(err)
	}
}

func TestEngineeringUnits(t *testing.T) {
	if eu := (&Tag{Unit: "CEL"}).engineeringUnits(); eu.UnitID != 4408652 || eu.DisplayName.Text != "°C" || eu.NamespaceURI != unitNamespace {
		t.Errorf("%+v", eu)
	}
	if eu := (&Tag{Unit: "pulses"}).engineeringUnits(); eu.UnitID != -1 || eu.DisplayName.Text != "pulses" || eu.NamespaceURI != "" {
		t.Errorf("%+v", eu)
	}
	if (&Tag{}).engineeringUnits() != nil {
		t.Error("a unit from nothing")
	}
}

// The rules of a tag: waiting, good, held for so many failed polls, bad, and no further Set while nothing changes.
func TestPoint(t *testing.T) {
	_, vars, err := testSpace(t, Device{Name: "D", Tags: []Tag{{Name: "T", Type: uabinary.TypeInt16, Access: ReadOnly}}})
	if err != nil {
		t.Fatal(err)
	}
	v, now := vars["D.T"], time.Unix(1e9, 0)
	p := NewPoint(v, 2, now)
	sets := &counter{}
	v.Watch(sets)
	want := func(status ua.StatusCode, value any, n int) {
		t.Helper()
		if dv := v.Value(); dv.Status != status || dv.Value.Any() != value || sets.n != n || p.Good() != isGood(status) {
			t.Errorf("%v %v after %d sets, want %v %v, %d", dv.Status, dv.Value.Any(), sets.n, status, value, n)
		}
	}
	want(ua.StatusBadWaitingForInitialData, nil, 0)
	p.Fail(NoReply, now)
	want(ua.StatusBadTimeout, nil, 1)
	p.Fail(NoReply, now)
	want(ua.StatusBadTimeout, nil, 1)
	p.Read(&uabinary.DataValue{Value: uabinary.Int16Variant(7)})
	want(ua.StatusOK, int16(7), 2)
	p.Fail(Stale, now)
	want(ua.StatusUncertainLastUsableValue, int16(7), 3)
	p.Fail(NoReply, now)
	p.Fail(NoReply, now)
	want(ua.StatusUncertainNoCommunicationLastUsableValue, int16(7), 4)
	p.Fail(BadReply, now)
	want(ua.StatusBadCommunicationError, nil, 5)
	p.Read(&uabinary.DataValue{Value: uabinary.Int16Variant(8)})
	p.Fail(DeviceFailure, now)
	want(ua.StatusBadDeviceFailure, nil, 7)
	p.Fail(NoReply, now) // a Bad status has ended the holding
	want(ua.StatusBadTimeout, nil, 8)
	p.Read(&uabinary.DataValue{Status: ua.StatusBadSensorFailure})
	p.Fail(NoReply, now)
	want(ua.StatusBadTimeout, nil, 10)
}

func TestPoint_Deadband(t *testing.T) {
	_, vars, err := testSpace(t, Device{Name: "D", Tags: []Tag{{Name: "T", Type: uabinary.TypeDouble, Access: ReadOnly}}})
	if err != nil {
		t.Fatal(err)
	}
	v := vars["D.T"]
	p := NewPoint(v, 1, time.Unix(1e9, 0))
	p.Deadband = 0.5
	for i, step := range []struct {
		read, shown float64
		status      ua.StatusCode
	}{
		{10, 10, ua.StatusOK},
		{10.4, 10, ua.StatusOK},
		{9.6, 10, ua.StatusOK},
		{10.5, 10.5, ua.StatusOK}, // from what is shown, not from what was read last
		{10.9, 10.5, ua.StatusUncertainSubNormal},
		{20, 20, ua.StatusBadOutOfRange},
		{10.6, 10.6, ua.StatusOK}, // nothing was held
	} {
		at := uabinary.DateTimeOf(time.Unix(int64(1e9+i), 0))
		p.Read(&uabinary.DataValue{Value: uabinary.DoubleVariant(step.read), Status: step.status, SourceTimestamp: at})
		if dv := v.Value(); dv.Value.Any() != step.shown || dv.Status != step.status || dv.SourceTimestamp != at {
			t.Errorf("%v is shown as %v %v at %v", step.read, dv.Value.Any(), dv.Status, dv.SourceTimestamp.Time())
		}
	}
	p.Read(&uabinary.DataValue{Value: uabinary.DoubleVariant(math.NaN())})
	if f, _ := v.Value().Value.Number(); !math.IsNaN(f) {
		t.Errorf("not a number is shown as %v", f)
	}
}

type counter struct{ n int }

func (c *counter) Changed(*addressspace.Variable, *uabinary.DataValue) { c.n++ }
