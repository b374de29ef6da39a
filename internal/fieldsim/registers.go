package fieldsim

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// area translates between the two packages, which know nothing of each other.
func area(a modbus.Area) modbussim.Area { return modbussim.Area(a.ReadFunction()) }

// slave is one device with its registers.
type slave struct {
	modbus.Slave
	model *simulated.Model
	start time.Duration // of the map when the model began
}

// fill gives a map the registers of devices. The two lists have the same order.
func fill(m *modbussim.Map, slaves []modbus.Slave, devices []simulated.Device) {
	var all []*slave
	for i := range slaves {
		if slaves[i].Broadcast {
			continue
		}
		s := &slave{Slave: slaves[i], model: simulated.NewModel(&devices[i]), start: m.Elapsed()}
		all = append(all, s)
		for j := range s.Tags {
			s.define(m, j)
		}
	}
	protect(m, all)
	m.Written = func(unit byte, at modbussim.Area, offset uint16, values []uint16) {
		for _, s := range all {
			if s.Unit == unit {
				s.written(at, offset, values)
			}
		}
	}
}

// define makes the registers of a tag follow its signal.
func (s *slave) define(m *modbussim.Map, tag int) {
	t := &s.Tags[tag]
	m.Generate(s.Unit, area(t.Address.Area), t.Address.Offset, t.Span(), func(elapsed time.Duration, to []uint16) {
		s.put(tag, elapsed-s.start, to)
	})
}

// put sets the registers of a tag, or its bits of one.
func (s *slave) put(tag int, at time.Duration, to []uint16) {
	t := &s.Tags[tag]
	wire, status := t.Encode(fit(t, s.model.Value(tag, at)), s.power(t, at))
	if status != ua.StatusOK && status != ua.StatusGoodClamped {
		return // the signal leaves what the type can say; the last value stays
	}
	if t.Address.Area == modbus.Coils || t.Address.Area == modbus.DiscreteInputs {
		for i := range to {
			to[i] = uint16(wire[i/8]>>(i%8)) & 1
		}
		return
	}
	mask := t.Mask()
	for i := range to {
		to[i] = to[i]&^mask | binary.BigEndian.Uint16(wire[2*i:])&mask
	}
}

// power is the power of ten that another tag holds for this one.
func (s *slave) power(t *modbus.Tag, at time.Duration) int {
	if t.Factor < 0 {
		return 0
	}
	n, _ := s.model.Value(t.Factor, at).Number()
	return int(math.Round(min(max(n, -10), 10)))
}

// fit makes texts and bytes as long as the registers of the tag, and keeps numbers within what may be written.
func fit(t *modbus.Tag, v uabinary.Variant) uabinary.Variant {
	switch t.Raw {
	case modbus.String:
		text, _ := v.Text()
		for t.Raw == modbus.String && text != "" {
			if _, status := t.Encode(uabinary.StringVariant(text), 0); status == ua.StatusOK {
				break
			}
			text = text[:len(text)-1]
		}
		return uabinary.StringVariant(text)
	case modbus.Bytes:
		b, _ := v.Any().([]byte)
		room := make([]byte, 2*t.Span())
		copy(room, b)
		return uabinary.ByteStringVariant(room)
	}
	return v
}

// written tells the model what a master has written, for the tags that echo it.
func (s *slave) written(at modbussim.Area, offset uint16, values []uint16) {
	for i := range s.Tags {
		t := &s.Tags[i]
		first, end := int(t.Address.Offset), int(t.Address.Offset)+t.Span()
		if area(t.Address.Area) != at || first < int(offset) || end > int(offset)+len(values) {
			continue
		}
		mine := values[first-int(offset) : end-int(offset)]
		if dv := t.Decode(pack(at, mine), s.power(t, s.model.Now())); !dv.Value.IsNull() {
			s.model.Write(i, dv.Value)
		}
	}
}

// pack makes of registers or bits what a reply holds.
func pack(at modbussim.Area, values []uint16) []byte {
	if at == modbussim.Coils || at == modbussim.DiscreteInputs {
		b := make([]byte, (len(values)+7)/8)
		for i, v := range values {
			b[i/8] |= byte(v&1) << (i % 8)
		}
		return b
	}
	b := make([]byte, 0, 2*len(values))
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// protect refuses writes to what no tag may write.
func protect(m *modbussim.Map, all []*slave) {
	type place struct {
		unit   byte
		area   modbus.Area
		offset uint16
	}
	writable := map[place]bool{}
	each := func(do func(p place, t *modbus.Tag)) {
		for _, s := range all {
			for i := range s.Tags {
				t := &s.Tags[i]
				for k := range t.Span() {
					do(place{s.Unit, t.Address.Area, t.Address.Offset + uint16(k)}, t)
				}
			}
		}
	}
	each(func(p place, t *modbus.Tag) {
		if t.Access&drivers.WriteOnly != 0 {
			writable[p] = true
		}
	})
	each(func(p place, _ *modbus.Tag) {
		if !writable[p] {
			m.Protect(p.unit, area(p.area), p.offset, 1)
		}
	})
}
