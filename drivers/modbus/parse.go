package modbus

import (
	"math"
	"strconv"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/socket"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// TCP is the row for Modbus TCP in the table of drivers.
func TCP() drivers.Kind { return kind("ModbusTcp", framingTCP, "tcp") }

// RTU is the row for Modbus RTU on a serial line in the table of drivers.
func RTU() drivers.Kind { return kind("ModbusRtu", framingRTU, "") }

// Kinds are all rows of Modbus: each framing over each link that it is met on.
func Kinds() []drivers.Kind {
	return []drivers.Kind{
		TCP(), RTU(),
		kind("ModbusAscii", framingASCII, ""),
		kind("ModbusRtuOverTcp", framingRTU, "tcp"),
		kind("ModbusAsciiOverTcp", framingASCII, "tcp"),
		kind("ModbusUdp", framingTCP, "udp"),
	}
}

// kind makes a row of a framing and a network; without one it is a serial line.
func kind(word string, f framing, network string) drivers.Kind {
	return drivers.Kind{
		Type: word, TagLists: true,
		Parse: func(r *xmltree.Report, e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) drivers.Channel {
			s := r.Settings(e)
			c := &channel{name: s.Required("Name"), framing: f}
			s.Required("Type")
			p := deviceParser{report: r, conversions: conversions}
			if network == "" {
				p.line(s, c)
			} else {
				p.socket(s, c, network)
			}
			s.Done()
			c.devices = p.all(devices)
			if !r.HasErrors() {
				c.loads().Warn(r, e)
			}
			if n := len(c.share()); n < c.bus.connections {
				s.Warn("Connections", "%d connections for %d units: each unit keeps to one, so only %d are made", c.bus.connections, n, n)
			}
			return c
		},
	}
}

// Defaults and bounds that need a name.
const (
	tcpPort       = 502
	tlsPort       = 802 // MODBUS/TCP Security
	socketTimeout = time.Second
	lineTimeout   = 500 * time.Millisecond
	// A gap costs the time of its registers, a further request that of a round trip.
	socketGap      = 32
	maxWait        = time.Hour
	maxUnit        = 247 // on a serial line; higher ones are reserved
	maxConnections = 16
	maxInFlight    = 16 // as many as the messaging guide expects of a device at most
)

func (p *deviceParser) socket(s *xmltree.Settings, c *channel, network string) {
	p.maxUnit, p.timeout, p.gap = math.MaxUint8, socketTimeout, socketGap
	turnaround := p.turnaround(s)
	c.socket = socket.Parse(p.report, s, network, tcpPort, tlsPort)
	c.bus = busSettings{
		connectDelay:   s.Millis("ConnectDelay", 0, 0, time.Minute),
		idleClose:      s.Millis("IdleClose", 0, 0, 24*maxWait),
		reconnectAfter: s.Int("ReconnectAfterTimeouts", 3, 0, 1000),
		connections:    s.Int("Connections", 1, 1, maxConnections),
		turnaround:     turnaround,
	}
	if c.framing == framingTCP {
		c.bus.lenientIDs = s.Choice("TransactionIdCheck", "strict", "strict", "lenient") == "lenient"
		c.bus.inFlight = s.Int("MaxInFlight", 1, 1, maxInFlight)
		if c.bus.inFlight > 1 && c.bus.lenientIDs {
			s.Error("MaxInFlight", "%d replies cannot be told apart with TransactionIdCheck lenient", c.bus.inFlight)
		}
		return
	}
	p.minUnit, p.maxUnit = 1, maxUnit
	p.delays(s, c, "off")
}

func (p *deviceParser) line(s *xmltree.Settings, c *channel) {
	parity := serial.Config{BaudRate: 19200, DataBits: 8, Parity: 'E', StopBits: 1} // Modbus over Serial Line V1.02, 3.2
	if c.framing == framingASCII {
		parity.DataBits = 7
	}
	c.line = serial.Parse(p.report, s, parity)
	if c.framing == framingRTU && c.line.DataBits != 8 {
		s.Error("DataBits", "%d cannot carry the bytes of Modbus RTU; it needs 8", c.line.DataBits)
	}
	p.minUnit, p.maxUnit, p.timeout, p.gap = 1, maxUnit, lineTimeout, c.gap(drivers.ThinkingTime)
	p.delays(s, c, "auto")
	c.bus.turnaround = p.turnaround(s)
	c.bus.connectDelay = s.Millis("StartupDelay", 0, 0, time.Minute)
}

func (p *deviceParser) turnaround(s *xmltree.Settings) time.Duration {
	return s.Millis("BroadcastTurnaround", 100*time.Millisecond, 0, time.Minute)
}

// delays reads what concerns a line that several devices share.
func (p *deviceParser) delays(s *xmltree.Settings, c *channel, echo string) {
	c.bus.echo = map[string]echoState{"off": echoOff, "on": echoOn, "auto": echoAuto}[s.Choice("LocalEcho", echo, "off", "on", "auto")]
	c.bus.interFrameDelay = s.Millis("InterFrameDelay", 0, 0, time.Minute)
	c.bus.unitChangeDelay = s.Millis("UnitChangeDelay", 0, 0, time.Minute)
}

// deviceParser reads the devices of one channel.
type deviceParser struct {
	report           *xmltree.Report
	conversions      drivers.Conversions
	minUnit, maxUnit int
	timeout          time.Duration // default
	gap              int           // what MaxGap "auto" means
}

func (p *deviceParser) all(elements []*xmltree.Element) []device {
	devices := make([]device, len(elements))
	for i, e := range elements {
		devices[i] = p.device(e)
	}
	return devices
}

func (p *deviceParser) device(e *xmltree.Element) device {
	s := p.report.Settings(e)
	d := device{name: drivers.ReadDeviceName(s), description: s.String("Description", "")}
	s.Required("Channel")
	s.Required("Unit")
	if d.broadcast = s.Bool("Broadcast", false); d.broadcast {
		s.Int("Unit", 0, 0, 0)
	} else {
		d.unit = byte(s.Int("Unit", p.minUnit, p.minUnit, p.maxUnit))
	}
	d.plate = drivers.ParseIdentity(p.report, s)
	d.identify = s.Bool("Identify", false) && !d.broadcast
	d.disabled = s.Bool("Disabled", false)
	d.Patience = drivers.ReadPatience(s, p.timeout)
	d.limits = p.limits(s)
	p.writing(s, &d)
	tags := p.tagParser(s)
	d.readOnly = tags.readOnly
	p.groups(s, &d, tags)
	if d.broadcast {
		p.broadcastTags(s, &d)
	}
	s.Done()
	return d
}

// broadcastTags refuses what needs an answer.
func (p *deviceParser) broadcastTags(s *xmltree.Settings, d *device) {
	for i := range d.tags {
		t := &d.tags[i]
		switch {
		case t.Access != drivers.WriteOnly:
			s.Error("Broadcast", "tag %s cannot be read, because nobody answers a broadcast; it needs Access=\"Write\"", xmltree.Quote(t.Name))
		case t.mask() != 0:
			s.Error("Broadcast", "tag %s is a part of a register; a broadcast can only write whole ones", xmltree.Quote(t.Name))
		}
	}
}

func (p *deviceParser) limits(s *xmltree.Settings) limits {
	lim := limits{
		registers: s.Int("MaxRegisters", 125, 1, 125), // Application Protocol, 6.3
		bits:      s.Int("MaxBits", 2000, 1, 2000),    // Application Protocol, 6.1
		gap:       p.gap,
		auto:      true,
		alone:     s.Bool("OneTagPerRequest", false),
	}
	if gap := s.String("MaxGap", "auto"); gap != "auto" {
		n, err := strconv.Atoi(gap)
		if err != nil || n < 0 || n > 125 {
			s.Error("MaxGap", "%s is neither auto nor a number of registers from 0 to 125", xmltree.Quote(gap))
		}
		lim.gap, lim.auto = n, false
	}
	for _, e := range s.Children("Skip") {
		lim.skips = append(lim.skips, p.skip(e, s.String("Addressing", "")))
	}
	return lim
}

// skip reads a range in the numbers of the device's manual.
func (p *deviceParser) skip(e *xmltree.Element, addressing string) skip {
	s := p.report.Settings(e)
	defer s.Done()
	areas := map[string]Area{"coil": Coils, "discrete": DiscreteInputs, "holding": HoldingRegisters, "input": InputRegisters}
	first := 1
	if Notation(addressing) == Protocol0 {
		first = 0
	}
	s.Required("From")
	from := s.Int("From", first, first, lastOffset+first)
	return skip{
		area: areas[s.Choice("Area", "holding", "coil", "discrete", "holding", "input")],
		from: from - first, to: s.Int("To", from, from, lastOffset+first) - first,
	}
}

func (p *deviceParser) writing(s *xmltree.Settings, d *device) {
	codes := map[string]byte{"auto": 0, "5": 5, "6": 6, "15": 15, "16": 16}
	d.multiple.register = codes[s.Choice("WriteFunction", "auto", "auto", "6", "16")]
	d.multiple.coil = codes[s.Choice("WriteCoilFunction", "auto", "auto", "5", "15")]
	d.maskWrite = maskWrite(s.Choice("MaskWrite", string(maskAuto), string(maskAuto), string(maskOn), string(maskOff)))
	d.merge = s.Bool("MergeWrites", false)
	d.readWrite = s.Choice("ReadWriteFunction", "auto", "auto", "off") == "auto"
	d.afterWrite = afterWrite(s.Choice("AfterWrite", string(writeReadback),
		string(writeCache), string(writeReadback), string(writeVerify), string(writeNone)))
}

// tagParser reads what the device sets for its tags.
func (p *deviceParser) tagParser(s *xmltree.Settings) *tagParser {
	t := &tagParser{deviceParser: p, names: drivers.NewTagNames()}
	t.notation = Notation(s.Choice("Addressing", "", string(Protocol0), string(Protocol1), string(Modicon5), string(Modicon6)))
	if !s.Has("Addressing") {
		p.report.Error(s.Element(), "Addressing is missing; it is one of protocol0 (h0), protocol1 (h1), modicon5 (40001) and "+
			"modicon6 (400001), because manuals count registers from 0 or from 1 and nothing should be guessed")
	}
	t.readOnly = s.Bool("ReadOnly", false)
	t.order = t.byteOrder(s, ABCD)
	t.msb1 = s.Choice("BitOrder", "lsb0", "lsb0", "msb1") == "msb1"
	t.text = textOrder(s, TextAB)
	t.spans = map[Area]int{Coils: maxWriteBits, DiscreteInputs: 2000, HoldingRegisters: maxWriteRegisters, InputRegisters: 125}
	return t
}

func (p *deviceParser) groups(s *xmltree.Settings, d *device, t *tagParser) {
	names := map[string]bool{}
	for _, e := range s.Children("Group") {
		g := p.report.Settings(e)
		name := g.Required("Name")
		if names[name] {
			g.Error("Name", "group %s exists already in this device", xmltree.Quote(name))
		}
		names[name] = true
		d.groups = append(d.groups, p.group(g, name))
		for _, tag := range g.Children("Tag") {
			d.tags = append(d.tags, t.tag(tag, d)...)
		}
		g.Done()
	}
	t.resolveFactors(d)
	if len(d.tags) == 0 {
		p.report.Warn(s.Element(), "device %s has no tags", xmltree.Quote(d.name))
	}
}

func (p *deviceParser) group(s *xmltree.Settings, name string) group {
	g := group{name: name, phase: -1}
	g.period = s.Millis("Period", time.Second, 10*time.Millisecond, 24*maxWait)
	if s.String("Phase", "auto") != "auto" {
		g.phase = s.Millis("Phase", 0, 0, g.period)
	}
	mode := s.Choice("PollMode", "Subscribed", "Subscribed", "Always", "Once", "OnRequest")
	g.onRequest, g.once = mode == "OnRequest", mode == "Once"
	g.subscribed = g.onRequest || mode == "Subscribed"
	return g
}
