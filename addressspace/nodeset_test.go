package addressspace

import (
	"encoding/xml"
	"strconv"
	"strings"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/schema"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// xmlNode is a node in the standard nodeset, read apart from ns0gen.
type xmlNode struct {
	XMLName     xml.Name
	NodeID      string `xml:"NodeId,attr"`
	BrowseName  string `xml:"BrowseName,attr"`
	DataType    string `xml:"DataType,attr"`
	ValueRank   string `xml:"ValueRank,attr"`
	Dimensions  string `xml:"ArrayDimensions,attr"`
	IsAbstract  bool   `xml:"IsAbstract,attr"`
	Symmetric   bool   `xml:"Symmetric,attr"`
	DisplayName string
	Description string
	InverseName string
	Refs        []struct {
		Type    string `xml:"ReferenceType,attr"`
		Forward string `xml:"IsForward,attr"`
		Target  string `xml:",chardata"`
	} `xml:"References>Reference"`
}

type xmlNodeset struct {
	Aliases []struct {
		Name string `xml:"Alias,attr"`
		ID   string `xml:",chardata"`
	} `xml:"Aliases>Alias"`
	Nodes []xmlNode `xml:",any"`
}

var xmlClasses = map[string]ua.NodeClass{
	"UAObject": ua.NodeClassObject, "UAVariable": ua.NodeClassVariable, "UAMethod": ua.NodeClassMethod,
	"UAObjectType": ua.NodeClassObjectType, "UAVariableType": ua.NodeClassVariableType,
	"UAReferenceType": ua.NodeClassReferenceType, "UADataType": ua.NodeClassDataType,
}

// TestStandardNodesAreThoseOfTheNodeset compares every node that is kept with
// the XML: attributes, and that no reference between kept nodes is lost.
func TestStandardNodesAreThoseOfTheNodeset(t *testing.T) {
	var set xmlNodeset
	if err := xml.Unmarshal(schema.OpcUaNodeSet2, &set); err != nil {
		t.Fatal(err)
	}
	aliases := map[string]string{}
	for _, a := range set.Aliases {
		aliases[a.Name] = a.ID
	}
	parse := func(text string) uabinary.NodeID {
		if full, ok := aliases[text]; ok {
			text = full
		}
		n, err := uabinary.ParseNodeID(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := New(testURI)
	kept, types, keptTypes := 0, 0, 0
	for i := range set.Nodes {
		x := &set.Nodes[i]
		class := xmlClasses[x.XMLName.Local]
		if class == 0 {
			continue
		}
		isType := class > ua.NodeClassMethod
		if isType {
			types++
		}
		n := s.Node(parse(x.NodeID))
		if n == nil {
			continue
		}
		kept++
		if isType {
			keptTypes++
		}
		if n.Class != class {
			t.Errorf("%v: class %v", n.ID, n.Class)
		}
		compareNode(t, n, x, parse)
		compareReferences(t, s, n, x, parse)
	}
	t.Logf("%d nodes of %d kept", kept, len(set.Nodes))
	if kept != nodeset.count || types != keptTypes {
		t.Errorf("%d nodes of the XML kept, %d there; %d types of %d", kept, nodeset.count, keptTypes, types)
	}
}

func compareNode(t *testing.T, n *Node, x *xmlNode, parse func(string) uabinary.NodeID) {
	same := n.BrowseName == uabinary.QualifiedName{Name: strings.TrimPrefix(x.BrowseName, "0:")} &&
		n.DisplayName == uabinary.LocalizedText{Text: x.DisplayName} &&
		n.Description == uabinary.LocalizedText{Text: x.Description}
	if n.Type != nil {
		same = same && n.Type.IsAbstract == x.IsAbstract && n.Type.Symmetric == x.Symmetric && n.Type.InverseName.Text == x.InverseName
	}
	dataType, rank, dimensions := numeric(id.BaseDataType), int32(-1), []uint32(nil)
	switch n.Class {
	case ua.NodeClassVariable:
		dataType, rank, dimensions = n.Variable.DataType, n.Variable.ValueRank, n.Variable.ArrayDimensions
	case ua.NodeClassVariableType:
		dataType, rank, dimensions = n.Type.DataType, n.Type.ValueRank, n.Type.ArrayDimensions
	default:
		x.DataType = ""
	}
	if x.DataType == "" {
		x.DataType = "i=24"
	}
	if x.ValueRank == "" {
		x.ValueRank = "-1"
	}
	var list []string
	for _, d := range dimensions {
		list = append(list, strconv.FormatUint(uint64(d), 10))
	}
	if !same || dataType != parse(x.DataType) || strconv.Itoa(int(rank)) != x.ValueRank || strings.Join(list, ",") != x.Dimensions {
		t.Errorf("%v: %+v, %v, %d, %v in the XML %+v", n.ID, *n, dataType, rank, dimensions, x)
	}
}

func compareReferences(t *testing.T, s *Space, n *Node, x *xmlNode, parse func(string) uabinary.NodeID) {
	has := map[Reference]bool{}
	for r := range n.References() {
		has[r] = true
	}
	for _, r := range x.Refs {
		want := Reference{Type: parse(r.Type), Target: parse(r.Target), Inverse: r.Forward == "false"}
		if s.Node(want.Target) != nil && !has[want] {
			t.Errorf("%v lost %+v", n.ID, want)
		}
	}
}

// TestStandardValues compares some values and definitions with what the
// specification prints.
func TestStandardValues(t *testing.T) {
	s := New(testURI)
	value := func(id uint32) uabinary.Variant { return s.Variable(numeric(id)).Value().Value }
	if v := value(15958); !v.Equal(uabinary.StringVariant(NamespaceURI)) {
		t.Errorf("NamespaceUri of namespace 0: %v", v)
	}
	if v := value(id.ServerState_EnumStrings); v.Len() != 8 || v.Any().([]uabinary.LocalizedText)[4].Text != "Shutdown" {
		t.Errorf("EnumStrings of ServerState: %v", v)
	}
	args := value(id.ServerType_GetMonitoredItems_OutputArguments).Any().([]uabinary.ExtensionObject)
	var arg uabinary.Argument
	if err := args[1].Decode(&arg, nil); len(args) != 2 || err != nil || arg.Name != "ClientHandles" || arg.DataType != numeric(id.UInt32) || arg.ValueRank != 1 {
		t.Errorf("%d arguments, %+v, %v", len(args), arg, err)
	}
	// RelativePathElement and a structure with inherited fields.
	def := structureDefinition(t, s, id.UserNameIdentityToken)
	if len(def.Fields) != 4 || def.Fields[0].Name != "PolicyId" || def.Fields[2].Name != "Password" || def.Fields[2].DataType != numeric(id.ByteString) ||
		def.BaseDataType != numeric(id.UserIdentityToken) || def.DefaultEncodingID != numeric(id.UserNameIdentityToken_Encoding_DefaultBinary) {
		t.Errorf("UserNameIdentityToken: %+v", def)
	}
	v, _ := s.Attribute(s.Node(numeric(id.NodeClass)), ua.AttributeIDDataTypeDefinition)
	x := v.Any().(uabinary.ExtensionObject)
	var enum uabinary.EnumDefinition
	if err := x.Decode(&enum, nil); err != nil || len(enum.Fields) != 9 || enum.Fields[8].Name != "View" || enum.Fields[8].Value != 128 {
		t.Errorf("NodeClass: %+v %v", enum, err)
	}
}

func structureDefinition(t *testing.T, s *Space, dataType uint32) (def uabinary.StructureDefinition) {
	t.Helper()
	v, status := s.Attribute(s.Node(numeric(dataType)), ua.AttributeIDDataTypeDefinition)
	x, _ := v.Any().(uabinary.ExtensionObject)
	if err := x.Decode(&def, nil); err != nil || status != ua.StatusOK {
		t.Fatal(status, err)
	}
	return def
}
