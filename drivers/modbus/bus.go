package modbus

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/goburrow/modbus"
)

// wiring is what differs between the kinds of Modbus channel.
type wiring struct {
	dial     func(ctx context.Context) (drivers.Link, error)
	packager func(unit byte) modbus.Packager
	frame    framer
	ids      bool // frames carry a transaction id

	connectDelay   time.Duration // between connect and first request
	silence        time.Duration // of the line before a request
	unitChange     time.Duration // the same when another unit is addressed
	character      time.Duration // on the wire; 0: not worth counting
	echo           echoState
	reconnectAfter int           // timeouts in a row that end a connection; 0: never
	reopenAfter    time.Duration // when no unit answers; 0: never
}

// echoState tells whether a serial line gives back what is sent, as many RS-485 adapters do. It matters because the
// normal answer to a single write equals the request.
type echoState uint8

const (
	echoOff echoState = iota
	echoOn
	echoAuto // the first read will tell: its reply can never equal the request
)

// counters are what happened on a bus.
type counters struct {
	requests, replies, timeouts, invalid, late, strays, echoErrors, overflows uint64
}

// bus is one wire: requests go out one at a time, and what comes in is searched for the reply. It is owned by the
// goroutine of the channel.
type bus struct {
	wiring
	link    drivers.Link // nil: not connected
	cause   error        // why the last link was dropped
	timer   *time.Timer
	arrived time.Time // when the last byte of the last reply came
	counters

	received []byte // bytes taken from the link
	used     int    // of these, bytes that were consumed; the last reply handed out may lie there

	id        uint16 // of the last request
	last      []byte // last request sent, to know a repetition
	lastByte  time.Time
	notBefore time.Time // requests other than a repetition wait until then, for late replies to pass
	timedOut  bool      // the last request got no reply; one may still come
	repeated  bool      // the request in progress repeats one that timed out
	failures  int       // timeouts in a row
	misread   bool      // frames came in vain during this request
}

// lateReplyGuard bounds how long a line without ids stays silent after a timeout, so that the late reply is not taken
// for the reply to another request.
const lateReplyGuard = 500 * time.Millisecond

// maxBacklog bounds what is kept of a line that babbles.
const maxBacklog = 4 * rtuMax

// maxBabble bounds the wait for a silent line.
const maxBabble = time.Second

// replyPatience is what a reply may take beyond its time on the wire: adapters and schedulers hold bytes back.
const replyPatience = 30 * time.Millisecond

func newBus(w wiring) *bus {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &bus{wiring: w, timer: timer}
}

// attach starts to use a link.
func (b *bus) attach(link drivers.Link) {
	b.link, b.received, b.used, b.last = link, b.received[:0], 0, nil
	b.failures, b.timedOut, b.notBefore = 0, false, time.Time{}
}

// drop ends the use of the link and keeps the cause; the channel will connect again.
func (b *bus) drop(cause error) {
	if b.link != nil {
		b.cause = errors.Join(cause, b.link.Close())
		b.link = nil
	}
}

// lose drops the link in the middle of a transaction.
func (b *bus) lose(cause error) error {
	b.drop(cause)
	return &drivers.Error{Fault: drivers.LinkLost, Err: cause}
}

// idle takes what comes between requests, so that a stream stays in step and noise is counted.
func (b *bus) idle(c drivers.Chunk) {
	b.take(c)
	if !b.ids {
		b.strays += uint64(len(b.pending()))
		b.used = len(b.received)
		return
	}
	next := b.id + 1
	nothing := [mbapHeader + 1]byte{byte(next >> 8), byte(next)} // no reply can be the answer to it
	_, _ = b.search(nothing[:])                                  // an error has dropped the link and is kept as its cause
}

// roundTrip sends a request and returns its reply, which is valid until the next call. A reply is returned only if it
// is complete and answers this very request. On Modbus TCP it writes its own transaction id into the request.
func (b *bus) roundTrip(ctx context.Context, request []byte, timeout time.Duration) ([]byte, error) {
	if b.link == nil {
		return nil, faultf(drivers.NoCommunication, "not connected")
	}
	if err := b.prepare(ctx, request); err != nil {
		return nil, unsent(err)
	}
	b.requests++
	if err := b.link.Write(request); err != nil {
		return nil, b.lose(err)
	}
	frame, err := b.await(ctx, request, timeout)
	b.conclude(timeout)
	return frame, err
}

// prepare clears the line of what came unasked and waits until it may be used.
func (b *bus) prepare(ctx context.Context, request []byte) error {
	b.received = append(b.received[:0], b.received[b.used:]...)
	b.used, b.misread = 0, false
	if b.ids {
		b.id++
		request[0], request[1] = byte(b.id>>8), byte(b.id)
		b.timedOut = false
		return b.absorb()
	}
	b.repeated, b.timedOut = b.timedOut && bytes.Equal(request, b.last), false
	ready := b.lastByte.Add(b.silence)
	if len(b.last) > 0 && b.last[0] != request[0] {
		ready = b.lastByte.Add(max(b.silence, b.unitChange))
	}
	if !b.repeated && b.notBefore.After(ready) {
		ready = b.notBefore
	}
	b.last = append(b.last[:0], request...)
	return b.quiet(ctx, ready)
}

// absorb takes what is waiting on the link without blocking.
func (b *bus) absorb() error {
	for {
		select {
		case c, ok := <-b.link.Chunks():
			if !ok {
				return b.lose(ended(b.link))
			}
			b.take(c)
		default:
			return nil
		}
	}
}

// quiet drops everything that comes until the line has been silent up to that time. Each byte that comes moves it.
func (b *bus) quiet(ctx context.Context, ready time.Time) error {
	giveUp := later(ready, time.Now()).Add(maxBabble)
	for {
		b.received = b.received[:0]
		if err := b.absorb(); err != nil {
			return err
		}
		if n := len(b.received); n > 0 {
			b.strays += uint64(n)
			b.received = b.received[:0]
			ready = later(ready, b.lastByte.Add(b.silence))
		}
		wait := time.Until(ready)
		if wait <= 0 {
			return nil
		}
		if ready.After(giveUp) {
			return faultf(drivers.BadReply, "the line is never silent")
		}
		if err := b.listen(ctx, wait); err != nil {
			return err
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// listen waits that long for the next bytes; nothing coming is no error.
func (b *bus) listen(ctx context.Context, d time.Duration) error {
	b.timer.Reset(d)
	defer b.timer.Stop()
	select {
	case c, ok := <-b.link.Chunks():
		if !ok {
			return b.lose(ended(b.link))
		}
		b.take(c)
	case <-b.timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (b *bus) take(c drivers.Chunk) {
	if c.Lost {
		b.overflows++
		b.used = len(b.received)
	}
	if b.used == len(b.received) {
		b.received, b.used = b.received[:0], 0
	}
	b.received = append(b.received, c.Data...)
	b.lastByte = c.At
}

// ended says why a link is over.
func ended(l drivers.Link) error {
	if err := l.Err(); err != nil {
		return err
	}
	return errors.New("connection closed")
}

// await looks for the reply until it is complete or time is up. Time for the first byte and time for the bytes to pass
// the wire are counted apart: at 1200 Bd a full reply takes over two seconds.
func (b *bus) await(ctx context.Context, request []byte, timeout time.Duration) ([]byte, error) {
	echo := b.echo == echoOn
	first := time.Now().Add(timeout + b.onWire(len(request)))
	last := first
	if b.character > 0 {
		last = first.Add(b.onWire(rtuOverhead+replySize(request[1:]))*6/5 + replyPatience)
	}
	for {
		if echo && len(b.pending()) >= len(request) {
			if err := b.cutEcho(request); err != nil {
				return nil, err
			}
			echo = false
		}
		if !echo {
			frame, err := b.search(request)
			if frame != nil || err != nil {
				return frame, err
			}
		}
		until := last
		if len(b.pending()) == 0 {
			until = first
		}
		wait := time.Until(until)
		if wait <= 0 {
			return nil, b.silent(request, echo)
		}
		if err := b.listen(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (b *bus) pending() []byte { return b.received[b.used:] }

func (b *bus) onWire(characters int) time.Duration { return time.Duration(characters) * b.character }

// cutEcho takes our own request away, which an echoing line returns before the reply.
func (b *bus) cutEcho(request []byte) error {
	if !bytes.Equal(b.pending()[:len(request)], request) {
		b.echoErrors++
		return faultf(drivers.BadReply, "the echo of the request came back changed; two senders on the line?")
	}
	b.used += len(request)
	return nil
}

// search asks the framer, and goes on as long as there are whole frames.
func (b *bus) search(request []byte) ([]byte, error) {
	for {
		f := b.frame(request, b.pending())
		switch f.verdict {
		case more:
			return nil, b.backlog()
		case broken:
			b.invalid++
			return nil, b.lose(f.why)
		case foreign:
			b.stray(f.frame(b.pending()))
			b.used += f.skip + f.size
		case invalid:
			b.invalid++
			b.used += f.skip + f.size
			return nil, &drivers.Error{Fault: drivers.BadReply, Err: f.why}
		case reply:
			return b.accept(request, f)
		}
	}
}

func (b *bus) backlog() error {
	if len(b.pending()) <= maxBacklog {
		return nil
	}
	b.invalid++
	return faultf(drivers.BadReply, "%d bytes without a valid frame", len(b.pending()))
}

// stray counts a frame with another transaction id: late if we sent that id not long ago.
func (b *bus) stray(frame []byte) {
	if age := b.id - uint16(frame[0])<<8 - uint16(frame[1]); age < 64 {
		b.late++
		return
	}
	b.strays++
	b.misread = true
}

// accept hands out the reply, unless it may be nothing but the echo of the request.
func (b *bus) accept(request []byte, f found) ([]byte, error) {
	before, frame := b.pending()[:f.skip], f.frame(b.pending())
	b.used += f.skip + f.size
	if b.echo == echoAuto {
		if isRead(request[1:]) {
			b.echo = echoOff
			if bytes.HasSuffix(before, request) {
				b.echo = echoOn
			}
		} else if bytes.Equal(frame, request) {
			return nil, faultf(drivers.BadReply, "reply or echo? no read has succeeded yet that would tell")
		}
	}
	b.replies++
	b.arrived = b.lastByte
	return frame, nil
}

// silent names what happened when time is up. A reply may still come, and must not answer another request.
func (b *bus) silent(request []byte, echo bool) error {
	b.timedOut = true
	if b.echo == echoAuto && isRead(request[1:]) && bytes.Equal(b.pending(), request) {
		b.echo = echoOn
		b.used += len(request)
	}
	switch {
	case echo:
		b.echoErrors++
		return faultf(drivers.BadReply, "the echo of the request did not come back")
	case b.misread, len(b.pending()) > 0 && !b.ids:
		b.invalid++
		return faultf(drivers.BadReply, "bytes came, but no valid reply")
	}
	b.timeouts++
	return faultf(drivers.NoReply, "no reply")
}

// conclude keeps the line safe after a transaction. Ids tell late replies apart; without them the line stays silent
// for a while, also after a repetition, whose first or second reply may still be under way.
func (b *bus) conclude(timeout time.Duration) {
	b.failures++
	if !b.timedOut {
		b.failures = 0
	}
	if b.link != nil && b.reconnectAfter > 0 && b.failures >= b.reconnectAfter {
		b.drop(errors.New("no reply several times in a row"))
	}
	if b.timedOut || b.repeated {
		b.notBefore = time.Now().Add(min(timeout, lateReplyGuard))
	}
}
