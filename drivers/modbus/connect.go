package modbus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
)

// Pause between attempts to connect.
const (
	redialMin = time.Second
	redialMax = 30 * time.Second
	joinLimit = 2 * time.Second
	// What is due waits that long for a link that is made anew, so that a short break is no news.
	grace = 500 * time.Millisecond
)

// connecting is the way to a link. Connecting can take seconds, in which the tags must tell that there is no connection;
// so it happens on a goroutine of its own.
type connecting struct {
	up       bool          // there is a link, as far as the log says
	active   bool          // an attempt is under way
	failing  bool          // the failure has been logged; one line per outage
	at       time.Duration // when to try next
	began    time.Duration // when the attempt under way began
	opened   time.Duration // when the link came; 0: never
	before   uint64        // replies on the bus at that time
	used     time.Duration // when the link was last used
	requests uint64        // on the bus at that time
	backoff  drivers.Backoff
	done     chan connection
	task     sync.WaitGroup
}

type connection struct {
	link drivers.Link
	err  error
}

// dial starts an attempt if there is no link and it is time for one.
func (d *driver) dial(ctx context.Context) {
	c := &d.connect
	if d.bus.link == nil && c.up {
		d.lost()
	}
	if d.bus.link != nil || c.active || d.now() < c.at || len(d.units) == 0 || d.bus.rests() && !d.needed() {
		return
	}
	c.active, c.began = true, d.now()
	c.task.Go(func() {
		r := d.bus.open(ctx)
		select {
		case c.done <- r:
		case <-ctx.Done():
			if r.link != nil {
				_ = r.link.Close() // nobody wants it any more
			}
		}
	})
}

// holding tells whether what is due waits for the attempt under way: the first one ever, or one that follows at once
// on a link that has ended.
func (d *driver) holding() bool {
	c := &d.connect
	return d.bus.link == nil && c.active && !c.failing && (c.opened == 0 || d.now() < c.began+grace)
}

// rests tells whether the channel closes when it has nothing to do.
func (w *wiring) rests() bool { return w.idleClose > 0 }

// needed tells whether a channel that rests has something to do.
func (d *driver) needed() bool {
	return d.held != nil || len(d.writes) > 0 || len(d.asked) > 0 || d.nextUse() <= d.now()
}

// restAt is when a channel without requests is closed.
func (d *driver) restAt() time.Duration { return d.connect.used + d.bus.idleClose }

// rest closes a channel that has had nothing to do for long enough.
func (d *driver) rest() {
	c := &d.connect
	if n := d.bus.total.get(requests); n != c.requests {
		c.requests, c.used = n, d.now()
	}
	if d.bus.rests() && d.bus.link != nil && d.now() >= d.restAt() && !d.needed() {
		d.bus.drop(errIdle)
	}
}

// errIdle says that we ended the link ourselves, because nothing was to be sent.
var errIdle = errors.New("nothing to do")

// open makes a link that is ready for the first request. It only reads what never changes.
func (w *wiring) open(ctx context.Context) connection {
	link, err := w.dial(ctx)
	if err != nil {
		return connection{err: err}
	}
	if err := rest(ctx, w.connectDelay); err != nil {
		return connection{err: errors.Join(err, link.Close())}
	}
	return connection{link: link}
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

// connected takes the result of an attempt. What failed for want of a link is read at once.
func (d *driver) connected(r connection) {
	c := &d.connect
	c.active = false
	if r.err != nil {
		c.at = d.now() + c.backoff.Next()
		d.bus.total.failed(r.err)
		if !c.failing {
			d.log.Warn("channel down", "where", d.channel.where(), "err", r.err)
		}
		c.failing = true
		return
	}
	level := slog.LevelDebug // devices that close after each request are no news
	if c.failing || c.opened == 0 {
		level = slog.LevelInfo
	}
	d.log.Log(context.Background(), level, "channel up", "where", d.channel.where())
	c.up, c.failing, c.before = true, false, d.bus.total.get(replies)
	d.bus.total.enter(1)
	if c.opened != 0 {
		d.bus.count(reconnects)
	}
	c.opened = max(d.now(), 1)
	c.used = c.opened
	d.bus.attach(r.link)
	d.open.Store(&r.link)
	if port, ok := r.link.(serial.Counter); ok {
		d.port.Store(&port)
	}
	for _, u := range d.units {
		u.rejoin.Reset()
		u.rejoinAt = min(u.rejoinAt, c.opened+rejoinMin)
		if u.known { // it may be another one now
			u.identify = u.asks
		}
	}
	for _, b := range d.blocks {
		if b.group.once && !b.slot.Scheduled() {
			d.schedule.At(b.slot, d.now())
		}
		if b.cutOff && b.slot.Scheduled() && b.unit.health.State() != drivers.HealthDemoted {
			d.schedule.Hasten(b.slot, d.now())
		}
	}
}

// lost notes that the link has ended. If it was of use, the next attempt comes at once, as for devices that close after
// each request; else with growing pauses, as for those that accept and close.
func (d *driver) lost() {
	c := &d.connect
	d.log.Debug("channel lost", "where", d.channel.where(), "err", d.bus.cause)
	c.up, c.at = false, d.now()
	d.bus.total.enter(0)
	if d.bus.cause != nil {
		d.bus.total.failed(d.bus.cause)
	}
	if d.bus.total.get(replies) != c.before || errors.Is(d.bus.cause, errRenewed) || errors.Is(d.bus.cause, errIdle) {
		c.backoff.Reset()
		return
	}
	c.at += c.backoff.Next()
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
	}
}
