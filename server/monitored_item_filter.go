package server

import (
	"math"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// dataChangeFilter decides which samples are reported (Part 4 (1.05), 7.22.2).
type dataChangeFilter struct {
	trigger  ua.DataChangeTrigger
	deadband float64 // absolute; 0: none
}

// defaultFilter reports changes of status or value.
var defaultFilter = dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue}

// readFilter takes the filter of a request for an attribute of a node. Only
// Values have data change filters; a deadband needs a number (Part 8 (1.05),
// 7.2 and Part 4 (1.05), 7.22.2).
func readFilter(object *uabinary.ExtensionObject, attribute ua.AttributeID, numeric bool, limits *uabinary.Limits) (dataChangeFilter, ua.StatusCode) {
	if object.TypeID.IsNull() && len(object.Body) == 0 {
		return defaultFilter, ua.StatusOK
	}
	if attribute != ua.AttributeIDValue {
		return dataChangeFilter{}, ua.StatusBadFilterNotAllowed
	}
	switch object.TypeID {
	case uabinary.NumericID(0, id.DataChangeFilter_Encoding_DefaultBinary):
	case uabinary.NumericID(0, id.EventFilter_Encoding_DefaultBinary):
		return dataChangeFilter{}, ua.StatusBadFilterNotAllowed
	default:
		return dataChangeFilter{}, ua.StatusBadMonitoredItemFilterUnsupported
	}
	var wire uabinary.DataChangeFilter
	if object.Decode(&wire, limits) != nil || wire.Trigger > ua.DataChangeTriggerStatusValueTimestamp {
		return dataChangeFilter{}, ua.StatusBadMonitoredItemFilterInvalid
	}
	filter := dataChangeFilter{trigger: wire.Trigger}
	switch ua.DeadbandType(wire.DeadbandType) {
	case ua.DeadbandTypeNone:
		return filter, ua.StatusOK
	case ua.DeadbandTypeAbsolute:
	case ua.DeadbandTypePercent:
		return dataChangeFilter{}, ua.StatusBadMonitoredItemFilterUnsupported
	default:
		return dataChangeFilter{}, ua.StatusBadDeadbandFilterInvalid
	}
	if !(wire.DeadbandValue >= 0) || math.IsInf(wire.DeadbandValue, 0) {
		return dataChangeFilter{}, ua.StatusBadDeadbandFilterInvalid
	}
	if !numeric {
		return dataChangeFilter{}, ua.StatusBadFilterNotAllowed
	}
	filter.deadband = wire.DeadbandValue
	if filter.trigger == ua.DataChangeTriggerStatusValueTimestamp {
		filter.trigger = ua.DataChangeTriggerStatusValue // 7.22.2: beside a deadband they are the same
	}
	return filter, ua.StatusOK
}

// passes tells whether a sample differs enough from the last one reported.
func (f dataChangeFilter) passes(last, dv *uabinary.DataValue) bool {
	if last == nil || last.Status != dv.Status {
		return true
	}
	if f.trigger == ua.DataChangeTriggerStatus {
		return false
	}
	if f.trigger == ua.DataChangeTriggerStatusValueTimestamp &&
		(last.SourceTimestamp != dv.SourceTimestamp || last.SourcePicoseconds != dv.SourcePicoseconds) {
		return true
	}
	if f.deadband > 0 {
		if exceeded, comparable := exceedsDeadband(last.Value, dv.Value, f.deadband); comparable {
			return exceeded
		}
	}
	return !last.Value.Equal(dv.Value)
}

// exceedsDeadband compares numbers, and arrays of numbers element by element:
// one element outside is enough. comparable is false where there are no
// numbers to compare.
func exceedsDeadband(a, b uabinary.Variant, deadband float64) (exceeded, comparable bool) {
	if !a.IsArray() && !b.IsArray() {
		x, okA := a.Number()
		y, okB := b.Number()
		return outside(x, y, deadband), okA && okB
	}
	if a.Len() != b.Len() || a.Type() != b.Type() {
		return true, true
	}
	for i := range a.Len() {
		x, okA := a.NumberAt(i)
		y, okB := b.NumberAt(i)
		if !okA || !okB {
			return false, false
		}
		if outside(x, y, deadband) {
			return true, true
		}
	}
	return false, true
}

// outside is true also for a change to or from NaN, which no number measures.
func outside(x, y, deadband float64) bool {
	if math.IsNaN(x) || math.IsNaN(y) {
		return math.IsNaN(x) != math.IsNaN(y)
	}
	return math.Abs(x-y) > deadband
}
