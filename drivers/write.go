package drivers

import (
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// CheckWrite tells what can be told without the device: whether the tag may be written at all, that only a value is
// written, and that its type and length are those of the tag (Part 4 (1.05), 5.11.4).
func (t *Tag) CheckWrite(dv uabinary.DataValue) ua.StatusCode {
	switch {
	case t.Access&WriteOnly == 0:
		return ua.StatusBadNotWritable
	case dv.Status != ua.StatusOK, dv.SourceTimestamp != 0, dv.ServerTimestamp != 0:
		return ua.StatusBadWriteNotSupported
	case dv.Value.Type() != t.Type, len(dv.Value.Dimensions()) > 1:
		return ua.StatusBadTypeMismatch
	case max(dv.Value.Len(), 0) != t.Length, dv.Value.IsArray() != (t.Length > 0):
		return ua.StatusBadTypeMismatch
	}
	return ua.StatusOK
}
