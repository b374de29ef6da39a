package commissioning

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Target is where to ask: a host or a port, and how.
type Target struct {
	// Place is host, host:port, the path of a serial port, or usb:VID:PID[:SERIAL].
	Place string
	// Framing is how the PDUs travel: tcp, rtu or ascii; empty: tcp to a host, rtu on a line.
	Framing string
	// UDP takes that in place of TCP.
	UDP bool
	// Line settings; empty or 0: those of the standard, 19200 8E1 (ASCII 7E1).
	Baud, DataBits, StopBits int
	Parity                   string
}

// serial tells whether the place is a port of this machine.
func (t *Target) serial() bool {
	return strings.Contains(t.Place, "/") || strings.HasPrefix(t.Place, "usb:") || strings.HasPrefix(t.Place, "COM")
}

// Channel makes of the target what edgeua.xml would have.
func (t *Target) Channel() (*xmltree.Element, error) {
	e := &xmltree.Element{Name: "Channel"}
	set := func(name, value string) { e.Attrs = append(e.Attrs, xmltree.Attr{Name: name, Value: value}) }
	set("Name", "Line1")
	if t.serial() {
		return e, t.line(set)
	}
	return e, t.network(set)
}

func (t *Target) line(set func(name, value string)) error {
	words := map[string]string{"": "ModbusRtu", "rtu": "ModbusRtu", "ascii": "ModbusAscii"}
	if words[t.Framing] == "" || t.UDP {
		return fmt.Errorf("%s is a serial port; Modbus TCP and UDP go to a host", t.Place)
	}
	set("Type", words[t.Framing])
	set("Port", t.Place)
	for _, s := range []struct {
		name  string
		value int
	}{{"BaudRate", t.Baud}, {"DataBits", t.DataBits}, {"StopBits", t.StopBits}} {
		if s.value != 0 {
			set(s.name, strconv.Itoa(s.value))
		}
	}
	if t.Parity != "" {
		set("Parity", strings.ToUpper(t.Parity))
	}
	return nil
}

func (t *Target) network(set func(name, value string)) error {
	if t.Baud != 0 || t.DataBits != 0 || t.StopBits != 0 || t.Parity != "" {
		return fmt.Errorf("%s is a host; rate, parity and bits belong to a serial port, such as /dev/ttyUSB0", t.Place)
	}
	word := map[string]string{"": "ModbusTcp", "tcp": "ModbusTcp", "rtu": "ModbusRtuOverTcp", "ascii": "ModbusAsciiOverTcp"}[t.Framing]
	port := "TcpPort"
	if t.UDP {
		if word != "ModbusTcp" {
			return errors.New("over UDP there is only the framing of Modbus TCP")
		}
		word, port = "ModbusUdp", "UdpPort"
	}
	host, digits, err := net.SplitHostPort(t.Place)
	if err != nil {
		host, digits = strings.Trim(t.Place, "[]"), ""
	}
	if host == "" {
		return fmt.Errorf("%q is neither a host, such as 192.0.2.7:502, nor a serial port, such as /dev/ttyUSB0", t.Place)
	}
	set("Type", word)
	set("Host", host)
	if digits != "" {
		set(port, digits)
	}
	return nil
}

// Open checks the target and makes a master of it. Nothing is sent yet.
func (t *Target) Open() (*modbus.Master, error) {
	e, err := t.Channel()
	if err != nil {
		return nil, err
	}
	c, err := parse(e)
	if err != nil {
		return nil, err
	}
	return modbus.NewMaster(c, nil)
}

// parse reads a channel the way edgeua.xml is read. What is wrong is said without a line.
func parse(channel *xmltree.Element, devices ...*xmltree.Element) (drivers.Channel, error) {
	word, _ := channel.Attr("Type")
	for _, k := range modbus.Kinds() {
		if k.Type != word {
			continue
		}
		r := &xmltree.Report{}
		c := k.Parse(r, channel, devices, drivers.Conversions{})
		if !r.HasErrors() {
			return c, nil
		}
		for _, p := range r.Problems {
			if p.Severity == xmltree.Error {
				return nil, errors.New(p.Message)
			}
		}
	}
	return nil, fmt.Errorf("%s is no kind of Modbus", word)
}

// Item names a value of a device the way a Tag does.
type Item struct {
	Address, Addressing   string
	Type, Order           string
	Length                int // of texts and bytes, in registers
	Encoding, StringOrder string
	BitOrder              string
	Scale, Offset         float64 // Scale 0: none
}

// tag parses an item as a Tag that may be written or only read.
func (i *Item) tag(writable bool) (*modbus.Tag, error) {
	if err := i.guard(); err != nil {
		return nil, err
	}
	device := element("Device", "Name", "Device", "Channel", "Line1", "Unit", "1", "Addressing", i.notation(), "BitOrder", i.BitOrder)
	group := element("Group", "Name", "Group")
	tag := element("Tag", "Name", "Value", "Address", i.Address, "Type", i.Type, "ByteOrder", i.Order,
		"Encoding", i.Encoding, "StringOrder", i.StringOrder)
	add := func(name, value string) { tag.Attrs = append(tag.Attrs, xmltree.Attr{Name: name, Value: value}) }
	if writable {
		add("Access", "ReadWrite")
	}
	if i.Length != 0 {
		add("Length", strconv.Itoa(i.Length))
	}
	if i.Scale != 0 {
		add("Scale", strconv.FormatFloat(i.Scale, 'g', -1, 64))
		add("Offset", strconv.FormatFloat(i.Offset, 'g', -1, 64))
	}
	group.Children, device.Children = []*xmltree.Element{tag}, []*xmltree.Element{group}
	c, err := parse(element("Channel", "Name", "Line1", "Type", "ModbusTcp", "Host", "localhost"), device)
	if err != nil {
		return nil, err
	}
	m, _ := modbus.MapOf(c)
	return &m.Slaves[0].Tags[0], nil
}

// untyped tells whether it stays open what stands in a register.
func (i *Item) untyped() bool {
	a, err := modbus.ParseAddress(i.Address, modbus.Notation(i.notation()), i.BitOrder == "msb1")
	return err == nil && i.Type == "" && !bits(a.Area) && a.Bit < 0
}

func (i *Item) notation() string {
	if i.Addressing == "" {
		return string(modbus.Protocol0)
	}
	return i.Addressing
}

// Place is where an item stands and how many registers or bits it has; without a type, two registers.
func (i *Item) Place() (area modbus.Area, first, span int, err error) {
	if err := i.guard(); err != nil {
		return 0, 0, 0, err
	}
	a, err := modbus.ParseAddress(i.Address, modbus.Notation(i.notation()), i.BitOrder == "msb1")
	switch {
	case err != nil:
		return 0, 0, 0, fmt.Errorf("%s: %w", quote(i.Address), err)
	case i.Type == "" && bits(a.Area):
		return a.Area, int(a.Offset), max(1, a.Length), nil
	case i.Type == "":
		return a.Area, int(a.Offset), max(2, a.Length), nil
	}
	t, err := i.tag(false)
	if err != nil {
		return 0, 0, 0, err
	}
	return a.Area, int(a.Offset), t.Span(), nil
}

// guard refuses digits whose meaning would have to be guessed.
func (i *Item) guard() error {
	if i.Addressing == "" && i.Address != "" && strings.Trim(i.Address, "0123456789.[]") == "" {
		return fmt.Errorf("%s alone does not say which register is meant: write h%s for the holding register with that number counted from 0 "+
			"(i: input register, c: coil, d: discrete input), or say how the manual counts with --addressing protocol1, modicon5 (40001) or modicon6 (400001)",
			i.Address, strings.TrimLeft(i.Address, "0"))
	}
	return nil
}

// element makes one of names and values; empty values are left out.
func element(name string, pairs ...string) *xmltree.Element {
	e := &xmltree.Element{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			e.Attrs = append(e.Attrs, xmltree.Attr{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return e
}

// name writes an address in letters, counted from 0.
func name(a modbus.Area, offset int) string {
	return string("?cdhi"[min(int(a), 4)]) + strconv.Itoa(offset)
}
