package modbus

import (
	"encoding/binary"
	"slices"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// decode reads the tag from the data of a reply whose first register or bit has the offset start, and sets value and
// status of dv. The caller has checked that the tag lies inside.
func (t *Tag) decode(data []byte, start int, dv *uabinary.DataValue) {
	t.decodeScaled(data, start, t.Conversion.Linear, dv)
}

// decodeScaled does so with a scale that is not known from the configuration.
func (t *Tag) decodeScaled(data []byte, start int, scale drivers.Linear, dv *uabinary.DataValue) {
	at := t.first() - start
	if t.Address.Area.bits() {
		dv.Value = t.bits(data, at)
		return
	}
	wire := data[2*at:]
	switch {
	case t.Raw == Bool:
		dv.Value = uabinary.BoolVariant(t.load(wire, 0) != 0)
	case t.Raw.sized():
		t.text(wire[:2*t.Registers], dv)
	case t.Address.Length == 0:
		t.number(t.load(wire, 0), scale, dv)
	default:
		t.array(wire, scale, dv)
	}
}

// undecodable shows a null value, which goes with a Bad status.
func undecodable(dv *uabinary.DataValue) { dv.Status = drivers.Undecodable.Status() }

func (t *Tag) number(raw uint64, scale drivers.Linear, dv *uabinary.DataValue) {
	c := &t.Conversion
	if slices.Contains(c.NotAvailable, raw) {
		if dv.Status = c.NotAvailableStatus; bad(dv.Status) { // Part 8 (1.05), 7.3.2: Bad goes with a null value
			return
		}
	}
	bits, ok := t.Raw.unpack(raw)
	carrier := t.Raw.row().carrier
	if !ok || c.EnumStrict && !c.Lists(carrier.integer(bits)) {
		undecodable(dv)
		return
	}
	if !t.Raw.number() {
		dv.Value = carrier.variant(bits)
		return
	}
	n := carrier.float(bits)
	if scale.Active() {
		n = scale.EU(n)
	}
	if dv.Status == ua.StatusOK { // else it tells of the raw value
		dv.Status = c.Quality(n)
	}
	if bad(dv.Status) {
		return
	}
	switch {
	case !scale.Active():
		dv.Value = carrier.variant(bits)
	case t.Type == uabinary.TypeFloat:
		dv.Value = uabinary.FloatVariant(float32(n))
	default:
		dv.Value = uabinary.DoubleVariant(n)
	}
}

func bad(s ua.StatusCode) bool { return s>>31 != 0 }

func bitAt(data []byte, i int) bool { return data[i/8]>>(i%8)&1 != 0 }

// bits reads coils or discrete inputs: the first is the least significant bit of the first byte.
func (t *Tag) bits(data []byte, at int) uabinary.Variant {
	if t.Address.Length == 0 {
		return uabinary.BoolVariant(bitAt(data, at))
	}
	return collect(t.Address.Length, func(i int) bool { return bitAt(data, at+i) })
}

func (t *Tag) text(wire []byte, dv *uabinary.DataValue) {
	if t.Raw == Bytes {
		dv.Value = uabinary.ByteStringVariant(slices.Clone(wire))
		return
	}
	s, ok := t.Encoding.decode(t.Text.bytesOf(wire))
	if !ok {
		undecodable(dv)
		return
	}
	dv.Value = uabinary.StringVariant(s)
}

func (t *Tag) array(wire []byte, scale drivers.Linear, dv *uabinary.DataValue) {
	if t.plainWords() && !scale.Active() {
		dv.Value = t.words(wire)
		return
	}
	values := make([]uint64, t.Address.Length)
	for i := range values {
		var ok bool
		if values[i], ok = t.Raw.unpack(t.load(wire, i)); !ok {
			undecodable(dv)
			return
		}
	}
	dv.Value = t.arrayOf(values, scale)
}

// plainWords tells whether values are whole registers as they stand, which need no more than copying.
func (t *Tag) plainWords() bool {
	return (t.Raw == UInt16 || t.Raw == Int16) && t.Address.Half == 0 && !t.Order.swapsBytes()
}

func (t *Tag) words(wire []byte) uabinary.Variant {
	if t.Raw == Int16 {
		return collect(t.Address.Length, func(i int) int16 { return int16(binary.BigEndian.Uint16(wire[2*i:])) })
	}
	return collect(t.Address.Length, func(i int) uint16 { return binary.BigEndian.Uint16(wire[2*i:]) })
}

func (t *Tag) arrayOf(values []uint64, scale drivers.Linear) uabinary.Variant {
	n, c := len(values), t.Raw.row().carrier
	if scale.Active() {
		if t.Type == uabinary.TypeFloat {
			return collect(n, func(i int) float32 { return float32(scale.EU(c.float(values[i]))) })
		}
		return collect(n, func(i int) float64 { return scale.EU(c.float(values[i])) })
	}
	switch c {
	case Int16:
		return collect(n, func(i int) int16 { return int16(values[i]) })
	case UInt16:
		return collect(n, func(i int) uint16 { return uint16(values[i]) })
	case Int32:
		return collect(n, func(i int) int32 { return int32(values[i]) })
	case UInt32:
		return collect(n, func(i int) uint32 { return uint32(values[i]) })
	case Int64:
		return collect(n, func(i int) int64 { return int64(values[i]) })
	case UInt64:
		return uabinary.VariantOf(values)
	case Float32:
		return collect(n, func(i int) float32 { return float32(c.float(values[i])) })
	case UnixTime32, UnixTime64ms:
		return collect(n, func(i int) uabinary.DateTime { return c.time(values[i]) })
	default:
		return collect(n, func(i int) float64 { return c.float(values[i]) })
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
