package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua/ua"
)

// writer carries writes of one tag to the bus. It implements addressspace.Writer.
type writer struct {
	d *driver
	p *point
}

// job is one write on its way through the queue.
type job struct {
	point    *point
	wire     []byte        // as encode makes it
	status   ua.StatusCode // on success: Good or GoodClamped
	done     chan ua.StatusCode
	verified bool        // the device has told what it kept
	claim    atomic.Bool // by the bus, to send it, or by its caller, to give it up
}

// Write checks what can be checked without the device and returns what the device answered. When ctx ends first, the
// result is BadTimeout; what has not been sent by then is never sent.
func (w writer) Write(ctx context.Context, dv uabinary.DataValue) ua.StatusCode {
	if w.p.device.disabled {
		return drivers.OutOfService.WriteStatus()
	}
	if s := w.p.tag.CheckWrite(dv); s != ua.StatusOK {
		return s
	}
	scale, known := w.p.scale()
	if !known {
		return drivers.Waiting.WriteStatus()
	}
	wire, status := w.p.tag.encodeScaled(dv.Value, scale)
	if wire == nil {
		return status
	}
	j := &job{point: w.p, wire: wire, status: status, done: make(chan ua.StatusCode, 1)}
	select {
	case w.d.writes <- j:
		w.d.nudge()
	case <-w.d.stopped:
		return ua.StatusBadShutdown
	case <-ctx.Done():
		return ua.StatusBadTimeout
	}
	return w.wait(ctx, j)
}

func (w writer) wait(ctx context.Context, j *job) ua.StatusCode {
	select {
	case s := <-j.done:
		return s
	case <-w.d.stopped:
		if j.claim.CompareAndSwap(false, true) {
			return ua.StatusBadShutdown
		}
		return <-j.done
	case <-ctx.Done():
		j.claim.CompareAndSwap(false, true)
		return ua.StatusBadTimeout
	}
}

// write serves one job, on the goroutine of the bus.
func (d *driver) write(ctx context.Context, j *job) {
	if !j.claim.CompareAndSwap(false, true) {
		return
	}
	u := j.point.unit
	if d.bus.link == nil || u.health.State() == drivers.HealthDemoted && len(u.blocks) > 0 {
		j.done <- drivers.NoCommunication.WriteStatus()
		return
	}
	err := d.send(ctx, j)
	defer d.bus.settle()
	switch {
	case err == nil:
		d.alive(u)
		j.done <- d.confirmed(ctx, j)
	case errors.Is(err, errBroadcast):
		j.done <- j.status
	case errors.Is(err, errKeptAnother):
		d.alive(u)
		d.readback(j.point)
		j.done <- ua.StatusBadInvalidState
	case ctx.Err() != nil:
		j.done <- ua.StatusBadShutdown
	default:
		f := faultOf(err)
		d.judge(u, f)
		u.tally.failed(err)
		d.log.Warn("write failed", "unit", u.id, "tag", j.point.tag.Name, "err", err)
		if f.Demotes() || f == drivers.Acknowledged { // the node must tell what the device has now
			d.readback(j.point)
		}
		j.done <- f.WriteStatus()
	}
}

// send makes the requests of a write. It is not repeated when it fails: a repeated write may act twice.
func (d *driver) send(ctx context.Context, j *job) error {
	t, dev := j.point.tag, j.point.device
	c, at := d.client(ctx, j.point.unit, dev), t.Address.Offset
	var err error
	switch {
	case t.Address.Area == Coils && d.single(dev.multiple.coil, modbus.FuncCodeWriteMultipleCoils, t):
		_, err = c.WriteSingleCoil(at, 0xFF00*uint16(j.wire[0]))
	case t.Address.Area == Coils:
		_, err = c.WriteMultipleCoils(at, uint16(t.count()), j.wire)
	case t.mask() != 0:
		err = d.writeMasked(c, j)
	case dev.afterWrite == writeVerify && dev.readWrite && !j.point.unit.noBoth && !dev.broadcast:
		err = d.writeAndRead(c, j)
	default:
		err = d.writeRegisters(c, j, j.wire)
	}
	return err
}

// errKeptAnother says that the device confirmed a write and has another value.
var errKeptAnother = errors.New("the device kept another value")

// writeAndRead writes registers and reads them back in one request (function 23), and learns if the device cannot.
func (d *driver) writeAndRead(c modbus.Client, j *job) error {
	at, n := j.point.tag.Address.Offset, uint16(len(j.wire)/2)
	data, err := c.ReadWriteMultipleRegisters(at, n, at, n, j.wire)
	switch {
	case err != nil && faultOf(err) == drivers.IllegalFunction:
		j.point.unit.noBoth = true
		return d.writeRegisters(c, j, j.wire)
	case err != nil:
		return err
	case !bytes.Equal(data, j.wire):
		return errKeptAnother
	}
	j.verified = true
	return nil
}

func (d *driver) writeRegisters(c modbus.Client, j *job, wire []byte) error {
	at := j.point.tag.Address.Offset
	if d.single(j.point.device.multiple.register, modbus.FuncCodeWriteMultipleRegisters, j.point.tag) {
		_, err := c.WriteSingleRegister(at, binary.BigEndian.Uint16(wire))
		return err
	}
	_, err := c.WriteMultipleRegisters(at, uint16(len(wire)/2), wire)
	return err
}

// single chooses the function for one value. On a line that may echo, the answer to it could be our own request, so
// until that is known the function for several is taken, whose answer differs from its request.
func (d *driver) single(configured byte, several byte, t *Tag) bool {
	switch {
	case t.span() > 1, configured == several:
		return false
	case configured == 0:
		return d.bus.echo != echoAuto
	}
	return true
}

// writeMasked changes some bits of a register. The device does it by itself (function 22) if it can. Otherwise nothing
// else goes over the bus between reading and writing; a change that the device makes in that time is lost. On a line
// that may echo, the answer to function 22 could be our own request.
func (d *driver) writeMasked(c modbus.Client, j *job) error {
	t, u, mode := j.point.tag, j.point.unit, j.point.device.maskWrite
	at, wire := t.Address.Offset, binary.BigEndian.Uint16(j.wire)
	if mode == maskOn || mode == maskAuto && !u.noMask && d.bus.echo != echoAuto {
		_, err := c.MaskWriteRegister(at, ^t.mask(), wire&t.mask())
		if err == nil || mode == maskOn || faultOf(err) != drivers.IllegalFunction {
			return err
		}
		u.noMask = true
		d.log.Info("unit cannot change single bits by itself; registers are read and written", "unit", u.id)
	}
	old, err := c.ReadHoldingRegisters(at, 1)
	if err != nil {
		return unwritten(err)
	}
	return d.writeRegisters(c, j, t.merge(old, j.wire))
}

// merge puts the bits of the tag into a register.
func (t *Tag) merge(register, wire []byte) []byte {
	m := t.mask()
	v := binary.BigEndian.Uint16(register)&^m | binary.BigEndian.Uint16(wire)&m
	return binary.BigEndian.AppendUint16(nil, v)
}

// unwritten makes of a failure to read before a write one that says that nothing was written.
func unwritten(err error) error {
	if f := faultOf(err); f == drivers.LinkLost || f == drivers.NoReply || f == drivers.BadReply {
		return &drivers.Error{Fault: drivers.NoCommunication, Err: err}
	}
	return err
}

// confirmed does what follows a write that the device has confirmed.
func (d *driver) confirmed(ctx context.Context, j *job) ua.StatusCode {
	switch j.point.device.afterWrite {
	case writeCache:
		d.show(j)
	case writeReadback:
		d.readback(j.point)
	case writeVerify:
		d.readback(j.point)
		if j.verified {
			return j.status
		}
		return d.verify(ctx, j)
	}
	return j.status
}

// show publishes the value that was written.
func (d *driver) show(j *job) {
	t := j.point.tag
	now := uabinary.DateTimeOf(time.Now())
	dv := &uabinary.DataValue{SourceTimestamp: now, ServerTimestamp: now}
	j.point.decode(j.wire, t.first(), dv)
	j.point.Read(dv)
}

// readback makes the block of a tag the next to be read.
func (d *driver) readback(p *point) {
	switch {
	case p.block == nil: // write only
	case p.block.slot.Scheduled():
		d.schedule.Hasten(p.block.slot, d.now())
	default:
		d.schedule.At(p.block.slot, d.now())
	}
}

// verify reads what was written. A device that kept another value is in a state that does not allow it.
func (d *driver) verify(ctx context.Context, j *job) ua.StatusCode {
	t := j.point.tag
	data, err := d.readExtent(ctx, j.point.unit, j.point.device, extent{area: t.Address.Area, start: t.first(), count: t.span()})
	if err != nil {
		return faultOf(err).WriteStatus()
	}
	same := bytes.Equal(data, j.wire)
	if t.mask() != 0 {
		same = bytes.Equal(data, t.merge(data, j.wire))
	}
	if !same {
		return ua.StatusBadInvalidState
	}
	return j.status
}
