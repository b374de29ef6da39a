package modbus

import (
	"context"
	"errors"
	"time"

	"github.com/edgeua/edgeua/drivers"
)

// flight is one read request on its way, when there may be several at a time.
type flight struct {
	block *block
	asked query
	sent  time.Time
	until time.Time
}

// errUnanswered ends a connection on which nothing is answered any more.
var errUnanswered = errors.New("no reply several times in a row")

// arrival is how a flight ended. The frame is valid until the next call of the bus.
type arrival struct {
	flight flight
	frame  []byte
	err    error
}

// launch sends a read request without waiting for its reply. Only frames with ids can be told apart.
func (b *bus) launch(adu []byte, f flight, timeout time.Duration) error {
	b.id++
	adu[0], adu[1] = byte(b.id>>8), byte(b.id)
	if len(b.flights) == 0 {
		b.compact()
		b.misread, b.timedOut = false, false
	}
	if err := b.transmit(adu); err != nil {
		return err
	}
	b.flights = append(b.flights, f)
	last := &b.flights[len(b.flights)-1]
	last.asked, last.sent = b.unpack(nil, adu), b.sent
	last.until = b.sent.Add(timeout * time.Duration(len(b.flights))) // most devices do one after the other
	return nil
}

// compact drops the bytes that were consumed.
func (b *bus) compact() {
	b.received = append(b.received[:0], b.received[b.used:]...)
	b.used = 0
}

// land waits until one of the flights ends: by its reply, by a reply that is not valid, or because its time is over.
// When the link ends, so do all flights.
func (b *bus) land(ctx context.Context) (arrival, error) {
	b.compact()
	for {
		a, err := b.match()
		if err != nil || a.frame != nil || a.err != nil {
			return a, err
		}
		soonest := 0
		for i := range b.flights {
			if b.flights[i].until.Before(b.flights[soonest].until) {
				soonest = i
			}
		}
		if until := b.flights[soonest].until; until.After(time.Now()) {
			if err := b.listen(ctx, until); err != nil {
				return arrival{}, err
			}
			continue
		}
		return b.overdue(soonest), nil
	}
}

// match looks for the flight that the first whole frame answers, and drops frames that answer none. It returns nothing
// as long as there is no whole frame.
func (b *bus) match() (arrival, error) {
	for {
		i, f := b.addressee()
		switch frame := f.frame(b.pending()); f.verdict {
		case more:
			return arrival{}, nil
		case broken:
			b.count(protocol)
			return arrival{}, b.lose(f.why)
		case foreign:
			if !b.stray(frame) {
				b.mismatches++
			}
			b.used += f.size
		case invalid:
			b.used += f.size
			b.count(protocol)
			return b.ended(i, nil, &drivers.Error{Fault: drivers.BadReply, Err: f.why}), nil
		default:
			b.used += f.size
			b.count(replies)
			b.failures, b.arrived = 0, b.lastByte
			return b.ended(i, frame, nil), nil
		}
	}
}

// addressee is the flight that the first frame answers, with the verdict on it.
func (b *bus) addressee() (int, found) {
	f := found{verdict: foreign}
	for i := range b.flights {
		if f = b.frame(&b.flights[i].asked, b.pending()); f.verdict != foreign {
			return i, f
		}
	}
	return -1, f
}

// ended takes a flight off the list.
func (b *bus) ended(i int, frame []byte, err error) arrival {
	a := arrival{b.flights[i], frame, err}
	now := time.Now()
	b.total.Load.Add(now.Sub(later(a.flight.sent, b.landed)), now)
	b.landed = now
	b.flights = append(b.flights[:i], b.flights[i+1:]...)
	b.unit = &a.flight.block.unit.tally
	if err == nil {
		b.sent, b.began, b.asked = a.flight.sent, b.lastByte, a.flight.asked
		b.measure()
	}
	return a
}

// overdue ends a flight whose time is over.
func (b *bus) overdue(i int) arrival {
	b.unit = &b.flights[i].block.unit.tally
	b.count(timeouts)
	b.timedOut = true
	b.failures++
	a := b.ended(i, nil, drivers.NoReply.Errorf("no reply"))
	if b.reconnectAfter > 0 && b.failures >= b.reconnectAfter {
		b.drop(errUnanswered)
	}
	return a
}
