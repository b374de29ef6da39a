package addressspace

import (
	"context"
	"errors"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func doNothing(context.Context, *MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	return nil, ua.StatusOK, nil
}

func startMethod() MethodOptions {
	return MethodOptions{
		ID: boiler(".Start"), BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "Start"}, Parent: boiler(""),
		InputArguments:  []uabinary.Argument{{Name: "Power", DataType: numeric(id.Double), ValueRank: -1}, {Name: "Ramp", DataType: numeric(id.Int32), ValueRank: 1}},
		OutputArguments: []uabinary.Argument{{Name: "Job", DataType: numeric(id.UInt32), ValueRank: -1}},
		Run:             doNothing,
	}
}

func TestAddMethod_Part3_57(t *testing.T) {
	s := newPlant(t)
	o := startMethod()
	n := mustAdd(t, func() (*Node, error) { return s.AddMethod(o) })
	if n.Class != ua.NodeClassMethod || n.Method.Node() != n || n.DisplayName.Text != "Start" || !n.TypeDefinition().IsNull() {
		t.Errorf("%+v", n)
	}
	code := n.Method.Implementation()
	if code == nil || code.Blocking || len(code.Inputs) != 2 || code.Run == nil {
		t.Errorf("%+v", code)
	}
	for _, name := range []string{"InputArguments", "OutputArguments"} {
		checkArguments(t, s, boiler(".Start#"+name), map[string][]uabinary.Argument{"InputArguments": o.InputArguments, "OutputArguments": o.OutputArguments}[name])
	}
	for _, n := range allNodes(s) {
		checkAttributes(t, s, n)
		checkType(t, s, n)
	}
	if !s.Remove(o.ID) || s.Node(boiler(".Start#InputArguments")) != nil {
		t.Error("the Method or its Properties are still there")
	}
}

func checkArguments(t *testing.T, s *Space, property uabinary.NodeID, want []uabinary.Argument) {
	t.Helper()
	p := s.Variable(property)
	if p == nil || p.DataType != numeric(id.Argument) || p.ValueRank != 1 || p.ArrayDimensions[0] != uint32(len(want)) {
		t.Fatalf("%v: %+v", property, p)
	}
	list := p.Value().Value.Any().([]uabinary.ExtensionObject)
	for i, w := range want {
		var got uabinary.Argument
		if err := list[i].Decode(&got, nil); err != nil || got.Name != w.Name || got.DataType != w.DataType || got.ValueRank != w.ValueRank {
			t.Errorf("%v[%d]: %+v %v", property, i, got, err)
		}
	}
}

func TestMethodWithoutArgumentsOrCode(t *testing.T) {
	s := newPlant(t)
	o := startMethod()
	o.InputArguments, o.OutputArguments, o.Run = nil, nil, nil
	n := mustAdd(t, func() (*Node, error) { return s.AddMethod(o) })
	if s.Node(boiler(".Start#InputArguments")) != nil || s.Node(boiler(".Start#OutputArguments")) != nil {
		t.Error("Properties without arguments")
	}
	for _, a := range []ua.AttributeID{ua.AttributeIDExecutable, ua.AttributeIDUserExecutable} {
		if v, status := s.Attribute(n, a); status != ua.StatusOK || !v.Equal(uabinary.BoolVariant(false)) {
			t.Errorf("attribute %d: %v %v", a, v, status)
		}
	}
}

func TestAddMethodRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*MethodOptions)
		want   ua.StatusCode
	}{
		"a parent that is no Object": {func(o *MethodOptions) { o.Parent = numeric(id.Server_ServerStatus) }, ua.StatusBadParentNodeIDInvalid},
		"no parent":                  {func(o *MethodOptions) { o.Parent = boiler("X") }, ua.StatusBadParentNodeIDInvalid},
		"Organizes":                  {func(o *MethodOptions) { o.ReferenceType = numeric(id.Organizes) }, ua.StatusBadReferenceTypeIDInvalid},
		"namespace 0":                {func(o *MethodOptions) { o.ID = numeric(1 << 20) }, ua.StatusBadNodeIDRejected},
		"no name":                    {func(o *MethodOptions) { o.BrowseName.Name = "" }, ua.StatusBadBrowseNameInvalid},
		"a NodeId that is taken":     {func(o *MethodOptions) { o.ID = boiler("") }, ua.StatusBadNodeIDExists},
	} {
		s := newPlant(t)
		before := len(allNodes(s))
		o := startMethod()
		c.change(&o)
		n, err := s.AddMethod(o)
		if n != nil || !errors.Is(err, c.want) || len(allNodes(s)) != before {
			t.Errorf("%s: %v, want %v; %d nodes of %d", what, err, c.want, len(allNodes(s)), before)
		}
	}
}

func TestArgumentsThatCannotBeAddedTakeTheMethodAway(t *testing.T) {
	s := newPlant(t)
	o := startMethod()
	taken := VariableOptions{ID: boiler(".Start#OutputArguments"), BrowseName: o.BrowseName, Parent: boiler(""), DataType: numeric(id.Double)}
	mustAdd(t, func() (*Node, error) { return s.AddVariable(taken) })
	if _, err := s.AddMethod(o); !errors.Is(err, ua.StatusBadNodeIDExists) {
		t.Errorf("got %v", err)
	}
	if s.Node(o.ID) != nil || s.Node(boiler(".Start#InputArguments")) != nil {
		t.Error("half a Method remains")
	}
}

func TestImplement(t *testing.T) {
	s := New(testURI)
	n := s.Node(numeric(id.Server_GetMonitoredItems))
	if n.Method.Implementation() != nil || !n.Method.Executable() {
		t.Error("a standard Method is not as the nodeset says")
	}
	if !s.Implement(id.Server_GetMonitoredItems, doNothing) {
		t.Fatal("no such Method")
	}
	code := n.Method.Implementation()
	if len(code.Inputs) != 1 || code.Inputs[0].Name != "SubscriptionId" || code.Inputs[0].DataType != numeric(id.UInt32) {
		t.Errorf("%+v", code.Inputs)
	}
	if s.Implement(id.Server, doNothing) || s.Implement(1<<20, doNothing) {
		t.Error("what is no Method was implemented")
	}
}

func TestSupertype(t *testing.T) {
	s := New(testURI)
	if super := s.Node(numeric(id.ServerType)).Supertype(); super != s.Node(numeric(id.BaseObjectType)) {
		t.Errorf("ServerType is a %+v", super)
	}
	if s.Node(numeric(id.Server)).Supertype() != nil || s.Node(numeric(id.BaseObjectType)).Supertype() != nil {
		t.Error("a supertype of an Object or a root")
	}
}
