package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua/ua"
)

// writer carries writes of one tag to the bus. It implements addressspace.SourceWriter.
type writer struct {
	d *driver
	p *point
}

// job is one write, or one request of a Method, on its way through the queue.
type job struct {
	*drivers.Ticket
	unit    *unit
	device  *device
	point   *point        // nil: a request of a Method
	wire    []byte        // what is written, as encode makes it; the PDU of a Method
	reply   []byte        // PDU that answered the request of a Method
	status  ua.StatusCode // on success: Good or GoodClamped
	checked bool          // the device has told what it kept
}

// Write checks what can be checked without the device and returns what the device answered. When ctx ends first, the
// result is BadTimeout; what has not been sent by then is never sent.
func (w writer) Write(ctx context.Context, dv uabinary.DataValue) ua.StatusCode {
	j, status := w.job(dv)
	if j == nil {
		return status
	}
	if !w.d.submit(ctx, []*job{j}) {
		return w.d.refusal()
	}
	return j.Wait(ctx, w.d.stopped)
}

// Source implements addressspace.SourceWriter.
func (w writer) Source() addressspace.Source { return w.d }

// WriteAll implements addressspace.Source: the writes pass the queue together and in their order.
func (d *driver) WriteAll(ctx context.Context, writes []addressspace.Write) []ua.StatusCode {
	results, all := make([]ua.StatusCode, len(writes)), make([]*job, len(writes))
	var jobs []*job
	for i, w := range writes {
		if all[i], results[i] = w.Writer.(writer).job(w.Value); all[i] != nil { // every Writer with this Source is one
			jobs = append(jobs, all[i])
		}
	}
	taken := len(jobs) > 0 && d.submit(ctx, jobs)
	for i, j := range all {
		switch {
		case j == nil:
		case taken:
			results[i] = j.Wait(ctx, d.stopped)
		default:
			results[i] = d.refusal()
		}
	}
	return results
}

// job makes a write of a value; nil with a status that says why there is nothing to send.
func (w writer) job(dv uabinary.DataValue) (*job, ua.StatusCode) {
	if w.p.device.disabled {
		return nil, drivers.OutOfService.WriteStatus()
	}
	if s := w.p.tag.CheckWrite(dv); s != ua.StatusOK {
		return nil, s
	}
	scale, known := w.p.scale()
	if !known {
		return nil, drivers.Waiting.WriteStatus()
	}
	wire, status := w.p.tag.encodeScaled(dv.Value, scale)
	if wire == nil {
		return nil, status
	}
	return &job{Ticket: drivers.NewTicket(), point: w.p, unit: w.p.unit, device: w.p.device, wire: wire, status: status}, status
}

// submit puts jobs into the queue; false if there was no room before ctx or the driver ended.
func (d *driver) submit(ctx context.Context, jobs []*job) bool {
	select {
	case d.writes <- jobs:
		d.nudge()
		return true
	case <-d.stopped:
	case <-ctx.Done():
	}
	return false
}

// refusal is why the queue takes no jobs.
func (d *driver) refusal() ua.StatusCode {
	select {
	case <-d.stopped:
		return ua.StatusBadShutdown
	default:
		return ua.StatusBadTimeout
	}
}

// write serves the job that is first in turn, on the goroutine of the bus, with its neighbours if they go along.
func (d *driver) write(ctx context.Context, j *job) {
	if !j.Take() {
		return
	}
	jobs := append([]*job{j}, d.neighbours(j)...)
	if d.bus.link == nil || j.unit.health.State() == drivers.HealthDemoted && len(j.unit.blocks) > 0 {
		answer(jobs, drivers.NoCommunication.WriteStatus())
		return
	}
	defer d.bus.settle()
	if len(jobs) == 1 {
		d.finish(ctx, jobs, d.persevere(ctx, jobs, func() error { return d.send(ctx, j) }))
		return
	}
	err := d.persevere(ctx, jobs, func() error { return d.sendMerged(ctx, jobs) })
	if !refused(err) {
		d.finish(ctx, jobs, err)
		return
	}
	for i, j := range jobs { // nothing was written; each learns what concerns it alone
		d.finish(ctx, jobs[i:i+1], d.send(ctx, j))
	}
}

// persevere repeats a write that got no valid answer, if all its tags may be written twice.
func (d *driver) persevere(ctx context.Context, jobs []*job, send func() error) error {
	err := send()
	for range jobs[0].device.Retries {
		var failed *drivers.Error
		switch {
		case err == nil, ctx.Err() != nil, d.bus.link == nil, !errors.As(err, &failed), failed.Fault != drivers.NoReply && failed.Fault != drivers.BadReply:
			return err
		case slices.ContainsFunc(jobs, func(j *job) bool { return j.point == nil || !j.point.tag.Idempotent }):
			return err
		}
		d.bus.count(retries)
		err = send()
	}
	return err
}

// refused tells whether a device does not do what it was asked for, although it might do parts of it.
func refused(err error) bool {
	if err == nil {
		return false
	}
	f := faultOf(err)
	return f == drivers.IllegalFunction || f == drivers.IllegalAddress || f == drivers.IllegalValue
}

func answer(jobs []*job, s ua.StatusCode) {
	for _, j := range jobs {
		j.Answer(s)
	}
}

// finish answers jobs that one request carried.
func (d *driver) finish(ctx context.Context, jobs []*job, err error) {
	first := jobs[0]
	switch {
	case err == nil:
		d.alive(first.unit)
		for _, j := range jobs {
			j.Answer(d.confirmed(ctx, j))
		}
	case errors.Is(err, errBroadcast):
		for _, j := range jobs {
			j.Answer(j.status)
		}
	case errors.Is(err, errKeptAnother):
		d.alive(first.unit)
		d.readback(first)
		answer(jobs, ua.StatusBadInvalidState)
	case ctx.Err() != nil:
		answer(jobs, ua.StatusBadShutdown)
	default:
		d.failedJobs(jobs, err)
	}
}

func (d *driver) failedJobs(jobs []*job, err error) {
	u, f := jobs[0].unit, faultOf(err)
	d.judge(u, f)
	u.tally.Failed(err)
	for _, j := range jobs {
		d.log.Warn("write failed", "unit", u.id, "what", j.name(), "err", err)
		if f.Demotes() || f == drivers.Acknowledged { // the node must tell what the device has now
			d.readback(j)
		}
	}
	answer(jobs, f.WriteStatus())
}

// name is for logs.
func (j *job) name() string {
	if j.point == nil {
		return fmt.Sprintf("function %d", j.wire[0])
	}
	return j.point.tag.Name
}

// send makes the requests of a job, once: a repeated write may act twice.
func (d *driver) send(ctx context.Context, j *job) error {
	if j.point == nil {
		reply, err := d.raw(ctx, j.unit, j.device, j.wire)
		j.reply = reply
		return err
	}
	t, dev := j.point.tag, j.device
	c, at := d.client(ctx, j.unit, dev), t.Address.Offset
	var err error
	switch {
	case t.Address.Area == Coils && d.single(dev.multiple.coil, modbus.FuncCodeWriteMultipleCoils, t):
		_, err = c.WriteSingleCoil(at, 0xFF00*uint16(j.wire[0]))
	case t.Address.Area == Coils:
		_, err = c.WriteMultipleCoils(at, uint16(t.count()), j.wire)
	case t.mask() != 0:
		err = d.writeMasked(c, j)
	case dev.afterWrite == writeVerify && dev.readWrite && !j.unit.noBoth && !dev.broadcast:
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
		j.unit.noBoth = true
		return d.writeRegisters(c, j, j.wire)
	case err != nil:
		return err
	case !bytes.Equal(data, j.wire):
		return errKeptAnother
	}
	j.checked = true
	return nil
}

func (d *driver) writeRegisters(c modbus.Client, j *job, wire []byte) error {
	at := j.point.tag.Address.Offset
	if d.single(j.device.multiple.register, modbus.FuncCodeWriteMultipleRegisters, j.point.tag) {
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
	t, u, mode := j.point.tag, j.unit, j.device.maskWrite
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
	if j.point == nil {
		return j.status
	}
	switch j.device.afterWrite {
	case writeCache:
		d.show(j)
	case writeReadback:
		d.readback(j)
	case writeVerify:
		d.readback(j)
		if j.checked {
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

// readback makes the block of what was written the next to be read.
func (d *driver) readback(j *job) {
	p := j.point
	switch {
	case p == nil, p.block == nil: // a Method, write only
	case p.block.slot.Scheduled():
		d.schedule.Hasten(p.block.slot, d.now())
	default:
		d.schedule.At(p.block.slot, d.now())
	}
}

// verify reads what was written. A device that kept another value is in a state that does not allow it.
func (d *driver) verify(ctx context.Context, j *job) ua.StatusCode {
	t := j.point.tag
	data, err := d.readExtent(ctx, j.unit, j.device, extent{area: t.Address.Area, start: t.first(), count: t.span()})
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
