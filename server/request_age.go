package server

import (
	"time"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// tooOld reports whether the timestamp of c lies further back than
// MaxRequestAge. As long as the clock of the gateway was never set there is
// nothing to compare with, and a request without a timestamp has no age.
func (s *Server) tooOld(c *call) bool {
	limit, sent := s.limits().MaxRequestAge, c.header.Timestamp
	if limit == 0 || sent == 0 || c.arrived.Before(pki.ClockFloor()) {
		return false
	}
	const ticks = 100 * time.Nanosecond
	return sent < uabinary.DateTimeOf(c.arrived)-uabinary.DateTime(limit/ticks)
}
