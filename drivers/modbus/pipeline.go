package modbus

import (
	"context"

	"github.com/edgeua/edgeua/drivers"
	"github.com/goburrow/modbus"
)

const (
	// maxTrouble is how often reads may fail in company and then succeed alone, until the device is no longer asked for
	// several things at a time.
	maxTrouble = 2
	// smoothEnough is after how many reads in company trouble is forgotten.
	smoothEnough = 10000
)

// several tells whether the block may be asked for while other requests are under way: the device can do so as far as is
// known, the unit answers, and it did not fail the last time that it was tried this way.
func (d *driver) several(b *block) bool {
	return d.bus.window > 1 && d.bus.link != nil && d.trouble < maxTrouble && !b.alone && b.unit.health.State() < drivers.HealthSuspect
}

// stream serves what is due with several requests under way, until nothing is due or something else is to be done.
func (d *driver) stream(ctx context.Context) {
	defer d.bus.settle()
	for ctx.Err() == nil {
		d.events()
		d.sweep(d.now())
		if !d.launches() && len(d.bus.flights) == 0 {
			return
		}
		if d.bus.link == nil {
			d.crashed(d.bus.cause)
			return
		}
		if len(d.bus.flights) == 0 {
			continue
		}
		a, err := d.bus.land(ctx)
		if err != nil {
			d.crashed(err)
			return
		}
		d.landed(a)
		if d.bus.mismatches >= maxTrouble {
			d.bus.mismatches, d.trouble = 0, maxTrouble
			d.notSeveral("replies with ids that were not asked for")
		}
	}
	d.bus.flights = d.bus.flights[:0]
}

// launches sends what is due as far as there is room; false if nothing was to be sent or somebody else comes first.
func (d *driver) launches() (more bool) {
	for len(d.bus.flights) < d.bus.window && d.bus.link != nil {
		if d.held != nil || len(d.writes) > 0 || d.overdueProbe(d.now()) {
			return more
		}
		if b := d.firstAsked(); b != nil {
			if !d.several(b) {
				return more
			}
			if d.unqueue(); !b.flying { // else its reply is as new
				d.launch(b)
			}
			more = true
			continue
		}
		next := d.schedule.Next()
		if next == nil || next.Due() > d.now() || !d.several(next.Item) {
			return more
		}
		more = true
		if b := next.Item; !d.take(b, d.now()) && !b.flying {
			d.launch(b)
		}
	}
	return more
}

func (d *driver) launch(b *block) {
	pdu := b.request()
	adu, err := b.unit.packager.Encode(&modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]})
	if err == nil {
		err = d.bus.launch(adu, flight{block: b}, b.device.Timeout)
	}
	if err != nil {
		d.outcome(b, nil, err)
		return
	}
	b.flying = true
}

// request is the PDU that reads an extent; areas have the number of the function that reads them.
func (e *extent) request() [5]byte {
	return [5]byte{byte(e.area), byte(e.start >> 8), byte(e.start), byte(e.count >> 8), byte(e.count)}
}

// landed publishes what came of a flight. What failed for a reason that may lie in the company is tried once more alone.
func (d *driver) landed(a arrival) {
	b, data, err := a.flight.block, []byte(nil), a.err
	if b.flying = false; err == nil {
		data, err = payload(b.unit.packager, byte(b.area), a.frame)
	}
	switch f := faultOf(err); {
	case err == nil:
		if d.smooth++; d.smooth > smoothEnough && d.trouble < maxTrouble {
			d.trouble, d.smooth = 0, 0
		}
	case f == drivers.NoReply, f == drivers.BadReply, f == drivers.Busy:
		b.alone, d.incident = true, d.incident || f != drivers.Busy
		d.repeat(b)
		return
	}
	d.outcome(b, data, err)
}

// payload is the data of the reply to a read.
func payload(p modbus.Packager, function byte, frame []byte) ([]byte, error) {
	answer, err := p.Decode(frame)
	switch {
	case err != nil:
		return nil, &drivers.Error{Fault: drivers.BadReply, Err: err}
	case answer.FunctionCode != function:
		return nil, &modbus.ModbusError{FunctionCode: answer.FunctionCode, ExceptionCode: answer.Data[0]}
	}
	return answer.Data[1:], nil
}

// crashed ends all flights, because the link has ended.
func (d *driver) crashed(err error) {
	company := len(d.bus.flights) > 1
	d.incident = d.incident || company
	for _, f := range d.bus.flights {
		b := f.block
		b.flying, b.alone = false, company
		d.outcome(b, nil, &drivers.Error{Fault: drivers.LinkLost, Err: err})
	}
	d.bus.flights = d.bus.flights[:0]
}

// tried notes how a block fared alone that had failed in company.
func (d *driver) tried(b *block, well bool) {
	b.alone = false
	if !well || !d.incident {
		return
	}
	d.incident, d.smooth = false, 0
	if d.trouble++; d.trouble == maxTrouble {
		d.notSeveral("requests that fail in company and succeed alone")
	}
}

func (d *driver) notSeveral(why string) {
	d.log.Warn("the device does not bear several requests at a time; from now on it gets one", "where", d.channel.where(), "reason", why)
}
