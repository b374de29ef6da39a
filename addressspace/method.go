package addressspace

import (
	"context"
	"sync/atomic"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Method is what only nodes of the class Method have (Part 3 (1.05), 5.7).
type Method struct {
	node *Node
	code atomic.Pointer[Implementation] // nil: nothing runs
}

// Implementation is what runs when a Method is called. It does not change
// once it belongs to a Method.
type Implementation struct {
	Inputs   []uabinary.Argument // what the call must bring, in number and type
	Blocking bool                // Run may wait, say for a device
	Run      MethodFunc
}

// MethodFunc carries out one call. The number and the types of its inputs were
// checked. The outputs belong to a status that is not Bad; with
// BadInvalidArgument, inputs has a StatusCode for each argument that came
// (Part 4 (1.05), 5.12.2.2), otherwise it is nil. Unless the Method is
// Blocking, the call comes on the goroutine that reads the client's
// connection, must not wait, and has a ctx that never ends.
type MethodFunc func(ctx context.Context, call *MethodCall) (outputs []uabinary.Variant, status ua.StatusCode, inputs []ua.StatusCode)

// MethodCall is one call of a Method. It may be kept.
type MethodCall struct {
	Object *Node // that the Method is called on
	Method *Node
	Inputs []uabinary.Variant
	User   string // name of the caller, empty if anonymous
	// Session is the caller's, for Methods of the server itself. Nothing else
	// looks into it.
	Session any
}

// MethodOptions describes a Method to add. ID, BrowseName and Parent are
// required, everything else has a default.
type MethodOptions struct {
	ID            uabinary.NodeID // not in namespace 0
	BrowseName    uabinary.QualifiedName
	DisplayName   uabinary.LocalizedText // default: the BrowseName
	Description   uabinary.LocalizedText
	Parent        uabinary.NodeID // an Object or ObjectType
	ReferenceType uabinary.NodeID // from the parent: HasComponent, the default, or a subtype
	UsersOnly     bool            // see Node.UsersOnly

	// InputArguments and OutputArguments add the Properties of these names,
	// with NodeIds that follow from ID. A list that is empty has none. The
	// ValueRank of a scalar is -1.
	InputArguments  []uabinary.Argument
	OutputArguments []uabinary.Argument
	Blocking        bool       // Run may wait, say for a device
	Run             MethodFunc // nil: the Method is there, but not executable
}

// AddMethod adds a Method below an Object or ObjectType, with its Properties.
func (s *Space) AddMethod(o MethodOptions) (*Node, error) {
	n := &Node{
		ID: o.ID, Class: ua.NodeClassMethod, BrowseName: o.BrowseName, DisplayName: o.DisplayName,
		Description: o.Description, UsersOnly: o.UsersOnly,
	}
	n.Method = &Method{node: n}
	if o.Run != nil {
		n.Method.code.Store(&Implementation{Inputs: o.InputArguments, Blocking: o.Blocking, Run: o.Run})
	}
	component := uabinary.NumericID(0, id.HasComponent)
	reference := orNumeric(o.ReferenceType, id.HasComponent)
	if !s.IsSubtype(reference, component) {
		return nil, &Error{Code: ua.StatusBadReferenceTypeIDInvalid, ID: o.ID, Why: "a Method is a component of its parent"}
	}
	if err := s.add(n, o.Parent, reference, uabinary.NodeID{}); err != nil {
		return nil, err
	}
	err := s.addArguments(o.ID, "InputArguments", o.InputArguments)
	if err == nil {
		err = s.addArguments(o.ID, "OutputArguments", o.OutputArguments)
	}
	if err != nil {
		s.Remove(o.ID)
		return nil, err
	}
	return n, nil
}

// addArguments adds the Property that describes arguments, if there are any
// (Part 3 (1.05), 5.7).
func (s *Space) addArguments(method uabinary.NodeID, name string, arguments []uabinary.Argument) error {
	if len(arguments) == 0 {
		return nil
	}
	list := make([]uabinary.ExtensionObject, len(arguments))
	for i := range arguments {
		list[i] = uabinary.ExtensionObjectOf(&arguments[i])
	}
	return s.addProperty(method, name, id.Argument, []uint32{uint32(len(list))}, uabinary.VariantOf(list))
}

// Implement makes f what runs when the Method with that numeric NodeId in
// namespace 0 is called. It does not wait. Implement reports whether there is
// such a Method.
func (s *Space) Implement(method uint32, f MethodFunc) bool {
	n := s.Node(uabinary.NumericID(0, method))
	if n == nil || n.Method == nil {
		return false
	}
	n.Method.code.Store(&Implementation{Inputs: s.inputArguments(n), Run: f})
	return true
}

// inputArguments reads the Property of a standard Method.
func (s *Space) inputArguments(method *Node) []uabinary.Argument {
	for r := range method.References() {
		p := s.Node(r.Target)
		if r.Inverse || r.Type != uabinary.NumericID(0, id.HasProperty) || p.BrowseName.Name != "InputArguments" {
			continue
		}
		list, _ := p.Variable.Value().Value.Any().([]uabinary.ExtensionObject)
		arguments := make([]uabinary.Argument, len(list))
		for i := range list {
			if err := list[i].Decode(&arguments[i], nil); err != nil {
				panic(err) // the file is ours
			}
		}
		return arguments
	}
	return nil
}

// Node returns the node that the Method belongs to.
func (m *Method) Node() *Node { return m.node }

// Implementation returns what runs when the Method is called, nil if nothing
// does.
func (m *Method) Implementation() *Implementation { return m.code.Load() }

// Executable is the attribute of that name. Methods of the standard types say
// true, although it is only their instances that run (Part 5 (1.05), 5.5).
func (m *Method) Executable() bool { return m.node.standard >= 0 || m.code.Load() != nil }

func (m *Method) attribute(a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	if a == ua.AttributeIDExecutable || a == ua.AttributeIDUserExecutable {
		return good(uabinary.BoolVariant(m.Executable()))
	}
	return notProvided()
}
