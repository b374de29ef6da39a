// Package serial is a serial port as a [drivers.Link], on github.com/tarm/serial.
//
// The library blocks in Close while a Read waits, knows no deadline finer than 100 ms, reports a timeout and a port that
// was unplugged with the same io.EOF, and lets two processes open one port. Therefore one goroutine per port reads, with
// the shortest timeout there is; another one writes and can be given up; and a second descriptor of the port, which never
// moves data, holds it exclusively. Deadlines are the business of whoever owns the Link.
//
// Left out: baud rates outside of the library's table, flow control, RS-485 direction control, ports by USB id. Systems
// other than Linux have no serial ports in this build.
package serial

import (
	"fmt"
	"slices"
	"time"
)

// Config is how a port is set up: plain data.
type Config struct {
	Port     string // path, such as /dev/ttyUSB0 or /dev/serial/by-id/...
	BaudRate int
	DataBits int  // 5 to 8
	Parity   byte // 'N', 'E' or 'O'
	StopBits int  // 1 or 2
}

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

// BaudRates lists the rates that a port can be set to.
func BaudRates() []int {
	return []int{50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400,
		460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000}
}

// ValidBaudRate tells whether a port can be set to that rate.
func ValidBaudRate(rate int) bool { return slices.Contains(BaudRates(), rate) }
