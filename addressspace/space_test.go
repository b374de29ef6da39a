package addressspace

import (
	"errors"
	"slices"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

const testURI = "urn:edgeua:test"

func numeric(id uint32) uabinary.NodeID { return uabinary.NumericID(0, id) }

// newPlant returns a Space with a device Boiler in namespace 2: a plain tag, one in
// a folder, an analog one and an array.
func newPlant(t testing.TB) *Space {
	t.Helper()
	s := New(testURI)
	ns := s.AddNamespace("urn:edgeua:test:devices")
	object := func(name string, parent uabinary.NodeID, refType uint32, typ uint32) {
		mustAdd(t, func() (*Node, error) {
			return s.AddObject(ObjectOptions{
				ID: uabinary.StringID(ns, name), BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: name},
				Parent: parent, ReferenceType: numeric(refType), TypeDefinition: numeric(typ),
			})
		})
	}
	object("Boiler", numeric(id.ObjectsFolder), id.Organizes, id.BaseObjectType)
	object("Boiler.Pump1", uabinary.StringID(ns, "Boiler"), id.HasComponent, id.FolderType)
	tag := func(name, parent string, o VariableOptions) {
		o.ID, o.Parent = uabinary.StringID(ns, name), uabinary.StringID(ns, parent)
		o.BrowseName = uabinary.QualifiedName{NamespaceIndex: ns, Name: name}
		mustAdd(t, func() (*Node, error) { return s.AddVariable(o) })
	}
	tag("Boiler.Level", "Boiler", VariableOptions{DataType: numeric(id.Int16)})
	tag("Boiler.Pump1.Run", "Boiler.Pump1", VariableOptions{DataType: numeric(id.Boolean), AccessLevel: 3})
	tag("Boiler.Counts", "Boiler", VariableOptions{DataType: numeric(id.UInt32), ArrayDimensions: []uint32{0}})
	tag("Boiler.Temp", "Boiler", VariableOptions{
		DataType: numeric(id.Double), EURange: &uabinary.Range{Low: -20, High: 120},
		EngineeringUnits: &uabinary.EUInformation{
			NamespaceURI: "http://www.opcfoundation.org/UA/units/un/cefact", UnitID: 4408652,
			DisplayName: uabinary.LocalizedText{Text: "°C"},
		},
	})
	return s
}

func mustAdd(t testing.TB, add func() (*Node, error)) *Node {
	t.Helper()
	n, err := add()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func boiler(name string) uabinary.NodeID { return uabinary.StringID(2, "Boiler"+name) }

func TestNamespaces_Part5_631(t *testing.T) {
	s := newPlant(t)
	if i := s.AddNamespace(testURI); i != 1 {
		t.Errorf("AddNamespace of namespace 1 again = %d", i)
	}
	if i := s.AddNamespace("urn:third"); i != 3 {
		t.Errorf("AddNamespace = %d, want 3", i)
	}
	want := []string{NamespaceURI, testURI, "urn:edgeua:test:devices", "urn:third"}
	dv := s.Variable(numeric(id.Server_NamespaceArray)).Value()
	if !dv.Value.Equal(uabinary.VariantOf(want)) || !slices.Equal(s.Namespaces(), want) {
		t.Errorf("NamespaceArray = %v, Namespaces = %v, want %v", dv.Value, s.Namespaces(), want)
	}
	dv = s.Variable(numeric(id.Server_ServerArray)).Value()
	if !dv.Value.Equal(uabinary.VariantOf([]string{testURI})) {
		t.Errorf("ServerArray = %v", dv.Value)
	}
}

func TestNodeOfUnknownIDs(t *testing.T) {
	s := newPlant(t)
	for _, id := range []uabinary.NodeID{
		{}, numeric(1 << 20), numeric(id.Server_SetSubscriptionDurable), uabinary.StringID(0, "Server"), uabinary.StringID(2, "Other"),
		uabinary.NumericID(2, 85), uabinary.StringID(99, "Boiler"), uabinary.OpaqueID(2, []byte("Boiler")),
	} {
		if n := s.Node(id); n != nil {
			t.Errorf("Node(%v) = %v", id, n.ID)
		}
		if s.Remove(id) {
			t.Errorf("Remove(%v) did", id)
		}
	}
	if s.Variable(numeric(id.Server)) != nil {
		t.Error("the Server object is a Variable")
	}
	if s.SetValue(id.Server, uabinary.Variant{}) {
		t.Error("SetValue of the Server object")
	}
}

func TestIsSubtype(t *testing.T) {
	s := New(testURI)
	for _, c := range []struct {
		sub, super uint32
		want       bool
	}{
		{id.HasComponent, id.HierarchicalReferences, true},
		{id.HasComponent, id.HasComponent, true},
		{id.HasComponent, id.NonHierarchicalReferences, false},
		{id.HierarchicalReferences, id.HasComponent, false},
		{id.Int16, id.Number, true},
		{id.AnalogItemType, id.BaseVariableType, true},
		{id.Server, id.BaseObjectType, false},
		{1 << 20, 1 << 20, false},
	} {
		if got := s.IsSubtype(numeric(c.sub), numeric(c.super)); got != c.want {
			t.Errorf("IsSubtype(%d, %d) = %v", c.sub, c.super, got)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	s := newPlant(t)
	name := uabinary.QualifiedName{NamespaceIndex: 2, Name: "X"}
	good := VariableOptions{
		ID: uabinary.StringID(2, "X"), BrowseName: name, Parent: boiler(""), DataType: numeric(id.Double),
	}
	for what, c := range map[string]struct {
		change func(*VariableOptions)
		code   ua.StatusCode
	}{
		"null NodeId":         {func(o *VariableOptions) { o.ID = uabinary.NodeID{} }, ua.StatusBadNodeIDRejected},
		"namespace 0":         {func(o *VariableOptions) { o.ID = numeric(99999) }, ua.StatusBadNodeIDRejected},
		"unknown namespace":   {func(o *VariableOptions) { o.ID.Namespace = 3 }, ua.StatusBadNodeIDRejected},
		"taken NodeId":        {func(o *VariableOptions) { o.ID = boiler(".Temp") }, ua.StatusBadNodeIDExists},
		"no BrowseName":       {func(o *VariableOptions) { o.BrowseName.Name = "" }, ua.StatusBadBrowseNameInvalid},
		"no parent":           {func(o *VariableOptions) { o.Parent = boiler(".No") }, ua.StatusBadParentNodeIDInvalid},
		"flat reference":      {func(o *VariableOptions) { o.ReferenceType = numeric(id.HasEncoding) }, ua.StatusBadReferenceTypeIDInvalid},
		"abstract reference":  {func(o *VariableOptions) { o.ReferenceType = numeric(id.HasChild) }, ua.StatusBadReferenceTypeIDInvalid},
		"object type":         {func(o *VariableOptions) { o.TypeDefinition = numeric(id.FolderType) }, ua.StatusBadTypeDefinitionInvalid},
		"abstract type":       {func(o *VariableOptions) { o.TypeDefinition = numeric(id.BaseVariableType) }, ua.StatusBadTypeDefinitionInvalid},
		"unknown type":        {func(o *VariableOptions) { o.TypeDefinition = boiler("Type") }, ua.StatusBadTypeDefinitionInvalid},
		"no DataType":         {func(o *VariableOptions) { o.DataType = uabinary.NodeID{} }, ua.StatusBadTypeMismatch},
		"not a DataType":      {func(o *VariableOptions) { o.DataType = numeric(id.Server) }, ua.StatusBadTypeMismatch},
		"range without order": {func(o *VariableOptions) { o.DataType, o.EURange = numeric(id.String), &uabinary.Range{} }, ua.StatusBadTypeMismatch},
	} {
		o := good
		c.change(&o)
		before := len(s.nodes)
		n, err := s.AddVariable(o)
		if !errors.Is(err, c.code) || n != nil {
			t.Errorf("%s: %v, %v, want %v", what, n, err, c.code)
		}
		if len(s.nodes) != before {
			t.Errorf("%s: something was added", what)
		}
	}
	if _, err := s.AddVariable(good); err != nil {
		t.Error(err)
	}
}

func TestAddObjectRefuses(t *testing.T) {
	s := newPlant(t)
	n, err := s.AddObject(ObjectOptions{ID: boiler(""), BrowseName: uabinary.QualifiedName{Name: "Boiler"}, Parent: numeric(id.ObjectsFolder)})
	var refusal *Error
	if !errors.As(err, &refusal) || n != nil || refusal.ID != boiler("") || err.Error() != "address space: ns=2;s=Boiler: the NodeId is taken" {
		t.Errorf("%v, %v", n, err)
	}
}

// TestEngineeringUnitsOnly: AnalogItemType would demand an EURange.
func TestEngineeringUnitsOnly_Part8_532(t *testing.T) {
	s := newPlant(t)
	n := mustAdd(t, func() (*Node, error) {
		return s.AddVariable(VariableOptions{
			ID: uabinary.NumericID(2, 7), BrowseName: uabinary.QualifiedName{Name: "Flow"}, Parent: boiler(""),
			DataType: numeric(id.Float), EngineeringUnits: &uabinary.EUInformation{UnitID: 1},
		})
	})
	unit := s.Node(uabinary.StringID(2, "ns=2;i=7#EngineeringUnits"))
	if n.TypeDefinition() != numeric(id.AnalogUnitType) || unit == nil || unit.TypeDefinition() != numeric(id.PropertyType) {
		t.Errorf("%v, %v", n.TypeDefinition(), unit)
	}
	if got := s.Node(numeric(id.FolderType)).TypeDefinition(); !got.IsNull() {
		t.Errorf("a type has the type %v", got)
	}
}

func TestAddVariableUndoneWhenPropertyFails(t *testing.T) {
	s := newPlant(t)
	name := uabinary.QualifiedName{NamespaceIndex: 2, Name: "X"}
	if _, err := s.AddObject(ObjectOptions{ID: boiler(".X#EURange"), BrowseName: name, Parent: boiler("")}); err != nil {
		t.Fatal(err)
	}
	_, err := s.AddVariable(VariableOptions{
		ID: boiler(".X"), BrowseName: name, Parent: boiler(""), DataType: numeric(id.Double), EURange: &uabinary.Range{High: 1},
	})
	if !errors.Is(err, ua.StatusBadNodeIDExists) || s.Node(boiler(".X")) != nil {
		t.Errorf("err %v, node %v", err, s.Node(boiler(".X")))
	}
}

func TestAddedVariable(t *testing.T) {
	s := newPlant(t)
	n := s.Node(boiler(".Counts"))
	if v := n.Variable; v.ValueRank != 1 || v.AccessLevel != 1 || v.AccessLevelEx != 1 || v.Node() != n {
		t.Errorf("%+v", v)
	}
	if dv := n.Variable.Value(); dv.Status != ua.StatusBadWaitingForInitialData || !dv.Value.IsNull() {
		t.Errorf("value before the first: %+v", dv)
	}
	if n.TypeDefinition() != numeric(id.BaseDataVariableType) || n.DisplayName.Text != "Boiler.Counts" {
		t.Errorf("%v %v", n.TypeDefinition(), n.DisplayName)
	}
	n = s.Node(boiler(".Temp"))
	if n.TypeDefinition() != numeric(id.AnalogItemType) {
		t.Errorf("Temp is a %v", n.TypeDefinition())
	}
	var r uabinary.Range
	x, ok := s.Variable(boiler(".Temp#EURange")).Value().Value.Any().(uabinary.ExtensionObject)
	if err := x.Decode(&r, nil); !ok || err != nil || r != (uabinary.Range{Low: -20, High: 120}) {
		t.Errorf("EURange %v %v %v", r, ok, err)
	}
}

func TestAddReference(t *testing.T) {
	s := newPlant(t)
	add := func(source uabinary.NodeID, typ uint32, target uabinary.NodeID) error {
		return s.AddReference(source, numeric(typ), target)
	}
	for what, c := range map[string]struct {
		err  error
		want ua.StatusCode
	}{
		"source":   {add(boiler(".No"), id.Organizes, boiler("")), ua.StatusBadSourceNodeIDInvalid},
		"target":   {add(boiler(""), id.Organizes, boiler(".No")), ua.StatusBadTargetNodeIDInvalid},
		"type":     {add(boiler(""), id.Server, boiler(".Temp")), ua.StatusBadReferenceTypeIDInvalid},
		"abstract": {add(boiler(""), id.References, boiler(".Temp")), ua.StatusBadReferenceTypeIDInvalid},
		"one way":  {add(boiler(""), id.HasTypeDefinition, numeric(id.FolderType)), ua.StatusBadReferenceNotAllowed},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", what, c.err, c.want)
		}
	}
	for range 2 { // the second time changes nothing
		if err := add(numeric(id.Server_VendorServerInfo), id.Organizes, boiler(".Temp")); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	for r := range s.Node(boiler(".Temp")).References() {
		if r == (Reference{Type: numeric(id.Organizes), Target: numeric(id.Server_VendorServerInfo), Inverse: true}) {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d inverse references", count)
	}
}

func TestRemove(t *testing.T) {
	s := newPlant(t)
	before := len(s.nodes)
	// Temp hangs below a node that stays, so it stays; Run has two parents in
	// the subtree, so it goes.
	for _, r := range [][2]uabinary.NodeID{
		{numeric(id.Server_VendorServerInfo), boiler(".Temp")},
		{boiler(""), boiler(".Pump1.Run")},
	} {
		if err := s.AddReference(r[0], numeric(id.Organizes), r[1]); err != nil {
			t.Fatal(err)
		}
	}
	level := s.Node(boiler(".Level"))
	w := &recorder{}
	level.Variable.Watch(w)
	if !s.Remove(boiler("")) || s.Remove(boiler("")) {
		t.Fatal("Remove")
	}
	if gone := before - len(s.nodes); gone != 5 || s.Node(boiler(".Temp#EURange")) == nil {
		t.Errorf("%d nodes removed, want Boiler, Pump1, Level, Run, Counts", gone)
	}
	level.Variable.Set(&uabinary.DataValue{Value: uabinary.Int16Variant(1)})
	if len(w.got) != 1 || w.got[0].Status != ua.StatusBadNodeIDUnknown || level.Variable.Value().Status != ua.StatusBadNodeIDUnknown {
		t.Errorf("the watcher of a removed Variable got %+v", w.got)
	}
	if !checkReferences(t, s, allNodes(s)) {
		t.Error("references to removed nodes")
	}
	if _, err := s.AddObject(ObjectOptions{ID: boiler(""), BrowseName: uabinary.QualifiedName{Name: "Boiler"}, Parent: numeric(id.ObjectsFolder)}); err != nil {
		t.Errorf("adding it again: %v", err)
	}
}

func TestReferencesIsASnapshot(t *testing.T) {
	s := newPlant(t)
	seen := 0
	for r := range s.Node(boiler("")).References() {
		seen++
		if !r.Inverse {
			s.Remove(r.Target)
		}
	}
	if seen != 6 { // type, parent, four components
		t.Errorf("%d references seen", seen)
	}
	for r := range s.Node(boiler("")).References() {
		if !r.Inverse && r.Type != numeric(id.HasTypeDefinition) {
			t.Errorf("%v is left", r)
		}
	}
}
