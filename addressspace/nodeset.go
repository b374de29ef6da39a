package addressspace

import (
	_ "embed"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// nodesetFile is written by ns0gen, whose comment describes the format.
//
//go:embed ns0_gen.bin
var nodesetFile string

var nodeset = openNodeset(nodesetFile)

// standardNodes reads namespace 0 from its file. The bytes are ours: a file
// that does not fit this code fails the tests, and panics here.
type standardNodes struct {
	count   int
	ids     string // numeric NodeIds, ascending, 2 bytes each
	offsets string // where the node begins in records, 4 bytes each
	text    string // all names, one after the other
	records string
}

// span is a piece of records.
type span struct{ at, length uint32 }

// The flags of a record.
const (
	hasDisplayName = 1 << iota // otherwise it is the BrowseName
	hasDescription
	isAbstract
	isSymmetric
	hasInverseName
	hasValue
	hasDefinition
	isEnumDefinition // otherwise a StructureDefinition
)

func openNodeset(file string) standardNodes {
	c := cursor{s: file, at: len("ns0\x01")}
	count := int(c.uint32())
	textLength := int(c.uint32())
	cut := func(n int) string {
		part := file[c.at : c.at+n]
		c.at += n
		return part
	}
	ns := standardNodes{count: count}
	ns.ids = cut(2 * count)
	ns.offsets = cut(4 * count)
	ns.text = cut(textLength)
	ns.records = file[c.at:]
	return ns
}

func (ns *standardNodes) id(i int) uint32 {
	return uint32(ns.ids[2*i]) | uint32(ns.ids[2*i+1])<<8
}

func (ns *standardNodes) nodeID(i int) uabinary.NodeID {
	return uabinary.NumericID(0, ns.id(i))
}

// find returns the index of the node with that NodeId.
func (ns *standardNodes) find(id uint32) (int, bool) {
	low, high := 0, ns.count
	for low < high {
		mid := int(uint(low+high) / 2)
		if ns.id(mid) < id {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < ns.count && ns.id(low) == id
}

// eachReference calls yield with the references that begin at that place in
// records. It returns false if yield did.
func (ns *standardNodes) eachReference(at uint32, yield func(Reference) bool) bool {
	c := cursor{s: ns.records, at: int(at)}
	for range c.uvarint() {
		typ, target := c.uvarint(), c.uvarint()
		r := Reference{Type: ns.nodeID(int(typ >> 1)), Target: ns.nodeID(int(target)), Inverse: typ&1 != 0}
		if !yield(r) {
			return false
		}
	}
	return true
}

// value decodes the value at that place, null if it is empty.
func (ns *standardNodes) value(at span) uabinary.DataValue {
	var dv uabinary.DataValue
	if at.length > 0 {
		r := uabinary.NewReader(ns.bytes(at), nil)
		r.Borrow = true // from the copy, which nothing else refers to
		dv.Value.Parse(r)
	}
	return dv
}

// bytes returns a copy of the piece.
func (ns *standardNodes) bytes(at span) []byte {
	return []byte(ns.records[at.at : at.at+at.length])
}

// materialise makes the node with that index.
func (s *Space) materialise(i int) *Node {
	ns := &nodeset
	c := cursor{s: ns.records}
	c.at = int((&cursor{s: ns.offsets, at: 4 * i}).uint32())
	n := &Node{ID: ns.nodeID(i), Class: ua.NodeClass(1) << c.byte(), space: s, standard: int32(i)}
	flags := c.uvarint()
	n.BrowseName.Name = c.text(ns.text)
	n.DisplayName.Text = n.BrowseName.Name
	if flags&hasDisplayName != 0 {
		n.DisplayName.Text = c.text(ns.text)
	}
	if flags&hasDescription != 0 {
		n.Description.Text = c.text(ns.text)
	}
	switch n.Class {
	case ua.NodeClassVariable:
		n.Variable = c.variable(n, flags)
	case ua.NodeClassMethod:
		n.Method = &Method{node: n}
	case ua.NodeClassObjectType, ua.NodeClassVariableType, ua.NodeClassReferenceType, ua.NodeClassDataType:
		n.Type = c.typ(s, n.Class, flags)
	}
	n.refs = uint32(c.at)
	return n
}

func (c *cursor) variable(n *Node, flags uint64) *Variable {
	v := &Variable{node: n, AccessLevel: uint8(ua.AccessLevelTypeCurrentRead)}
	v.AccessLevelEx = uint32(v.AccessLevel)
	v.DataType, v.ValueRank, v.ArrayDimensions = c.valueType()
	v.MinimumSamplingInterval = float64(c.uvarint())
	if flags&hasValue != 0 {
		v.initial = c.span()
	}
	return v
}

// typ reads the fields of a type and finds its supertype, which it needs to
// be at hand for isSubtypeOf.
func (c *cursor) typ(s *Space, class ua.NodeClass, flags uint64) *Type {
	t := &Type{IsAbstract: flags&isAbstract != 0, Symmetric: flags&isSymmetric != 0}
	if super := c.uvarint(); super != 0 {
		t.super = s.standardNode(int(super - 1))
	}
	if flags&hasInverseName != 0 {
		t.InverseName.Text = c.text(nodeset.text)
	}
	if class == ua.NodeClassVariableType {
		t.DataType, t.ValueRank, t.ArrayDimensions = c.valueType()
	}
	if flags&hasDefinition != 0 {
		t.isEnum = flags&isEnumDefinition != 0
		t.definition = c.span()
	}
	return t
}

// valueType reads the DataType, ValueRank and ArrayDimensions.
func (c *cursor) valueType() (dataType uabinary.NodeID, rank int32, dimensions []uint32) {
	dataType = nodeset.nodeID(int(c.uvarint()))
	rank = int32(c.uvarint()) - rankBias
	if n := c.uvarint(); n > 0 {
		dimensions = make([]uint32, n)
		for i := range dimensions {
			dimensions[i] = uint32(c.uvarint())
		}
	}
	return dataType, rank, dimensions
}

// rankBias makes the smallest ValueRank, -3, zero.
const rankBias = 3

// cursor reads the nodeset file.
type cursor struct {
	s  string
	at int
}

func (c *cursor) byte() byte {
	b := c.s[c.at]
	c.at++
	return b
}

func (c *cursor) uint32() uint32 {
	return uint32(c.byte()) | uint32(c.byte())<<8 | uint32(c.byte())<<16 | uint32(c.byte())<<24
}

func (c *cursor) uvarint() (x uint64) {
	for shift := 0; ; shift += 7 {
		b := c.byte()
		x |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return x
		}
	}
}

// text reads where in text a string stands.
func (c *cursor) text(text string) string {
	at, length := c.uvarint(), c.uvarint()
	return text[at : at+length]
}

// span reads a length and passes over that many bytes.
func (c *cursor) span() span {
	n := uint32(c.uvarint())
	p := span{at: uint32(c.at), length: n}
	c.at += int(n)
	return p
}
