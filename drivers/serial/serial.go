// Package serial is a serial port as a [drivers.Link], on github.com/tarm/serial.
//
// The library blocks in Close while a Read waits, knows no deadline finer than 100 ms, reports a timeout and a port that
// was unplugged with the same io.EOF, and lets two processes open one port. Therefore one goroutine per port reads, with
// the shortest timeout there is; another one writes and can be given up; and a second descriptor of the port, which never
// moves data, holds it exclusively. Deadlines are the business of whoever owns the Link.
//
// What the library cannot do is set through that second descriptor as well, because it belongs to the port: other baud
// rates, flow control, the direction of RS-485 by the kernel, low latency, and the kernel's counters of line errors. A
// port may be named by its USB identity and is looked up at every open, so that it may be unplugged and come back under
// another name.
//
// Left out: mark and space parity, 1.5 stop bits, RS-485 direction by GPIO. Systems other than Linux have no serial
// ports in this build.
package serial

import (
	"fmt"
	"slices"
	"time"
)

// Config is how a port is set up: plain data.
type Config struct {
	Port       string // path, such as /dev/ttyUSB0 or /dev/serial/by-id/..., or usb:VID:PID or usb:VID:PID:SERIAL
	BaudRate   int
	DataBits   int  // 5 to 8
	Parity     byte // 'N', 'E' or 'O'
	StopBits   int  // 1 or 2
	Flow       Flow
	RS485      RS485
	LowLatency bool // adapters pass on bytes at once where they can
	// CheckParity makes a character with the wrong parity or without a stop bit arrive as NUL, which is part of no number.
	// The library lets damaged characters pass as they are, and only a checksum finds them.
	CheckParity bool
}

// Flow is how the two sides of a line hold each other back.
type Flow string

// The kinds of flow control. The zero value is none.
const (
	FlowNone    Flow = ""
	FlowRTSCTS  Flow = "rtscts"
	FlowXonXoff Flow = "xonxoff"
)

// RS485 is the direction control of a two-wire line by the kernel. The zero value leaves it to the hardware.
type RS485 struct {
	Enabled                 bool
	RTSOnSend, RTSAfterSend bool
	DelayBefore, DelayAfter time.Duration // of RTS around sending, whole milliseconds
	ReceiveDuringSend       bool
}

// Counters are the kernel's counts of line errors since it started.
type Counters struct{ Frame, Overrun, Parity, Break, BufferOverrun uint64 }

// String is for people: /dev/ttyUSB0 19200 8E1.
func (c *Config) String() string {
	return fmt.Sprintf("%s %d %d%c%d", c.Port, c.BaudRate, c.DataBits, c.Parity, c.StopBits)
}

// Character is the time of one character on the wire: a start bit, data, parity and stop bits.
func (c Config) Character() time.Duration {
	bits := 1 + c.DataBits + c.StopBits
	if c.Parity != 'N' {
		bits++
	}
	return time.Duration(bits) * time.Second / time.Duration(c.BaudRate)
}

// baudRates are those that the library can set; all others go through the second descriptor.
func baudRates() []int {
	return []int{50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400,
		460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000}
}

// standardRate tells whether the library can set a rate.
func standardRate(rate int) bool { return slices.Contains(baudRates(), rate) }
