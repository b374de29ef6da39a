package addressspace

import (
	"github.com/gopcua/opcua/id"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// analogType returns the VariableType for the Properties that o has. EURange
// is mandatory in AnalogItemType and EngineeringUnits optional, in
// AnalogUnitType it is mandatory (Part 8 (1.05), 5.3.2). AnalogUnitRangeType
// would say more precisely that both are there, but is known to fewer clients.
func (o *VariableOptions) analogType() uint32 {
	switch {
	case o.EURange != nil:
		return id.AnalogItemType
	case o.EngineeringUnits != nil:
		return id.AnalogUnitType
	}
	return id.BaseDataVariableType
}

func (s *Space) addAnalogProperties(o *VariableOptions) error {
	if o.EURange != nil {
		if err := s.addProperty(o.ID, "EURange", id.Range, nil, structure(o.EURange)); err != nil {
			return err
		}
	}
	if o.EngineeringUnits != nil {
		return s.addProperty(o.ID, "EngineeringUnits", id.EUInformation, nil, structure(o.EngineeringUnits))
	}
	return nil
}

func structure(x uabinary.Structure) uabinary.Variant {
	return uabinary.VariantOf(uabinary.ExtensionObjectOf(x))
}

// addProperty adds a standard Property.
func (s *Space) addProperty(owner uabinary.NodeID, name string, dataType uint32, dimensions []uint32, value uabinary.Variant) error {
	_, err := s.AddVariable(VariableOptions{
		ID:              propertyID(owner, name),
		BrowseName:      uabinary.QualifiedName{Name: name},
		Parent:          owner,
		ReferenceType:   uabinary.NumericID(0, id.HasProperty),
		TypeDefinition:  uabinary.NumericID(0, id.PropertyType),
		DataType:        uabinary.NumericID(0, dataType),
		ArrayDimensions: dimensions,
		Value:           &uabinary.DataValue{Value: value, SourceTimestamp: s.created},
	})
	return err
}

// propertyID returns a NodeId for a Property that stays the same from run to
// run: ns=2;s=Boiler.Temp has ns=2;s=Boiler.Temp#EURange.
func propertyID(owner uabinary.NodeID, name string) uabinary.NodeID {
	text := owner.Text
	if owner.Type != uabinary.IDTypeString {
		text = owner.String()
	}
	return uabinary.StringID(owner.Namespace, text+"#"+name)
}
