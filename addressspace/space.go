package addressspace

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// NamespaceURI is the URI of namespace 0.
const NamespaceURI = "http://opcfoundation.org/UA/"

// Space is the address space of one server. All methods may be called at any
// time from any goroutine.
type Space struct {
	created    uabinary.DateTime      // stands for the SourceTimestamp of what never changes
	standard   []atomic.Pointer[Node] // namespace 0 by index in the nodeset; nil: not touched yet
	namespaces atomic.Pointer[[]string]
	status     serverStatus
	redundant  atomic.Bool // Server/ServerRedundancy is of a subtype
	addingURI  sync.Mutex  // one AddNamespace at a time

	mu    sync.RWMutex
	nodes map[uabinary.NodeID]*Node // all others; guarded by mu, as are the links of every Node
}

// New returns an address space with the standard nodes in namespace 0 and an
// empty namespace 1 that is named applicationURI (Part 5 (1.05), 6.3.1).
func New(applicationURI string) *Space {
	s := &Space{
		created:  uabinary.DateTimeOf(time.Now()),
		standard: make([]atomic.Pointer[Node], nodeset.count),
		nodes:    make(map[uabinary.NodeID]*Node),
	}
	s.namespaces.Store(&[]string{NamespaceURI})
	s.AddNamespace(applicationURI)
	s.initServerObject(applicationURI)
	return s
}

// AddNamespace returns the index of the namespace uri, which it appends to
// the NamespaceArray if it is not there yet. Namespaces are never removed.
func (s *Space) AddNamespace(uri string) uint16 {
	s.addingURI.Lock()
	defer s.addingURI.Unlock()
	known := s.Namespaces()
	if i := slices.Index(known, uri); i >= 0 {
		return uint16(i)
	}
	all := append(slices.Clone(known), uri)
	s.namespaces.Store(&all)
	s.SetValue(id.Server_NamespaceArray, uabinary.VariantOf(all))
	return uint16(len(known))
}

// Namespaces returns the URIs of all namespaces by index. The caller does not
// change the slice.
func (s *Space) Namespaces() []string { return *s.namespaces.Load() }

// Node returns the node with that NodeId, nil if there is none.
func (s *Space) Node(id uabinary.NodeID) *Node {
	if id.Namespace == 0 {
		if id.Type != uabinary.IDTypeNumeric {
			return nil
		}
		if i, ok := nodeset.find(id.Numeric); ok {
			return s.standardNode(i)
		}
	}
	s.mu.RLock()
	n := s.nodes[id]
	s.mu.RUnlock()
	return n
}

// Variable returns the Variable with that NodeId, nil if there is no node or
// it is of another class.
func (s *Space) Variable(id uabinary.NodeID) *Variable {
	if n := s.Node(id); n != nil {
		return n.Variable
	}
	return nil
}

// SetValue sets the value of the Variable with that numeric NodeId in
// namespace 0, Good and with the present time as SourceTimestamp. It reports
// whether there is such a Variable.
func (s *Space) SetValue(id uint32, value uabinary.Variant) bool {
	v := s.Variable(uabinary.NumericID(0, id))
	if v == nil {
		return false
	}
	v.Set(&uabinary.DataValue{Value: value, SourceTimestamp: uabinary.DateTimeOf(time.Now())})
	return true
}

// IsSubtype reports whether sub is super or one of its subtypes, over any
// number of HasSubtype references. It is false if there is no node sub.
func (s *Space) IsSubtype(sub, super uabinary.NodeID) bool {
	n := s.Node(sub)
	return n != nil && n.isSubtypeOf(super)
}

// standardNode returns the node with that index in the nodeset. Of two
// goroutines that touch it first at the same time both get the same Node.
func (s *Space) standardNode(i int) *Node {
	if n := s.standard[i].Load(); n != nil {
		return n
	}
	n := s.materialise(i)
	if !s.standard[i].CompareAndSwap(nil, n) {
		n = s.standard[i].Load()
	}
	return n
}

// Error says why the address space was not changed. It unwraps to its
// StatusCode.
type Error struct {
	Code ua.StatusCode
	ID   uabinary.NodeID // the node that is wrong
	Why  string
}

func (e *Error) Error() string { return "address space: " + e.ID.String() + ": " + e.Why }

// Unwrap returns the StatusCode.
func (e *Error) Unwrap() error { return e.Code }
