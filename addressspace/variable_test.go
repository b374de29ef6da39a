package addressspace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

type recorder struct{ got []*uabinary.DataValue }

func (r *recorder) Changed(_ *Variable, dv *uabinary.DataValue) { r.got = append(r.got, dv) }

type echo struct{}

func (echo) Write(context.Context, uabinary.DataValue) ua.StatusCode { return ua.StatusBadNotWritable }

func TestWatch(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	a, b := &recorder{}, &recorder{}
	one, two, three := &uabinary.DataValue{}, &uabinary.DataValue{}, &uabinary.DataValue{Value: uabinary.Int16Variant(3)}
	v.Watch(a)
	v.Set(one)
	v.Watch(b)
	v.Set(two)
	v.Unwatch(a)
	v.Unwatch(a) // has no effect
	v.Set(three)
	if len(a.got) != 2 || a.got[0] != one || a.got[1] != two || len(b.got) != 2 || b.got[0] != two || b.got[1] != three {
		t.Errorf("a got %v, b got %v", a.got, b.got)
	}
	if !v.Watched() {
		t.Error("b is gone")
	}
	v.Unwatch(b)
	if v.Watched() || !v.Value().Value.Equal(three.Value) {
		t.Errorf("watched %v, value %v", v.Watched(), v.Value())
	}
}

func TestWatchTwice(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	a := &recorder{}
	v.Watch(a)
	v.Watch(a)
	v.Unwatch(a)
	v.Set(&uabinary.DataValue{})
	if len(a.got) != 1 {
		t.Errorf("%d values after two Watch and one Unwatch", len(a.got))
	}
}

func TestDemand(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	var heard []bool
	hear := func(watched bool) { heard = append(heard, watched) }
	v.SetDemand(hear)
	a, b := &recorder{}, &recorder{}
	v.Watch(a)
	v.Watch(b)
	v.Unwatch(a)
	v.Unwatch(b)
	v.Watch(a)
	v.SetDemand(hear) // told at once, since a watches
	v.SetDemand(nil)
	v.Unwatch(a)
	if want := []bool{true, false, true, true}; len(heard) != len(want) || heard[0] != want[0] || heard[1] != want[1] || heard[2] != want[2] {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

func TestHooksAreIndependent(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	if v.Writer() != nil || v.Dynamic() {
		t.Fatal("hooks on a new Variable")
	}
	v.SetWriter(echo{})
	v.SetSource(func() uabinary.DataValue { return uabinary.DataValue{Value: uabinary.Int16Variant(7)} })
	v.SetDemand(func(bool) {})
	if v.Writer() != (echo{}) || !v.Dynamic() || !v.Value().Value.Equal(uabinary.Int16Variant(7)) {
		t.Errorf("writer %v, dynamic %v, value %v", v.Writer(), v.Dynamic(), v.Value())
	}
	v.SetSource(nil)
	if v.Dynamic() || v.Writer() == nil {
		t.Error("ending the source ended more, or less")
	}
}

func TestServerStatus_Part5_1210(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(testURI)
		start := uabinary.DateTimeOf(time.Now())
		s.SetServerStatus(uabinary.ServerStatusDataType{
			StartTime: start, State: ua.ServerStateRunning,
			BuildInfo: uabinary.BuildInfo{ProductName: "edgeua", SoftwareVersion: "1.2", BuildDate: start},
		})
		time.Sleep(time.Hour)
		v := s.Variable(numeric(id.Server_ServerStatus))
		x := v.Value().Value.Any().(uabinary.ExtensionObject)
		var st uabinary.ServerStatusDataType
		if err := x.Decode(&st, nil); err != nil {
			t.Fatal(err)
		}
		if st.State != ua.ServerStateRunning || st.StartTime != start || st.CurrentTime.Time().Sub(start.Time()) != time.Hour {
			t.Errorf("%+v", st)
		}
		now := s.Variable(numeric(id.Server_ServerStatus_CurrentTime))
		if !v.Dynamic() || !now.Dynamic() || !now.Value().Value.Equal(uabinary.DateTimeVariant(st.CurrentTime)) {
			t.Errorf("CurrentTime %v", now.Value())
		}
		if got := s.Variable(numeric(id.Server_ServerStatus_BuildInfo_SoftwareVersion)).Value().Value; !got.Equal(uabinary.StringVariant("1.2")) {
			t.Errorf("SoftwareVersion %v", got)
		}
		if got := s.Variable(numeric(id.Server_ServerStatus_State)).Value().Value; !got.Equal(uabinary.Int32Variant(0)) {
			t.Errorf("State %v", got)
		}
	})
}
