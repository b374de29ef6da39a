package addressspace

import (
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Attribute returns an attribute of n. The status is BadAttributeIDInvalid if
// nodes of its class do not have it or this one does not provide it
// (Part 3 (1.05), 5.9). User attributes are those of a user who may do
// everything. For the Value it returns what [Variable.Value] does without its
// timestamps.
func (s *Space) Attribute(n *Node, a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	switch a {
	case ua.AttributeIDNodeID:
		return good(uabinary.VariantOf(n.ID))
	case ua.AttributeIDNodeClass:
		return good(uabinary.Int32Variant(int32(n.Class)))
	case ua.AttributeIDBrowseName:
		return good(uabinary.VariantOf(n.BrowseName))
	case ua.AttributeIDDisplayName:
		return good(uabinary.VariantOf(n.DisplayName))
	case ua.AttributeIDDescription:
		return good(uabinary.VariantOf(n.Description))
	case ua.AttributeIDWriteMask, ua.AttributeIDUserWriteMask:
		return good(uabinary.Uint32Variant(0))
	}
	switch n.Class {
	case ua.NodeClassVariable:
		return n.Variable.attribute(a)
	case ua.NodeClassObject:
		return n.objectAttribute(a)
	case ua.NodeClassMethod:
		return n.Method.attribute(a)
	}
	return n.Type.attribute(n.Class, a)
}

func good(v uabinary.Variant) (uabinary.Variant, ua.StatusCode) { return v, ua.StatusOK }

func notProvided() (uabinary.Variant, ua.StatusCode) {
	return uabinary.Variant{}, ua.StatusBadAttributeIDInvalid
}

func (v *Variable) attribute(a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	switch a {
	case ua.AttributeIDValue:
		dv := v.Value()
		return dv.Value, dv.Status
	case ua.AttributeIDDataType:
		return good(uabinary.VariantOf(v.DataType))
	case ua.AttributeIDValueRank:
		return good(uabinary.Int32Variant(v.ValueRank))
	case ua.AttributeIDArrayDimensions:
		return good(dimensionsVariant(v.ArrayDimensions))
	case ua.AttributeIDAccessLevel, ua.AttributeIDUserAccessLevel:
		return good(uabinary.Uint8Variant(v.AccessLevel))
	case ua.AttributeIDAccessLevelEx:
		return good(uabinary.Uint32Variant(v.AccessLevelEx))
	case ua.AttributeIDMinimumSamplingInterval:
		return good(uabinary.DoubleVariant(v.MinimumSamplingInterval))
	case ua.AttributeIDHistorizing:
		return good(uabinary.BoolVariant(v.Historizing))
	}
	return notProvided()
}

// dimensionsVariant returns the ArrayDimensions, an empty array for scalars.
func dimensionsVariant(d []uint32) uabinary.Variant {
	if d == nil {
		d = []uint32{}
	}
	return uabinary.VariantOf(d)
}

func (n *Node) objectAttribute(a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	if a == ua.AttributeIDEventNotifier {
		return good(uabinary.Uint8Variant(n.EventNotifier))
	}
	return notProvided()
}

func (t *Type) attribute(class ua.NodeClass, a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	if a == ua.AttributeIDIsAbstract {
		return good(uabinary.BoolVariant(t.IsAbstract))
	}
	switch class {
	case ua.NodeClassVariableType:
		return t.variableTypeAttribute(a)
	case ua.NodeClassReferenceType:
		return t.referenceTypeAttribute(a)
	case ua.NodeClassDataType:
		if a == ua.AttributeIDDataTypeDefinition && t.definition.length > 0 {
			return good(uabinary.VariantOf(t.dataTypeDefinition()))
		}
	}
	return notProvided()
}

func (t *Type) variableTypeAttribute(a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	switch a {
	case ua.AttributeIDDataType:
		return good(uabinary.VariantOf(t.DataType))
	case ua.AttributeIDValueRank:
		return good(uabinary.Int32Variant(t.ValueRank))
	case ua.AttributeIDArrayDimensions:
		return good(dimensionsVariant(t.ArrayDimensions))
	}
	return notProvided()
}

func (t *Type) referenceTypeAttribute(a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	switch {
	case a == ua.AttributeIDSymmetric:
		return good(uabinary.BoolVariant(t.Symmetric))
	case a == ua.AttributeIDInverseName && t.InverseName.Text != "":
		return good(uabinary.VariantOf(t.InverseName))
	}
	return notProvided()
}

// dataTypeDefinition returns the StructureDefinition or EnumDefinition
// (Part 3 (1.05), 8.48, 8.50).
func (t *Type) dataTypeDefinition() uabinary.ExtensionObject {
	encoding := uint32(id.StructureDefinition_Encoding_DefaultBinary)
	if t.isEnum {
		encoding = id.EnumDefinition_Encoding_DefaultBinary
	}
	return uabinary.ExtensionObject{
		TypeID:   uabinary.NumericID(0, encoding),
		Encoding: uabinary.BodyByteString,
		Body:     nodeset.bytes(t.definition),
	}
}
