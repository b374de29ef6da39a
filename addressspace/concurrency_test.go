package addressspace

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// last keeps the last value it saw.
type last struct {
	dv atomic.Pointer[uabinary.DataValue]
}

func (l *last) Changed(_ *Variable, dv *uabinary.DataValue) { l.dv.Store(dv) }

// inOrder counts values that came when another one was stored already.
type inOrder struct {
	last
	late int
}

func (o *inOrder) Changed(v *Variable, dv *uabinary.DataValue) {
	runtime.Gosched()
	if v.value.Load() != dv {
		o.late++
	}
	o.last.Changed(v, dv)
}

// TestConcurrentSetAndWatch: whoever watches throughout has seen the value
// that is stored in the end.
func TestConcurrentSetAndWatch(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	var watched atomic.Int32
	v.SetDemand(func(on bool) {
		if on {
			watched.Add(1)
		} else {
			watched.Add(-1)
		}
		if n := watched.Load(); n != 0 && n != 1 {
			t.Errorf("demand out of order: %d", n)
		}
	})
	keep := &inOrder{}
	v.Watch(keep)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				v.Set(&uabinary.DataValue{Value: uabinary.Int16Variant(int16(g*1000 + i))})
				_ = v.Value()
			}
		})
		wg.Go(func() {
			for range 500 {
				w := &last{}
				v.Watch(w)
				v.Unwatch(w)
			}
		})
	}
	wg.Wait()
	if got, want := keep.dv.Load().Value, v.Value().Value; !got.Equal(want) || keep.late != 0 {
		t.Errorf("the last value seen is %v, stored is %v, %d came late", got, want, keep.late)
	}
	v.Unwatch(keep)
	if v.Watched() || watched.Load() != 0 {
		t.Errorf("watched %v, demand %d", v.Watched(), watched.Load())
	}
}

// TestChangedMayUnwatch: a watcher may leave while it is being told, and
// others while he holds a lock that Changed takes.
func TestChangedMayUnwatch(t *testing.T) {
	v := newPlant(t).Variable(boiler(".Level"))
	w, others := &leaver{}, [2]recorder{}
	v.Watch(w)
	v.Watch(&others[0])
	v.Watch(&others[1])
	v.Set(&uabinary.DataValue{})
	v.Set(&uabinary.DataValue{})
	if w.calls != 1 || len(others[0].got) != 2 || len(others[1].got) != 2 {
		t.Errorf("%d calls of the one that left; the others %v", w.calls, others)
	}
}

// TestConcurrentAddNamespace: an index, once given, stays.
func TestConcurrentAddNamespace(t *testing.T) {
	s := New(testURI)
	array := s.Variable(numeric(id.Server_NamespaceArray))
	array.Watch(&inOrder{}) // gives way to the others in the middle of it
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				uri := fmt.Sprintf("urn:%d", i)
				runtime.Gosched()
				if at := s.AddNamespace(uri); s.Namespaces()[at] != uri {
					t.Errorf("%s is not at %d", uri, at)
				}
			}
		})
	}
	wg.Wait()
	shown := array.Value().Value
	if len(s.Namespaces()) != 102 || !shown.Equal(uabinary.VariantOf(s.Namespaces())) {
		t.Errorf("%d namespaces, in the array %d", len(s.Namespaces()), shown.Len())
	}
}

// TestInsertBelowRemovedParent is the race that lock order cannot exclude: the
// parent goes between the checks and the insertion.
func TestInsertBelowRemovedParent(t *testing.T) {
	s := newPlant(t)
	parent := s.Node(boiler(".Pump1"))
	s.Remove(parent.ID)
	n := &Node{ID: boiler(".X"), space: s, standard: -1}
	err := s.insert(n, parent, s.Node(numeric(id.HasComponent)), s.Node(numeric(id.FolderType)))
	if !errors.Is(err, ua.StatusBadParentNodeIDInvalid) || s.Node(n.ID) != nil {
		t.Errorf("%v", err)
	}
}

// TestFirstReadDoesNotUndoSet: a value set while the standard one is fetched
// wins.
func TestFirstReadDoesNotUndoSet(t *testing.T) {
	v := New(testURI).Variable(numeric(id.OPCUANamespaceMetadata_NamespaceVersion))
	v.Set(&uabinary.DataValue{Value: uabinary.StringVariant("new")})
	if dv := v.loadInitial(); !dv.Value.Equal(uabinary.StringVariant("new")) || !v.Value().Value.Equal(dv.Value) {
		t.Errorf("%v, then %v", dv.Value, v.Value().Value)
	}
}

type leaver struct{ calls int }

func (l *leaver) Changed(v *Variable, _ *uabinary.DataValue) {
	l.calls++
	v.Unwatch(l)
}

// TestConcurrentEditing adds and removes devices while others browse, read,
// write and watch.
func TestConcurrentEditing(t *testing.T) {
	s := New(testURI)
	ns := s.AddNamespace("urn:devices")
	var wg sync.WaitGroup
	for g := range 3 {
		device := uabinary.StringID(ns, fmt.Sprintf("D%d", g))
		wg.Go(func() {
			for range 100 {
				editDevice(t, s, ns, device)
			}
		})
		wg.Go(func() {
			for range 100 {
				browseAndWatch(s, device)
			}
		})
	}
	wg.Wait()
	for r := range s.Node(numeric(id.ObjectsFolder)).References() {
		if r.Target.Namespace != 0 {
			t.Errorf("%v is left in Objects", r.Target)
		}
	}
	if len(s.nodes) != 0 {
		t.Errorf("%d nodes are left", len(s.nodes))
	}
}

func editDevice(t *testing.T, s *Space, ns uint16, device uabinary.NodeID) {
	s.AddNamespace("urn:" + device.Text)
	_, err := s.AddObject(ObjectOptions{ID: device, BrowseName: uabinary.QualifiedName{Name: device.Text}, Parent: numeric(id.ObjectsFolder)})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range 5 {
		name := fmt.Sprintf("%s.T%d", device.Text, i)
		n, err := s.AddVariable(VariableOptions{
			ID: uabinary.StringID(ns, name), BrowseName: uabinary.QualifiedName{Name: name}, Parent: device, DataType: numeric(id.Int32),
			EURange: &uabinary.Range{High: 1},
		})
		if err != nil {
			t.Error(err)
			return
		}
		n.Variable.Set(&uabinary.DataValue{Value: uabinary.Int32Variant(int32(i))})
	}
	if !s.Remove(device) {
		t.Errorf("%v is gone already", device)
	}
}

func browseAndWatch(s *Space, device uabinary.NodeID) {
	for r := range s.Node(numeric(id.ObjectsFolder)).References() {
		_ = s.Node(r.Target)
	}
	n := s.Node(device)
	if n == nil {
		return
	}
	for r := range n.References() {
		target := s.Node(r.Target)
		if target == nil || target.Variable == nil {
			continue
		}
		w := &last{}
		target.Variable.Watch(w)
		_ = target.Variable.Value()
		_ = target.TypeDefinition()
		target.Variable.Unwatch(w)
	}
}

// TestConcurrentFirstTouch: everybody gets the same Node of namespace 0.
func TestConcurrentFirstTouch(t *testing.T) {
	s := New(testURI)
	var wg sync.WaitGroup
	var found [4]map[uabinary.NodeID]*Node
	for g := range found {
		wg.Go(func() {
			found[g] = allNodes(s)
			for _, n := range found[g] {
				if n.Variable != nil {
					_ = n.Variable.Value()
				}
			}
		})
	}
	wg.Wait()
	for id, n := range found[0] {
		for g := range found {
			if found[g][id] != n {
				t.Fatalf("two nodes %v", id)
			}
		}
	}
}
