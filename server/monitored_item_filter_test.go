package server

import (
	"math"
	"testing"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

func TestDataChangeFilter_Part4_7222_Passes(t *testing.T) {
	value := func(v any, status ua.StatusCode, source uabinary.DateTime) *uabinary.DataValue {
		return &uabinary.DataValue{Value: uabinary.VariantOf(v), Status: status, SourceTimestamp: source}
	}
	last := value(10.0, ua.StatusOK, 1)
	list := value([]float64{1, 2, 3}, ua.StatusOK, 1)
	for _, tt := range []struct {
		name     string
		filter   dataChangeFilter
		last, dv *uabinary.DataValue
		want     bool
	}{
		{"the first value always passes", dataChangeFilter{trigger: ua.DataChangeTriggerStatus}, nil, last, true},
		{"same value", defaultFilter, last, value(10.0, ua.StatusOK, 2), false},
		{"new value", defaultFilter, last, value(10.5, ua.StatusOK, 2), true},
		{"new status", defaultFilter, last, value(10.0, ua.StatusUncertain, 1), true},
		{"status trigger ignores the value", dataChangeFilter{trigger: ua.DataChangeTriggerStatus}, last, value(99.0, ua.StatusOK, 2), false},
		{"timestamp trigger", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValueTimestamp}, last, value(10.0, ua.StatusOK, 2), true},
		{"timestamp trigger, nothing new", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValueTimestamp}, last, value(10.0, ua.StatusOK, 1), false},
		{"other type of the same number", defaultFilter, last, value(int32(10), ua.StatusOK, 2), true},
		{"within the deadband", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, last, value(11.0, ua.StatusOK, 2), false},
		{"outside the deadband", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, last, value(11.1, ua.StatusOK, 2), true},
		{"to NaN", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, last, value(math.NaN(), ua.StatusOK, 2), true},
		{"array within", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, list, value([]float64{1.5, 2.5, 2.5}, ua.StatusOK, 2), false},
		{"one element outside", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, list, value([]float64{1, 2, 9}, ua.StatusOK, 2), true},
		{"array of other length", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, list, value([]float64{1, 2}, ua.StatusOK, 2), true},
		{"status beats the deadband", dataChangeFilter{trigger: ua.DataChangeTriggerStatusValue, deadband: 1}, last, value(10.0, ua.StatusBad, 2), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.filter.passes(tt.last, tt.dv); got != tt.want {
				t.Errorf("passes = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReadFilter_MonitorItemsDeadbandFilter(t *testing.T) {
	deadband := func(kind ua.DeadbandType, v float64) *uabinary.ExtensionObject {
		o := uabinary.ExtensionObjectOf(&uabinary.DataChangeFilter{
			Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: uint32(kind), DeadbandValue: v})
		return &o
	}
	event := uabinary.ExtensionObjectOf(&uabinary.EventFilter{})
	broken := deadband(ua.DeadbandTypeAbsolute, 1)
	broken.Body = broken.Body[:5]
	for _, tt := range []struct {
		name      string
		object    *uabinary.ExtensionObject
		attribute ua.AttributeID
		numeric   bool
		want      ua.StatusCode
	}{
		{"none", &uabinary.ExtensionObject{}, ua.AttributeIDValue, false, ua.StatusOK},
		{"absolute", deadband(ua.DeadbandTypeAbsolute, 2), ua.AttributeIDValue, true, ua.StatusOK},
		{"absolute on text", deadband(ua.DeadbandTypeAbsolute, 2), ua.AttributeIDValue, false, ua.StatusBadFilterNotAllowed},
		{"negative", deadband(ua.DeadbandTypeAbsolute, -1), ua.AttributeIDValue, true, ua.StatusBadDeadbandFilterInvalid},
		{"NaN", deadband(ua.DeadbandTypeAbsolute, math.NaN()), ua.AttributeIDValue, true, ua.StatusBadDeadbandFilterInvalid},
		{"percent", deadband(ua.DeadbandTypePercent, 5), ua.AttributeIDValue, true, ua.StatusBadMonitoredItemFilterUnsupported},
		{"unknown kind", deadband(7, 5), ua.AttributeIDValue, true, ua.StatusBadDeadbandFilterInvalid},
		{"on a name", deadband(ua.DeadbandTypeAbsolute, 2), ua.AttributeIDBrowseName, true, ua.StatusBadFilterNotAllowed},
		{"event filter", &event, ua.AttributeIDValue, true, ua.StatusBadFilterNotAllowed},
		{"cut short", broken, ua.AttributeIDValue, true, ua.StatusBadMonitoredItemFilterInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, got := readFilter(tt.object, tt.attribute, tt.numeric, &uabinary.Limits{})
			if got != tt.want {
				t.Errorf("readFilter = %v, want %v", got, tt.want)
			}
		})
	}
}
