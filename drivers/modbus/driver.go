package modbus

import (
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua/ua"
)

// driver runs one channel. Everything but open and the channels is owned by the goroutine of Run.
type driver struct {
	channel *channel
	log     *slog.Logger
	bus     *bus
	start   time.Time // of Run; all due times count from it

	units    []*unit
	blocks   []*block
	schedule drivers.Schedule[*block]
	connect  connecting
	burst    int    // writes served in a row
	held     []*job // taken out of the queue and not served yet
	traceEnd time.Duration
	label    string
	port     serial.Meter  // of a serial line
	trouble  int           // times that reads failed in company and succeeded alone
	incident bool          // some have failed in company, and none has been tried alone yet
	smooth   int           // reads in company since
	sweepAt  time.Duration // when to look for stale values

	asked      []*block                          // that somebody waits for
	byVariable map[*addressspace.Variable]*point // written by Bind

	timer   *time.Timer                  // of sleep
	open    atomic.Pointer[drivers.Link] // what the driver may be sleeping on; nil: nothing yet
	writes  chan []*job                  // none of them empty
	orders  chan func()                  // from Methods, to be carried out on the goroutine of the bus
	wake    chan struct{}                // somebody began to watch; whoever sends on one of the four calls nudge
	asks    chan *ask
	stopped chan struct{} // closed when no write will be served any more
}

// unit is one address on the bus; several devices of the configuration may share it.
type unit struct {
	id       byte
	packager modbus.Packager
	health   drivers.Health
	blocks   []*block
	tally    tally
	shape    shape

	identify *device // asks who it is; nil: not, or not again
	identity atomic.Pointer[identity]
	known    bool // it has said who it is, so that it is asked again on a new connection
	asks     *device
	fastest  time.Duration   // period of its blocks
	split    bool            // it refused a block
	rejoinAt time.Duration   // when what was split is tried joined again
	rejoin   drivers.Backoff // until then
	learned  bool            // its thinking time has been used
	gap      int             // that follows from it; 0: not measured
	noMask   bool            // it does not know function 22
	noBoth   bool            // it does not know function 23
}

// shape is how a unit is read. One goroutine writes, any may read.
type shape struct {
	blocks, asked, used atomic.Uint64
	period              atomic.Int64
}

// measure counts what the blocks of a unit ask for.
func (u *unit) measure() {
	asked, used := 0, 0
	u.fastest = forever
	for _, b := range u.blocks {
		u.fastest = min(u.fastest, b.group.period)
		share := 1
		if b.area.bits() {
			share = 16
		}
		asked += (b.count + share - 1) / share
		used += (b.used() + share - 1) / share
	}
	u.shape.blocks.Store(uint64(len(u.blocks)))
	u.shape.asked.Store(uint64(asked))
	u.shape.used.Store(uint64(used))
}

// used is how many registers or bits of a block tags need.
func (b *block) used() int {
	n, end := 0, b.start
	for _, p := range b.points { // by address
		n += max(0, p.tag.end()-max(end, p.tag.first()))
		end = max(end, p.tag.end())
	}
	return n
}

// block is one read request and the tags it serves.
type block struct {
	extent
	unit   *unit
	device *device
	group  *group
	points []*point // in the order of extent.tags
	all    []*point // of the device, by tag
	slot   *drivers.Slot[*block]

	cutOff  bool          // the last read failed for want of a link
	asks    []*ask        // who waits for it
	queued  bool          // it is in driver.asked
	flying  bool          // its request is under way with others
	alone   bool          // it failed in company, and is tried alone next
	again   bool          // the link ended during the last read, which is done again on the next one
	trial   bool          // what was refused before is tried joined again
	doubt   bool          // the device refused the block once, which it had read before
	refused bool          // a single tag that the device refuses; it is tried more rarely
	good    time.Duration // last good read; 0: never
	idle    time.Duration // when nobody watched any more; 0: somebody does, or never
}

// point is one tag at work.
type point struct {
	*drivers.Point
	tag    *Tag
	device *device
	unit   *unit  // nil: the device is disabled
	block  *block // nil: never read
	demand atomic.Bool
	factor *point       // whose value is the power of ten of the scale; nil: none
	power  atomic.Int32 // of a point that is such a factor: its value and powerKnown; 0: not read yet
}

const (
	writeQueue      = 64
	writeBurst      = 4 // writes before a due poll gets its turn
	busyPause       = 100 * time.Millisecond
	quarantineRetry = time.Minute      // of a tag that the device refuses
	demandLinger    = 10 * time.Second // polls go on when the last watcher has gone
	sweepEvery      = 250 * time.Millisecond
	firstRead       = time.Second      // within which every block is read once after the start
	probePatience   = time.Second      // after which a probe no longer waits for what is due
	rejoinMin       = 10 * time.Minute // after which blocks that were split are tried joined again
	rejoinMax       = 24 * time.Hour
	recoverySpread  = time.Second // over which the blocks of a unit that came back are read
)

func newDriver(c *channel, w wiring, log *slog.Logger) *driver {
	return &driver{
		channel: c, log: log, bus: newBus(w), label: c.name, orders: make(chan func(), 16), timer: time.NewTimer(0),
		connect: connecting{Dialling: drivers.NewDialling(w.dial, w.connectDelay, c.where, log)},
		writes:  make(chan []*job, writeQueue), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		asks: make(chan *ask, 16), byVariable: map[*addressspace.Variable]*point{},
	}
}

// Bind plans the reads and connects the tags to their Variables.
func (d *driver) Bind(vars map[string]*addressspace.Variable) {
	now := time.Now()
	for i := range d.channel.devices {
		dev := &d.channel.devices[i]
		points := d.bindPoints(dev, vars, now)
		if !dev.disabled {
			d.planDevice(dev, points)
		}
	}
}

func (d *driver) bindPoints(dev *device, vars map[string]*addressspace.Variable, now time.Time) []*point {
	points := make([]*point, len(dev.tags))
	for i := range dev.tags {
		t := &dev.tags[i]
		v := vars[dev.name+"."+t.Name]
		p := &point{Point: drivers.NewPoint(v, dev.Hold, now), tag: t, device: dev}
		p.Deadband = t.Deadband
		if dev.disabled {
			p.Fail(drivers.OutOfService, now)
		} else {
			p.unit = d.unit(dev)
		}
		if t.Access&drivers.WriteOnly != 0 {
			v.SetWriter(writer{d, p})
		}
		if !dev.disabled && t.Access&drivers.ReadOnly != 0 {
			d.byVariable[v] = p
			v.SetRefresher(d)
		}
		if g := &dev.groups[t.Group]; g.subscribed && !g.onRequest {
			v.SetDemand(d.demanded(p))
		}
		points[i] = p
	}
	for i := range dev.tags {
		if f := dev.tags[i].Factor; f >= 0 {
			points[i].factor = points[f]
		}
	}
	return points
}

// demanded is the hook that hears of watchers; it must not block.
func (d *driver) demanded(p *point) func(bool) {
	return func(watched bool) {
		p.demand.Store(watched)
		select {
		case d.wake <- struct{}{}:
			d.nudge()
		default:
		}
	}
}

func (d *driver) unit(dev *device) *unit {
	for _, u := range d.units {
		if u.id == dev.unit {
			return u
		}
	}
	u := &unit{id: dev.unit, packager: d.bus.packager(dev.unit),
		rejoin: drivers.Backoff{Min: rejoinMin, Max: rejoinMax},
		health: dev.Health()}
	if dev.identify {
		u.asks, u.identify = dev, dev
	}
	d.units = append(d.units, u)
	return u
}

func (d *driver) planDevice(dev *device, points []*point) {
	lim := d.unit(dev).limits(dev)
	for g := range dev.groups {
		for _, e := range plan(dev.tags, dev.members(g), lim) {
			d.addBlock(e, dev, &dev.groups[g], points)
		}
	}
}

// addBlock makes a block of an extent; all holds the points of the device by tag.
func (d *driver) addBlock(e extent, dev *device, g *group, all []*point) *block {
	b := &block{extent: e, device: dev, group: g, unit: d.unit(dev), all: all}
	for _, i := range e.tags {
		all[i].block = b
		b.points = append(b.points, all[i])
	}
	b.slot = drivers.NewSlot(b, g.period, int(dev.unit))
	d.blocks = append(d.blocks, b)
	b.unit.blocks = append(b.unit.blocks, b)
	b.unit.measure()
	if !g.subscribed {
		d.begin(b, time.Duration(b.share()*float64(firstRead)))
	}
	return b
}

// begin schedules a block, which so far was not. Without a given phase the blocks of all devices are spread over their
// period, the same way at each start, also when a client begins to watch them all at once. The first reading comes earlier:
// at the start soon, so that slow ones do not show nothing for long, and when somebody begins to watch, at once.
func (d *driver) begin(b *block, first time.Duration) {
	phase := b.group.phase
	if phase < 0 {
		phase = time.Duration(b.share() * float64(b.group.period))
	}
	running := !d.start.IsZero()
	if running && d.now() > phase {
		phase += (d.now() - phase + b.group.period - 1) / b.group.period * b.group.period
	}
	d.schedule.At(b.slot, phase)
	if running || b.group.phase < 0 {
		d.schedule.Hasten(b.slot, first)
	}
}

// share is a number from 0 to 1 that differs from block to block.
func (b *block) share() float64 {
	sum := crc32.ChecksumIEEE(append([]byte(b.device.name), b.unit.id, byte(b.area), byte(b.start>>8), byte(b.start)))
	return float64(sum) / (1 << 32)
}

func (d *driver) now() time.Duration { return time.Since(d.start) }

// Run serves the channel until ctx ends.
func (d *driver) Run(ctx context.Context) error {
	d.start = time.Now()
	defer d.shutdown()
	defer context.AfterFunc(ctx, d.nudge)()
	for ctx.Err() == nil {
		d.rest()
		d.watch()
		d.rejoin()
		d.events()
		d.dial(ctx)
		if !d.serve(ctx) {
			d.sleep(ctx)
		}
	}
	return nil
}

// shutdown refuses the writes that wait, and ends link and dialling.
func (d *driver) shutdown() {
	close(d.stopped)
	if d.bus.link != nil {
		d.bus.drop(nil)
		if d.bus.cause != nil {
			d.log.Warn("channel did not close cleanly", "err", d.bus.cause)
		}
	}
	d.connect.Wait()
}

// serve does one thing: a write or what a client waits for, unless polls have waited for several of them, then what is due, then a probe. It
// returns false if there was nothing to do.
func (d *driver) serve(ctx context.Context) bool {
	now := d.now()
	d.sweep(now)
	next := d.schedule.Next()
	due := next != nil && next.Due() <= now
	if d.holding() {
		return false
	}
	if !due || d.burst < writeBurst {
		if j := d.nextWrite(); j != nil {
			d.burst++
			d.write(ctx, j)
			return true
		}
		if b := d.firstAsked(); b != nil {
			d.burst++
			if d.several(b) {
				d.stream(ctx)
			} else {
				d.answer(ctx, b)
			}
			return true
		}
	}
	d.burst = 0
	if d.overdueProbe(now) && d.probe(ctx, now) {
		return true
	}
	if due {
		if d.several(next.Item) {
			d.stream(ctx)
		} else {
			d.turn(ctx, next.Item, now)
		}
		return true
	}
	return d.probe(ctx, now) || d.identify(ctx)
}

// nextWrite returns the write that is first in turn, nil if there is none.
func (d *driver) nextWrite() *job {
	if len(d.held) > 0 {
		return d.unhold()
	}
	select {
	case d.held = <-d.writes:
		return d.unhold()
	default:
		return nil
	}
}

// unhold returns the first of the jobs that are held.
func (d *driver) unhold() *job {
	j := d.held[0]
	if d.held = d.held[1:]; len(d.held) == 0 {
		d.held = nil
	}
	return j
}

// events takes what happened outside without blocking.
func (d *driver) events() {
	for {
		select {
		case r := <-d.connect.Done():
			d.connected(r)
		case <-d.wake:
			d.resume()
		case f := <-d.orders:
			f()
		case a := <-d.asks:
			d.enlist(a)
		default:
			return
		}
	}
}

// sleep waits for the next thing to do: on the link if there is one, which nudge interrupts.
func (d *driver) sleep(ctx context.Context) {
	until := d.nextTime()
	if d.bus.link != nil {
		d.bus.idle(d.start.Add(until))
		return
	}
	d.timer.Reset(max(0, until-d.now()))
	defer d.timer.Stop()
	writes := d.writes
	if d.held != nil {
		writes = nil
	}
	select {
	case <-ctx.Done():
	case <-d.timer.C:
	case r := <-d.connect.Done():
		d.connected(r)
	case <-d.wake:
		d.resume()
	case f := <-d.orders:
		f()
	case a := <-d.asks:
		d.enlist(a)
	case d.held = <-writes:
	}
}

// nudge makes a driver that sleeps on its link look for what somebody has left in one of its channels. It may be called
// from any goroutine.
func (d *driver) nudge() {
	if l := d.open.Load(); l != nil {
		(*l).Interrupt()
	}
}

// forever is a time that nothing waits for.
const forever = time.Hour

func (d *driver) nextTime() time.Duration {
	if d.holding() {
		return d.now() + sweepEvery
	}
	next := d.nextUse()
	switch {
	case d.bus.link != nil && d.bus.idleClose > 0:
		next = min(next, d.restAt())
	case d.bus.link == nil && !d.bus.rests() && len(d.units) > 0:
		if at, ok := d.connect.Next(); ok {
			next = min(next, at)
		}
	}
	return next
}

// nextUse is when something is to be sent next.
func (d *driver) nextUse() time.Duration {
	next := d.now() + forever
	if s := d.schedule.Next(); s != nil {
		next = s.Due()
	}
	for _, u := range d.units {
		if u.health.State() == drivers.HealthDemoted && len(u.blocks) > 0 && (d.bus.link != nil || d.bus.rests()) {
			next = min(next, u.health.ProbeAt())
		}
	}
	return next
}

// read sends the read request of a block and returns its data, valid until the next request.
func (d *driver) read(ctx context.Context, b *block) ([]byte, error) {
	return d.readExtent(ctx, b.unit, b.device, b.extent)
}

func (d *driver) readExtent(ctx context.Context, u *unit, dev *device, e extent) ([]byte, error) {
	c, start, count := d.client(ctx, u, dev), uint16(e.start), uint16(e.count)
	switch e.area {
	case Coils:
		return c.ReadCoils(start, count)
	case DiscreteInputs:
		return c.ReadDiscreteInputs(start, count)
	case HoldingRegisters:
		return c.ReadHoldingRegisters(start, count)
	case InputRegisters:
		return c.ReadInputRegisters(start, count)
	}
	return nil, errors.New("no such area")
}

// sendFunc is a Transporter that is bound to one call and its context.
type sendFunc func(request []byte) ([]byte, error)

// Send implements the library's Transporter.
func (f sendFunc) Send(request []byte) ([]byte, error) { return f(request) }

func (d *driver) client(ctx context.Context, u *unit, dev *device) modbus.Client {
	return modbus.NewClient2(u.packager, d.transport(ctx, u, dev))
}

// publish sets all tags of a block to what one reply said, with one time: that of its last byte.
func (d *driver) publish(b *block, data []byte) {
	values := make([]uabinary.DataValue, len(b.points))
	b.decode(data, uabinary.DateTimeOf(d.bus.arrived), values)
	for i, p := range b.points {
		p.Read(&values[i])
	}
}

// decode takes the factors first, because they hold for the values that came with them.
func (b *block) decode(data []byte, at uabinary.DateTime, values []uabinary.DataValue) {
	later := false
	for i, p := range b.points {
		values[i] = uabinary.DataValue{Status: ua.StatusOK, SourceTimestamp: at, ServerTimestamp: at}
		if later = later || p.factor != nil; p.factor == nil {
			p.tag.decode(data, b.start, &values[i])
			p.notePower(&values[i])
		}
	}
	if !later {
		return
	}
	for i, p := range b.points {
		if p.factor != nil {
			p.decode(data, b.start, &values[i])
		}
	}
}

// fail shows a failure on all tags of a block.
func (b *block) fail(f drivers.Fault, now time.Time) {
	b.cutOff = f.CutOff()
	for _, p := range b.points {
		p.Fail(f, now)
	}
}
