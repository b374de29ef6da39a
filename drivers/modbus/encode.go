package modbus

import (
	"math"
	"strings"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// encode makes of a value what goes over the wire: registers, or packed bits for coils, or one byte 0 or 1 for a bit of
// a register. The value has passed drivers.Tag.CheckWrite. The status is Good, GoodClamped, or says why the value does
// not fit; then nothing must be sent.
func (t *Tag) encode(v uabinary.Variant) ([]byte, ua.StatusCode) {
	if t.Raw == String {
		text, _ := v.Text()
		return t.encodeText(text)
	}
	values := elements(v)
	if t.Raw == Bool {
		return packBits(values), ua.StatusOK
	}
	wire, status := make([]byte, 2*t.span()), ua.StatusOK
	for i, e := range values {
		raw, s := t.encodeNumber(e)
		if s != ua.StatusOK && s != ua.StatusGoodClamped {
			return nil, s
		}
		status |= s // either is OK or GoodClamped
		t.Order.store(wire[2*i*t.Registers:], t.Registers, raw)
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

// encodeText fills up with NUL. A text that is too long or has a NUL inside would come back as another one.
func (t *Tag) encodeText(text string) ([]byte, ua.StatusCode) {
	wire := make([]byte, 2*t.Registers)
	if len(text) > len(wire) || strings.ContainsRune(text, 0) {
		return nil, ua.StatusBadOutOfRange
	}
	copy(wire, text)
	if t.SwapText {
		swapBytes(wire)
	}
	return wire, ua.StatusOK
}

// encodeNumber checks the ranges and undoes the scaling. An unscaled integer never passes through a float64, which
// would lose the last digits of 64 bits.
func (t *Tag) encodeNumber(v uabinary.Variant) (uint64, ua.StatusCode) {
	n, _ := v.Number()
	n, status := t.admit(n)
	if status != ua.StatusOK && status != ua.StatusGoodClamped {
		return 0, status
	}
	if !t.Conversion.Linear.Active() && status == ua.StatusOK {
		return rawBits(v), status
	}
	if t.Conversion.Linear.Active() {
		n = t.Conversion.Linear.Raw(n)
	}
	raw, ok := t.Raw.raw(n)
	if !ok {
		return 0, ua.StatusBadOutOfRange
	}
	return raw, status
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
