// Package driverstest is what the tests of drivers share: channels read from text, and Variables that are watched.
package driverstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// Parse reads a Channel with its Device and Conversions elements, as they stand in edgeua.xml, through the real reader.
// The channel is of the kind that its Type names.
func Parse(t testing.TB, kinds []drivers.Kind, text string) (drivers.Channel, *xmltree.Report) {
	t.Helper()
	root, err := xmltree.Parse("edge.xml", []byte("<EdgeUa>"+text+"</EdgeUa>"), xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := &xmltree.Report{}
	conversions := drivers.ParseConversions(r, root.All("Conversions"))
	e := root.Child("Channel")
	word := (&xmltree.Report{}).Settings(e).String("Type", "")
	i := slices.IndexFunc(kinds, func(k drivers.Kind) bool { return k.Type == word })
	if i < 0 {
		t.Fatalf("no kind %s", word)
	}
	return kinds[i].Parse(r, e, root.All("Device"), conversions), r
}

// StatusName is the name of a StatusCode without the bits for limits.
func StatusName(s ua.StatusCode) string {
	return strings.TrimPrefix(ua.StatusCodes[s&0xFFFF0000].Name, "Status")
}

// Event is one value that was set on a Variable.
type Event struct {
	At     time.Duration // since the Record began
	Status ua.StatusCode
	Value  any
}

// String is the event in a line: 1s BadTimeout <nil>.
func (e Event) String() string {
	return fmt.Sprintf("%v %s %v", e.At.Round(time.Microsecond), StatusName(e.Status), e.Value)
}

// Record collects what is set on a Variable.
type Record struct {
	start  time.Time
	mu     sync.Mutex
	events []Event
}

// Watch begins a Record.
func Watch(v *addressspace.Variable) *Record {
	r := &Record{start: time.Now()}
	v.Watch(r)
	return r
}

// Changed implements addressspace.Watcher.
func (r *Record) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{time.Since(r.start), dv.Status, dv.Value.Any()})
}

// Events are those so far.
func (r *Record) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Statuses lists each change of the status.
func (r *Record) Statuses() []string {
	var all []string
	last := ^ua.StatusOK
	for _, e := range r.Events() {
		if e.Status != last {
			all = append(all, e.String())
		}
		last = e.Status
	}
	return all
}

// WantStatuses compares them.
func (r *Record) WantStatuses(t testing.TB, want ...string) {
	t.Helper()
	if got := r.Statuses(); !slices.Equal(got, want) {
		t.Errorf("statuses\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// patience is how long Await waits: longer than anything takes on a busy machine.
const patience = 20 * time.Second

// latest hands on what is set on a Variable.
type latest struct{ values chan uabinary.DataValue }

func (l latest) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	select {
	case l.values <- *dv:
	default:
	}
}

// Await lets a test in real time wait for a value without knowing when it comes; what names it.
func Await(t testing.TB, v *addressspace.Variable, what string, is func(dv uabinary.DataValue) bool) uabinary.DataValue {
	t.Helper()
	l := latest{make(chan uabinary.DataValue, 64)}
	v.Watch(l)
	defer v.Unwatch(l)
	deadline := time.After(patience)
	dv := v.Value()
	for !is(dv) {
		select {
		case dv = <-l.values:
		case <-deadline:
			t.Fatalf("no %s: still %s %v", what, StatusName(dv.Status), dv.Value.Any())
		}
	}
	return dv
}
