package addressspace

import (
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// SetRedundancy shows in Server/ServerRedundancy that the server belongs to a
// redundant set whose clients switch over by themselves, Cold, Warm or Hot: the
// Object is then of NonTransparentRedundancyType and has the Property
// ServerUriArray. None makes it what it is in the standard nodeset (Part 5
// (1.05), 6.3.7 and 6.3.9).
func (s *Space) SetRedundancy(support ua.RedundancySupport, serverURIs []string) {
	array := uabinary.NumericID(0, id.Server_ServerRedundancy_ServerURIArray)
	s.SetValue(id.Server_ServerRedundancy_RedundancySupport, uabinary.VariantOf(int32(support)))
	s.redundant.Store(support != ua.RedundancySupportNone)
	if support == ua.RedundancySupportNone {
		s.Remove(array)
		return
	}
	if s.Node(array) == nil {
		s.insertServerURIArray(array)
	}
	s.Variable(array).Set(&uabinary.DataValue{Value: uabinary.VariantOf(serverURIs), SourceTimestamp: uabinary.DateTimeOf(time.Now())})
}

// insertServerURIArray adds a node with a standard NodeId that the standard
// nodeset does not have.
func (s *Space) insertServerURIArray(node uabinary.NodeID) {
	o := VariableOptions{
		ID: node, BrowseName: uabinary.QualifiedName{Name: "ServerUriArray"},
		DataType: uabinary.NumericID(0, id.String), ArrayDimensions: []uint32{0},
	}
	n := o.node()
	n.DisplayName.Text = n.BrowseName.Name
	n.space, n.standard = s, -1
	standard := func(i uint32) *Node { return s.Node(uabinary.NumericID(0, i)) }
	// It cannot fail: the others are part of the nodeset, and nobody else adds this one.
	_ = s.insert(n, standard(id.Server_ServerRedundancy), standard(id.HasProperty), standard(id.PropertyType))
}

// eachStandard goes through the references that n has in the standard nodeset.
// The TypeDefinition of Server/ServerRedundancy is that of the kind of
// redundancy which there is.
func (s *Space) eachStandard(n *Node, yield func(Reference) bool) bool {
	if n.ID.Numeric != id.Server_ServerRedundancy || !s.redundant.Load() {
		return nodeset.eachReference(n.refs, yield)
	}
	return nodeset.eachReference(n.refs, func(r Reference) bool {
		if r.Type == uabinary.NumericID(0, id.HasTypeDefinition) {
			r.Target = uabinary.NumericID(0, id.NonTransparentRedundancyType)
		}
		return yield(r)
	})
}
