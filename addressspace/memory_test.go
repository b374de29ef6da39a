package addressspace

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// heap returns the bytes of live objects.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryOfNamespace0(t *testing.T) {
	before := heap()
	s := New(testURI)
	idle := heap() - before
	for _, n := range allNodes(s) {
		if n.Variable != nil {
			_ = n.Variable.Value()
		}
	}
	touched := heap() - before
	t.Logf("file %d bytes, %d nodes; heap %d idle, %d when all were read", len(nodesetFile), nodeset.count, idle, touched)
	if idle > 256<<10 {
		t.Errorf("%d bytes of heap before anybody browsed", idle)
	}
	runtime.KeepAlive(s)
}

func TestMemoryOfTags(t *testing.T) {
	s := New(testURI)
	const tags = 2000
	names := make([]string, tags)
	for i := range names {
		names[i] = fmt.Sprintf("Boiler.Circuit%d.Value", i)
	}
	device := mustAdd(t, func() (*Node, error) {
		return s.AddObject(ObjectOptions{ID: uabinary.StringID(1, "Boiler"), BrowseName: uabinary.QualifiedName{Name: "Boiler"}, Parent: numeric(id.ObjectsFolder)})
	})
	before := heap()
	for _, name := range names {
		n := mustAdd(t, func() (*Node, error) {
			return s.AddVariable(VariableOptions{ID: uabinary.StringID(1, name), BrowseName: uabinary.QualifiedName{Name: name}, Parent: device.ID, DataType: numeric(id.Double)})
		})
		n.Variable.SetWriter(echo{})
		n.Variable.Set(&uabinary.DataValue{Value: uabinary.DoubleVariant(1), SourceTimestamp: 1})
	}
	each := (heap() - before) / tags
	t.Logf("%d bytes for each tag with its value; Node %d, Variable %d", each, unsafe.Sizeof(Node{}), unsafe.Sizeof(Variable{}))
	if each > 700 {
		t.Errorf("a tag takes %d bytes", each)
	}
	runtime.KeepAlive(s)
}

func TestSteadyPathDoesNotAllocate(t *testing.T) {
	s := newPlant(t)
	v := s.Variable(boiler(".Level"))
	w := &last{}
	v.Watch(w)
	dv := &uabinary.DataValue{Value: uabinary.Int16Variant(5)}
	server, level := numeric(id.Server), boiler(".Level")
	count := 0
	for what, f := range map[string]func(){
		"Node of namespace 0": func() { s.Node(server) },
		"Node of a tag":       func() { s.Node(level) },
		"Value":               func() { _ = v.Value() },
		"Set":                 func() { v.Set(dv) },
		"CurrentTime":         func() { _ = s.Variable(numeric(id.Server_ServerStatus_CurrentTime)).Value() },
		"References":          func() { count += countReferences(s.Node(boiler(""))) },
		"standard References": func() { count += countReferences(s.Node(server)) },
		"TypeDefinition":      func() { _ = s.Node(level).TypeDefinition() },
		"IsSubtype":           func() { s.IsSubtype(numeric(id.HasComponent), hierarchical) },
		"Namespaces":          func() { _ = s.Namespaces() },
		"AccessLevel":         func() { _, _ = s.Attribute(s.Node(level), ua.AttributeIDAccessLevel) },
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func countReferences(n *Node) (count int) {
	for r := range n.References() {
		if !r.Inverse {
			count++
		}
	}
	return count
}

func BenchmarkNode(b *testing.B) {
	s := newPlant(b)
	for what, id := range map[string]uabinary.NodeID{"ns0": numeric(id.Server_ServerStatus), "tag": boiler(".Pump1.Run")} {
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				s.Node(id)
			}
		})
	}
}

func BenchmarkValue(b *testing.B) {
	v := newPlant(b).Variable(boiler(".Level"))
	v.Set(&uabinary.DataValue{Value: uabinary.Int16Variant(5)})
	var dv uabinary.DataValue
	for b.Loop() {
		dv = v.Value()
	}
	_ = dv
}

func BenchmarkSet(b *testing.B) {
	for watchers := range 2 {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			v := newPlant(b).Variable(boiler(".Level"))
			for range watchers {
				v.Watch(&last{})
			}
			dv := &uabinary.DataValue{Value: uabinary.Int16Variant(5)}
			b.ReportAllocs()
			for b.Loop() {
				v.Set(dv)
			}
		})
	}
}

func BenchmarkReferences(b *testing.B) {
	n := newPlant(b).Node(numeric(id.Server))
	b.ReportAllocs()
	for b.Loop() {
		countReferences(n)
	}
}

func BenchmarkIsSubtype(b *testing.B) {
	s := newPlant(b)
	for b.Loop() {
		s.IsSubtype(numeric(id.HasProperty), hierarchical)
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(testURI)
	}
}
