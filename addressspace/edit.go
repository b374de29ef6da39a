package addressspace

import (
	"slices"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// ObjectOptions describes an Object to add. ID, BrowseName and Parent are
// required, everything else has a default.
type ObjectOptions struct {
	ID             uabinary.NodeID // not in namespace 0
	BrowseName     uabinary.QualifiedName
	DisplayName    uabinary.LocalizedText // default: the BrowseName
	Description    uabinary.LocalizedText
	Parent         uabinary.NodeID
	ReferenceType  uabinary.NodeID // from the parent; default: HasComponent
	TypeDefinition uabinary.NodeID // default: BaseObjectType
	EventNotifier  uint8           // Part 3 (1.05), 8.59
}

// VariableOptions describes a Variable to add. ID, BrowseName, Parent and
// DataType are required, everything else has a default.
type VariableOptions struct {
	ID             uabinary.NodeID // not in namespace 0
	BrowseName     uabinary.QualifiedName
	DisplayName    uabinary.LocalizedText // default: the BrowseName
	Description    uabinary.LocalizedText
	Parent         uabinary.NodeID
	ReferenceType  uabinary.NodeID // from the parent; default: HasComponent
	TypeDefinition uabinary.NodeID // default: BaseDataVariableType

	DataType uabinary.NodeID
	// ArrayDimensions has one length per dimension, 0 if it may vary. It
	// gives the ValueRank: nil is a scalar, []uint32{0} any array.
	ArrayDimensions []uint32
	// AccessLevel is made of ua.AccessLevelType bits; default: CurrentRead.
	AccessLevel uint8
	// AccessLevelEx has the bits above the lowest eight (Part 3 (1.05), 8.58).
	AccessLevelEx           uint32
	MinimumSamplingInterval float64             // milliseconds; 0: reported as it changes
	UsersOnly               bool                // see Node.UsersOnly
	Value                   *uabinary.DataValue // default: BadWaitingForInitialData

	// EURange and EngineeringUnits add these Properties of the AnalogItemType
	// (Part 8 (1.05), 5.3.2), with NodeIds that follow from ID. With
	// TypeDefinition left out the Variable is of the type that fits them.
	EURange          *uabinary.Range
	EngineeringUnits *uabinary.EUInformation
}

// AddObject adds an Object below its parent.
func (s *Space) AddObject(o ObjectOptions) (*Node, error) {
	n := &Node{
		ID: o.ID, Class: ua.NodeClassObject, BrowseName: o.BrowseName, DisplayName: o.DisplayName,
		Description: o.Description, EventNotifier: o.EventNotifier,
	}
	typ := orNumeric(o.TypeDefinition, id.BaseObjectType)
	if err := s.add(n, o.Parent, orNumeric(o.ReferenceType, id.HasComponent), typ); err != nil {
		return nil, err
	}
	return n, nil
}

// AddVariable adds a Variable below its parent, with its Properties.
func (s *Space) AddVariable(o VariableOptions) (*Node, error) {
	n := o.node()
	typ := orNumeric(o.TypeDefinition, o.analogType())
	if t := s.Node(typ); t != nil && t.Class == ua.NodeClassVariableType && !s.IsSubtype(o.DataType, t.Type.DataType) {
		return nil, &Error{Code: ua.StatusBadTypeMismatch, ID: o.ID, Why: t.BrowseName.Name + " cannot have the DataType " + o.DataType.String()}
	}
	if err := s.add(n, o.Parent, orNumeric(o.ReferenceType, id.HasComponent), typ); err != nil {
		return nil, err
	}
	if err := s.addAnalogProperties(&o); err != nil {
		s.Remove(o.ID)
		return nil, err
	}
	return n, nil
}

// node makes the node that o describes.
func (o *VariableOptions) node() *Node {
	n := &Node{
		ID: o.ID, Class: ua.NodeClassVariable, BrowseName: o.BrowseName, DisplayName: o.DisplayName,
		Description: o.Description, UsersOnly: o.UsersOnly,
	}
	v := &Variable{
		node: n, DataType: o.DataType, ArrayDimensions: slices.Clone(o.ArrayDimensions),
		ValueRank: int32(len(o.ArrayDimensions)), AccessLevel: o.AccessLevel,
		MinimumSamplingInterval: o.MinimumSamplingInterval,
	}
	if v.ValueRank == 0 {
		v.ValueRank = -1
	}
	if v.AccessLevel == 0 {
		v.AccessLevel = uint8(ua.AccessLevelTypeCurrentRead)
	}
	v.AccessLevelEx = o.AccessLevelEx&^0xff | uint32(v.AccessLevel)
	v.value.Store(o.Value)
	if o.Value == nil {
		v.value.Store(&waiting)
	}
	n.Variable = v
	return n
}

// waiting is the value of every Variable that was added without one.
var waiting = uabinary.DataValue{Status: ua.StatusBadWaitingForInitialData}

func orNumeric(n uabinary.NodeID, standard uint32) uabinary.NodeID {
	if n.IsNull() {
		return uabinary.NumericID(0, standard)
	}
	return n
}

// add checks n and puts it into the space. Methods have no TypeDefinition.
func (s *Space) add(n *Node, parentID, refTypeID, typeID uabinary.NodeID) error {
	fail := func(code ua.StatusCode, why string) error { return &Error{Code: code, ID: n.ID, Why: why} }
	if n.ID.IsNull() || n.ID.Namespace == 0 || int(n.ID.Namespace) >= len(s.Namespaces()) {
		return fail(ua.StatusBadNodeIDRejected, "not a NodeId of a namespace that nodes can be added to")
	}
	if n.BrowseName.Name == "" {
		return fail(ua.StatusBadBrowseNameInvalid, "no BrowseName")
	}
	if n.DisplayName.Text == "" {
		n.DisplayName.Text = n.BrowseName.Name
	}
	parent, refType, typ := s.Node(parentID), s.Node(refTypeID), s.Node(typeID)
	if parent == nil {
		return fail(ua.StatusBadParentNodeIDInvalid, "no parent "+parentID.String())
	}
	if refType == nil || refType.Type == nil || refType.Type.IsAbstract || !refType.isSubtypeOf(hierarchical) {
		return fail(ua.StatusBadReferenceTypeIDInvalid, "no hierarchical ReferenceType "+refTypeID.String())
	}
	switch {
	case n.Class == ua.NodeClassMethod:
		if parent.Class != ua.NodeClassObject && parent.Class != ua.NodeClassObjectType {
			return fail(ua.StatusBadParentNodeIDInvalid, "a Method belongs to an Object or ObjectType")
		}
	case typ == nil || typ.Class != typeClass(n.Class) || typ.Type.IsAbstract:
		return fail(ua.StatusBadTypeDefinitionInvalid, "no TypeDefinition "+typeID.String())
	}
	n.space, n.standard = s, -1
	return s.insert(n, parent, refType, typ)
}

var hierarchical = uabinary.NumericID(0, id.HierarchicalReferences)

// typeClass returns the class that the type of an instance has.
func typeClass(class ua.NodeClass) ua.NodeClass {
	if class == ua.NodeClassVariable {
		return ua.NodeClassVariableType
	}
	return ua.NodeClassObjectType
}

// insert puts n below parent unless either has changed since it was checked.
// A nil typ is no TypeDefinition.
func (s *Space) insert(n, parent, refType, typ *Node) error {
	definition := s.Node(uabinary.NumericID(0, id.HasTypeDefinition))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.nodes[n.ID]; taken {
		return &Error{Code: ua.StatusBadNodeIDExists, ID: n.ID, Why: "the NodeId is taken"}
	}
	if !s.has(parent) {
		return &Error{Code: ua.StatusBadParentNodeIDInvalid, ID: n.ID, Why: "no parent " + parent.ID.String()}
	}
	n.links = make([]link, 0, 2)
	if typ != nil {
		n.links = append(n.links, link{typ: definition, target: typ})
	}
	n.links = append(n.links, link{typ: refType, target: parent, inverse: true})
	parent.links = append(parent.links, link{typ: refType, target: n})
	s.nodes[n.ID] = n
	return nil
}

// has reports whether n is still in the space. The caller holds mu.
func (s *Space) has(n *Node) bool { return n.standard >= 0 || s.nodes[n.ID] == n }

// AddReference adds a reference and its inverse between two nodes. A
// reference that exists already is left as it is.
func (s *Space) AddReference(source, refType, target uabinary.NodeID) error {
	from, typ, to := s.Node(source), s.Node(refType), s.Node(target)
	switch {
	case from == nil:
		return &Error{Code: ua.StatusBadSourceNodeIDInvalid, ID: source, Why: "no such node"}
	case to == nil:
		return &Error{Code: ua.StatusBadTargetNodeIDInvalid, ID: target, Why: "no such node"}
	case typ == nil || typ.Class != ua.NodeClassReferenceType || typ.Type.IsAbstract:
		return &Error{Code: ua.StatusBadReferenceTypeIDInvalid, ID: refType, Why: "no such ReferenceType"}
	case oneWay(refType):
		return &Error{Code: ua.StatusBadReferenceNotAllowed, ID: refType, Why: "made with its node only"}
	}
	for r := range from.References() {
		if !r.Inverse && r.Type == refType && r.Target == target {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has(from) || !s.has(to) {
		return &Error{Code: ua.StatusBadNodeIDUnknown, ID: target, Why: "source or target was removed"}
	}
	from.links = append(from.links, link{typ: typ, target: to})
	to.links = append(to.links, link{typ: typ, target: from, inverse: true})
	return nil
}

// oneWay reports whether references of the type are kept by their source only.
func oneWay(refType uabinary.NodeID) bool {
	return refType == uabinary.NumericID(0, id.HasTypeDefinition) || refType == uabinary.NumericID(0, id.HasModellingRule)
}

// Remove removes an added node, all references to it, and the nodes below it
// that are not below another node as well. The watchers of its Variables see
// BadNodeIDUnknown, once. It reports whether there was such a node.
func (s *Space) Remove(id uabinary.NodeID) bool {
	gone := s.detach(id)
	for n := range gone {
		if n.Variable != nil {
			n.Variable.retire()
		}
	}
	return len(gone) > 0
}

// detach takes the node and those below it out of the space.
func (s *Space) detach(id uabinary.NodeID) map[*Node]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.nodes[id]
	if root == nil {
		return nil
	}
	gone := subtree(root)
	for n := range gone {
		delete(s.nodes, n.ID)
		for _, l := range n.links {
			if !gone[l.target] && !oneWay(l.typ.ID) {
				l.target.unlink(n)
			}
		}
	}
	return gone
}

// subtree returns root and every added node below it whose parents are all
// in the subtree. The caller holds mu.
func subtree(root *Node) map[*Node]bool {
	in := map[*Node]bool{root: true}
	for todo := []*Node{root}; len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, l := range n.links {
			if !l.inverse && !in[l.target] && l.target.standard < 0 && l.isHierarchical() && l.target.heldBy(in) {
				in[l.target] = true
				todo = append(todo, l.target)
			}
		}
	}
	return in
}

func (l link) isHierarchical() bool { return l.typ.isSubtypeOf(hierarchical) }

// heldBy reports whether all parents of n are in that set.
func (n *Node) heldBy(in map[*Node]bool) bool {
	for _, l := range n.links {
		if l.inverse && !in[l.target] && l.isHierarchical() {
			return false
		}
	}
	return true
}

// unlink drops all links between n and other. Snapshots keep them.
func (n *Node) unlink(other *Node) {
	kept := make([]link, 0, len(n.links))
	for _, l := range n.links {
		if l.target != other {
			kept = append(kept, l)
		}
	}
	n.links = kept
}
