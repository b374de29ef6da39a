package modbus

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// decode reads the tag from the data of a reply whose first register or bit has the offset start, and sets value and
// status of dv. The caller has checked that the tag lies inside.
func (t *Tag) decode(data []byte, start int, dv *uabinary.DataValue) {
	at := t.first() - start
	switch {
	case t.Address.Area.bits():
		dv.Value = t.bits(data, at)
	case t.Raw == Bool:
		dv.Value = uabinary.BoolVariant(t.Order.load(data[2*at:], 1)>>t.Address.Bit&1 != 0)
	case t.Raw == String:
		t.text(data[2*at:2*(at+t.Registers)], dv)
	case t.Address.Length == 0:
		t.number(data[2*at:], dv)
	default:
		dv.Value = t.array(data[2*at:])
	}
}

func (t *Tag) number(wire []byte, dv *uabinary.DataValue) {
	raw := t.Order.load(wire, t.Registers)
	if slices.Contains(t.Conversion.NotAvailable, raw) {
		dv.Status = t.Conversion.NotAvailableStatus
		if dv.Status>>30 > 1 { // Part 8 (1.05), 7.3.2: Bad goes with a null value
			return
		}
	}
	switch {
	case !t.Conversion.Linear.Active():
		dv.Value = t.Raw.variant(raw)
	case t.Type == uabinary.TypeFloat:
		dv.Value = uabinary.FloatVariant(float32(t.engineering(raw)))
	default:
		dv.Value = uabinary.DoubleVariant(t.engineering(raw))
	}
}

func (t *Tag) engineering(raw uint64) float64 { return t.Conversion.Linear.EU(t.Raw.number(raw)) }

func bitAt(data []byte, i int) bool { return data[i/8]>>(i%8)&1 != 0 }

// bits reads coils or discrete inputs: the first is the least significant bit of the first byte.
func (t *Tag) bits(data []byte, at int) uabinary.Variant {
	if t.Address.Length == 0 {
		return uabinary.BoolVariant(bitAt(data, at))
	}
	return collect(t.Address.Length, func(i int) bool { return bitAt(data, at+i) })
}

// text ends at the first NUL, without blanks around it.
func (t *Tag) text(wire []byte, dv *uabinary.DataValue) {
	s := slices.Clone(wire)
	if t.SwapText {
		swapBytes(s)
	}
	if end := bytes.IndexByte(s, 0); end >= 0 {
		s = s[:end]
	}
	if s = bytes.TrimSpace(s); !utf8.Valid(s) {
		dv.Status = ua.StatusBadConfigurationError
		return
	}
	dv.Value = uabinary.StringVariant(string(s))
}

func swapBytes(b []byte) {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
}

func (t *Tag) array(wire []byte) uabinary.Variant {
	n := t.Address.Length
	raw := func(i int) uint64 { return t.Order.load(wire[2*i*t.Registers:], t.Registers) }
	if t.Conversion.Linear.Active() {
		if t.Type == uabinary.TypeFloat {
			return collect(n, func(i int) float32 { return float32(t.engineering(raw(i))) })
		}
		return collect(n, func(i int) float64 { return t.engineering(raw(i)) })
	}
	switch t.Raw {
	case Int16:
		return collect(n, func(i int) int16 { return int16(raw(i)) })
	case UInt16:
		return collect(n, func(i int) uint16 { return uint16(raw(i)) })
	case Int32:
		return collect(n, func(i int) int32 { return int32(raw(i)) })
	case UInt32:
		return collect(n, func(i int) uint32 { return uint32(raw(i)) })
	case Int64:
		return collect(n, func(i int) int64 { return int64(raw(i)) })
	case UInt64:
		return collect(n, raw)
	case Float32:
		return collect(n, func(i int) float32 { return float32(t.Raw.number(raw(i))) })
	default:
		return collect(n, func(i int) float64 { return t.Raw.number(raw(i)) })
	}
}

// collect makes an array of n values.
func collect[T any](n int, at func(i int) T) uabinary.Variant {
	values := make([]T, n)
	for i := range values {
		values[i] = at(i)
	}
	return uabinary.VariantOf(values)
}
