package instrument

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/socket"
	"github.com/gopcua/opcua/ua"
)

// channel is one checked channel: plain data. All of its devices are framed alike.
type channel struct {
	name    string
	socket  *socket.Settings // one of the two is set
	line    *serial.Config
	bus     busSettings
	spec    framing.Spec
	sum     framing.Checksum
	devices []device
}

// busSettings are what a channel sets besides where it is.
type busSettings struct {
	echo           echoMode
	silence        time.Duration // of the line before something is sent
	startup        time.Duration // between connecting and the first bytes sent
	reconnectAfter int           // timeouts in a row; 0: never
}

// echoMode tells whether a line gives back what is sent.
type echoMode string

const (
	echoOff  echoMode = "off"
	echoOn   echoMode = "on"   // it must come back unchanged
	echoAuto echoMode = "auto" // what comes first is dropped if it is the request
)

// device is one checked device.
type device struct {
	name, description string
	disabled          bool
	plate             drivers.Identity
	drivers.Patience
	inits      []exchange
	keepAlives []poll
	messages   []message
	polls      []poll
	commands   []command
	tags       []drivers.Tag
}

// exchange is what is sent, and what answers it.
type exchange struct {
	send               template
	ack, nak           *regexp.Regexp // of a frame; nil: none
	ackBytes, nakBytes []byte         // outside of any frame
	nakStatus          ua.StatusCode
	timeout            time.Duration
	retries            int
}

// answered tells whether something is waited for.
func (x *exchange) answered() bool { return x.ack != nil || len(x.ackBytes) > 0 }

// poll is what is sent regularly, and the messages that may answer it. One without messages is not answered.
type poll struct {
	exchange
	name   string
	period time.Duration // 0: once on each connection
	expect []int         // messages of the device
}

// command is what a client can make the device do: a Method, or a Variable that is written.
type command struct {
	exchange
	name, description string
	tag               int // index of the tag that is written; -1: it is a Method
	value             outgoing
}

// message is one kind of frame.
type message struct {
	name        string
	prefix      []byte
	match       *regexp.Regexp // nil: all
	length      int            // 0: any
	where       *condition     // nil: all
	format      format
	fields      []field
	rules       []statusRule
	stamp       stamp
	polled      bool          // counts only as the reply to a poll
	silence     time.Duration // after which its values are old; 0: never. Not of a polled one.
	sequence    int           // tag that counts it; -1: it is no event
	eventMoment int           // tag that holds when it came
}

// condition is true for a text at a place of the message.
type condition struct {
	from  source
	words []string
}

// statusRule gives values another status.
type statusRule struct {
	when   condition
	fields []int // of the message
	code   ua.StatusCode
}

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
		return "serial " + c.line.String()
	}
	return "serial over TCP " + c.socket.String()
}

// Devices are those of the channel as the address space shows them.
func (c *channel) Devices() []drivers.Device {
	all := make([]drivers.Device, len(c.devices))
	for i := range c.devices {
		d := &c.devices[i]
		all[i] = drivers.Device{Name: d.name, Description: d.description, Tags: d.tags}
	}
	return all
}

// New makes the driver of the channel.
func (c *channel) New(log *slog.Logger) drivers.Driver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dial := func(context.Context) (drivers.Link, error) { return serial.Open(*c.line) }
	if c.line == nil {
		dial = c.socket.Dial
	}
	return newDriver(c, dial, log.With("channel", c.name))
}

// character is the time of a byte on the wire, 0 where that is not known.
func (c *channel) character() time.Duration {
	if c.line == nil {
		return 0
	}
	return c.line.Character()
}
