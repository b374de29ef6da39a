package modbus

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
)

// wiring is what differs between the kinds of Modbus channel.
type wiring struct {
	codec
	dial      func(ctx context.Context) (drivers.Link, error)
	lenient   bool // the ids of replies cannot be trusted
	datagrams bool // each chunk is a frame of its own, or nothing
	renew     bool // after a reply that did not come the link is made anew, so that it cannot come any more

	connectDelay   time.Duration // between connect and first request
	idleClose      time.Duration // without requests; 0: never
	turnaround     time.Duration // after a broadcast
	silence        time.Duration // of the line before a request
	unitChange     time.Duration // the same when another unit is addressed
	character      time.Duration // on the wire; 0: not worth counting
	echo           echoState
	reconnectAfter int           // timeouts in a row that end a connection; 0: never
	reopenAfter    time.Duration // when no unit answers; 0: never
	window         int           // read requests under way at a time; more than 1 only with ids that can be trusted
}

// echoState tells whether a serial line gives back what is sent, as many RS-485 adapters do. It matters because the
// normal answer to a single write equals the request.
type echoState uint8

const (
	echoOff echoState = iota
	echoOn
	echoAuto // the first read will tell: its reply can never equal the request
)

// bus is one wire: requests go out one at a time, and what comes in is searched for the reply. It is owned by the
// goroutine of the channel.
type bus struct {
	wiring
	link    drivers.Link // nil: not connected
	cause   error        // why the last link was dropped
	arrived time.Time    // when the last byte of the last reply came
	total   tally
	unit    *tally    // of the unit that is asked; nil: none
	sent    time.Time // when the request in progress was written
	began   time.Time // when its reply began; zero: not yet
	trace   func(direction string, bytes []byte)

	received []byte // bytes taken from the link
	used     int    // of these, bytes that were consumed; the last reply handed out may lie there

	id         uint16 // of the last request
	asked      query  // the request in progress
	scratch    []byte // room for it
	last       []byte // unit and PDU of the last request sent, to know a repetition
	lastByte   time.Time
	notBefore  time.Time // requests other than a repetition wait until then, for late replies to pass
	timedOut   bool      // the last request got no reply; one may still come
	repeated   bool      // the request in progress repeats one that timed out
	failures   int       // timeouts in a row
	flights    []flight  // requests under way, when there may be several
	landed     time.Time // when the last of them ended
	mismatches int       // frames on this link with ids that were never sent

	misread bool // frames came in vain during this request
	garbled bool // the last request met more bytes than make sense
}

// lateReplyGuard bounds how long a line without ids stays silent after a timeout, so that the late reply is not taken
// for the reply to another request.
const lateReplyGuard = 500 * time.Millisecond

// maxBacklog bounds what is kept of a line that babbles.
const maxBacklog = 4 * rtuMax

// babbleSilence is how long a line that has babbled must be silent before it is believed again.
const babbleSilence = 20 * time.Millisecond

// maxBabble bounds the wait for a silent line.
const maxBabble = time.Second

// replyPatience is what a reply may take beyond its time on the wire: adapters and schedulers hold bytes back.
const replyPatience = 30 * time.Millisecond

func newBus(w wiring) *bus {
	return &bus{wiring: w, scratch: make([]byte, 0, asciiBytes)}
}

// count counts one, for the bus and for the unit that is asked.
func (b *bus) count(c counter) { b.add(c, 1) }

func (b *bus) add(c counter, n int) {
	b.total.counts[c].Add(uint64(n))
	if b.unit != nil {
		b.unit.counts[c].Add(uint64(n))
	}
}

// attach starts to use a link.
func (b *bus) attach(link drivers.Link) {
	b.link, b.received, b.used, b.last = link, b.received[:0], 0, nil
	b.failures, b.timedOut, b.garbled, b.notBefore = 0, false, false, time.Time{}
	b.flights, b.mismatches = b.flights[:0], 0
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

// idle waits between requests, up to that time, and takes what comes, so that a stream stays in step, noise is counted,
// and the end of the link is noticed before a request is lost on it.
func (b *bus) idle(until time.Time) {
	c, err := b.link.Receive(until)
	if err != nil {
		b.drop(err)
	}
	if len(c.Data) == 0 {
		return
	}
	b.take(c)
	if !b.ids || b.lenient {
		b.add(strays, len(b.pending()))
		b.used = len(b.received)
		return
	}
	b.catchUp()
}

// catchUp takes whole frames that nobody waits for out of a stream. One that is out of step drops the link.
func (b *bus) catchUp() {
	next := b.id + 1
	b.asked = b.unpack(nil, []byte{byte(next >> 8), byte(next), 0, 0, 0, 2, 0, 0}) // no reply can be the answer to it
	_, _ = b.search()                                                              // an error has dropped the link and is kept as its cause
}

// roundTrip sends a request and returns its reply, which is valid until the next call. A reply is returned only if it
// is complete and answers this very request. On Modbus TCP it writes its own transaction id into the request.
func (b *bus) roundTrip(ctx context.Context, request []byte, timeout time.Duration) ([]byte, error) {
	if b.link == nil {
		return nil, drivers.NoCommunication.Errorf("not connected")
	}
	if err := b.prepare(ctx, request); err != nil {
		return nil, unsent(err)
	}
	if err := b.transmit(request); err != nil {
		return nil, err
	}
	frame, err := b.await(ctx, timeout)
	b.conclude(timeout)
	b.total.Load.Add(time.Since(b.sent), time.Now())
	if err == nil {
		b.measure()
	}
	return frame, err
}

// broadcast sends a request that all units carry out and none answers, and gives them the time to do so
// (Modbus over Serial Line V1.02, 2.4.1).
func (b *bus) broadcast(ctx context.Context, request []byte) error {
	if b.link == nil {
		return drivers.NoCommunication.Errorf("not connected")
	}
	if err := b.prepare(ctx, request); err != nil {
		return unsent(err)
	}
	if err := b.transmit(request); err != nil {
		return err
	}
	err := drivers.Rest(ctx, b.onWire(len(request))+b.turnaround)
	b.total.Load.Add(time.Since(b.sent), time.Now())
	return err
}

func (b *bus) transmit(request []byte) error {
	b.count(requests)
	b.sent, b.began = time.Now(), time.Time{}
	if b.trace != nil {
		b.trace("sent", request)
	}
	if err := b.link.Write(request); err != nil {
		return b.lose(err)
	}
	return nil
}

// measure remembers how long the reply took, and the unit to begin it.
func (b *bus) measure() {
	now := time.Now()
	b.total.Answered(now)
	if b.unit != nil {
		b.unit.Answered(now)
		b.unit.Trips.Add(b.arrived.Sub(b.sent), b.began.Sub(b.sent)-b.onWire(len(b.asked.adu)))
	}
}

// prepare clears the line of what came unasked and waits until it may be used.
func (b *bus) prepare(ctx context.Context, request []byte) error {
	b.compact()
	b.misread = false
	if b.ids && !b.lenient && len(b.received) > 0 {
		if b.catchUp(); b.link == nil {
			return &drivers.Error{Fault: drivers.LinkLost, Err: b.cause}
		}
	}
	b.asked = b.unpack(b.scratch, request)
	if b.ids {
		b.id++
		request[0], request[1] = byte(b.id>>8), byte(b.id)
		if !b.lenient {
			b.timedOut = false
			if isRead(b.asked.pdu) { // ids keep late replies apart, and a read that is lost is repeated
				return nil
			}
			return b.absorb()
		}
	}
	return b.quiet(ctx, b.clear())
}

// clear tells when the line is free for the request, and remembers it.
func (b *bus) clear() time.Time {
	q := &b.asked
	same := len(b.last) > 0 && b.last[0] == q.unit
	b.repeated, b.timedOut = b.timedOut && same && bytes.Equal(q.pdu, b.last[1:]), false
	ready := b.lastByte.Add(b.silence)
	if len(b.last) > 0 && !same {
		ready = b.lastByte.Add(max(b.silence, b.unitChange))
	}
	if !b.repeated && b.notBefore.After(ready) {
		ready = b.notBefore
	}
	if b.garbled {
		ready, b.garbled = later(ready, b.lastByte.Add(babbleSilence)), false
	}
	b.last = append(append(b.last[:0], q.unit), q.pdu...)
	return ready
}

// absorb takes what is waiting on the link without blocking.
func (b *bus) absorb() error {
	for {
		c, err := b.link.Receive(time.Time{})
		switch {
		case err != nil:
			return b.lose(err)
		case len(c.Data) == 0:
			return nil
		}
		b.take(c)
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
			b.add(strays, n)
			b.received = b.received[:0]
			ready = later(ready, b.lastByte.Add(b.silence))
		}
		if !ready.After(time.Now()) {
			return nil
		}
		if ready.After(giveUp) {
			return drivers.BadReply.Errorf("the line is never silent")
		}
		if err := b.listen(ctx, ready); err != nil {
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

// listen waits up to that time for the next bytes; nothing coming is no error. The end of ctx interrupts the link.
func (b *bus) listen(ctx context.Context, until time.Time) error {
	c, err := b.link.Receive(until)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return b.lose(err)
	case len(c.Data) > 0:
		b.take(c)
	}
	return nil
}

func (b *bus) take(c drivers.Chunk) {
	if c.Lost {
		b.count(overflows)
		b.used = len(b.received)
	}
	if b.used == len(b.received) || b.datagrams {
		b.received, b.used = b.received[:0], 0
	}
	b.received = append(b.received, c.Data...)
	b.lastByte = c.At
	if b.began.IsZero() {
		b.began = c.At
	}
	if b.trace != nil {
		b.trace("received", c.Data)
	}
}

// await looks for the reply until it is complete or time is up. Time for the first byte and time for the bytes to pass
// the wire are counted apart: at 1200 Bd a full reply takes over two seconds.
func (b *bus) await(ctx context.Context, timeout time.Duration) ([]byte, error) {
	echo := b.echo == echoOn
	first := time.Now().Add(timeout + b.onWire(len(b.asked.adu)))
	last := first
	if b.character > 0 {
		last = first.Add(b.onWire(b.size(longestReply(b.asked.pdu)))*6/5 + replyPatience)
	}
	for {
		if echo && len(b.pending()) >= len(b.asked.adu) {
			if err := b.cutEcho(); err != nil {
				return nil, err
			}
			echo = false
		}
		if !echo {
			frame, err := b.search()
			if frame != nil || err != nil {
				return frame, err
			}
		}
		until := last
		if len(b.pending()) == 0 {
			until = first
		}
		if !until.After(time.Now()) {
			return nil, b.silent(echo)
		}
		if err := b.listen(ctx, until); err != nil {
			return nil, err
		}
	}
}

func (b *bus) pending() []byte { return b.received[b.used:] }

func (b *bus) onWire(characters int) time.Duration { return time.Duration(characters) * b.character }

// cutEcho takes our own request away, which an echoing line returns before the reply.
func (b *bus) cutEcho() error {
	request := b.asked.adu
	if !bytes.Equal(b.pending()[:len(request)], request) {
		b.count(echoes)
		return drivers.BadReply.Errorf("the echo of the request came back changed; two senders on the line?")
	}
	b.used += len(request)
	return nil
}

// search asks the framer, and goes on as long as there are whole frames.
func (b *bus) search() ([]byte, error) {
	for {
		f := b.frame(&b.asked, b.pending())
		switch f.verdict {
		case more:
			return nil, b.backlog()
		case broken:
			b.count(protocol)
			if b.datagrams { // the next one is a new beginning
				b.used, b.misread = len(b.received), true
				return nil, nil
			}
			return nil, b.lose(f.why)
		case foreign:
			b.stray(f.frame(b.pending()))
			b.used += f.skip + f.size
		case invalid:
			b.count(protocol)
			b.used += f.skip + f.size
			return nil, &drivers.Error{Fault: drivers.BadReply, Err: f.why}
		case reply:
			return b.accept(f)
		}
	}
}

func (b *bus) backlog() error {
	if len(b.pending()) <= maxBacklog {
		return nil
	}
	b.count(checksums)
	b.garbled = true
	return drivers.BadReply.Errorf("%d bytes without a valid frame", len(b.pending()))
}

// stray counts a frame with another transaction id: late if we sent that id not long ago.
func (b *bus) stray(frame []byte) (late bool) {
	if age := b.id - uint16(frame[0])<<8 - uint16(frame[1]); age < 64 {
		b.count(lateReplies)
		return true
	}
	b.count(strays)
	b.misread = true
	return false
}

// accept hands out the reply, unless it may be nothing but the echo of the request.
func (b *bus) accept(f found) ([]byte, error) {
	request := b.asked.adu
	before, frame := b.pending()[:f.skip], f.frame(b.pending())
	b.used += f.skip + f.size
	if b.echo == echoAuto {
		if isRead(b.asked.pdu) {
			b.echo = echoOff
			if bytes.HasSuffix(before, request) {
				b.echo = echoOn
			}
		} else if bytes.Equal(frame, request) {
			return nil, drivers.BadReply.Errorf("reply or echo? no read has succeeded yet that would tell")
		}
	}
	if b.lenient {
		copy(frame[:2], request) // the library compares them as well
	}
	b.count(replies)
	b.arrived = b.lastByte
	return frame, nil
}

// silent names what happened when time is up. A reply may still come, and must not answer another request.
func (b *bus) silent(echo bool) error {
	b.timedOut = true
	request := b.asked.adu
	if b.echo == echoAuto && isRead(b.asked.pdu) && bytes.Equal(b.pending(), request) {
		b.echo = echoOn
		b.used += len(request)
	}
	switch {
	case echo:
		b.count(echoes)
		return drivers.BadReply.Errorf("the echo of the request did not come back")
	case b.misread, len(b.pending()) > 0 && !b.ids:
		b.count(checksums)
		return drivers.BadReply.Errorf("bytes came, but no valid reply")
	}
	b.count(timeouts)
	return drivers.NoReply.Errorf("no reply")
}

// settle ends a link on which a late reply could be taken for another one. It is called when nobody repeats the request.
func (b *bus) settle() {
	late := b.renew && (b.timedOut || b.repeated || b.garbled)
	torn := b.ids && b.timedOut && len(b.pending()) > 0 // the next frame would be read from the middle
	if b.link != nil && (late || torn) {
		b.drop(errRenewed)
	}
}

// errRenewed says that we ended the link ourselves, to make a new one.
var errRenewed = errors.New("a late reply could still come")

// conclude keeps the line safe after a transaction. Ids tell late replies apart; without them the line stays silent
// for a while, also after a repetition, whose first or second reply may still be under way.
func (b *bus) conclude(timeout time.Duration) {
	b.failures++
	if !b.timedOut {
		b.failures = 0
	}
	if b.link != nil && b.reconnectAfter > 0 && b.failures >= b.reconnectAfter {
		b.drop(errUnanswered)
	}
	if b.timedOut || b.repeated {
		b.notBefore = time.Now().Add(min(timeout, lateReplyGuard))
	}
}
