package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/goburrow/modbus"
)

// channel is one checked channel: plain data.
type channel struct {
	name    string
	tcp     *tcpSettings // one of the two is set
	rtu     *rtuSettings
	devices []device
}

// tcpSettings are those of a ModbusTcp channel.
type tcpSettings struct {
	address        string // host:port
	connectTimeout time.Duration
	connectDelay   time.Duration
	reconnectAfter int // timeouts in a row
}

// rtuSettings are those of a ModbusRtu channel.
type rtuSettings struct {
	port            serial.Config
	echo            echoState
	interFrameDelay time.Duration // 0: 3.5 characters
	unitChangeDelay time.Duration
	startupDelay    time.Duration
}

// device is one checked device.
type device struct {
	name, description string
	unit              byte
	disabled          bool
	timeout           time.Duration // to the first byte of a reply
	retries           int           // of reads
	demoteAfter       int
	suspend           drivers.Backoff
	limits            limits
	hold              int // failed polls during which the last value is shown as Uncertain
	staleAfter        int // periods
	afterWrite        afterWrite
	multiple          writeFunctions
	groups            []group
	tags              []Tag
}

// group is a set of tags that are read together.
type group struct {
	name       string
	period     time.Duration
	phase      time.Duration // first read after the start; negative: spread over the period
	subscribed bool          // read only what somebody watches
}

// afterWrite says what follows a write that the device has confirmed.
type afterWrite string

const (
	writeCache    afterWrite = "cache"    // the value written is shown at once
	writeReadback afterWrite = "readback" // the block is read next
	writeVerify   afterWrite = "verify"   // the value is read back before the write is answered
	writeNone     afterWrite = "none"     // the next poll will show
)

// writeFunctions choose between the functions for one value and for several: 0 is automatic, else the function code.
type writeFunctions struct{ coil, register byte }

// Name is the name of the channel.
func (c *channel) Name() string { return c.name }

// Summary tells where the channel is and how much it carries.
func (c *channel) Summary() string {
	tags := 0
	for i := range c.devices {
		tags += len(c.devices[i].tags)
	}
	return fmt.Sprintf("%s, %d devices, %d tags", c.where(), len(c.devices), tags)
}

func (c *channel) where() string {
	if c.tcp != nil {
		return "Modbus TCP " + c.tcp.address
	}
	p := c.rtu.port
	return "Modbus RTU " + p.Port + " " + strconv.Itoa(p.BaudRate) + " " + strconv.Itoa(p.DataBits) + string(p.Parity) + strconv.Itoa(p.StopBits)
}

// Devices are those of the channel as the address space shows them.
func (c *channel) Devices() []drivers.Device {
	all := make([]drivers.Device, len(c.devices))
	for i := range c.devices {
		d := &c.devices[i]
		all[i] = drivers.Device{Name: d.name, Description: d.description, Tags: make([]drivers.Tag, len(d.tags))}
		for j := range d.tags {
			all[i].Tags[j] = d.tags[j].Tag
		}
	}
	return all
}

// New makes the driver of the channel.
func (c *channel) New(log *slog.Logger) drivers.Driver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newDriver(c, c.wiring(), log.With("channel", c.name))
}

func (c *channel) wiring() wiring {
	if c.tcp != nil {
		return c.tcp.wiring()
	}
	return c.rtu.wiring()
}

// Keep-alive finds a peer that vanished, even when nothing is polled.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	writeTimeout      = 2 * time.Second
)

func (t *tcpSettings) wiring() wiring {
	dialer := net.Dialer{
		Timeout:         t.connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
	}
	w := tcpWiring(func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", t.address) })
	w.reconnectAfter = t.reconnectAfter
	w.connectDelay = t.connectDelay
	return w
}

// tcpWiring is Modbus TCP over whatever dial connects to.
func tcpWiring(dial func(ctx context.Context) (net.Conn, error)) wiring {
	return wiring{
		frame: mbapFramer, ids: true,
		dial: func(ctx context.Context) (drivers.Link, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return drivers.NewNetLink(conn, writeTimeout), nil
		},
		packager: func(unit byte) modbus.Packager {
			h := modbus.NewTCPClientHandler("") // never connected: only its packager is used
			h.SlaveId = unit
			return h
		},
	}
}

// Silence between frames (Modbus over Serial Line V1.02, 2.5.1.1): 3.5 characters, fixed above 19200 Bd.
const (
	fastLine        = 19200
	fastLineSilence = 1750 * time.Microsecond
)

// reopenAfter is how often a port is opened anew when none of its units answers.
const reopenAfter = time.Minute

func (r *rtuSettings) wiring() wiring {
	w := rtuWiring(func(context.Context) (drivers.Link, error) { return serial.Open(r.port) })
	w.character = r.port.Character()
	w.silence = w.character * 7 / 2
	if r.port.BaudRate > fastLine {
		w.silence = fastLineSilence
	}
	w.silence = max(w.silence, r.interFrameDelay)
	w.unitChange = r.unitChangeDelay
	w.connectDelay = r.startupDelay
	w.echo = r.echo
	return w
}

// rtuWiring is Modbus RTU over whatever link open gives.
func rtuWiring(open func(ctx context.Context) (drivers.Link, error)) wiring {
	return wiring{
		frame: rtuFramer, dial: open, silence: fastLineSilence, reopenAfter: reopenAfter,
		packager: func(unit byte) modbus.Packager {
			h := modbus.NewRTUClientHandler("") // never opened: only its packager is used
			h.SlaveId = unit
			return h
		},
	}
}
