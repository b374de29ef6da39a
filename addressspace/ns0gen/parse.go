package main

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// element is any XML element.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
	Text     string     `xml:",chardata"`
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// child returns the first child of that name, nil if there is none.
func (e *element) child(name string) *element {
	for i := range e.Children {
		if e.Children[i].XMLName.Local == name {
			return &e.Children[i]
		}
	}
	return nil
}

// text returns the text in the first child of that name.
func (e *element) text(name string) string {
	if c := e.child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// node is one node of the nodeset.
type node struct {
	id      uint32
	class   int // number of the bit that the NodeClass is
	xml     *element
	refs    map[reference]bool
	index   int // in the order of ids among those that stay
	remains bool
}

type reference struct {
	typ, target uint32
	inverse     bool
}

// nodeset is the content of the XML file.
type nodeset struct {
	aliases map[string]string
	nodes   map[uint32]*node
}

var classes = map[string]int{
	"UAObject": 0, "UAVariable": 1, "UAMethod": 2, "UAObjectType": 3,
	"UAVariableType": 4, "UAReferenceType": 5, "UADataType": 6, "UAView": 7,
}

func parse(data []byte) (*nodeset, error) {
	var root element
	if err := xml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	set := &nodeset{aliases: map[string]string{}, nodes: map[uint32]*node{}}
	if aliases := root.child("Aliases"); aliases != nil {
		for _, a := range aliases.Children {
			set.aliases[a.attr("Alias")] = strings.TrimSpace(a.Text)
		}
	}
	for i := range root.Children {
		e := &root.Children[i]
		class, ok := classes[e.XMLName.Local]
		if !ok {
			continue
		}
		if err := set.add(class, e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.attr("NodeId"), err)
		}
	}
	return set, nil
}

func (s *nodeset) add(class int, e *element) error {
	id, err := s.id(e.attr("NodeId"))
	if err != nil {
		return err
	}
	n := &node{id: id, class: class, xml: e, refs: map[reference]bool{}}
	s.nodes[id] = n
	refs := e.child("References")
	if refs == nil {
		return nil
	}
	for _, r := range refs.Children {
		typ, err := s.id(r.attr("ReferenceType"))
		if err != nil {
			return err
		}
		target, err := s.id(r.Text)
		if err != nil {
			return err
		}
		n.refs[reference{typ, target, r.attr("IsForward") == "false"}] = true
	}
	return nil
}

// id reads i=85 or an alias. The file has no other namespace, and no NodeId
// that is not numeric and below 65536.
func (s *nodeset) id(text string) (uint32, error) {
	text = strings.TrimSpace(text)
	if full, ok := s.aliases[text]; ok {
		text = full
	}
	digits, ok := strings.CutPrefix(text, "i=")
	if !ok {
		return 0, fmt.Errorf("not a numeric NodeId: %q", text)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint32(n), err
}

// link adds the other direction of every reference that the file has in one
// direction only.
func (s *nodeset) link() {
	for _, n := range s.nodes {
		for r := range n.refs {
			if other := s.nodes[r.target]; other != nil {
				other.refs[reference{r.typ, n.id, !r.inverse}] = true
			}
		}
	}
}
