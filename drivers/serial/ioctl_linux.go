package serial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl passes a structure to the port.
func (s *side) ioctl(request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// Requests that x/sys/unix has no names for; the numbers are the same on all systems that use asm-generic/ioctls.h.
const (
	tiocsrs485  = 0x542F
	tiocgicount = 0x545D
	tiocgserial = 0x541E
	tiocsserial = 0x541F
)

// setup does what the library cannot.
func (s *side) setup(c Config) error {
	if err := s.setFlow(c.Flow); err != nil {
		return fmt.Errorf("flow control of %s: %w", s.name, err)
	}
	if c.CheckParity && c.Parity != 'N' {
		if err := s.checkParity(); err != nil {
			return fmt.Errorf("parity check of %s: %w", s.name, err)
		}
	}
	if !standardRate(c.BaudRate) {
		if err := s.setRate(c.BaudRate); err != nil {
			return fmt.Errorf("%s cannot do %d Bd: %w", s.name, c.BaudRate, err)
		}
	}
	if err := s.setRS485(c.RS485); err != nil {
		return fmt.Errorf("%s has no RS-485 direction control in its driver; if the adapter does it by itself, leave out Rs485: %w", s.name, err)
	}
	if c.LowLatency {
		s.setLowLatency()
	}
	return nil
}

func (s *side) setFlow(flow Flow) error {
	if flow == FlowNone {
		return nil
	}
	t, err := unix.IoctlGetTermios(s.fd, unix.TCGETS)
	if err != nil {
		return err
	}
	if flow == FlowRTSCTS {
		t.Cflag |= unix.CRTSCTS
	} else {
		t.Iflag |= unix.IXON | unix.IXOFF
	}
	return unix.IoctlSetTermios(s.fd, unix.TCSETS, t)
}

// checkParity makes damaged characters come as NUL (termios(3): INPCK without IGNPAR and PARMRK).
func (s *side) checkParity() error {
	t, err := unix.IoctlGetTermios(s.fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag = t.Iflag&^(unix.IGNPAR|unix.PARMRK) | unix.INPCK
	return unix.IoctlSetTermios(s.fd, unix.TCSETS, t)
}

// rs485 is struct serial_rs485 of linux/serial.h.
type rs485 struct {
	flags, before, after uint32
	_                    [5]uint32
}

// Flags of rs485.
const (
	rs485Enabled     = 1 << 0
	rs485OnSend      = 1 << 1
	rs485AfterSend   = 1 << 2
	rs485RxDuringTx  = 1 << 4
	asyncLowLatency  = 1 << 13
	serialFlagsField = 16 // offset of flags in struct serial_struct: behind four ints
)

func (c RS485) native() rs485 {
	n := rs485{flags: rs485Enabled, before: uint32(c.DelayBefore / time.Millisecond), after: uint32(c.DelayAfter / time.Millisecond)}
	for bit, on := range map[uint32]bool{rs485OnSend: c.RTSOnSend, rs485AfterSend: c.RTSAfterSend, rs485RxDuringTx: c.ReceiveDuringSend} {
		if on {
			n.flags |= bit
		}
	}
	return n
}

func (s *side) setRS485(c RS485) error {
	if !c.Enabled {
		return nil
	}
	n := c.native()
	return s.ioctl(tiocsrs485, unsafe.Pointer(&n))
}

// setLowLatency asks driver and adapter to pass on bytes at once: an FTDI adapter otherwise waits for up to 16 ms. Where
// it cannot be done, replies are a little later.
func (s *side) setLowLatency() {
	var info [128]byte // struct serial_struct, which differs in size
	if s.ioctl(tiocgserial, unsafe.Pointer(&info)) == nil {
		flags := info[serialFlagsField : serialFlagsField+4]
		binary.NativeEndian.PutUint32(flags, binary.NativeEndian.Uint32(flags)|asyncLowLatency)
		_ = s.ioctl(tiocsserial, unsafe.Pointer(&info)) // not every driver takes it
	}
	if tty, err := filepath.EvalSymlinks(s.name); err == nil {
		_ = os.WriteFile(filepath.Join("/sys/class/tty", filepath.Base(tty), "device/latency_timer"), []byte("1"), 0)
	}
}

// icounter is struct serial_icounter_struct of linux/serial.h.
type icounter struct {
	cts, dsr, rng, dcd, rx, tx              int32
	frame, overrun, parity, brk, bufOverrun int32
	_                                       [9]int32
}

var errClosed = errors.New("the port is closed")

func (s *side) counters() (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Counters{}, errClosed
	}
	var n icounter
	if err := s.ioctl(tiocgicount, unsafe.Pointer(&n)); err != nil {
		return Counters{}, err
	}
	return n.counters(), nil
}

func (n *icounter) counters() Counters {
	return Counters{
		Frame: uint64(uint32(n.frame)), Overrun: uint64(uint32(n.overrun)), Parity: uint64(uint32(n.parity)),
		Break: uint64(uint32(n.brk)), BufferOverrun: uint64(uint32(n.bufOverrun)),
	}
}
