package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// value returns a Value element as a Variant in OPC UA Binary.
func (s *nodeset) value(e *element) ([]byte, error) {
	if len(e.Children) != 1 {
		return nil, fmt.Errorf("value of %d elements", len(e.Children))
	}
	v, err := s.variant(&e.Children[0])
	if err != nil {
		return nil, err
	}
	return v.Append(nil), nil
}

// variant reads those types of value that the nodeset has.
func (s *nodeset) variant(e *element) (uabinary.Variant, error) {
	text := strings.TrimSpace(e.Text)
	switch e.XMLName.Local {
	case "Boolean":
		return uabinary.BoolVariant(text == "true"), nil
	case "Int32":
		n, err := strconv.ParseInt(text, 10, 32)
		return uabinary.Int32Variant(int32(n)), err
	case "UInt32":
		n, err := strconv.ParseUint(text, 10, 32)
		return uabinary.Uint32Variant(uint32(n)), err
	case "String":
		return uabinary.StringVariant(text), nil
	case "DateTime":
		t, err := time.Parse(time.RFC3339, text)
		return uabinary.DateTimeVariant(uabinary.DateTimeOf(t)), err
	case "LocalizedText":
		return uabinary.VariantOf(localized(e)), nil
	case "ExtensionObject":
		x, err := s.structure(e)
		return uabinary.VariantOf(x), err
	}
	return s.array(e)
}

func (s *nodeset) array(e *element) (uabinary.Variant, error) {
	switch e.XMLName.Local {
	case "ListOfInt32":
		var all []int32
		for i := range e.Children {
			n, err := strconv.ParseInt(e.Children[i].Text, 10, 32)
			if err != nil {
				return uabinary.Variant{}, err
			}
			all = append(all, int32(n))
		}
		return uabinary.VariantOf(all), nil
	case "ListOfString":
		var all []string
		for i := range e.Children {
			all = append(all, e.Children[i].Text)
		}
		return uabinary.VariantOf(all), nil
	case "ListOfLocalizedText":
		var all []uabinary.LocalizedText
		for i := range e.Children {
			all = append(all, localized(&e.Children[i]))
		}
		return uabinary.VariantOf(all), nil
	case "ListOfExtensionObject":
		var all []uabinary.ExtensionObject
		for i := range e.Children {
			x, err := s.structure(&e.Children[i])
			if err != nil {
				return uabinary.Variant{}, err
			}
			all = append(all, x)
		}
		return uabinary.VariantOf(all), nil
	}
	return uabinary.Variant{}, fmt.Errorf("value of unknown type %s", e.XMLName.Local)
}

func localized(e *element) uabinary.LocalizedText {
	if e == nil {
		return uabinary.LocalizedText{}
	}
	return uabinary.LocalizedText{Locale: e.text("Locale"), Text: e.text("Text")}
}

// structure reads an ExtensionObject.
func (s *nodeset) structure(e *element) (uabinary.ExtensionObject, error) {
	body := e.child("Body")
	if body == nil || len(body.Children) != 1 {
		return uabinary.ExtensionObject{}, fmt.Errorf("ExtensionObject without a body")
	}
	b := &body.Children[0]
	var x uabinary.Structure
	var err error
	switch b.XMLName.Local {
	case "Argument":
		x, err = s.argument(b)
	case "EnumValueType":
		var value int64
		value, err = strconv.ParseInt(b.text("Value"), 10, 64)
		x = &uabinary.EnumValueType{
			Value: value, DisplayName: localized(b.child("DisplayName")), Description: localized(b.child("Description")),
		}
	case "EUInformation":
		var unit int64
		unit, err = strconv.ParseInt(b.text("UnitId"), 10, 32)
		x = &uabinary.EUInformation{
			NamespaceURI: b.text("NamespaceUri"), UnitID: int32(unit),
			DisplayName: localized(b.child("DisplayName")), Description: localized(b.child("Description")),
		}
	default:
		err = fmt.Errorf("structure of unknown type %s", b.XMLName.Local)
	}
	if err != nil {
		return uabinary.ExtensionObject{}, err
	}
	return uabinary.ExtensionObjectOf(x), nil
}

func (s *nodeset) argument(e *element) (*uabinary.Argument, error) {
	dataType, err := s.id(e.child("DataType").text("Identifier"))
	if err != nil {
		return nil, err
	}
	rank, err := number(e.text("ValueRank"), -1)
	if err != nil {
		return nil, err
	}
	a := &uabinary.Argument{
		Name: e.text("Name"), DataType: uabinary.NumericID(0, dataType), ValueRank: int32(rank),
		Description: localized(e.child("Description")),
	}
	for _, d := range e.child("ArrayDimensions").Children {
		n, err := strconv.ParseUint(d.Text, 10, 32)
		if err != nil {
			return nil, err
		}
		a.ArrayDimensions = append(a.ArrayDimensions, uint32(n))
	}
	return a, nil
}

// definition returns the DataTypeDefinition of a DataType in OPC UA Binary,
// nil if it has none: it is abstract without fields, built-in or simple.
func (s *nodeset) definition(n *node) (definition []byte, isEnum bool, err error) {
	d := n.xml.child("Definition")
	switch {
	case n.id == id.Enumeration:
		return nil, false, nil
	case d != nil && (s.isSubtypeOf(n, id.Enumeration) || d.attr("IsOptionSet") == "true"):
		definition, err = enumDefinition(d)
		return definition, true, err
	case n.id != id.Structure && s.isSubtypeOf(n, id.Structure):
		definition, err = s.structureDefinition(n)
		return definition, false, err
	case d != nil:
		return nil, false, fmt.Errorf("definition of neither a structure nor an enumeration")
	}
	return nil, false, nil
}

// enumDefinition returns an EnumDefinition (Part 3 (1.05), 8.50). For an
// OptionSet the value of a field is the number of its bit.
func enumDefinition(d *element) ([]byte, error) {
	var def uabinary.EnumDefinition
	for i := range d.Children {
		f := &d.Children[i]
		value, err := strconv.ParseInt(f.attr("Value"), 10, 64)
		if err != nil {
			return nil, err
		}
		def.Fields = append(def.Fields, uabinary.EnumField{
			Value: value, Name: f.attr("Name"), DisplayName: uabinary.LocalizedText{Text: displayName(f)},
			Description: uabinary.LocalizedText{Text: f.text("Description")},
		})
	}
	return def.Append(nil), nil
}

// displayName returns the DisplayName of a field, by default its name.
func displayName(f *element) string {
	if text := f.text("DisplayName"); text != "" {
		return text
	}
	return f.attr("Name")
}

// structureDefinition returns a StructureDefinition (Part 3 (1.05), 8.48).
func (s *nodeset) structureDefinition(n *node) ([]byte, error) {
	def := uabinary.StructureDefinition{
		BaseDataType:  uabinary.NumericID(0, s.supertype(n).id),
		StructureType: ua.StructureTypeStructure,
	}
	for r := range n.refs {
		if !r.inverse && r.typ == id.HasEncoding && s.nodes[r.target].browseName() == "Default Binary" {
			def.DefaultEncodingID = uabinary.NumericID(0, r.target)
		}
	}
	var err error
	if def.Fields, err = s.fields(n); err != nil {
		return nil, err
	}
	for _, f := range def.Fields {
		if f.IsOptional { // which here says that subtypes are allowed
			def.StructureType = structureWithSubtypedValues
		}
	}
	return def.Append(nil), nil
}

// structureWithSubtypedValues is a StructureType (Part 3 (1.05), 8.49).
const structureWithSubtypedValues = 3

// fields returns the fields of a structure, those of its supertypes first.
func (s *nodeset) fields(n *node) ([]uabinary.StructureField, error) {
	if n.id == id.Structure {
		return nil, nil
	}
	fields, err := s.fields(s.supertype(n))
	d := n.xml.child("Definition")
	if err != nil || d == nil {
		return fields, err
	}
	for i := range d.Children {
		f, err := s.field(&d.Children[i])
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (s *nodeset) field(e *element) (uabinary.StructureField, error) {
	dataType, err := s.dataType(e)
	if err != nil {
		return uabinary.StructureField{}, err
	}
	rank, err := number(e.attr("ValueRank"), -1)
	if err != nil {
		return uabinary.StructureField{}, err
	}
	dimensions, err := numbers(e.attr("ArrayDimensions"))
	if err == nil && dimensions == nil && rank > 0 {
		dimensions = make([]uint32, rank)
	}
	return uabinary.StructureField{
		Name: e.attr("Name"), Description: uabinary.LocalizedText{Text: e.text("Description")},
		DataType: uabinary.NumericID(0, dataType), ValueRank: int32(rank), ArrayDimensions: dimensions,
		IsOptional: e.attr("AllowSubTypes") == "true" || e.attr("IsOptional") == "true",
	}, err
}
