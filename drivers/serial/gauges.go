package serial

import "github.com/edgeua/edgeua/drivers"

// Counter is a Link over a port whose driver may count line errors.
type Counter interface {
	Counters() (Counters, error)
}

// Gauges show what the kernel counts on a port; 0 where its driver does not, and where port returns nil because the port was
// never open. port must be safe for concurrent use.
func Gauges(port func() Counter) []drivers.Gauge {
	of := func(field func(Counters) uint64) func() uint64 {
		return func() uint64 {
			p := port()
			if p == nil {
				return 0
			}
			n, err := p.Counters()
			if err != nil {
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
