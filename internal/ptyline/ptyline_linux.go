package ptyline

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Settings say what line it is. The zero value is as fast as the kernel and does not echo.
type Settings struct {
	Character time.Duration // one character on the wire; 0: not worth counting
	Echo      bool          // the near end hears what it sends
}

// Rate is the time of a character of that many bits (8E1 has 11, 8N1 has 10).
func Rate(baud, bits int) time.Duration {
	return time.Duration(bits) * time.Second / time.Duration(baud)
}

// Fault changes one burst of bytes. It is called for each byte with its place in the burst and returns what goes on in
// its stead and how long the line is silent before that.
type Fault func(at int, b byte) (out []byte, silence time.Duration)

// Drop loses the bytes from one place up to another one, exclusive.
func Drop(from, to int) Fault {
	return func(at int, b byte) ([]byte, time.Duration) {
		if at >= from && at < to {
			return nil, 0
		}
		return []byte{b}, 0
	}
}

// Flip changes a bit of the byte at that place.
func Flip(place int) Fault {
	return func(at int, b byte) ([]byte, time.Duration) {
		if at == place {
			b ^= 0x10
		}
		return []byte{b}, 0
	}
}

// Split is silent before the byte at that place.
func Split(place int, silence time.Duration) Fault {
	return func(at int, b byte) ([]byte, time.Duration) {
		if at == place {
			return []byte{b}, silence
		}
		return []byte{b}, 0
	}
}

// Delay holds the whole burst back.
func Delay(d time.Duration) Fault { return Split(0, d) }

// Noise adds bytes before the one at that place.
func Noise(place int, noise ...byte) Fault {
	return func(at int, b byte) ([]byte, time.Duration) {
		if at == place {
			return append(append([]byte(nil), noise...), b), 0
		}
		return []byte{b}, 0
	}
}

// Line is a line at work. Its methods may be called at any time.
type Line struct {
	near, far end
	toFar     passage
	toNear    passage
	closing   chan struct{}
	once      sync.Once
	pumps     sync.WaitGroup
}

// Open makes a line. Close ends it.
func Open(s Settings) (*Line, error) {
	near, err := openEnd()
	if err != nil {
		return nil, err
	}
	far, err := openEnd()
	if err != nil {
		return nil, errors.Join(err, near.close())
	}
	l := &Line{near: near, far: far, closing: make(chan struct{})}
	l.toFar = passage{from: near.pump, to: far.pump, character: s.Character, closing: l.closing}
	l.toNear = passage{from: far.pump, to: near.pump, character: s.Character, closing: l.closing}
	if s.Echo {
		l.toFar.echo = near.pump
	}
	l.pumps.Go(l.toFar.run)
	l.pumps.Go(l.toNear.run)
	return l, nil
}

// Near and Far are the paths of the ports at the two ends.
func (l *Line) Near() string { return l.near.port.Name() }

// Far is the other one.
func (l *Line) Far() string { return l.far.port.Name() }

// ToFar spoils the next bursts of the near end, in turn; nil spares one.
func (l *Line) ToFar(faults ...Fault) { l.toFar.script(faults) }

// ToNear spoils the next bursts of the far end, in turn; nil spares one.
func (l *Line) ToNear(faults ...Fault) { l.toNear.script(faults) }

// Close takes both ports away, as when adapters are unplugged. It may be called twice.
func (l *Line) Close() (err error) {
	l.once.Do(func() {
		close(l.closing)
		err = errors.Join(l.near.close(), l.far.close())
		l.pumps.Wait()
	})
	return err
}

// end is one pseudo-terminal: the port that a program opens, and our side of it. The port stays open here, so that
// programs may come and go.
type end struct{ pump, port *os.File }

func (e end) close() error { return errors.Join(e.port.Close(), e.pump.Close()) }

func openEnd() (e end, err error) {
	// Non-blocking, so that Close ends a Read that waits.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return e, fmt.Errorf("pseudo-terminal: %w", err)
	}
	e.pump = os.NewFile(uintptr(fd), "/dev/ptmx")
	if e.port, err = openPort(fd); err != nil {
		return e, errors.Join(fmt.Errorf("pseudo-terminal: %w", err), e.pump.Close())
	}
	return e, nil
}

func openPort(pump int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(pump, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(pump, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	port := os.NewFile(uintptr(fd), name)
	if err := raw(fd); err != nil {
		return nil, errors.Join(err, port.Close())
	}
	return port, nil
}

// raw switches off everything that a terminal does to bytes, before the first program opens it.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// passage carries bytes in one direction.
type passage struct {
	from, to, echo *os.File
	character      time.Duration
	closing        chan struct{}

	mu     sync.Mutex
	faults []Fault
	free   time.Time // when everything taken so far has passed
}

// burstGap ends a burst: bytes after a longer silence are a new one.
const burstGap = 5 * time.Millisecond

// fifo is how many characters arrive at once, as with the buffer of a usual port.
const fifo = 16

func (p *passage) script(faults []Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, faults...)
}

func (p *passage) next() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 {
		return nil
	}
	f := p.faults[0]
	p.faults = p.faults[1:]
	return f
}

func (p *passage) run() {
	var buf [4096]byte
	var fault Fault
	at := 0
	for {
		n, err := p.from.Read(buf[:])
		if err != nil {
			return
		}
		if now := time.Now(); now.Sub(p.free) > burstGap {
			fault, at, p.free = p.next(), 0, now
		}
		if !p.carry(buf[:n], at, fault) {
			return
		}
		at += n
	}
}

// carry passes bytes on when their time has come; false: the line is closed.
func (p *passage) carry(burst []byte, at int, fault Fault) bool {
	var ready []byte
	for i, b := range burst {
		out, silence := []byte{b}, time.Duration(0)
		if fault != nil {
			out, silence = fault(at+i, b)
		}
		if silence > 0 {
			if !p.deliver(ready) {
				return false
			}
			ready, p.free = ready[:0], p.free.Add(silence)
		}
		// A byte that is lost takes its time as well.
		p.free = p.free.Add(p.character * time.Duration(max(1, len(out))))
		if ready = append(ready, out...); len(ready) < fifo {
			continue
		}
		if !p.deliver(ready) {
			return false
		}
		ready = ready[:0]
	}
	return p.deliver(ready)
}

func (p *passage) deliver(b []byte) bool {
	timer := time.NewTimer(time.Until(p.free))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.closing:
		return false
	}
	if p.echo != nil && len(b) > 0 {
		if _, err := p.echo.Write(b); err != nil {
			return false
		}
	}
	_, err := p.to.Write(b)
	return err == nil
}
