package modbus

import (
	"math"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// encode makes of a value what goes over the wire: registers, or packed bits for coils. Of a register that the tag
// shares with others only the bits of its mask count. The value has passed drivers.Tag.CheckWrite. The status is Good,
// GoodClamped, or says why the value does not fit; then nothing must be sent.
func (t *Tag) encode(v uabinary.Variant) ([]byte, ua.StatusCode) {
	return t.encodeScaled(v, t.Conversion.Linear)
}

// encodeScaled does so with a scale that is not known from the configuration.
func (t *Tag) encodeScaled(v uabinary.Variant, scale drivers.Linear) ([]byte, ua.StatusCode) {
	switch {
	case t.Raw == String:
		text, _ := v.Text()
		return t.encodeText(text)
	case t.Raw == Bytes:
		b, _ := v.Any().([]byte)
		if len(b) != 2*t.Registers {
			return nil, ua.StatusBadOutOfRange
		}
		return b, ua.StatusOK
	case t.Address.Area.bits():
		return packBits(elements(v)), ua.StatusOK
	}
	wire, status := make([]byte, 2*t.span()), ua.StatusOK
	for i, e := range elements(v) {
		raw, s := t.encodeOne(e, scale)
		if s != ua.StatusOK && s != ua.StatusGoodClamped {
			return nil, s
		}
		status |= s // either is OK or GoodClamped
		t.store(wire, i, raw)
	}
	return wire, status
}

func packBits(values []uabinary.Variant) []byte {
	packed := make([]byte, (len(values)+7)/8)
	for i, e := range values {
		if on, _ := e.Bool(); on {
			packed[i/8] |= 1 << (i % 8)
		}
	}
	return packed
}

// encodeText fills up with NUL.
func (t *Tag) encodeText(text string) ([]byte, ua.StatusCode) {
	wire := make([]byte, 2*t.Registers)
	b, ok := t.Encoding.encode(text)
	if !ok || !t.Text.put(wire, b) {
		return nil, ua.StatusBadOutOfRange
	}
	return wire, ua.StatusOK
}

// encodeOne makes the bits of one value as they stand in registers.
func (t *Tag) encodeOne(v uabinary.Variant, scale drivers.Linear) (uint64, ua.StatusCode) {
	var bits uint64
	ok, status := true, ua.StatusOK
	switch {
	case t.Raw == Bool:
		if on, _ := v.Bool(); on {
			bits = 1
		}
	case t.Type == uabinary.TypeDateTime:
		at, _ := v.Any().(uabinary.DateTime)
		bits, ok = t.Raw.fromTime(at)
	case !t.Raw.number():
		bits = rawBits(v)
	default:
		bits, status = t.encodeNumber(v, scale)
	}
	if status != ua.StatusOK && status != ua.StatusGoodClamped {
		return 0, status
	}
	if ok {
		bits, ok = t.Raw.pack(bits)
	}
	if !ok {
		return 0, ua.StatusBadOutOfRange
	}
	return bits, status
}

// encodeNumber checks the ranges and undoes the scaling. An unscaled integer never passes through a float64, which
// would lose the last digits of 64 bits.
func (t *Tag) encodeNumber(v uabinary.Variant, scale drivers.Linear) (uint64, ua.StatusCode) {
	n, _ := v.Number()
	n, status := t.admit(n)
	if status != ua.StatusOK && status != ua.StatusGoodClamped {
		return 0, status
	}
	carrier := t.Raw.row().carrier
	if !scale.Active() && status == ua.StatusOK {
		bits := rawBits(v)
		if len(t.Enum) > 0 && !t.Conversion.Lists(carrier.integer(bits)) {
			return 0, ua.StatusBadOutOfRange
		}
		return bits, status
	}
	if scale.Active() {
		n = scale.Raw(n)
	}
	bits, ok := carrier.bits(n)
	if !ok {
		return 0, ua.StatusBadOutOfRange
	}
	return bits, status
}

// admit checks an engineering value against what may be written.
func (t *Tag) admit(n float64) (float64, ua.StatusCode) {
	if math.IsNaN(n) || math.IsInf(n, 0) || outside(n, t.Write) {
		return n, ua.StatusBadOutOfRange
	}
	if !outside(n, t.Range) {
		return n, ua.StatusOK
	}
	if !t.Conversion.Clamp {
		return n, ua.StatusBadOutOfRange
	}
	return min(max(n, t.Range.Low), t.Range.High), ua.StatusGoodClamped
}

func outside(n float64, r drivers.Range) bool { return r.Valid() && (n < r.Low || n > r.High) }

// rawBits gives the bits of a number as they stand in registers.
func rawBits(v uabinary.Variant) uint64 {
	switch n := v.Any().(type) {
	case int8:
		return uint64(uint8(n))
	case uint8:
		return uint64(n)
	case int16:
		return uint64(n)
	case uint16:
		return uint64(n)
	case int32:
		return uint64(n)
	case uint32:
		return uint64(n)
	case int64:
		return uint64(n)
	case uint64:
		return n
	case float32:
		return uint64(math.Float32bits(n))
	case float64:
		return math.Float64bits(n)
	}
	return 0
}

// elements takes an array apart; a scalar is an array of one.
func elements(v uabinary.Variant) []uabinary.Variant {
	if !v.IsArray() {
		return []uabinary.Variant{v}
	}
	switch a := v.Any().(type) {
	case []bool:
		return each(a, uabinary.BoolVariant)
	case []int16:
		return each(a, uabinary.Int16Variant)
	case []uint16:
		return each(a, uabinary.Uint16Variant)
	case []int32:
		return each(a, uabinary.Int32Variant)
	case []uint32:
		return each(a, uabinary.Uint32Variant)
	case []int64:
		return each(a, uabinary.Int64Variant)
	case []uint64:
		return each(a, uabinary.Uint64Variant)
	case []float32:
		return each(a, uabinary.FloatVariant)
	case []float64:
		return each(a, uabinary.DoubleVariant)
	case []uabinary.DateTime:
		return each(a, uabinary.DateTimeVariant)
	}
	return nil
}

func each[T any](values []T, variant func(T) uabinary.Variant) []uabinary.Variant {
	all := make([]uabinary.Variant, len(values))
	for i, v := range values {
		all[i] = variant(v)
	}
	return all
}
