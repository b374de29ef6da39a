package instrument

import (
	"context"
	"errors"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// writer carries the writes of one tag to the line. It implements addressspace.Writer.
type writer struct {
	d *driver
	u *unit
	c *command
}

// job is one command on its way through the queue.
type job struct {
	*drivers.Ticket
	unit    *unit
	command *command
	value   func(verb string) string // nil: a Method
	status  ua.StatusCode            // on success: Good or GoodClamped
}

// Write checks what can be checked without the device and returns what the device answered. When ctx ends first, the
// result is BadTimeout; what has not been sent by then is never sent.
func (w writer) Write(ctx context.Context, dv uabinary.DataValue) ua.StatusCode {
	if w.u.dev.disabled {
		return drivers.OutOfService.WriteStatus()
	}
	if s := w.u.dev.tags[w.c.tag].CheckWrite(dv); s != ua.StatusOK {
		return s
	}
	value, status := w.c.value.format(dv.Value)
	if value == nil {
		return status
	}
	return w.d.enqueue(ctx, &job{Ticket: drivers.NewTicket(), unit: w.u, command: w.c, value: value, status: status})
}

// enqueue hands a command over and waits for its result.
func (d *driver) enqueue(ctx context.Context, j *job) ua.StatusCode {
	select {
	case d.jobs <- j:
		d.nudge()
	case <-d.stopped:
		return ua.StatusBadShutdown
	case <-ctx.Done():
		return ua.StatusBadTimeout
	}
	return j.Wait(ctx, d.stopped)
}

// command serves one job, on the goroutine of the line. What the device has afterwards is asked for at once.
func (d *driver) command(ctx context.Context, j *job) {
	if !j.Take() {
		return
	}
	u := j.unit
	if d.line.link == nil || !u.ready || u.demoted() && len(u.dev.polls) > 0 {
		j.Answer(drivers.NoCommunication.WriteStatus())
		return
	}
	err := d.persist(ctx, u, &j.command.exchange, nil, j.value, 1+j.command.retries)
	var no *refusal
	switch {
	case err == nil:
		if j.command.answered() {
			d.alive(u)
		}
		d.hasten(u)
		j.Answer(j.status)
	case errors.As(err, &no):
		d.alive(u)
		u.tally.Failed(err)
		j.Answer(no.status)
	case ctx.Err() != nil:
		j.Answer(ua.StatusBadShutdown)
	default:
		d.log.Warn("command failed", "device", u.dev.name, "command", j.command.name, "err", err)
		d.judge(u, err)
		d.hasten(u)
		j.Answer(drivers.FaultOf(err).WriteStatus())
	}
}
