package addressspace

import (
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// allNodes returns every node that can be reached from the root.
func allNodes(s *Space) map[uabinary.NodeID]*Node {
	all := map[uabinary.NodeID]*Node{}
	for todo := []uabinary.NodeID{numeric(id.RootFolder)}; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n := s.Node(next)
		if n == nil || all[next] != nil {
			continue
		}
		all[next] = n
		for r := range n.References() {
			todo = append(todo, r.Target)
		}
	}
	return all
}

// TestWholeTree is Address Space Base: mandatory attributes, types, encodings,
// no dangling references.
func TestWholeTree(t *testing.T) {
	s := newPlant(t)
	all := allNodes(s)
	if want := nodeset.count + len(s.nodes); len(all) != want {
		t.Errorf("%d nodes can be reached of %d", len(all), want)
	}
	checkReferences(t, s, all)
	for _, n := range all {
		checkAttributes(t, s, n)
		checkType(t, s, n)
	}
}

// checkReferences reports references to nothing, without their other
// direction, twice, or of a type that is none.
func checkReferences(t *testing.T, s *Space, all map[uabinary.NodeID]*Node) (ok bool) {
	type edge struct{ from, typ, to uabinary.NodeID }
	forward, inverse := map[edge]int{}, map[edge]int{}
	ok = true
	for _, n := range all {
		for r := range n.References() {
			if r.Inverse {
				inverse[edge{r.Target, r.Type, n.ID}]++
			} else {
				forward[edge{n.ID, r.Type, r.Target}]++
			}
			if typ := s.Node(r.Type); s.Node(r.Target) == nil || typ == nil || typ.Class != ua.NodeClassReferenceType || typ.Type.IsAbstract {
				t.Errorf("%v has a bad reference %+v", n.ID, r)
				ok = false
			}
		}
	}
	for e, count := range forward {
		wanted := 1
		if oneWay(e.typ) {
			wanted = 0
		}
		if count != 1 || inverse[e] != wanted {
			t.Errorf("%+v is there %d times, its inverse %d times", e, count, inverse[e])
			ok = false
		}
	}
	for e := range inverse {
		if forward[e] == 0 {
			t.Errorf("%+v is there in the inverse direction only", e)
			ok = false
		}
	}
	return ok
}

var allAttributes = func() (all []ua.AttributeID) {
	for a := range ua.AttributeIDAccessLevelEx + 2 {
		all = append(all, a)
	}
	return all
}()

// attributesOf tells which attributes each class has: 'm' mandatory, 'o'
// optional or depending on the node (Part 3 (1.05), 5.9).
var attributesOf = map[ua.NodeClass]map[ua.AttributeID]byte{
	ua.NodeClassObject:     {ua.AttributeIDEventNotifier: 'm'},
	ua.NodeClassObjectType: {ua.AttributeIDIsAbstract: 'm'},
	ua.NodeClassMethod:     {ua.AttributeIDExecutable: 'm', ua.AttributeIDUserExecutable: 'm'},
	ua.NodeClassDataType:   {ua.AttributeIDIsAbstract: 'm', ua.AttributeIDDataTypeDefinition: 'o'},
	ua.NodeClassReferenceType: {
		ua.AttributeIDIsAbstract: 'm', ua.AttributeIDSymmetric: 'm', ua.AttributeIDInverseName: 'o',
	},
	ua.NodeClassVariableType: {
		ua.AttributeIDIsAbstract: 'm', ua.AttributeIDDataType: 'm', ua.AttributeIDValueRank: 'm', ua.AttributeIDArrayDimensions: 'm',
	},
	ua.NodeClassVariable: {
		ua.AttributeIDValue: 'o', ua.AttributeIDDataType: 'm', ua.AttributeIDValueRank: 'm', ua.AttributeIDArrayDimensions: 'm',
		ua.AttributeIDAccessLevel: 'm', ua.AttributeIDUserAccessLevel: 'm', ua.AttributeIDMinimumSamplingInterval: 'm',
		ua.AttributeIDHistorizing: 'm', ua.AttributeIDAccessLevelEx: 'm',
	},
}

func checkAttributes(t *testing.T, s *Space, n *Node) {
	own := attributesOf[n.Class]
	if own == nil {
		t.Fatalf("%v is of class %d", n.ID, n.Class)
	}
	for _, a := range allAttributes {
		v, status := s.Attribute(n, a)
		kind := own[a]
		if a >= ua.AttributeIDNodeID && a <= ua.AttributeIDUserWriteMask {
			kind = 'm'
		}
		switch {
		case kind == 'm' && (status != ua.StatusOK || v.IsNull()),
			kind == 0 && (status != ua.StatusBadAttributeIDInvalid || !v.IsNull()):
			t.Errorf("%v: attribute %d: %v %v", n.ID, a, v, status)
		}
		if want := attributeTypes[a]; status == ua.StatusOK && want != 0 && v.Type() != want {
			t.Errorf("%v: attribute %d is of type %d", n.ID, a, v.Type())
		}
	}
	if n.BrowseName.Name == "" || n.DisplayName.Text == "" {
		t.Errorf("%v has no name", n.ID)
	}
}

var attributeTypes = map[ua.AttributeID]uabinary.TypeID{
	ua.AttributeIDNodeID: uabinary.TypeNodeID, ua.AttributeIDNodeClass: uabinary.TypeInt32,
	ua.AttributeIDBrowseName: uabinary.TypeQualifiedName, ua.AttributeIDDisplayName: uabinary.TypeLocalizedText,
	ua.AttributeIDDescription: uabinary.TypeLocalizedText, ua.AttributeIDWriteMask: uabinary.TypeUint32,
	ua.AttributeIDUserWriteMask: uabinary.TypeUint32, ua.AttributeIDIsAbstract: uabinary.TypeBoolean,
	ua.AttributeIDSymmetric: uabinary.TypeBoolean, ua.AttributeIDInverseName: uabinary.TypeLocalizedText,
	ua.AttributeIDEventNotifier: uabinary.TypeByte, ua.AttributeIDDataType: uabinary.TypeNodeID,
	ua.AttributeIDValueRank: uabinary.TypeInt32, ua.AttributeIDArrayDimensions: uabinary.TypeUint32,
	ua.AttributeIDAccessLevel: uabinary.TypeByte, ua.AttributeIDUserAccessLevel: uabinary.TypeByte,
	ua.AttributeIDMinimumSamplingInterval: uabinary.TypeDouble, ua.AttributeIDHistorizing: uabinary.TypeBoolean,
	ua.AttributeIDExecutable: uabinary.TypeBoolean, ua.AttributeIDUserExecutable: uabinary.TypeBoolean,
	ua.AttributeIDDataTypeDefinition: uabinary.TypeExtensionObject, ua.AttributeIDAccessLevelEx: uabinary.TypeUint32,
}

// checkType checks what ties a node to the type system.
func checkType(t *testing.T, s *Space, n *Node) {
	switch n.Class {
	case ua.NodeClassObject, ua.NodeClassVariable:
		typ := s.Node(n.TypeDefinition())
		if typ == nil || typ.Class != typeClass(n.Class) {
			t.Errorf("%v %s has the type %v", n.ID, n.BrowseName.Name, n.TypeDefinition())
		}
	case ua.NodeClassMethod:
	default:
		checkSupertype(t, s, n)
	}
	if n.Class == ua.NodeClassDataType {
		checkDataType(t, s, n)
	}
	if v := n.Variable; v != nil {
		checkValue(t, s, n)
		if (v.ValueRank > 0) != (len(v.ArrayDimensions) > 0) && v.ArrayDimensions != nil || v.ValueRank > 0 && len(v.ArrayDimensions) > 0 && int(v.ValueRank) != len(v.ArrayDimensions) {
			t.Errorf("%v: ValueRank %d, ArrayDimensions %v", n.ID, v.ValueRank, v.ArrayDimensions)
		}
	}
}

func checkSupertype(t *testing.T, s *Space, n *Node) {
	roots := map[ua.NodeClass]uint32{
		ua.NodeClassObjectType: id.BaseObjectType, ua.NodeClassVariableType: id.BaseVariableType,
		ua.NodeClassReferenceType: id.References, ua.NodeClassDataType: id.BaseDataType,
	}
	if !s.IsSubtype(n.ID, numeric(roots[n.Class])) {
		t.Errorf("%v %s hangs below no type of its class", n.ID, n.BrowseName.Name)
	}
	if n.Class == ua.NodeClassReferenceType && !n.Type.IsAbstract && (n.Type.InverseName.Text == "") != n.Type.Symmetric {
		t.Logf("%v %s: InverseName %q, Symmetric %v", n.ID, n.BrowseName.Name, n.Type.InverseName.Text, n.Type.Symmetric)
	}
}

// checkDataType checks that structures that can be sent have their encoding
// and that definitions decode.
func checkDataType(t *testing.T, s *Space, n *Node) {
	encoding := uabinary.NodeID{}
	for r := range n.References() {
		if !r.Inverse && r.Type == numeric(id.HasEncoding) && s.Node(r.Target).BrowseName.Name == "Default Binary" {
			encoding = r.Target
		}
	}
	v, status := s.Attribute(n, ua.AttributeIDDataTypeDefinition)
	isStructure := s.IsSubtype(n.ID, numeric(id.Structure)) && n.ID != numeric(id.Structure)
	isEnum := s.IsSubtype(n.ID, numeric(id.Enumeration)) && n.ID != numeric(id.Enumeration)
	if status != ua.StatusOK {
		if isStructure || isEnum {
			t.Errorf("%v %s has no DataTypeDefinition", n.ID, n.BrowseName.Name)
		}
		return
	}
	x := v.Any().(uabinary.ExtensionObject)
	var def uabinary.StructureDefinition
	if !isStructure {
		var enum uabinary.EnumDefinition
		if err := x.Decode(&enum, nil); err != nil || len(enum.Fields) == 0 {
			t.Errorf("%v %s: %v %v", n.ID, n.BrowseName.Name, enum, err)
		}
		return
	}
	if err := x.Decode(&def, nil); err != nil {
		t.Errorf("%v %s: %v", n.ID, n.BrowseName.Name, err)
	}
	if def.DefaultEncodingID != encoding || !n.Type.IsAbstract && encoding.IsNull() {
		t.Errorf("%v %s: encoding %v, in its definition %v", n.ID, n.BrowseName.Name, encoding, def.DefaultEncodingID)
	}
	for _, f := range def.Fields {
		if typ := s.Node(f.DataType); typ == nil || typ.Class != ua.NodeClassDataType || f.Name == "" {
			t.Errorf("%v %s: field %+v", n.ID, n.BrowseName.Name, f)
		}
	}
}

// checkValue checks that a value fits DataType and ValueRank.
func checkValue(t *testing.T, s *Space, n *Node) {
	if typ := s.Node(n.Variable.DataType); typ == nil || typ.Class != ua.NodeClassDataType {
		t.Fatalf("%v has the DataType %v", n.ID, n.Variable.DataType)
	}
	dv := n.Variable.Value()
	if dv.Status != ua.StatusOK || dv.Value.IsNull() {
		return
	}
	if dv.Value.IsArray() != (n.Variable.ValueRank >= 0) {
		t.Errorf("%v %s: value %v of rank %d", n.ID, n.BrowseName.Name, dv.Value, n.Variable.ValueRank)
	}
	builtIn := numeric(uint32(dv.Value.Type()))
	if dv.Value.Type() == uabinary.TypeInt32 && s.IsSubtype(n.Variable.DataType, numeric(id.Enumeration)) {
		return
	}
	if !s.IsSubtype(n.Variable.DataType, builtIn) && n.Variable.DataType != numeric(id.BaseDataType) {
		t.Errorf("%v %s: value %v for DataType %v", n.ID, n.BrowseName.Name, dv.Value, n.Variable.DataType)
	}
}

// TestServerObject is Base Info Core Structure: everything below Objects that
// can be read is there to be read.
func TestServerObject(t *testing.T) {
	s := New(testURI)
	off := map[uabinary.NodeID]bool{}
	for _, d := range diagnostics {
		off[numeric(d)] = true
	}
	seen := 0
	below(s, numeric(id.ObjectsFolder), func(n *Node) {
		if n.Class == ua.NodeClassMethod && n.ID != numeric(id.Server_GetMonitoredItems) && n.ID != numeric(id.Server_ResendData) {
			t.Errorf("%v %s is offered but not implemented", n.ID, n.BrowseName.Name)
		}
		if n.Variable == nil {
			return
		}
		seen++
		dv := n.Variable.Value()
		good := dv.Status == ua.StatusOK && !dv.Value.IsNull()
		if dv.SourceTimestamp == 0 || good == off[n.ID] || !good && dv.Status != ua.StatusBadNotReadable {
			t.Errorf("%v %s: %v %v", n.ID, n.BrowseName.Name, dv.Value, dv.Status)
		}
	})
	if s.Node(numeric(id.Server)).EventNotifier != 0 {
		t.Error("the Server object offers events")
	}
	if seen < 50 {
		t.Errorf("only %d Variables below Objects", seen)
	}
}

// TestMandatoryChildren: an instance has what its type calls Mandatory
// (Part 3 (1.05), 6.4.4.4.1).
func TestMandatoryChildren(t *testing.T) {
	s := newPlant(t)
	checked := 0
	below(s, numeric(id.ObjectsFolder), func(n *Node) {
		has := map[uabinary.QualifiedName]bool{}
		children(s, n, func(c *Node) { has[c.BrowseName] = true })
		for typ := s.Node(n.TypeDefinition()); typ != nil; typ = typ.Type.super {
			children(s, typ, func(c *Node) {
				if c.rule() == numeric(id.ModellingRule_Mandatory) {
					checked++
					if !has[c.BrowseName] {
						t.Errorf("%v %s has no %s", n.ID, n.BrowseName.Name, c.BrowseName.Name)
					}
				}
			})
		}
	})
	if checked < 50 {
		t.Errorf("only %d children checked", checked)
	}
}

// TestEverythingCanBeBrowsed: hierarchical references lead to every node but
// encodings.
func TestEverythingCanBeBrowsed(t *testing.T) {
	s := newPlant(t)
	seen := map[*Node]bool{}
	below(s, numeric(id.RootFolder), func(n *Node) { seen[n] = true })
	for _, n := range allNodes(s) {
		if !seen[n] && n.TypeDefinition() != numeric(id.DataTypeEncodingType) {
			t.Errorf("%v %s cannot be browsed to", n.ID, n.BrowseName.Name)
		}
	}
	for _, rule := range []uint32{id.ModellingRule_Mandatory, id.ModellingRule_Optional} {
		if !seen[s.Node(numeric(rule))] {
			t.Errorf("ModellingRule %d is not offered", rule)
		}
	}
}

// below visits a node and everything that hierarchical references lead to.
func below(s *Space, at uabinary.NodeID, visit func(*Node)) {
	seen := map[*Node]bool{}
	var walk func(*Node)
	walk = func(n *Node) {
		if !seen[n] {
			seen[n] = true
			visit(n)
			children(s, n, walk)
		}
	}
	walk(s.Node(at))
}

func children(s *Space, n *Node, visit func(*Node)) {
	for r := range n.References() {
		if !r.Inverse && s.IsSubtype(r.Type, hierarchical) {
			visit(s.Node(r.Target))
		}
	}
}

// rule returns the ModellingRule of n.
func (n *Node) rule() uabinary.NodeID {
	for r := range n.References() {
		if !r.Inverse && r.Type == numeric(id.HasModellingRule) {
			return r.Target
		}
	}
	return uabinary.NodeID{}
}
