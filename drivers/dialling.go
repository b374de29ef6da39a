package drivers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	redialMin = time.Second
	redialMax = 30 * time.Second
	// joinLimit bounds the wait for an attempt that does not heed its context.
	joinLimit = 2 * time.Second
)

// Grace is how long a link may be away before that is news: what is due waits that long for one that is made anew.
const Grace = 500 * time.Millisecond

// Dialling is the way of a channel to its Link. Connecting can take seconds, in which the tags must tell that there is no
// connection; so it happens on a goroutine of its own. All else belongs to the goroutine of the channel. Times are
// durations from one start.
type Dialling struct {
	Backoff Backoff // pause between attempts

	dial    func(ctx context.Context) (Link, error)
	startup time.Duration
	where   func() string
	log     *slog.Logger

	up      bool          // there is a link, as far as the log says
	active  bool          // an attempt is under way
	failing bool          // the failure has been logged; one line per outage
	at      time.Duration // when to try next
	began   time.Duration // when the attempt under way began
	opened  time.Duration // when the link came; 0: never
	done    chan Dialled
	task    sync.WaitGroup
}

// Dialled is what came of an attempt to connect.
type Dialled struct {
	link Link
	err  error
}

// NewDialling prepares to connect with dial, and to leave a link alone for startup before its first use. Where names port
// or address in the log.
func NewDialling(dial func(ctx context.Context) (Link, error), startup time.Duration, where func() string, log *slog.Logger) *Dialling {
	return &Dialling{
		Backoff: Backoff{Min: redialMin, Max: redialMax},
		dial:    dial, startup: startup, where: where, log: log, done: make(chan Dialled, 1),
	}
}

// Open makes a link that is ready for its first use, on the goroutine of the caller.
func (c *Dialling) Open(ctx context.Context) (Link, error) {
	link, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := Rest(ctx, c.startup); err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return link, nil
}

// Rest waits that long, or until ctx ends.
func Rest(ctx context.Context, long time.Duration) error {
	if long <= 0 {
		return nil
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Begin starts an attempt if it is time for one. There must be no link.
func (c *Dialling) Begin(ctx context.Context, now time.Duration) {
	if c.active || now < c.at {
		return
	}
	c.active, c.began = true, now
	c.task.Go(func() {
		link, err := c.Open(ctx)
		if err == nil && ctx.Err() != nil {
			_ = link.Close() // nobody wants it any more
			return
		}
		c.done <- Dialled{link, err} // there is room for one, and one attempt at a time
	})
}

// Done brings what came of an attempt, for Take.
func (c *Dialling) Done() <-chan Dialled { return c.done }

// Take returns the link of an attempt, or why there is none; then the next attempt comes after a pause.
func (c *Dialling) Take(r Dialled, now time.Duration) (Link, error) {
	c.active = false
	if r.err != nil {
		c.at = now + c.Backoff.Next()
		if !c.failing {
			c.log.Warn("channel down", "where", c.where(), "err", r.err)
		}
		c.failing = true
		return nil, r.err
	}
	level := slog.LevelDebug // devices that close after each request are no news
	if c.failing || c.opened == 0 {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "channel up", "where", c.where())
	c.up, c.failing, c.opened = true, false, max(now, 1)
	return r.link, nil
}

// Lost notes that the link has ended, and why. If it was of use, the next attempt comes at once, as for devices that
// close after each request; else with growing pauses, as for those that accept and close.
func (c *Dialling) Lost(now time.Duration, cause error, ofUse bool) {
	c.log.Debug("channel lost", "where", c.where(), "err", cause)
	c.up, c.at = false, now
	if ofUse {
		c.Backoff.Reset()
		return
	}
	c.at += c.Backoff.Next()
}

// Up tells whether there is a link, as far as Take and Lost were told.
func (c *Dialling) Up() bool { return c.up }

// Failing tells whether the last attempt failed.
func (c *Dialling) Failing() bool { return c.failing }

// Opened is when the last link came; 0: there was none yet.
func (c *Dialling) Opened() time.Duration { return c.opened }

// Next is when the next attempt is due; ok is false while one is under way.
func (c *Dialling) Next() (at time.Duration, ok bool) { return c.at, !c.active }

// Holding tells whether what is due waits for the attempt under way: the first one ever, or one that follows at once on a
// link that has ended.
func (c *Dialling) Holding(now time.Duration) bool {
	return c.active && !c.failing && (c.opened == 0 || now < c.began+Grace)
}

// Wait joins the attempt under way, whose context must have ended; one that does not heed that is left behind.
func (c *Dialling) Wait() {
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
