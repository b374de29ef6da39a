package instrument

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
)

// driver runs one channel. Everything but jobs, orders, woken, stopped, open and port is owned by the goroutine of Run.
type driver struct {
	channel *channel
	log     *slog.Logger
	start   time.Time // of Run; all due times count from it
	line    line
	units   []*unit

	schedule drivers.Schedule[*task]
	connect  connecting
	timer    *time.Timer
	burst    int // commands served in a row
	sweepAt  time.Duration
	traceEnd time.Duration

	jobs    chan *job
	orders  chan func()   // from Methods, to be carried out on the goroutine of the line
	woken   chan struct{} // there is something new in one of the channels
	stopped chan struct{} // closed when no command will be served any more
	open    atomic.Pointer[drivers.Link]
	port    serial.Meter // of a serial line
}

// unit is one device at work.
type unit struct {
	dev      *device
	points   []*point // by tag
	health   drivers.Health
	tally    tally
	tasks    []*task
	ready    bool // what must be sent first was sent on this connection
	initAt   time.Duration
	pause    drivers.Backoff // between attempts to do so
	sequence []uint64        // events, by message
}

// point is one tag at work.
type point struct {
	*drivers.Point
	stream bool          // comes unasked
	limit  time.Duration // after which a value is old; never, or 0 if nothing feeds it
	fresh  time.Duration // when the value came
	live   bool          // it is as it came
}

// task is something that is sent regularly.
type task struct {
	unit   *unit
	poll   *poll
	alive  bool // keeps the device awake and is not answered
	slot   *drivers.Slot[*task]
	cutOff bool          // it failed for want of a link, and is due again as soon as there is one
	good   time.Duration // when it succeeded last; 0: never
}

const (
	jobQueue   = 64
	jobBurst   = 4 // commands before a due poll gets its turn
	sweepEvery = 250 * time.Millisecond
	forever    = time.Hour       // a time that nothing waits for
	never      = -1              // as a limit
	againOnce  = 5 * time.Second // for what is wanted once on a connection and did not come
	// A device that was not set up on a connection is tried again after a pause between these.
	setUpAgainMin = time.Second
	setUpAgainMax = 30 * time.Second
)

func newDriver(c *channel, dial func(ctx context.Context) (drivers.Link, error), log *slog.Logger) *driver {
	d := &driver{
		channel: c, log: log, timer: time.NewTimer(0),
		connect: connecting{Dialling: drivers.NewDialling(dial, c.bus.startup, c.where, log)},
		jobs:    make(chan *job, jobQueue), orders: make(chan func(), 16), woken: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	d.line = line{scanner: framing.NewScanner(c.spec)}
	return d
}

// Bind connects the tags to their Variables and plans what is sent.
func (d *driver) Bind(vars map[string]*addressspace.Variable) {
	now := time.Now()
	for i := range d.channel.devices {
		dev := &d.channel.devices[i]
		u := &unit{dev: dev, health: dev.Health(),
			pause: drivers.Backoff{Min: setUpAgainMin, Max: setUpAgainMax}, sequence: make([]uint64, len(dev.messages))}
		for j := range dev.tags {
			p := &point{Point: drivers.NewPoint(vars[dev.name+"."+dev.tags[j].Name], dev.Hold, now)}
			if dev.disabled {
				p.Fail(drivers.OutOfService, now)
			}
			u.points = append(u.points, p)
		}
		for j := range dev.commands {
			if c := &dev.commands[j]; c.tag >= 0 {
				vars[dev.name+"."+dev.tags[c.tag].Name].SetWriter(writer{d, u, c})
			}
		}
		if !dev.disabled {
			d.plan(u)
			d.units = append(d.units, u)
		}
	}
}

// plan makes the tasks of a device, and finds how long its values are good for.
func (d *driver) plan(u *unit) {
	for i := range u.dev.messages {
		m := &u.dev.messages[i]
		if m.polled {
			continue
		}
		d.line.streams = true
		u.each(i, func(p *point) {
			if p.stream = true; m.silence == 0 || p.limit == never {
				p.limit = never
			} else {
				p.limit = max(p.limit, m.silence)
			}
		})
	}
	for i := range u.dev.polls {
		q := &u.dev.polls[i]
		d.addTask(u, q, false)
		for _, m := range q.expect {
			u.each(m, func(p *point) {
				if p.stream = false; q.period == 0 {
					p.limit = never
				} else {
					p.limit = max(p.limit, time.Duration(u.dev.StaleAfter)*q.period+q.timeout)
				}
			})
		}
	}
	for i := range u.dev.keepAlives {
		d.addTask(u, &u.dev.keepAlives[i], true)
	}
}

func (d *driver) addTask(u *unit, q *poll, alive bool) {
	t := &task{unit: u, poll: q, alive: alive}
	t.slot = drivers.NewSlot(t, q.period, len(u.tasks)) // those that are due together go in the order of the file
	u.tasks = append(u.tasks, t)
	d.schedule.At(t.slot, 0)
}

// each visits the points that a message feeds.
func (u *unit) each(message int, visit func(p *point)) {
	m := &u.dev.messages[message]
	for i := range m.fields {
		visit(u.points[m.fields[i].tag])
	}
	if m.sequence >= 0 {
		visit(u.points[m.sequence])
		visit(u.points[m.eventMoment])
	}
}

func (d *driver) now() time.Duration { return time.Since(d.start) }

// Run serves the channel until ctx ends.
func (d *driver) Run(ctx context.Context) error {
	d.start = time.Now()
	defer d.shutdown()
	defer context.AfterFunc(ctx, d.nudge)()
	for ctx.Err() == nil {
		d.watch()
		d.events()
		d.dial(ctx)
		if !d.serve(ctx) {
			d.sleep(ctx)
		}
	}
	return nil
}

// shutdown refuses the commands that wait, and ends link and dialling.
func (d *driver) shutdown() {
	close(d.stopped)
	if err := d.drop(nil); err != nil {
		d.log.Warn("channel did not close cleanly", "err", err)
	}
	d.connect.Wait()
}

// serve does one thing: a command, unless polls have waited for several of them, what must be sent first on a connection,
// then what is due, then a probe. It returns false if there was nothing to do.
func (d *driver) serve(ctx context.Context) bool {
	now := d.now()
	d.sweep(now)
	if d.holding() {
		return false
	}
	next := d.schedule.Next()
	due := next != nil && next.Due() <= now
	if !due || d.burst < jobBurst {
		if j := d.nextJob(); j != nil {
			d.burst++
			d.command(ctx, j)
			return true
		}
	}
	d.burst = 0
	if d.initialise(ctx, now) {
		return true
	}
	if due {
		d.turn(ctx, next.Item, now)
		return true
	}
	return d.probe(ctx, now)
}

func (d *driver) nextJob() *job {
	select {
	case j := <-d.jobs:
		return j
	default:
		return nil
	}
}

// events takes what happened outside without blocking.
func (d *driver) events() {
	for {
		select {
		case r := <-d.connect.Done():
			d.connected(r)
		case f := <-d.orders:
			f()
		default:
			return
		}
	}
}

// nudge makes a driver that sleeps look for what somebody has left in one of its channels. It may be called from any
// goroutine.
func (d *driver) nudge() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
	if l := d.open.Load(); l != nil {
		(*l).Interrupt()
	}
}

// sleep waits for the next thing to do: on the link if there is one.
func (d *driver) sleep(ctx context.Context) {
	until := d.nextTime()
	if d.line.link != nil {
		_ = d.listen(d.start.Add(until)) // the end of the link is seen by dial
		return
	}
	d.timer.Reset(max(0, until-d.now()))
	defer d.timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.timer.C:
	case <-d.woken:
	case r := <-d.connect.Done():
		d.connected(r)
	}
}

func (d *driver) nextTime() time.Duration {
	if d.holding() {
		return d.now() + sweepEvery
	}
	next := d.now() + forever
	if s := d.schedule.Next(); s != nil {
		next = s.Due()
	}
	if at, ok := d.connect.Next(); ok && d.line.link == nil && len(d.units) > 0 {
		next = min(next, at)
	}
	for _, u := range d.units {
		if d.line.link != nil && u.demoted() {
			next = min(next, u.health.ProbeAt())
		}
		if d.line.link != nil && !u.ready {
			next = min(next, u.initAt)
		}
		if slices.ContainsFunc(u.points, func(p *point) bool { return p.live && p.limit > 0 || p.stream && d.line.link == nil }) {
			next = min(next, d.sweepAt)
		}
	}
	return next
}

// sweep finds values that have become old: a silent device, or a channel that cannot keep up.
func (d *driver) sweep(now time.Duration) {
	if now < d.sweepAt {
		return
	}
	d.sweepAt = now + sweepEvery
	d.missStreams(now)
	for _, u := range d.units {
		stale := false
		for _, p := range u.points {
			if p.live && p.limit > 0 && now > p.fresh+p.limit {
				p.fail(drivers.Stale)
				stale = stale || p.stream
			}
		}
		if stale && len(u.dev.polls) == 0 {
			u.tally.Enter(drivers.HealthSuspect)
		}
	}
}

func (p *point) fail(f drivers.Fault) {
	p.live = false
	p.Fail(f, time.Now())
}
