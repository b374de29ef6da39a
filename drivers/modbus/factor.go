package modbus

import (
	"math"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Some devices give the scale of a value in another register, as a power of ten (SunSpec calls it sunssf).

// powerKnown marks a power that has been read; maxPower is the largest that makes sense.
const (
	powerKnown = 1 << 16
	maxPower   = 30
)

// notePower keeps the value of a tag in case that it is a factor.
func (p *point) notePower(dv *uabinary.DataValue) {
	n, ok := dv.Value.Number()
	if !ok || dv.Status != ua.StatusOK || math.Abs(n) > maxPower {
		p.power.Store(0)
		return
	}
	p.power.Store(int32(n) + powerKnown)
}

// scale is that of the configuration, or what the factor says; ok is false if that is not known.
func (p *point) scale() (scale drivers.Linear, ok bool) {
	if p.factor == nil {
		return p.tag.Conversion.Linear, true
	}
	power := p.factor.power.Load()
	if power == 0 {
		return drivers.Linear{}, false
	}
	return drivers.Linear{Scale: math.Pow10(int(power - powerKnown))}, true
}

// decode reads a value whose scale is a factor. Without the factor there is no value.
func (p *point) decode(data []byte, start int, dv *uabinary.DataValue) {
	scale, ok := p.scale()
	if !ok {
		dv.Status = drivers.Waiting.Status()
		return
	}
	p.tag.decodeScaled(data, start, scale, dv)
}
