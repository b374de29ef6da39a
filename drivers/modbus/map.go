package modbus

import (
	"math"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Map is what a channel expects to find on the wire, for tools that stand in for the devices.
type Map struct {
	Framing   string         // TCP, RTU or ASCII
	Network   string         // tcp or udp; empty: a serial line
	Addresses []string       // host:port, of a network
	Line      *serial.Config // nil: a network
	Slaves    []Slave
}

// Slave is one device of a Map.
type Slave struct {
	Name      string
	Unit      byte
	Broadcast bool // it stands for all units and cannot be read
	Tags      []Tag
}

// MapOf returns the map of a channel; false if it is none of Modbus.
func MapOf(c drivers.Channel) (Map, bool) {
	own, ok := c.(*channel)
	if !ok {
		return Map{}, false
	}
	m := Map{Framing: own.framing.String(), Line: own.line}
	if own.socket != nil {
		m.Network, m.Addresses = own.socket.Network, own.socket.Addresses
	}
	for i := range own.devices {
		d := &own.devices[i]
		m.Slaves = append(m.Slaves, Slave{d.name, d.unit, d.broadcast, d.tags})
	}
	return m, true
}

// ReadFunction is the function code that reads an area (Application Protocol, 6.1 to 6.4).
func (a Area) ReadFunction() byte { return byte(a) }

// Span is how many registers, or bits in the areas of bits, the tag covers.
func (t *Tag) Span() int { return t.span() }

// Mask is which bits of its one register a tag has, as they stand on the wire; all of them if it shares it with nobody.
func (t *Tag) Mask() uint16 {
	if m := t.mask(); m != 0 {
		return m
	}
	return 0xFFFF
}

// Encode makes of a value what goes over the wire: registers, or bits packed as in function 15. The scale is that of
// the tag, or a power of ten where another tag holds it. The status is Good, GoodClamped, or says why the value does not
// fit.
func (t *Tag) Encode(v uabinary.Variant, power int) ([]byte, ua.StatusCode) {
	return t.encodeScaled(v, t.scaleWith(power))
}

// Decode reads the value from what stands on the wire for the tag, and nothing else.
func (t *Tag) Decode(wire []byte, power int) uabinary.DataValue {
	dv := uabinary.DataValue{Status: ua.StatusOK}
	if len(wire) < t.bytes() {
		undecodable(&dv)
		return dv
	}
	t.decodeScaled(wire, t.first(), t.scaleWith(power), &dv)
	return dv
}

func (t *Tag) scaleWith(power int) drivers.Linear {
	if t.Factor < 0 {
		return t.Conversion.Linear
	}
	return drivers.Linear{Scale: math.Pow10(power)}
}

// bytes is how many bytes the tag has on the wire.
func (t *Tag) bytes() int {
	if t.Address.Area.bits() {
		return (t.span() + 7) / 8
	}
	return 2 * t.span()
}
