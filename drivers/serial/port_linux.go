package serial

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/tarm/serial"
)

const (
	readTimeout  = 100 * time.Millisecond // the shortest that the library can
	writeTimeout = 2 * time.Second
	closeTimeout = 2 * time.Second
	inboxSize    = 64 // chunks
	lostAfter    = 3  // times EOF without waiting
)

// device is the library's port as the pump uses it; tests put another one in its place.
type device interface {
	io.ReadWriteCloser
	Flush() error
}

// port is a Link over a serial port.
type port struct {
	device   device
	side     io.Closer // holds the port exclusively
	counters func() (Counters, error)
	chunks   chan drivers.Chunk
	writes   chan []byte
	wrote    chan error
	wake     chan struct{} // by Interrupt
	stop     chan struct{} // closed by Close
	once     sync.Once
	tasks    sync.WaitGroup

	err error // owned by pump, to be read after chunks is closed

	timer *time.Timer // of Receive

	// owned by the caller of Write
	out   []byte
	stuck error
}

// anyRate is what a port is opened with when the library does not know its rate.
const anyRate = 38400

// Open opens and sets up a port, for this process alone.
func Open(c Config) (drivers.Link, error) { return openBelow(c, "/sys", "/dev") }

// openBelow does so where the kernel shows its devices in sys and their files are in dev. The name is looked up each time:
// an adapter that was unplugged may come back under another one.
func openBelow(c Config, sys, dev string) (drivers.Link, error) {
	name, err := resolve(c.Port, sys, dev)
	if err != nil {
		return nil, err
	}
	side, err := openSide(name)
	if err != nil {
		return nil, err
	}
	rate := c.BaudRate
	if !standardRate(rate) {
		rate = anyRate
	}
	p, err := serial.OpenPort(&serial.Config{
		Name: name, Baud: rate, ReadTimeout: readTimeout,
		Size: byte(c.DataBits), Parity: serial.Parity(c.Parity), StopBits: serial.StopBits(c.StopBits),
	})
	if err != nil {
		_ = side.Close() // the failed open is what is reported
		return nil, fmt.Errorf("open %s: %w", c.Port, err)
	}
	if err := errors.Join(side.setup(c), side.claim()); err != nil {
		return nil, errors.Join(err, p.Close(), side.Close())
	}
	link := newPort(p, side)
	link.counters = side.counters
	return link, nil
}

// Counters are the line errors that the kernel has seen; not every driver counts them.
func (p *port) Counters() (Counters, error) {
	if p.counters == nil {
		return Counters{}, errors.New("not counted")
	}
	return p.counters()
}

// newPort starts the two goroutines of a port. What the kernel kept from before is discarded; where that fails the
// stale bytes are dropped later, as noise.
func newPort(d device, side io.Closer) *port {
	p := &port{device: d, side: side, chunks: make(chan drivers.Chunk, inboxSize), stop: make(chan struct{}),
		writes: make(chan []byte), wrote: make(chan error, 1), wake: make(chan struct{}, 1), timer: time.NewTimer(0)}
	_ = p.device.Flush()
	p.tasks.Add(2)
	go p.pump()
	go p.writer()
	return p
}

// pump is the only caller of Read. It never blocks on its reader: when nobody takes the chunks they are dropped, and
// the next one says so.
func (p *port) pump() {
	defer p.tasks.Done()
	defer close(p.chunks)
	buf := make([]byte, 512)
	lost, hasty := false, 0
	for !p.stopped() {
		begin := time.Now()
		n, err := p.device.Read(buf)
		now := time.Now()
		if n > 0 {
			lost = !p.put(drivers.Chunk{Data: slices.Clone(buf[:n]), At: now, Lost: lost})
			hasty = 0
			continue
		}
		if hasty, p.err = judgeEmpty(err, now.Sub(begin), hasty); p.err != nil {
			return
		}
	}
}

// judgeEmpty tells a timeout from a port that is gone. The library reports both as EOF (or, on some systems, as nothing
// at all), but a timeout takes its time.
func judgeEmpty(err error, took time.Duration, hasty int) (int, error) {
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return hasty, err
	case took >= readTimeout/2:
		return 0, nil
	case hasty+1 >= lostAfter:
		return hasty, errors.New("the port is gone")
	}
	return hasty + 1, nil
}

func (p *port) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

func (p *port) put(c drivers.Chunk) bool {
	select {
	case p.chunks <- c:
		return true
	default:
		return false
	}
}

// writer writes apart, because Write of the library has no deadline.
func (p *port) writer() {
	defer p.tasks.Done()
	for {
		select {
		case b := <-p.writes:
			_, err := p.device.Write(b)
			p.wrote <- err
		case <-p.stop:
			return
		}
	}
}

// Write hands over p to the port. After a write that took too long the port is of no use any more.
func (p *port) Write(b []byte) error {
	if p.stuck != nil {
		return p.stuck
	}
	p.out = append(p.out[:0], b...)
	timer := time.NewTimer(writeTimeout)
	defer timer.Stop()
	select {
	case p.writes <- p.out:
	case <-p.stop:
		return errors.New("the port is closed")
	}
	select {
	case err := <-p.wrote:
		return err
	case <-timer.C:
		p.stuck = fmt.Errorf("the port did not take %d bytes in %v", len(b), writeTimeout)
		return p.stuck
	}
}

// Receive takes the next chunk from the pump.
func (p *port) Receive(until time.Time) (drivers.Chunk, error) {
	wait := time.Until(until)
	if wait <= 0 {
		select {
		case c, ok := <-p.chunks:
			return p.received(c, ok)
		default:
			return drivers.Chunk{}, nil
		}
	}
	p.timer.Reset(wait)
	defer p.timer.Stop()
	select {
	case c, ok := <-p.chunks:
		return p.received(c, ok)
	case <-p.timer.C:
	case <-p.wake:
	}
	return drivers.Chunk{}, nil
}

func (p *port) received(c drivers.Chunk, ok bool) (drivers.Chunk, error) {
	switch {
	case ok:
		return c, nil
	case p.err != nil:
		return c, p.err
	}
	return c, errors.New("the port is closed")
}

// Interrupt makes Receive return.
func (p *port) Interrupt() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Close ends the port. When the kernel does not let go of it in time, the goroutines are left behind and Close says so.
func (p *port) Close() error {
	var err error
	p.once.Do(func() { err = p.close() })
	return err
}

func (p *port) close() error {
	close(p.stop)
	done := make(chan error, 1)
	go func() {
		err := p.shut()
		p.tasks.Wait()
		done <- err
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("the port is stuck and was left behind")
	}
}

// shut discards what is still to be sent, because close waits for it, and closes both descriptors.
func (p *port) shut() error {
	_ = p.device.Flush() // fails when the port is gone, which is what we are about to say anyway
	return errors.Join(p.device.Close(), p.side.Close())
}
