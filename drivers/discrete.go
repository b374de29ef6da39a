package drivers

import (
	"strconv"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
)

// discreteType is the VariableType of a tag whose values have names (Part 8 (1.05), 5.3.3). MultiStateValueDiscreteType
// goes with any number and any values.
func (t *Tag) discreteType() uint32 {
	if t.Type == uabinary.TypeBoolean {
		return id.TwoStateDiscreteType
	}
	return id.MultiStateValueDiscreteType
}

// discrete adds the Properties of a tag whose values have names.
func (b *builder) discrete(n *addressspace.Node, t *Tag) error {
	if t.Type == uabinary.TypeBoolean {
		return b.twoStates(n, t)
	}
	values := make([]uabinary.ExtensionObject, len(t.Enum))
	for i, e := range t.Enum {
		values[i] = uabinary.ExtensionObjectOf(&uabinary.EnumValueType{Value: e.Value, DisplayName: uabinary.LocalizedText{Text: e.Text}})
	}
	_, err := b.property(n, "EnumValues", id.EnumValueType, []uint32{uint32(len(values))}, uabinary.VariantOf(values))
	if err != nil {
		return err
	}
	text, err := b.property(n, "ValueAsText", id.LocalizedText, nil, uabinary.Variant{})
	if err == nil {
		text.Variable.SetSource(t.valueAsText(n.Variable))
	}
	return err
}

// valueAsText gives the name of the present value, which has its status and its time; a value without a name has its
// digits (Part 8 (1.05), 5.3.3.4).
func (t *Tag) valueAsText(v *addressspace.Variable) func() uabinary.DataValue {
	names := map[float64]string{}
	for _, e := range t.Enum {
		names[float64(e.Value)] = e.Text
	}
	return func() uabinary.DataValue {
		dv := v.Value()
		n, ok := dv.Value.Number()
		if !ok {
			return dv
		}
		text, known := names[n]
		if !known {
			text = strconv.FormatFloat(n, 'f', -1, 64)
		}
		dv.Value = uabinary.VariantOf(uabinary.LocalizedText{Text: text})
		return dv
	}
}

// twoStates adds the names of false and true (Part 8 (1.05), 5.3.3.2).
func (b *builder) twoStates(n *addressspace.Node, t *Tag) error {
	for _, e := range t.Enum {
		name := "FalseState"
		if e.Value != 0 {
			name = "TrueState"
		}
		if _, err := b.property(n, name, id.LocalizedText, nil, uabinary.VariantOf(uabinary.LocalizedText{Text: e.Text})); err != nil {
			return err
		}
	}
	return nil
}

// property adds a standard Property of a Variable.
func (b *builder) property(owner *addressspace.Node, name string, dataType uint32, dimensions []uint32, value uabinary.Variant) (*addressspace.Node, error) {
	return b.space.AddVariable(addressspace.VariableOptions{
		ID:              uabinary.StringID(b.ns, owner.ID.Text+"#"+name),
		BrowseName:      uabinary.QualifiedName{Name: name},
		Parent:          owner.ID,
		ReferenceType:   uabinary.NumericID(0, id.HasProperty),
		TypeDefinition:  uabinary.NumericID(0, id.PropertyType),
		DataType:        uabinary.NumericID(0, dataType),
		ArrayDimensions: dimensions,
		Value:           &uabinary.DataValue{Value: value},
	})
}
