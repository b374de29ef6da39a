package simulated

import (
	"math"
	"sync"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Device is a device with what its tags do.
type Device struct {
	drivers.Device
	Signals []Signal      // one for each tag
	Status  ua.StatusCode // of every value
}

// Model is what a device has at any time. It may be used from several goroutines.
type Model struct {
	device *Device
	start  time.Time

	mu      sync.Mutex
	written map[int]uabinary.Variant // by tag
}

// NewModel starts the signals of a device.
func NewModel(d *Device) *Model {
	return &Model{device: d, start: time.Now(), written: map[int]uabinary.Variant{}}
}

// Now is the time since the signals started.
func (m *Model) Now() time.Duration { return time.Since(m.start) }

// Write gives a tag a value, which it keeps.
func (m *Model) Write(tag int, v uabinary.Variant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written[tag] = v
}

// Value is what a tag has at a time: what was written last, or what its signal says.
func (m *Model) Value(tag int, at time.Duration) uabinary.Variant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value(tag, at, 0)
}

// value follows echoes, but not for ever: they may go round in a circle.
func (m *Model) value(tag int, at time.Duration, depth int) uabinary.Variant {
	if v, ok := m.written[tag]; ok {
		return v
	}
	t, s := &m.device.Tags[tag], &m.device.Signals[tag]
	if s.Wave == Echo && depth < len(m.device.Tags) {
		return convert(m.value(s.Of, at, depth+1), t)
	}
	return s.variant(t, m.start, at)
}

// variant makes a value of the type of the tag.
func (s *Signal) variant(t *drivers.Tag, start time.Time, at time.Duration) uabinary.Variant {
	switch t.Type {
	case uabinary.TypeString:
		return uabinary.StringVariant(s.word(at))
	case uabinary.TypeByteString:
		return uabinary.ByteStringVariant([]byte(s.word(at)))
	case uabinary.TypeDateTime:
		now := uabinary.DateTimeOf(start.Add(at))
		return shape(t, func(int) uabinary.Variant { return uabinary.DateTimeVariant(now) })
	}
	seed := seedOf(t.Name)
	return shape(t, func(i int) uabinary.Variant {
		return fromNumber(t.Type, s.number(at, float64(i)/float64(max(1, t.Length)), seed))
	})
}

// convert makes the value of one tag that of another one.
func convert(v uabinary.Variant, t *drivers.Tag) uabinary.Variant {
	if !isNumber(t.Type) || v.Type() == t.Type {
		return v
	}
	return shape(t, func(i int) uabinary.Variant {
		n, _ := v.Number()
		if v.IsArray() {
			n, _ = v.NumberAt(i)
		}
		if on, ok := v.Bool(); ok && on {
			n = 1
		}
		return fromNumber(t.Type, n)
	})
}

func isNumber(t uabinary.TypeID) bool {
	return t >= uabinary.TypeBoolean && t <= uabinary.TypeDouble
}

// fromNumber rounds a number to a type; what does not fit becomes the nearest that does.
func fromNumber(t uabinary.TypeID, n float64) uabinary.Variant {
	whole := math.Round(n)
	signed := func(bits int) int64 {
		limit := math.Exp2(float64(bits - 1))
		return int64(min(max(whole, -limit), limit-1))
	}
	unsigned := func(bits int) uint64 { return uint64(min(max(whole, 0), math.Exp2(float64(bits))-1)) }
	switch t {
	case uabinary.TypeBoolean:
		return uabinary.BoolVariant(n > 0.5 && (n <= 1 || int64(whole)%2 == 1))
	case uabinary.TypeSByte:
		return uabinary.Int8Variant(int8(signed(8)))
	case uabinary.TypeByte:
		return uabinary.Uint8Variant(uint8(unsigned(8)))
	case uabinary.TypeInt16:
		return uabinary.Int16Variant(int16(signed(16)))
	case uabinary.TypeUint16:
		return uabinary.Uint16Variant(uint16(unsigned(16)))
	case uabinary.TypeInt32:
		return uabinary.Int32Variant(int32(signed(32)))
	case uabinary.TypeUint32:
		return uabinary.Uint32Variant(uint32(unsigned(32)))
	case uabinary.TypeInt64:
		return uabinary.Int64Variant(int64(min(max(whole, -math.Exp2(63)), math.Exp2(63)-1024)))
	case uabinary.TypeUint64:
		return uabinary.Uint64Variant(uint64(min(max(whole, 0), math.Exp2(64)-2048)))
	case uabinary.TypeFloat:
		return uabinary.FloatVariant(float32(n))
	}
	return uabinary.DoubleVariant(n)
}

// shape makes a scalar or an array of single values.
func shape(t *drivers.Tag, at func(i int) uabinary.Variant) uabinary.Variant {
	if t.Length == 0 {
		return at(0)
	}
	switch t.Type {
	case uabinary.TypeBoolean:
		return collect[bool](t.Length, at)
	case uabinary.TypeInt16:
		return collect[int16](t.Length, at)
	case uabinary.TypeUint16:
		return collect[uint16](t.Length, at)
	case uabinary.TypeInt32:
		return collect[int32](t.Length, at)
	case uabinary.TypeUint32:
		return collect[uint32](t.Length, at)
	case uabinary.TypeInt64:
		return collect[int64](t.Length, at)
	case uabinary.TypeUint64:
		return collect[uint64](t.Length, at)
	case uabinary.TypeFloat:
		return collect[float32](t.Length, at)
	case uabinary.TypeDateTime:
		return collect[uabinary.DateTime](t.Length, at)
	}
	return collect[float64](t.Length, at)
}

func collect[T any](n int, at func(i int) uabinary.Variant) uabinary.Variant {
	values := make([]T, n)
	for i := range values {
		values[i], _ = at(i).Any().(T)
	}
	return uabinary.VariantOf(values)
}
