package instrument

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/gopcua/opcua/ua"
)

// line is the wire: what comes is cut into frames, and one request at a time waits for its reply.
type line struct {
	link      drivers.Link // nil: not connected
	scanner   *framing.Scanner
	streams   bool // something comes unasked
	total     tally
	asked     *question // nil: nothing is waited for
	lastByte  time.Time
	notBefore time.Time // requests other than a repetition wait until then, for late replies to pass
	owed      int       // replies that did not come in time and may still come
	silences  int       // timeouts in a row
	torn      uint64    // of the scanner, as far as they were counted
	noise     uint64
	garbage   uint64 // bytes without a frame since the last one
	trace     func(direction string, b []byte)
}

// question is a request that waits for its reply.
type question struct {
	unit    *unit
	x       *exchange
	expect  []int  // messages that answer it
	request []byte // as sent
	sent    time.Time
	began   time.Time // when the first byte came that is no echo; zero: not yet
	echo    echoMode  // auto and on until it has come
	echoed  []byte    // what has come of it
	done    bool
	err     error
}

// Bounds of waiting.
const (
	// lateReplyGuard bounds how long a line stays silent after a timeout, so that the late reply is not taken for the
	// reply to another request.
	lateReplyGuard = 500 * time.Millisecond
	// betweenBytes is how long a frame that comes unasked may pause before something is sent in its middle.
	betweenBytes = 50 * time.Millisecond
	maxBabble    = time.Second // bounds the wait for a silent line
	patience     = 30 * time.Millisecond
	socketReply  = 10 * time.Second // the longest that a reply through a device server may take to pass
	muchGarbage  = 256              // bytes without a frame, after which it is said that nothing useful comes
)

// refusal is a reply that says no.
type refusal struct{ status ua.StatusCode }

func (r *refusal) Error() string { return "the device refused: " + r.status.Error() }

// attach starts to use a link.
func (l *line) attach(link drivers.Link) {
	now := time.Now()
	l.link, l.lastByte, l.notBefore, l.owed, l.silences, l.garbage = link, now, time.Time{}, 0, 0, 0
	l.scanner.Join(now)
	l.total.Up(true)
}

// lose drops the link in the middle of something.
func (d *driver) lose(cause error) error {
	if err := d.drop(cause); err != nil {
		cause = errors.Join(cause, err)
	}
	return &drivers.Error{Fault: drivers.LinkLost, Err: cause}
}

// listen takes what comes next, at the latest when silence ends a frame. Nothing coming is no error.
func (d *driver) listen(until time.Time) error {
	l := &d.line
	if at, ok := l.scanner.Deadline(); ok && at.Before(until) {
		until = at
	}
	c, err := l.link.Receive(until)
	if err != nil {
		return d.lose(err)
	}
	if len(c.Data) > 0 || c.Lost {
		d.take(c)
	}
	l.scanner.Expire(time.Now())
	d.frames()
	return nil
}

// take feeds bytes to the scanner, without the echo of what was sent.
func (d *driver) take(c drivers.Chunk) {
	l := &d.line
	if c.Lost {
		l.total.add(overflows, 1)
		l.scanner.Break(c.At)
	}
	l.lastByte = c.At
	l.total.add(received, len(c.Data))
	if l.trace != nil {
		l.trace("received", c.Data)
	}
	data := c.Data
	if q := l.asked; q != nil && !q.done {
		data = q.withoutEcho(data, &l.total)
		if len(data) > 0 && q.began.IsZero() {
			q.began = c.At
		}
	} else {
		l.total.Load.Add(d.onWire(len(data)), c.At)
	}
	l.scanner.Feed(data, c.At)
	if q := l.asked; q != nil && !q.done {
		l.scanner.Discard(q.rawAnswer(l.scanner.Pending()))
	}
}

// withoutEcho holds back what may be the echo of the request and returns the rest.
func (q *question) withoutEcho(data []byte, total *tally) []byte {
	if q.echo == echoOff {
		return data
	}
	q.echoed = append(q.echoed, data...)
	n := min(len(q.echoed), len(q.request))
	if !bytes.Equal(q.echoed[:n], q.request[:n]) {
		if q.echo == echoOn {
			total.add(echoes, 1)
			q.end(drivers.BadReply.Errorf("the echo of the request came back changed; two senders on the line?"))
		}
		q.echo = echoOff
		return q.echoed
	}
	if len(q.echoed) < len(q.request) {
		return nil
	}
	q.echo = echoOff
	return q.echoed[len(q.request):]
}

// rawAnswer looks for an answer outside of frames, such as a single ACK, and returns its length.
func (q *question) rawAnswer(b []byte) int {
	switch x := q.x; {
	case len(x.ackBytes) > 0 && bytes.HasPrefix(b, x.ackBytes):
		q.end(nil)
		return len(x.ackBytes)
	case len(x.nakBytes) > 0 && bytes.HasPrefix(b, x.nakBytes):
		q.end(&refusal{x.nakStatus})
		return len(x.nakBytes)
	}
	return 0
}

func (q *question) end(err error) { q.done, q.err = true, err }

// frames serves the frames that are complete, and counts what is none.
func (d *driver) frames() {
	l := &d.line
	for f, ok := l.scanner.Next(); ok; f, ok = l.scanner.Next() {
		d.frame(&f)
	}
	newTorn, newNoise := l.scanner.Torn-l.torn, l.scanner.Noise-l.noise
	l.torn, l.noise = l.scanner.Torn, l.scanner.Noise
	if newTorn == 0 && newNoise == 0 {
		return
	}
	l.total.add(torn, int(newTorn))
	l.total.add(noise, int(newNoise))
	if l.garbage += newNoise; l.garbage >= muchGarbage {
		l.garbage = 0
		l.total.Failed(errors.New("bytes come that make no frame: often the wrong rate, parity or Frame"))
		d.doubt()
	}
}

func (d *driver) frame(f *framing.Frame) {
	l := &d.line
	body, err := d.channel.sum.Verify(f)
	if err != nil {
		l.total.add(checksums, 1)
		l.total.Failed(err)
		d.invalid(f, err)
		l.scanner.Reject(f)
		return
	}
	l.total.add(frames, 1)
	l.garbage = 0
	if l.asked == nil || l.asked.done || !d.answers(l.asked, f, body) {
		d.unasked(f, body)
	}
}

// answers tells whether a frame is the reply to what was asked. The request itself is no reply: a line that echoes would
// otherwise make every command succeed.
func (d *driver) answers(q *question, f *framing.Frame, body []byte) bool {
	if d.channel.bus.echo != echoOff && bytes.Equal(f.Raw, q.request) {
		return true
	}
	if q.x.nak != nil && q.x.nak.Match(body) {
		q.end(&refusal{q.x.nakStatus})
		return true
	}
	for _, i := range q.expect {
		if v, ok := q.unit.dev.messages[i].find(body); ok {
			q.end(nil)
			d.publish(q.unit, i, v, f)
			return true
		}
	}
	if q.x.ack != nil && q.x.ack.Match(body) {
		q.end(nil)
		return true
	}
	return false
}

// roundTrip sends a request and waits for what answers it, if anything does.
func (d *driver) roundTrip(ctx context.Context, q *question, repeated bool) error {
	l := &d.line
	if l.link == nil {
		return drivers.NoCommunication.Errorf("not connected")
	}
	if err := d.prepare(ctx, repeated); err != nil {
		if drivers.FaultOf(err) == drivers.LinkLost {
			err = &drivers.Error{Fault: drivers.NoCommunication, Err: err} // nothing was sent
		}
		return err
	}
	d.count(q.unit, requests)
	q.sent, q.echo = time.Now(), d.channel.bus.echo
	if l.trace != nil {
		l.trace("sent", q.request)
	}
	if err := l.link.Write(q.request); err != nil {
		return d.lose(err)
	}
	if !q.x.answered() && len(q.expect) == 0 && q.echo != echoOn {
		return nil
	}
	l.asked = q
	err := d.await(ctx, q)
	l.asked = nil
	l.total.Load.Add(time.Since(q.sent), time.Now())
	if err == nil {
		d.count(q.unit, replies)
		if repeated { // the first reply or the second may still be under way
			l.guard(q)
		}
		q.unit.tally.Trips.Add(l.lastByte.Sub(q.sent), q.began.Sub(q.sent)-d.onWire(len(q.request)))
	}
	return err
}

func (d *driver) count(u *unit, c counter) {
	d.line.total.add(c, 1)
	u.tally.add(c, 1)
}

func (d *driver) onWire(bytes int) time.Duration {
	return time.Duration(bytes) * d.channel.character()
}

// prepare waits until something may be sent: no late reply under way, no frame in its middle, and silence as configured.
func (d *driver) prepare(ctx context.Context, repeated bool) error {
	l := &d.line
	giveUp := time.Now().Add(maxBabble + d.channel.bus.silence)
	if !repeated && l.notBefore.After(time.Now()) {
		giveUp = l.notBefore.Add(maxBabble + d.channel.bus.silence)
	}
	for {
		if err := d.absorb(giveUp); err != nil {
			return err
		}
		ready := l.lastByte.Add(d.channel.bus.silence)
		if !repeated && l.notBefore.After(ready) {
			ready = l.notBefore
		}
		if len(l.scanner.Pending()) > 0 && ready.Before(l.lastByte.Add(betweenBytes)) {
			ready = l.lastByte.Add(betweenBytes)
		}
		now := time.Now()
		switch {
		case !ready.After(now):
			if !repeated {
				l.owed = 0
			}
			if !l.streams { // what is left belongs to nothing
				l.total.add(noise, len(l.scanner.Pending()))
				l.scanner.Sync()
			}
			return nil
		case now.After(giveUp):
			return drivers.BadReply.Errorf("the line is never silent")
		}
		if err := d.listen(ready); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// guard keeps the line silent for as long as the reply to a repetition may take after the late reply to the first request.
func (l *line) guard(q *question) {
	l.notBefore = time.Now().Add(min(q.x.timeout+patience, lateReplyGuard))
}

// late notes a reply that nobody waits for any more. Where one came, another one that is owed will come as well.
func (l *line) late() {
	l.total.add(lateReplies, 1)
	if l.owed--; l.owed > 0 {
		l.notBefore = time.Now().Add(lateReplyGuard)
	}
	l.owed = max(0, l.owed)
}

// absorb takes what is there already.
func (d *driver) absorb(giveUp time.Time) error {
	for more := true; more && time.Now().Before(giveUp); {
		before := d.line.total.get(received)
		if err := d.listen(time.Time{}); err != nil {
			return err
		}
		more = d.line.total.get(received) != before
	}
	return nil
}

// await waits for the reply until time is up.
func (d *driver) await(ctx context.Context, q *question) error {
	for !q.done {
		until := d.patience(q)
		if !time.Now().Before(until) {
			return d.silent(q)
		}
		if err := d.listen(until); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil && !q.done {
			return err
		}
		if q.done = q.done || q.echo == echoOff && !q.x.answered() && len(q.expect) == 0; q.done {
			break
		}
	}
	d.line.silences = 0
	return q.err
}

// patience is until when the reply is waited for. Time for the first byte and time for the others are counted apart.
func (d *driver) patience(q *question) time.Time {
	l := &d.line
	first := q.sent.Add(d.onWire(len(q.request)) + q.x.timeout)
	if l.lastByte.Before(q.sent) || len(l.scanner.Pending()) == 0 && len(q.echoed) == 0 {
		return first
	}
	whole := d.onWire(d.channel.spec.Limit())*6/5 + patience
	if d.channel.line == nil {
		whole = socketReply
	}
	until := l.lastByte.Add(q.x.timeout)
	if last := first.Add(whole); until.After(last) {
		until = last
	}
	if until.Before(first) {
		return first
	}
	return until
}

// silent names what happened when time is up. A reply may still come, and must not answer another request.
func (d *driver) silent(q *question) error {
	l := &d.line
	l.guard(q)
	l.owed++
	switch {
	case q.echo == echoOn:
		d.count(q.unit, echoes)
		return drivers.BadReply.Errorf("the echo of the request did not come back")
	case !q.began.IsZero() && len(l.scanner.Pending()) > 0:
		return drivers.BadReply.Errorf("bytes came, but no reply: %s", printable(l.scanner.Pending()))
	}
	d.count(q.unit, timeouts)
	if l.silences++; d.channel.bus.reconnectAfter > 0 && l.silences >= d.channel.bus.reconnectAfter {
		_ = d.drop(errors.New("no reply several times in a row")) // the reply did not come either way
	}
	return drivers.NoReply.Errorf("no reply")
}

// shown is how many bytes of a frame are shown to people.
const shown = 200

func printable(b []byte) string {
	if len(b) > shown {
		return framing.Escape(b[:shown]) + "..."
	}
	return framing.Escape(b)
}

// traceFor logs what passes the wire for a while.
func (d *driver) traceFor(long time.Duration) {
	d.line.trace, d.traceEnd = nil, d.now()+long
	if long > 0 {
		d.line.trace = func(direction string, b []byte) {
			d.log.Info("wire", "direction", direction, "text", framing.Escape(b), "bytes", hex.EncodeToString(b))
		}
	}
}
