package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gopcua/opcua/id"
)

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

// rankBias makes the smallest ValueRank, -3, zero.
const rankBias = 3

// encoder writes the sections of the file.
type encoder struct {
	set     *nodeset
	text    []byte
	strings map[string]int // offset in text
	records []byte
}

func (s *nodeset) encode() ([]byte, error) {
	order := s.order()
	e := encoder{set: s, strings: map[string]int{}}
	var ids, offsets []byte
	for _, n := range order {
		ids = binary.LittleEndian.AppendUint16(ids, uint16(n.id))
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(len(e.records)))
		if err := e.record(n); err != nil {
			return nil, fmt.Errorf("i=%d: %w", n.id, err)
		}
	}
	file := []byte("ns0\x01")
	file = binary.LittleEndian.AppendUint32(file, uint32(len(order)))
	file = binary.LittleEndian.AppendUint32(file, uint32(len(e.text)))
	return slices.Concat(file, ids, offsets, e.text, e.records), nil
}

// order returns the nodes that remain in the order of their NodeIds and tells
// each its place.
func (s *nodeset) order() []*node {
	var order []*node
	for _, id := range slices.Sorted(maps.Keys(s.nodes)) {
		if n := s.nodes[id]; n.remains {
			n.index = len(order)
			order = append(order, n)
		}
	}
	return order
}

func (e *encoder) uvarint(x int) { e.records = binary.AppendUvarint(e.records, uint64(x)) }

func (e *encoder) string(s string) {
	at, ok := e.strings[s]
	if !ok {
		at = len(e.text)
		e.strings[s] = at
		e.text = append(e.text, s...)
	}
	e.uvarint(at)
	e.uvarint(len(s))
}

func (e *encoder) bytes(b []byte) {
	e.uvarint(len(b))
	e.records = append(e.records, b...)
}

// record writes one node.
func (e *encoder) record(n *node) error {
	var value, definition []byte
	flags := n.flags()
	if v := n.xml.child("Value"); v != nil {
		var err error
		if value, err = e.set.value(v); err != nil {
			return err
		}
		flags |= hasValue
	}
	if n.class == classes["UADataType"] {
		var isEnum bool
		var err error
		if definition, isEnum, err = e.set.definition(n); err != nil {
			return err
		}
		if definition != nil {
			flags |= hasDefinition
		}
		if isEnum {
			flags |= isEnumDefinition
		}
	}
	e.records = append(e.records, byte(n.class))
	e.uvarint(flags)
	e.names(n, flags)
	if err := e.body(n, flags, value, definition); err != nil {
		return err
	}
	e.references(n)
	return nil
}

func (n *node) browseName() string {
	return strings.TrimPrefix(n.xml.attr("BrowseName"), "0:")
}

func (n *node) flags() int {
	flags := 0
	set := func(flag int, on bool) {
		if on {
			flags |= flag
		}
	}
	set(hasDisplayName, n.xml.text("DisplayName") != n.browseName())
	set(hasDescription, n.xml.text("Description") != "")
	set(isAbstract, n.xml.attr("IsAbstract") == "true")
	set(isSymmetric, n.xml.attr("Symmetric") == "true")
	set(hasInverseName, n.xml.text("InverseName") != "")
	return flags
}

func (e *encoder) names(n *node, flags int) {
	e.string(n.browseName())
	if flags&hasDisplayName != 0 {
		e.string(n.xml.text("DisplayName"))
	}
	if flags&hasDescription != 0 {
		e.string(n.xml.text("Description"))
	}
}

// body writes what the class of n has beyond names and references.
func (e *encoder) body(n *node, flags int, value, definition []byte) error {
	switch n.xml.XMLName.Local {
	case "UAVariable":
		if err := e.valueType(n); err != nil {
			return err
		}
		interval, err := number(n.xml.attr("MinimumSamplingInterval"), 0)
		if err != nil {
			return err
		}
		e.uvarint(interval)
		if flags&hasValue != 0 {
			e.bytes(value)
		}
	case "UAObjectType", "UAVariableType", "UAReferenceType", "UADataType":
		e.uvarint(e.supertype(n))
		if flags&hasInverseName != 0 {
			e.string(n.xml.text("InverseName"))
		}
		if n.class == classes["UAVariableType"] {
			return e.valueType(n)
		}
		if flags&hasDefinition != 0 {
			e.bytes(definition)
		}
	}
	return nil
}

// supertype returns the index of the supertype + 1, 0 if there is none.
func (e *encoder) supertype(n *node) int {
	if super := e.set.supertype(n); super != nil {
		return super.index + 1
	}
	return 0
}

func (s *nodeset) supertype(n *node) *node {
	for r := range n.refs {
		if r.inverse && r.typ == id.HasSubtype {
			return s.nodes[r.target]
		}
	}
	return nil
}

// isSubtypeOf reports whether n is below that type.
func (s *nodeset) isSubtypeOf(n *node, super uint32) bool {
	for n != nil && n.id != super {
		n = s.supertype(n)
	}
	return n != nil
}

func (e *encoder) valueType(n *node) error {
	dataType, err := e.set.dataType(n.xml)
	if err != nil {
		return err
	}
	rank, err := number(n.xml.attr("ValueRank"), -1)
	if err != nil {
		return err
	}
	dimensions, err := numbers(n.xml.attr("ArrayDimensions"))
	if err != nil {
		return err
	}
	if !e.set.nodes[dataType].remains {
		return fmt.Errorf("its DataType i=%d is left out", dataType)
	}
	e.uvarint(e.set.nodes[dataType].index)
	e.uvarint(rank + rankBias)
	e.uvarint(len(dimensions))
	for _, d := range dimensions {
		e.uvarint(int(d))
	}
	return nil
}

// dataType returns the DataType attribute of a node or field; BaseDataType is
// the default (Part 6 (1.05), F.8, F.13).
func (s *nodeset) dataType(e *element) (uint32, error) {
	if text := e.attr("DataType"); text != "" {
		return s.id(text)
	}
	return id.BaseDataType, nil
}

// references writes the references of n to nodes that remain: forward ones
// first, then by the NodeId of the other node.
func (e *encoder) references(n *node) {
	var refs []reference
	for r := range n.refs {
		if e.set.nodes[r.target].remains && !(r.inverse && oneWay[r.typ]) {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, func(a, b reference) int {
		return cmp.Or(direction(a)-direction(b), cmp.Compare(a.target, b.target), cmp.Compare(a.typ, b.typ))
	})
	e.uvarint(len(refs))
	for _, r := range refs {
		e.uvarint(e.set.nodes[r.typ].index<<1 | direction(r))
		e.uvarint(e.set.nodes[r.target].index)
	}
}

func direction(r reference) int {
	if r.inverse {
		return 1
	}
	return 0
}

func number(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}
	return strconv.Atoi(text)
}

// numbers reads ArrayDimensions.
func numbers(text string) ([]uint32, error) {
	if text == "" {
		return nil, nil
	}
	var all []uint32
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return nil, err
		}
		all = append(all, uint32(n))
	}
	return all, nil
}
