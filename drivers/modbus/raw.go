package modbus

import (
	"context"
	"errors"

	"github.com/edgeua/edgeua/drivers"
	"github.com/goburrow/modbus"
)

// errBroadcast says that a request went to all units, and that there will be no answer.
var errBroadcast = errors.New("a broadcast has no answer")

// transport binds requests to one unit of one device.
func (d *driver) transport(ctx context.Context, u *unit, dev *device) sendFunc {
	return func(request []byte) ([]byte, error) {
		d.bus.unit = &u.tally
		if dev.broadcast {
			if err := d.bus.broadcast(ctx, request); err != nil {
				return nil, err
			}
			return nil, errBroadcast
		}
		return d.bus.roundTrip(ctx, request, dev.Timeout)
	}
}

// raw sends a PDU for which the library has no method, or none that works, and returns that of the reply.
func (d *driver) raw(ctx context.Context, u *unit, dev *device, pdu []byte) ([]byte, error) {
	request, err := u.packager.Encode(&modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]})
	if err != nil {
		return nil, err
	}
	frame, err := d.transport(ctx, u, dev)(request)
	if err != nil {
		return nil, err
	}
	answer, err := u.packager.Decode(frame)
	switch {
	case err != nil:
		return nil, &drivers.Error{Fault: drivers.BadReply, Err: err}
	case answer.FunctionCode != pdu[0]:
		return nil, &modbus.ModbusError{FunctionCode: answer.FunctionCode, ExceptionCode: answer.Data[0]}
	}
	return append([]byte{answer.FunctionCode}, answer.Data...), nil
}

// identify asks a device who it is, once after it began to answer. A device that does not know the function, or says
// nothing to it, is not asked again and none the worse for it.
func (d *driver) identify(ctx context.Context) bool {
	if d.bus.link == nil {
		return false
	}
	for _, u := range d.units {
		if u.identify == nil || u.health.State() != drivers.HealthOnline {
			continue
		}
		dev := u.identify
		u.identify = nil
		id, err := d.askIdentity(ctx, u, dev)
		d.bus.settle()
		if err != nil {
			d.log.Debug("unit does not say who it is", "unit", u.id, "err", err)
			return true
		}
		d.identified(u, id)
		return true
	}
	return false
}

// identified keeps what a unit says about itself. Another device at the same address has nothing to do with what was
// learned about the one before.
func (d *driver) identified(u *unit, id *identity) {
	before := u.identity.Swap(id)
	u.known = true
	if before == nil {
		d.log.Info("unit identified", "unit", u.id, "device", id.String())
		return
	}
	if *before != *id {
		d.log.Warn("another device answers", "unit", u.id, "before", before.String(), "now", id.String())
		d.forget(u)
	}
}

// askIdentity reads the regular objects, or the basic ones where there are no more.
func (d *driver) askIdentity(ctx context.Context, u *unit, dev *device) (*identity, error) {
	id, err := d.askObjects(ctx, u, dev, identityRegular)
	if f := faultOf(err); err != nil && (f == drivers.IllegalValue || f == drivers.IllegalAddress) {
		id, err = d.askObjects(ctx, u, dev, identityBasic)
	}
	return id, err
}

func (d *driver) askObjects(ctx context.Context, u *unit, dev *device, code byte) (*identity, error) {
	id, object := &identity{}, byte(0)
	for range identityParts {
		reply, err := d.raw(ctx, u, dev, identityRequest(code, object))
		if err != nil {
			return nil, err
		}
		next := id.take(reply)
		if next <= object {
			break
		}
		object = next
	}
	return id, nil
}

// plate is what a unit says about itself, in the words of all drivers.
func (u *unit) plate() drivers.Identity {
	id := u.identity.Load()
	if id == nil {
		return drivers.Identity{}
	}
	model := id[modelName]
	if model == "" {
		model = id[productName]
	}
	return drivers.Identity{
		Manufacturer: id[vendorName], Model: model, ProductCode: id[productCode],
		SoftwareRevision: id[revision], ManufacturerURI: id[vendorURL],
	}
}
