package serial

import (
	"sync/atomic"

	"github.com/edgeua/edgeua/drivers"
)

// Meter reads what the kernel counts on the port of a channel, which may be opened again and again. It is safe for
// concurrent use.
type Meter struct{ port atomic.Pointer[counter] }

// counter is a Link over a port whose driver may count line errors.
type counter interface {
	Counters() (Counters, error)
}

// Attach reads from a new link, if that is one of a port.
func (m *Meter) Attach(link drivers.Link) {
	if port, ok := link.(counter); ok {
		m.port.Store(&port)
	}
}

// Counters are those of the port that was opened last; ok is false if its driver does not count, or there was none.
func (m *Meter) Counters() (n Counters, ok bool) {
	port := m.port.Load()
	if port == nil {
		return n, false
	}
	n, err := (*port).Counters()
	return n, err == nil
}

// Gauges show the counters; 0 where there are none.
func (m *Meter) Gauges() []drivers.Gauge {
	of := func(field func(Counters) uint64) func() uint64 {
		return func() uint64 {
			n, ok := m.Counters()
			if !ok {
				return 0
			}
			return field(n)
		}
	}
	return []drivers.Gauge{
		drivers.CountGauge("LineFrameErrors", "characters without a stop bit: often the wrong rate", of(func(n Counters) uint64 { return n.Frame })),
		drivers.CountGauge("LineParityErrors", "characters with the wrong parity", of(func(n Counters) uint64 { return n.Parity })),
		drivers.CountGauge("LineOverruns", "characters that the port lost", of(func(n Counters) uint64 { return n.Overrun + n.BufferOverrun })),
		drivers.CountGauge("LineBreaks", "times that the line was held down: often a cut or swapped wire", of(func(n Counters) uint64 { return n.Break })),
	}
}
