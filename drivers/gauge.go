package drivers

import (
	"context"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
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

// maxTrace is the longest that a trace runs.
const maxTrace = time.Hour

// TraceAction is the Method SetTrace of a channel; run is told for how long the wire is to be traced, 0 ends it.
func TraceAction(channel uabinary.NodeID, run func(long time.Duration) ua.StatusCode) addressspace.MethodOptions {
	trace := Action("SetTrace", "writes what passes the wire into the log for so many seconds; 0 ends it", channel, func(call *addressspace.MethodCall) ua.StatusCode {
		n, _ := call.Inputs[0].Number()
		long := time.Duration(n) * time.Second
		if long > maxTrace {
			return ua.StatusBadOutOfRange
		}
		return run(long)
	})
	trace.InputArguments = []uabinary.Argument{{
		Name: "Seconds", DataType: uabinary.NumericID(0, id.UInt32), ValueRank: -1,
		Description: uabinary.LocalizedText{Text: "0 to 3600"},
	}}
	return trace
}

// ResetAction is the Method ResetCounters of a channel or of a device.
func ResetAction(parent uabinary.NodeID, reset func()) addressspace.MethodOptions {
	return Action("ResetCounters", "sets the counters to 0", parent, func(*addressspace.MethodCall) ua.StatusCode {
		reset()
		return ua.StatusOK
	})
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
