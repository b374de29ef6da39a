package reverseconnect

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	// heldLong is how long a client must have kept an announced socket for its end to be no failure: the client is
	// called again at once, because a held socket is what it waits for. Shorter than any known hold time (15 s and
	// more), long enough that a client which drops everything is not hammered.
	heldLong = 10 * time.Second

	// drain is how long the server may take to say goodbye on a socket when everything stops.
	drain = 5 * time.Second
)

// dialler calls one Target: it dials, announces, and keeps up to SocketsPerClient sockets, of which
// at most one, the spare, has no SecureChannel yet.
type dialler struct {
	Target
	m      *Manager
	dial   dialFunc
	log    *slog.Logger
	events chan event    // from the sockets, room for all they send
	now    chan struct{} // from ConnectNow, room for one
	gone   chan struct{} // closed when run has ended

	// guarded by Manager.mu until run starts
	started bool
	cancel  context.CancelFunc // ends run
	after   <-chan struct{}    // the one that this one replaces is gone; nil: there is none

	// owned by the goroutine of run
	state   State
	at      int // counts through addresses
	retry   retry
	journal journal
	slot    *slot                // asked for or held, until a socket has it
	spare   *socket              // Announced and Negotiated
	open    map[*socket]struct{} // all sockets, the spare among them
	remote  string               // address of the newest socket
	sockets sync.WaitGroup

	mu        sync.Mutex
	status    TargetStatus // guarded by mu
	addresses []string     // guarded by mu; of URL and Alternatives
}

func newDialler(m *Manager, t *Target, addresses []string) *dialler {
	d := &dialler{
		Target: *t, m: m, addresses: addresses, dial: t.dialFunc(m.dial),
		log:     m.log.With("url", t.URL, "server_uri", t.ServerURI, "endpoint_url", t.EndpointURL),
		events:  make(chan event, eventsPerSocket*t.SocketsPerClient),
		now:     make(chan struct{}, 1),
		gone:    make(chan struct{}),
		retry:   newRetry(t, m.rand, m.beat),
		journal: newJournal(),
		open:    make(map[*socket]struct{}),
		status:  TargetStatus{URL: t.URL, EndpointURL: t.EndpointURL},
	}
	if t.Disabled {
		d.status.State = Disabled
	}
	return d
}

// run calls the client until ctx is done.
func (d *dialler) run(ctx context.Context) {
	defer close(d.gone)
	if d.after != nil {
		<-d.after // soon: it has been told to end
	}
	d.update(func(s *TargetStatus) { s.StateSince = time.Now() })
	if d.Disabled {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		d.state = d.step(ctx)
	}
	d.shut()
}

// step runs the handler of the current state, which returns the next.
func (d *dialler) step(ctx context.Context) State {
	switch d.state {
	case Waiting:
		return d.waiting(ctx)
	case Dialling:
		return d.dialling(ctx)
	case Announced:
		return d.announced(ctx)
	case Negotiated:
		return d.negotiated(ctx)
	default:
		return d.active(ctx)
	}
}

// waiting lets the delay pass, then queues for a slot.
func (d *dialler) waiting(ctx context.Context) State {
	d.rest(ctx)
	if !d.retry.urgent {
		now := time.Now()
		d.retry.inLine(now, d.m.pace.reserve(now))
		d.rest(ctx)
	}
	d.slot = d.m.slots.ask()
	for {
		select {
		case <-ctx.Done():
			return Waiting
		case <-d.slot.granted:
			d.journal.begin(time.Now())
			d.remote = ""
			d.calm()
			return d.advance(Dialling)
		case ev := <-d.events:
			d.channelClosed(ev)
		}
	}
}

// rest waits until the next dial is due. An open channel that closes meanwhile makes it due at once.
func (d *dialler) rest(ctx context.Context) {
	for {
		wait := time.Until(d.retry.due)
		if wait <= 0 || ctx.Err() != nil {
			return
		}
		d.update(func(s *TargetStatus) { s.NextAttempt = d.retry.due })
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-d.now:
			d.retry.onDemand(time.Now())
		case ev := <-d.events:
			d.channelClosed(ev)
		}
		timer.Stop()
	}
}

// hurry asks for the next dial. It is called from other goroutines.
func (d *dialler) hurry() {
	select {
	case d.now <- struct{}{}:
	default:
	}
}

// calm forgets what hurry has asked for: it happens.
func (d *dialler) calm() {
	select {
	case <-d.now:
	default:
	}
}

// dialling calls the client and announces the server. A channel that closes meanwhile is noticed afterwards, at most
// ConnectTimeout later.
func (d *dialler) dialling(ctx context.Context) State {
	d.update(func(s *TargetStatus) { s.Attempts++ })
	nc, err := d.callAside(ctx)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			nc.Close()
		}
		return Dialling
	case err != nil:
		d.m.slots.leave(d.slot)
		d.slot = nil
		return d.failed(dialReason(err, &d.Target), d.retry.failed)
	}
	s := &socket{nc: nc, slot: d.slot, announced: time.Now()}
	d.slot, d.spare, d.remote = nil, s, s.remote()
	d.open[s] = struct{}{}
	d.sockets.Go(func() { s.run(ctx, &d.Target, d.events) })
	return d.advance(Announced)
}

// callAside calls on a goroutine of its own and waits for it: dialling needs a stack several times larger than this
// goroutine does, which would keep it for as long as it waits for the next attempt.
func (d *dialler) callAside(ctx context.Context) (nc net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err = d.call(ctx)
	}()
	<-done
	return nc, err
}

// call dials and sends the ReverseHello. Part 6 (1.05), 7.1.3
func (d *dialler) call(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.ConnectTimeout)
	defer cancel()
	nc, err := d.dial(ctx, "tcp", d.address())
	if err != nil {
		return nil, err
	}
	late := context.AfterFunc(ctx, func() { nc.Close() })
	err = ctx.Err()
	if err == nil {
		rhe := uatcp.ReverseHello{ServerURI: d.ServerURI, EndpointURL: d.EndpointURL}
		err = uatcp.WriteReverseHello(nc, rhe, d.ConnectTimeout)
	}
	if err == nil {
		err = nc.SetWriteDeadline(time.Time{})
	}
	if !late() { // ran already, whatever the write says
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// address returns which one of the client's addresses to dial.
func (d *dialler) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addresses[d.at%len(d.addresses)]
}

// announced waits for the client, which may park the socket. When others wait for a slot, it gives way after its turn.
func (d *dialler) announced(ctx context.Context) State {
	turnOver := time.NewTimer(turn)
	defer turnOver.Stop()
	var expired <-chan time.Time
	if d.HelloTimeout > 0 {
		hello := time.NewTimer(d.HelloTimeout)
		defer hello.Stop()
		expired = hello.C
	}
	for {
		select {
		case <-ctx.Done():
			return Announced
		case ev := <-d.events:
			if ev.from == d.spare {
				d.m.slots.keep(ev.from.slot)
				return d.heard(ev)
			}
			d.channelClosed(ev)
		case <-turnOver.C:
			d.m.slots.offer(d.spare.slot)
		case <-d.spare.slot.giveWay:
			d.hangUp()
			d.retry.atOnce(time.Now())
			return d.ended("gave way to waiting clients", d.log.Info)
		case <-expired:
			d.hangUp()
			return d.failed(fmt.Sprintf("no Hello within %v", d.HelloTimeout), d.retry.failed)
		}
	}
}

// negotiated waits for the SecureChannel.
func (d *dialler) negotiated(ctx context.Context) State {
	for {
		select {
		case <-ctx.Done():
			return Negotiated
		case ev := <-d.events:
			if ev.from == d.spare {
				return d.heard(ev)
			}
			d.channelClosed(ev)
		}
	}
}

// active waits until there is room for another socket: with one per client, until the channel has closed.
// Part 6 (1.04), 7.1.3; with more, at once. Part 6 (1.05), 7.1.3
func (d *dialler) active(ctx context.Context) State {
	reason := "there may be another socket"
	if len(d.open) >= d.SocketsPerClient {
		select {
		case <-ctx.Done():
			return Active
		case ev := <-d.events:
			d.forget(ev.from)
			reason = channelReason(ev.report)
			if ev.report.Refused {
				return d.failed(reason, d.retry.rejected)
			}
		}
	}
	d.retry.atOnce(time.Now())
	return d.change(Waiting, d.worth(d.journal.succeeded(), d.log.Info), "reason", reason)
}

// heard takes the next step of the spare socket.
func (d *dialler) heard(ev event) State {
	switch {
	case ev.done:
		return d.lost(ev)
	case ev.stage == uatcp.StageHello:
		return d.advance(Negotiated)
	}
	d.spare = nil
	d.retry.succeeded()
	d.update(func(s *TargetStatus) { s.LastSuccess = time.Now() })
	return d.advance(Active)
}

// lost ends a socket that got no SecureChannel.
func (d *dialler) lost(ev event) State {
	held := time.Since(ev.from.announced)
	d.forget(ev.from)
	reason := serveReason(ev.report)
	switch {
	case ev.report.Refused:
		return d.failed(reason, d.retry.rejected)
	case ev.report.PeerError != nil:
		peer := ev.report.PeerError
		d.update(func(s *TargetStatus) { s.RejectCode, s.RejectReason = peer.Code, escape(peer.Reason) })
		return d.failed(reason, d.retry.rejected)
	case !ev.from.spoken && held >= heldLong && (isClosed(ev.report.Err) || isReset(ev.report.Err)):
		d.retry.atOnce(time.Now())
		return d.ended(reason+", which had kept the socket for a while", d.log.Info)
	}
	return d.failed(reason, d.retry.failed)
}

// hangUp closes the spare socket and waits for its end.
func (d *dialler) hangUp() {
	gone := d.spare
	gone.nc.Close()
	for d.spare == gone {
		ev := <-d.events
		switch {
		case ev.from != gone:
			d.channelClosed(ev)
		case ev.done:
			d.forget(gone)
		}
	}
}

// channelClosed takes note that a socket other than the spare has ended: the client is called again at once,
// whatever delay the spare has earned, unless it turned out to be somebody else.
func (d *dialler) channelClosed(ev event) {
	d.forget(ev.from)
	if ev.report.Refused {
		d.retry.rejected(time.Now())
		d.update(func(s *TargetStatus) { s.LastError, s.LastErrorTime = channelReason(ev.report), time.Now() })
		d.show(d.state)
		return // the server has logged it
	}
	d.retry.atOnce(time.Now())
	d.journal.succeeded()
	d.show(d.state)
	d.log.Info("reverse connect channel closed", "remote", ev.from.remote(), "reason", channelReason(ev.report), "sockets", len(d.open))
}

// forget removes a socket that has ended.
func (d *dialler) forget(s *socket) {
	delete(d.open, s)
	d.m.slots.leave(s.slot)
	if d.spare == s {
		d.spare = nil
	}
}

// shut ends all sockets: the server has got the same context and may take a moment to say goodbye.
func (d *dialler) shut() {
	if d.slot != nil {
		d.m.slots.leave(d.slot)
	}
	late := time.NewTimer(drain)
	defer late.Stop()
	for len(d.open) > 0 {
		select {
		case ev := <-d.events:
			if ev.done {
				d.forget(ev.from)
			}
		case <-late.C:
			for s := range d.open {
				s.nc.Close()
			}
		}
	}
	d.sockets.Wait()
	if d.state != Waiting {
		d.state = d.change(Waiting, d.log.Info, "reason", "stopped")
	}
}

// failed ends an attempt that earned a delay. A client that only takes no spare is not down.
func (d *dialler) failed(reason string, delay func(time.Time)) State {
	delay(time.Now())
	d.at++
	if d.activeSockets() > 0 {
		return d.ended(reason, d.log.Info)
	}
	d.update(func(s *TargetStatus) { s.LastError, s.LastErrorTime = reason, time.Now() })
	return d.ended(reason, d.log.Warn)
}

// ended returns to Waiting. The same reason again and again is told less and less often.
func (d *dialler) ended(reason string, tell tellFunc) State {
	count, loud := d.journal.failed(d.state, reason, time.Now())
	return d.change(Waiting, d.worth(loud, tell), "reason", reason, "count", count, "next_in", max(0, time.Until(d.retry.due)))
}

// advance takes a step towards Active.
func (d *dialler) advance(to State) State {
	return d.change(to, d.worth(d.journal.reached(to), d.log.Info))
}

// tellFunc is a method of slog.Logger that logs at its level.
type tellFunc func(msg string, args ...any)

// worth is tell for what everyone shall read, else Debug.
func (d *dialler) worth(loud bool, tell tellFunc) tellFunc {
	if loud {
		return tell
	}
	return d.log.Debug
}

// change logs a change of state and shows it in the status. It is the only place that does.
func (d *dialler) change(to State, tell tellFunc, args ...any) State {
	line := []any{"old", d.state, "new", to}
	if d.remote != "" {
		line = append(line, "remote", d.remote)
	}
	tell("reverse connect state changed", append(line, args...)...)
	d.show(to)
	return to
}

// show brings the status up to date.
func (d *dialler) show(state State) {
	if d.activeSockets() > 0 {
		state = Active
	}
	d.update(func(s *TargetStatus) {
		if state != s.State {
			s.State, s.StateSince = state, time.Now()
		}
		s.Sockets, s.NextAttempt, s.RemoteAddress = len(d.open), time.Time{}, ""
		if s.Sockets > 0 {
			s.RemoteAddress = d.remote
		}
	})
}

// activeSockets returns the number of sockets with a SecureChannel.
func (d *dialler) activeSockets() int {
	if d.spare != nil {
		return len(d.open) - 1
	}
	return len(d.open)
}

// update changes the status and tells who wants to know.
func (d *dialler) update(change func(*TargetStatus)) {
	d.mu.Lock()
	change(&d.status)
	status := d.status
	d.mu.Unlock()
	d.m.changed(status)
}

func (d *dialler) snapshot() TargetStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}
