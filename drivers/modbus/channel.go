package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/socket"
)

// channel is one checked channel: plain data.
type channel struct {
	name    string
	framing framing
	socket  *socket.Settings // one of the two is set
	line    *serial.Config
	bus     busSettings
	devices []device
}

// busSettings are what a channel sets besides where it is.
type busSettings struct {
	echo            echoState
	interFrameDelay time.Duration // on a serial line 0 is 3.5 characters
	unitChangeDelay time.Duration
	connectDelay    time.Duration
	idleClose       time.Duration // 0: never
	reconnectAfter  int           // timeouts in a row
	lenientIDs      bool
	connections     int
	inFlight        int           // read requests at a time
	turnaround      time.Duration // after a broadcast
}

// device is one checked device.
type device struct {
	name, description string
	unit              byte
	disabled          bool
	drivers.Patience
	limits     limits
	afterWrite afterWrite
	maskWrite  maskWrite
	readWrite  bool // function 23 may be used
	merge      bool // neighbours that are written together go in one request
	readOnly   bool
	broadcast  bool // unit 0 is all units, which do not answer
	identify   bool
	plate      drivers.Identity
	multiple   writeFunctions
	groups     []group
	tags       []Tag
}

// group is a set of tags that are read together.
type group struct {
	name       string
	period     time.Duration
	phase      time.Duration // first read after the start; negative: spread over the period
	subscribed bool          // read only what somebody watches
	onRequest  bool          // and that is nobody: read only when a client asks for it
	once       bool          // read once on each connection, for what does not change
}

// afterWrite says what follows a write that the device has confirmed.
type afterWrite string

const (
	writeCache    afterWrite = "cache"    // the value written is shown at once
	writeReadback afterWrite = "readback" // the block is read next
	writeVerify   afterWrite = "verify"   // the value is read back before the write is answered
	writeNone     afterWrite = "none"     // the next poll will show
)

// maskWrite says whether the device changes bits of a register by itself (function 22).
type maskWrite string

const (
	maskAuto maskWrite = "auto" // until it says that it cannot
	maskOn   maskWrite = "on"
	maskOff  maskWrite = "off"
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
	return fmt.Sprintf("%s, %d devices, %d tags%s", c.where(), len(c.devices), tags, c.loads().Suffix())
}

func (c *channel) where() string {
	if c.line != nil {
		return "Modbus " + c.framing.String() + " " + c.line.String()
	}
	text := "Modbus " + strings.ToUpper(c.socket.Network)
	if c.framing != framingTCP {
		text = "Modbus " + c.framing.String() + " over " + strings.ToUpper(c.socket.Network)
	}
	return text + " " + c.socket.String()
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
	return newFleet(c, log.With("channel", c.name))
}

// wiring puts framing and link together.
func (c *channel) wiring() wiring {
	if c.line != nil {
		return c.lineWiring()
	}
	return c.socketWiring(c.socket.Dial)
}

func (c *channel) socketWiring(dial func(ctx context.Context) (drivers.Link, error)) wiring {
	w := c.common(dial)
	w.reconnectAfter = c.bus.reconnectAfter
	w.datagrams = c.socket.Network == "udp"
	w.renew = !w.ids
	w.window = c.bus.inFlight
	if w.lenient = c.bus.lenientIDs; w.lenient {
		w.frame = lenientFramer
	}
	return w
}

// common is what serial lines and sockets share.
func (c *channel) common(dial func(ctx context.Context) (drivers.Link, error)) wiring {
	return wiring{
		codec: c.framing.codec(), dial: dial, connectDelay: c.bus.connectDelay, idleClose: c.bus.idleClose,
		turnaround: c.bus.turnaround,
		echo:       c.bus.echo, silence: c.bus.interFrameDelay, unitChange: c.bus.unitChangeDelay,
	}
}

// Silence between RTU frames (Modbus over Serial Line V1.02, 2.5.1.1): 3.5 characters, fixed above 19200 Bd.
const (
	fastLine        = 19200
	fastLineSilence = 1750 * time.Microsecond
)

// reopenAfter is how often a port is opened anew when none of its units answers.
const reopenAfter = time.Minute

func (c *channel) lineWiring() wiring {
	w := c.common(func(context.Context) (drivers.Link, error) { return serial.Open(*c.line) })
	w.character = c.line.Character()
	w.silence = max(lineSilence(c.framing, c.line), w.silence)
	w.reopenAfter = reopenAfter
	return w
}

// lineSilence is how long a line must be silent before a frame. ASCII frames have a mark where they begin.
func lineSilence(f framing, line *serial.Config) time.Duration {
	switch {
	case f == framingASCII:
		return 0
	case line.BaudRate > fastLine:
		return fastLineSilence
	}
	return line.Character() * 7 / 2
}
