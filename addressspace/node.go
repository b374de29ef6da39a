package addressspace

import (
	"iter"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Node is one node (Part 3 (1.05), 5.2). Its fields do not change once it is
// in a Space; which of them mean something depends on Class.
type Node struct {
	ID          uabinary.NodeID
	BrowseName  uabinary.QualifiedName
	DisplayName uabinary.LocalizedText
	Description uabinary.LocalizedText

	Class         ua.NodeClass
	EventNotifier uint8     // Object
	Variable      *Variable // not nil if and only if Class is Variable
	Method        *Method   // not nil if and only if Class is Method
	Type          *Type     // not nil if and only if Class is one of the four types

	// UsersOnly keeps Value and calls from anonymous Sessions: it is the right
	// of the well-known Role AuthenticatedUser (Part 3 (1.05), 4.9.2).
	UsersOnly bool

	space    *Space
	standard int32  // index in the nodeset, -1 for nodes of other namespaces
	refs     uint32 // where its references begin in the nodeset
	links    []link // references made at run time; guarded by space.mu, elements never change
}

// Type is what nodes of the classes ObjectType, VariableType, ReferenceType
// and DataType have in common, and what only some of them have.
type Type struct {
	IsAbstract      bool
	Symmetric       bool                   // ReferenceType
	InverseName     uabinary.LocalizedText // ReferenceType; empty if Symmetric
	DataType        uabinary.NodeID        // VariableType
	ValueRank       int32                  // VariableType
	ArrayDimensions []uint32               // VariableType

	super      *Node
	definition span // DataTypeDefinition in the nodeset; empty if none
	isEnum     bool // definition is an EnumDefinition
}

// Reference is one reference of a node (Part 3 (1.05), 4.4).
type Reference struct {
	Type    uabinary.NodeID
	Target  uabinary.NodeID
	Inverse bool // the node is the target of the reference, Target its source
}

// link is a reference as nodes keep it.
type link struct {
	typ, target *Node
	inverse     bool
}

// References returns the references of n: those of the standard nodeset
// first, then in the order in which they were added. It is a snapshot; the
// loop may change the address space. References of the types
// HasTypeDefinition and HasModellingRule are only found forward, from the
// instance: nobody reads the thousands of instances of PropertyType there.
func (n *Node) References() iter.Seq[Reference] {
	return func(yield func(Reference) bool) { n.eachReference(yield) }
}

func (n *Node) eachReference(yield func(Reference) bool) {
	if n.standard >= 0 && !n.space.eachStandard(n, yield) {
		return
	}
	for _, l := range n.snapshot() {
		if !yield(Reference{Type: l.typ.ID, Target: l.target.ID, Inverse: l.inverse}) {
			return
		}
	}
}

// snapshot returns the links of this moment. Later ones are appended behind
// its end, so it needs no copy.
func (n *Node) snapshot() []link {
	n.space.mu.RLock()
	defer n.space.mu.RUnlock()
	return n.links
}

// TypeDefinition returns the type of an Object or Variable, the null NodeId
// for other classes.
func (n *Node) TypeDefinition() uabinary.NodeID {
	if n.Class != ua.NodeClassObject && n.Class != ua.NodeClassVariable {
		return uabinary.NodeID{}
	}
	for r := range n.References() {
		if !r.Inverse && r.Type == uabinary.NumericID(0, id.HasTypeDefinition) {
			return r.Target
		}
	}
	return uabinary.NodeID{}
}

// Supertype returns the type that n is a direct subtype of, nil if n is no
// type or has none.
func (n *Node) Supertype() *Node {
	if n.Type == nil {
		return nil
	}
	return n.Type.super
}

func (n *Node) isSubtypeOf(super uabinary.NodeID) bool {
	for n.ID != super {
		if n.Type == nil || n.Type.super == nil {
			return false
		}
		n = n.Type.super
	}
	return true
}
