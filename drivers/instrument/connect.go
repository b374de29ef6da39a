package instrument

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/gopcua/opcua/ua"
)

// Pause between attempts to connect.
const (
	redialMin = time.Second
	redialMax = 30 * time.Second
	joinLimit = 2 * time.Second
	// What is due waits that long for a link that is made anew, so that a short break is no news.
	grace = 500 * time.Millisecond
)

// dialer makes a link.
type dialer func(ctx context.Context) (drivers.Link, error)

// connecting is the way to a link. Connecting can take seconds, in which the tags must tell that there is no connection;
// so it happens on a goroutine of its own.
type connecting struct {
	dialer  dialer
	up      bool          // there is a link, as far as the log says
	active  bool          // an attempt is under way
	failing bool          // the failure has been logged; one line per outage
	told    bool          // what comes unasked was told that there is no link
	at      time.Duration // when to try next
	began   time.Duration // when the attempt under way began
	opened  time.Duration // when the link came; 0: never
	lost    time.Duration // when the link ended
	before  uint64        // bytes that had come by then
	cause   error         // why the last link was dropped
	backoff drivers.Backoff
	done    chan connection
	task    sync.WaitGroup
}

type connection struct {
	link drivers.Link
	err  error
}

// dial starts an attempt if there is no link and it is time for one.
func (d *driver) dial(ctx context.Context) {
	c := &d.connect
	if d.line.link == nil && c.up {
		d.lost()
	}
	if d.line.link != nil || c.active || d.now() < c.at || len(d.units) == 0 {
		return
	}
	c.active, c.began = true, d.now()
	c.task.Go(func() {
		link, err := c.dialer(ctx)
		if err == nil {
			if err = rest(ctx, d.channel.bus.startup); err != nil {
				err = errors.Join(err, link.Close())
			}
		}
		if ctx.Err() != nil && err == nil {
			_ = link.Close() // nobody wants it any more
			return
		}
		c.done <- connection{link, err} // there is room for one, and one attempt at a time
		d.nudge()
	})
}

// rest waits that long or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holding tells whether what is due waits for the attempt under way: the first one ever, or one that follows at once
// on a link that has ended.
func (d *driver) holding() bool {
	c := &d.connect
	return d.line.link == nil && c.active && !c.failing && (c.opened == 0 || d.now() < c.began+grace)
}

// connected takes the result of an attempt.
func (d *driver) connected(r connection) {
	c := &d.connect
	c.active = false
	if r.err != nil {
		c.at = d.now() + c.backoff.Next()
		d.line.total.failed(r.err)
		if !c.failing {
			d.log.Warn("channel down", "where", d.channel.where(), "err", r.err)
		}
		c.failing = true
		d.failStreams()
		return
	}
	level := slog.LevelDebug
	if c.failing || c.opened == 0 {
		level = slog.LevelInfo
	}
	d.log.Log(context.Background(), level, "channel up", "where", d.channel.where())
	if c.opened != 0 {
		d.line.total.add(reconnects, 1)
	}
	c.up, c.failing, c.told, c.before = true, false, false, d.line.total.get(received)
	c.opened = max(d.now(), 1)
	d.line.attach(r.link)
	d.open.Store(&r.link)
	if port, ok := r.link.(serial.Counter); ok {
		d.port.Store(&port)
	}
	for _, u := range d.units {
		d.welcome(u)
	}
}

// welcome begins with a device on a new link: what failed for want of one is asked for at once.
func (d *driver) welcome(u *unit) {
	u.ready, u.initAt = len(u.dev.inits) == 0, d.now()
	for _, t := range u.tasks {
		if t.poll.period == 0 || !u.demoted() && !t.alive {
			d.schedule.At(t.slot, d.now())
		}
	}
	for _, p := range u.points {
		if p.stream && p.Status() == ua.StatusBadNoCommunication {
			p.fail(drivers.Waiting)
		}
	}
}

// lost notes that the link has ended. If it was of use, the next attempt comes at once; else with growing pauses, as for
// a server that accepts and closes.
func (d *driver) lost() {
	c := &d.connect
	d.open.Store(nil)
	d.log.Debug("channel lost", "where", d.channel.where(), "err", c.cause)
	c.up, c.at, c.lost = false, d.now(), d.now()
	d.line.total.enter(0)
	if c.cause != nil {
		d.line.total.failed(c.cause)
	}
	if d.line.total.get(received) != c.before {
		c.backoff.Reset()
		return
	}
	c.at += c.backoff.Next()
}

// drop ends the use of the link and keeps the cause; the channel will connect again.
func (d *driver) drop(cause error) error {
	l := d.line.link
	if l == nil {
		return nil
	}
	d.line.link = nil
	d.connect.cause = cause
	err := l.Close()
	d.connect.cause = errors.Join(cause, err)
	return err
}

// missStreams tells what comes unasked that the link has been away for longer than a moment.
func (d *driver) missStreams(now time.Duration) {
	c := &d.connect
	if d.line.link == nil && c.opened != 0 && !c.told && now >= c.lost+grace {
		d.failStreams()
	}
}

// failStreams counts a failed reading of everything that comes unasked: there is no link.
func (d *driver) failStreams() {
	d.connect.told = true
	for _, u := range d.units {
		for _, p := range u.points {
			if p.stream {
				p.fail(drivers.NoCommunication)
			}
		}
		if len(u.dev.polls) == 0 {
			u.tally.enter(int32(drivers.HealthSuspect))
		}
	}
}

// wait joins the attempt under way; one that does not heed its context is left behind.
func (c *connecting) wait() {
	joined := make(chan struct{})
	go func() {
		c.task.Wait()
		close(joined)
	}()
	timer := time.NewTimer(joinLimit)
	defer timer.Stop()
	select {
	case <-joined:
	case <-timer.C:
		return
	}
	select {
	case r := <-c.done:
		if r.link != nil {
			_ = r.link.Close() // nobody wants it any more
		}
	default:
	}
}
