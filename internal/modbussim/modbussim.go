// Package modbussim is a Modbus slave in the process: a register map with signals that change by themselves, served over
// Modbus TCP, UDP, RTU or ASCII, for the demo and for tests. Tests can script faults request by request.
//
// It follows the MODBUS Application Protocol V1.1b3 for the functions 1 to 8, 11, 12, 15 to 17, 20 to 24 and 43/14 and
// shares no code with the driver, so that an error in one does not hide in the other. Left out: all other functions, and
// time on the wire.
package modbussim

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"
)

// Area is one of the four address spaces.
type Area uint8

// The areas, by the function that reads them.
const (
	Coils            Area = 1
	DiscreteInputs   Area = 2
	HoldingRegisters Area = 3
	InputRegisters   Area = 4
)

// Exception codes that the slave uses (Application Protocol, 7).
const (
	IllegalFunction = 1
	IllegalAddress  = 2
	IllegalValue    = 3
	GatewayTarget   = 11
)

// Signal gives the raw value of one or more registers, most significant first, by the time since the map was made.
type Signal func(elapsed time.Duration) uint64

// Map is what a slave, or several on one line, hold. Only what was set exists; the rest is answered with exception 2.
// All methods may be called at any time.
type Map struct {
	// Refuse, if set, returns the exception for a request, 0 for none. It must be set before serving.
	Refuse func(unit byte, pdu []byte) byte
	// Trace, if set, sees every request. It must be set before serving.
	Trace func(unit byte, pdu []byte)
	// Written, if set, is told of every register or bit that a request has changed, before it is answered. It must be set
	// before serving and must not use the Map.
	Written func(unit byte, area Area, offset uint16, values []uint16)
	// Identity are the objects of Read Device Identification, from vendor name on; nil: not supported. It must be set
	// before serving.
	Identity []string

	start time.Time
	mu    sync.Mutex
	units map[byte]*unit
	mute  map[byte]bool
	// script and previous belong to scripted faults.
	script   []Fault
	previous []byte
	requests int
}

type unit struct {
	areas   [5]store
	files   map[uint16][]uint16
	signals []signal
	written func(area Area, offset uint16, values []uint16)
}

type store struct {
	values    []uint16
	defined   []bool
	protected []bool // against requests
}

type signal struct {
	area      Area
	offset    uint16
	registers int
	generate  Generator
	yields    bool // to what is written
}

// Generator sets registers, or bits as 0 and 1, by the time since the map was made. It must not use the Map.
type Generator func(elapsed time.Duration, registers []uint16)

// NewMap returns a map without any unit.
func NewMap() *Map {
	return &Map{start: time.Now(), units: map[byte]*unit{}, mute: map[byte]bool{}}
}

// Set defines registers, or bits as 0 and 1, from offset on.
func (m *Map) Set(id byte, area Area, offset uint16, values ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unit(id).areas[area].set(int(offset), values)
}

// SetFile defines the records of a file, from 0 on.
func (m *Map) SetFile(id byte, file uint16, records ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unit(id)
	if u.files == nil {
		u.files = map[uint16][]uint16{}
	}
	u.files[file] = records
}

// Get returns a register, or a bit as 0 and 1.
func (m *Map) Get(id byte, area Area, offset uint16) uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.unit(id).areas[area]
	if !s.has(int(offset), 1) {
		return 0
	}
	return s.values[offset]
}

// Signal defines registers whose value changes by itself, whatever is written to them.
func (m *Map) Signal(id byte, area Area, offset uint16, registers int, value Signal) {
	m.add(id, signal{area: area, offset: offset, registers: registers, generate: func(elapsed time.Duration, to []uint16) {
		v := value(elapsed)
		for i := range to {
			to[i] = uint16(v >> (16 * (len(to) - 1 - i)))
		}
	}})
}

// Generate defines registers that a Generator sets, until a request writes to any of them: what is written stays. Where
// several set the same registers, each sees what those before it have set, so that they can share one.
func (m *Map) Generate(id byte, area Area, offset uint16, registers int, generate Generator) {
	m.add(id, signal{area, offset, registers, generate, true})
}

func (m *Map) add(id byte, s signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unit(id)
	u.signals = append(u.signals, s)
	u.areas[s.area].define(int(s.offset), s.registers)
}

// Protect makes requests that write to any of these registers fail, with exception 2. They must be defined.
func (m *Map) Protect(id byte, area Area, offset uint16, registers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.unit(id).areas[area]
	for i := range registers {
		s.protected[int(offset)+i] = true
	}
}

// Elapsed is the time since the map was made, as generators are given it.
func (m *Map) Elapsed() time.Duration { return time.Since(m.start) }

// Mute makes a unit silent, or lets it speak again.
func (m *Map) Mute(id byte, silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mute[id] = silent
}

// Requests is how many requests have been served or dropped so far.
func (m *Map) Requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func (m *Map) unit(id byte) *unit {
	u := m.units[id]
	if u == nil {
		u = &unit{}
		u.written = func(area Area, offset uint16, values []uint16) {
			if m.Written != nil {
				m.Written(id, area, offset, values)
			}
		}
		m.units[id] = u
	}
	return u
}

func (s *store) set(offset int, values []uint16) {
	s.define(offset, len(values))
	copy(s.values[offset:], values)
}

func (s *store) define(offset, count int) {
	if more := offset + count - len(s.values); more > 0 {
		s.values = append(s.values, make([]uint16, more)...)
		s.defined = append(s.defined, make([]bool, more)...)
		s.protected = append(s.protected, make([]bool, more)...)
	}
	for i := range count {
		s.defined[offset+i] = true
	}
}

func (s *store) has(offset, count int) bool {
	if offset+count > len(s.values) {
		return false
	}
	for _, d := range s.defined[offset : offset+count] {
		if !d {
			return false
		}
	}
	return true
}

func (u *unit) update(elapsed time.Duration) {
	for _, s := range u.signals {
		s.generate(elapsed, u.areas[s.area].values[s.offset:int(s.offset)+s.registers])
	}
}

// answer appends the reply PDU to dst. The caller holds mu.
func (m *Map) answer(dst []byte, id byte, pdu []byte) []byte {
	u := m.units[id]
	if u == nil && id == 0 { // a broadcast, for all
		for _, u := range m.units {
			_, _ = u.serve(nil, pdu)
		}
	}
	if u == nil {
		return append(dst, pdu[0]|0x80, GatewayTarget)
	}
	if m.Refuse != nil {
		if code := m.Refuse(id, pdu); code != 0 {
			return append(dst, pdu[0]|0x80, code)
		}
	}
	u.update(time.Since(m.start))
	head := len(dst)
	dst, code := m.serve(u, dst, pdu)
	if code != 0 {
		return append(dst[:head], pdu[0]|0x80, code)
	}
	return dst
}

func (u *unit) serve(dst, pdu []byte) ([]byte, byte) {
	if len(pdu) == 3 && pdu[0] == 24 {
		return u.fifo(dst, pdu)
	}
	if len(pdu) < 5 {
		return dst, IllegalFunction
	}
	offset, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	switch f := pdu[0]; f {
	case 1, 2:
		return u.readBits(dst, Area(f), offset, count)
	case 3, 4:
		return u.readRegisters(dst, Area(f), offset, count)
	case 5:
		return u.write(dst, pdu, Coils, offset, []uint16{uint16(count >> 15)})
	case 6:
		return u.write(dst, pdu, HoldingRegisters, offset, []uint16{uint16(count)})
	case 15, 16:
		return u.writeMany(dst, pdu, offset, count)
	case 22:
		return u.maskWrite(dst, pdu)
	case 23:
		return u.readWrite(dst, pdu)
	}
	return dst, IllegalFunction
}

func (u *unit) readBits(dst []byte, area Area, offset, count int) ([]byte, byte) {
	s := &u.areas[area]
	switch {
	case count < 1 || count > 2000:
		return dst, IllegalValue
	case !s.has(offset, count):
		return dst, IllegalAddress
	}
	dst = append(dst, byte(area), byte((count+7)/8))
	for i, v := range s.values[offset : offset+count] {
		if i%8 == 0 {
			dst = append(dst, 0)
		}
		dst[len(dst)-1] |= byte(v&1) << (i % 8)
	}
	return dst, 0
}

func (u *unit) readRegisters(dst []byte, area Area, offset, count int) ([]byte, byte) {
	s := &u.areas[area]
	switch {
	case count < 1 || count > 125:
		return dst, IllegalValue
	case !s.has(offset, count):
		return dst, IllegalAddress
	}
	dst = append(dst, byte(area), byte(2*count))
	for _, v := range s.values[offset : offset+count] {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst, 0
}

func (u *unit) write(dst, pdu []byte, area Area, offset int, values []uint16) ([]byte, byte) {
	s := &u.areas[area]
	if !s.has(offset, len(values)) || slices.Contains(s.protected[offset:offset+len(values)], true) {
		return dst, IllegalAddress
	}
	u.keep(area, offset, values)
	return append(dst, pdu[:5]...), 0
}

// keep stores what a request has written; generators leave it alone from now on.
func (u *unit) keep(area Area, offset int, values []uint16) {
	u.areas[area].set(offset, values)
	u.signals = slices.DeleteFunc(u.signals, func(s signal) bool {
		return s.yields && s.area == area && int(s.offset) < offset+len(values) && offset < int(s.offset)+s.registers
	})
	u.written(area, uint16(offset), values)
}

func (u *unit) writeMany(dst, pdu []byte, offset, count int) ([]byte, byte) {
	area, size := HoldingRegisters, 2*count
	if pdu[0] == 15 {
		area, size = Coils, (count+7)/8
	}
	if count < 1 || size > 246 || len(pdu) != 6+size || int(pdu[5]) != size {
		return dst, IllegalValue
	}
	values := make([]uint16, count)
	for i := range values {
		if area == Coils {
			values[i] = uint16(pdu[6+i/8]>>(i%8)) & 1
		} else {
			values[i] = binary.BigEndian.Uint16(pdu[6+2*i:])
		}
	}
	return u.write(dst, pdu, area, offset, values)
}

// Sine swings between low and high.
func Sine(period time.Duration, low, high float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		return low + (high-low)*(1+math.Sin(2*math.Pi*t.Seconds()/period.Seconds()))/2
	}
}

// Ramp rises from low to high and begins again.
func Ramp(period time.Duration, low, high float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		return low + (high-low)*math.Mod(t.Seconds()/period.Seconds(), 1)
	}
}

// Square is low for half of the period and high for the other.
func Square(period time.Duration, low, high float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		if math.Mod(t.Seconds()/period.Seconds(), 1) < 0.5 {
			return low
		}
		return high
	}
}

// Count goes up by one every step.
func Count(step time.Duration) func(time.Duration) float64 {
	return func(t time.Duration) float64 { return float64(t / step) }
}

// AsInt makes a whole number of a wave: one register for 16 bits, two for 32, four for 64.
func AsInt(wave func(time.Duration) float64) Signal {
	return func(t time.Duration) uint64 { return uint64(int64(math.Round(wave(t)))) }
}

// AsFloat32 makes a Float32 of a wave, over two registers.
func AsFloat32(wave func(time.Duration) float64) Signal {
	return func(t time.Duration) uint64 { return uint64(math.Float32bits(float32(wave(t)))) }
}
