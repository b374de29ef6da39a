package modbus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/serial"
)

// Master asks the units of a channel one request at a time, for tools. It is the driver without its schedule: framing,
// links and the rules of the bus are the same. It is for one goroutine.
type Master struct {
	driver *driver
	// Timeout is to the first byte of a reply, Retries how often a read that got none is repeated.
	Timeout time.Duration
	Retries int
}

// NewMaster makes one for a channel, which is asked directly, whatever its devices are. Nothing is opened yet. It fails
// for a channel that is none of Modbus.
func NewMaster(c drivers.Channel, log *slog.Logger) (*Master, error) {
	own, ok := c.(*channel)
	if !ok {
		return nil, errors.New("channel " + c.Name() + " is none of Modbus")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Master{driver: newDriver(own, own.wiring(), log), Timeout: lineTimeout, Retries: 1}
	if own.socket != nil {
		m.Timeout = socketTimeout
	}
	return m, nil
}

// Where names port or address, for people.
func (m *Master) Where() string { return m.driver.channel.where() }

// Serial tells whether there is a line with a rate and a parity that may be wrong.
func (m *Master) Serial() bool { return m.driver.channel.line != nil }

// IDs tells whether the framing is that of Modbus TCP, in which units are often not looked at.
func (m *Master) IDs() bool { return m.driver.bus.ids }

// Trace makes every passage over the wire be reported, as "sent" and "received".
func (m *Master) Trace(report func(direction string, bytes []byte)) { m.driver.bus.trace = report }

// Connect opens the link unless it is open.
func (m *Master) Connect(ctx context.Context) error {
	if m.driver.bus.link != nil {
		return nil
	}
	link, err := m.driver.connect.Open(ctx)
	if err != nil {
		return &drivers.Error{Fault: drivers.NoCommunication, Err: err}
	}
	m.driver.bus.attach(link)
	m.driver.port.Attach(link)
	return nil
}

// Close ends the link.
func (m *Master) Close() { m.driver.bus.drop(nil) }

// LineErrors are the counts of a serial port that is open; false if it does not count.
func (m *Master) LineErrors() (serial.Counters, bool) { return m.driver.port.Counters() }

// target is a unit as the driver knows it.
func (m *Master) target(id byte) (*unit, *device) {
	dev := &device{unit: id, Patience: drivers.Patience{Timeout: m.Timeout, DemoteAfter: 1}, afterWrite: writeNone, maskWrite: maskAuto}
	return m.driver.unit(dev), dev
}

// Read reads registers or bits; the data are valid until the next call. It connects if need be. Errors carry the Fault
// (see [FaultOf]), refusals also the library's ModbusError.
func (m *Master) Read(ctx context.Context, unit byte, area Area, start, count int) ([]byte, error) {
	var data []byte
	err := m.persist(ctx, func() (err error) {
		u, dev := m.target(unit)
		data, err = m.driver.readExtent(ctx, u, dev, extent{area: area, start: start, count: count})
		return err
	})
	return data, err
}

// Write writes what [Tag.Encode] has made, the way the driver does: it takes the function that suits the tag, and other
// bits of a register stay. It is not repeated.
func (m *Master) Write(ctx context.Context, unit byte, t *Tag, wire []byte) error {
	if err := m.Connect(ctx); err != nil {
		return err
	}
	defer m.driver.bus.settle()
	u, dev := m.target(unit)
	return m.driver.send(ctx, &job{unit: u, device: dev, point: &point{tag: t, device: dev, unit: u}, wire: wire})
}

// Ask sends the PDU of any function and returns that of the reply.
func (m *Master) Ask(ctx context.Context, unit byte, pdu ...byte) ([]byte, error) {
	var reply []byte
	err := m.persist(ctx, func() (err error) {
		u, dev := m.target(unit)
		reply, err = m.driver.raw(ctx, u, dev, pdu)
		return err
	})
	return reply, err
}

// Plate is what a unit says about itself (function 43/14): names of objects and texts, of those that it has.
func (m *Master) Plate(ctx context.Context, unit byte) ([][2]string, error) {
	var id *identity
	err := m.persist(ctx, func() (err error) {
		u, dev := m.target(unit)
		id, err = m.driver.askIdentity(ctx, u, dev)
		return err
	})
	if err != nil {
		return nil, err
	}
	var all [][2]string
	for i, name := range objectNames() {
		if id[i] != "" {
			all = append(all, [2]string{name, id[i]})
		}
	}
	return all, nil
}

// objectNames are those of the objects of an identity (Application Protocol, 6.21).
func objectNames() [7]string {
	return [...]string{
		vendorName: "VendorName", productCode: "ProductCode", revision: "MajorMinorRevision", vendorURL: "VendorUrl",
		productName: "ProductName", modelName: "ModelName", applicationName: "UserApplicationName",
	}
}

// persist repeats what only reads when no valid reply came, or when the link ended, on a new one.
func (m *Master) persist(ctx context.Context, do func() error) error {
	defer m.driver.bus.settle()
	for try := 0; ; try++ {
		err := m.Connect(ctx)
		if err != nil {
			return err
		}
		if err = do(); err == nil || ctx.Err() != nil || try >= m.Retries {
			return err
		}
		switch faultOf(err) {
		case drivers.NoReply, drivers.BadReply, drivers.LinkLost, drivers.NoCommunication:
		case drivers.Busy:
			if err := drivers.Rest(ctx, busyPause); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// FaultOf tells which fault an error of a Master is.
func FaultOf(err error) drivers.Fault { return faultOf(err) }
