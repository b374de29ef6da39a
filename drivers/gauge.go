package drivers

import (
	"context"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// TextGauge is a Gauge of type String.
func TextGauge(name, description string, read func() string) Gauge {
	return Gauge{Name: name, Description: description, Type: uabinary.TypeString,
		Read: func() uabinary.Variant { return uabinary.StringVariant(read()) }}
}

// NumberGauge is a Gauge of type Double.
func NumberGauge(name, description string, read func() float64) Gauge {
	return Gauge{Name: name, Description: description, Type: uabinary.TypeDouble,
		Read: func() uabinary.Variant { return uabinary.DoubleVariant(read()) }}
}

// CountGauge is a Gauge of type UInt64.
func CountGauge(name, description string, read func() uint64) Gauge {
	return Gauge{Name: name, Description: description, Type: uabinary.TypeUint64,
		Read: func() uabinary.Variant { return uabinary.Uint64Variant(read()) }}
}

// MomentGauge is a Gauge of type DateTime; read gives UnixNano. What has not happened, 0, is the least DateTime.
func MomentGauge(name, description string, read func() int64) Gauge {
	return Gauge{Name: name, Description: description, Type: uabinary.TypeDateTime, Read: func() uabinary.Variant {
		if at := read(); at != 0 {
			return uabinary.DateTimeVariant(uabinary.DateTimeOf(time.Unix(0, at)))
		}
		return uabinary.DateTimeVariant(0)
	}}
}

// Action is a Method that changes something, so it is not for anonymous clients.
func Action(name, description string, parent uabinary.NodeID, run func(*addressspace.MethodCall) ua.StatusCode) addressspace.MethodOptions {
	return addressspace.MethodOptions{
		ID:          uabinary.StringID(parent.Namespace, parent.Text+"/"+name),
		BrowseName:  uabinary.QualifiedName{NamespaceIndex: parent.Namespace, Name: name},
		Description: uabinary.LocalizedText{Text: description},
		Parent:      parent, UsersOnly: true,
		Run: func(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			return nil, run(call), nil
		},
	}
}

// AddMethods adds Methods.
func AddMethods(space *addressspace.Space, methods ...addressspace.MethodOptions) error {
	for _, m := range methods {
		if _, err := space.AddMethod(m); err != nil {
			return err
		}
	}
	return nil
}
