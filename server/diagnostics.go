package server

import (
	"sync/atomic"

	"github.com/gopcua/opcua/ua"
)

// counters is the ServerDiagnosticsSummary (Part 5, 12.9).
type counters struct {
	rejectedRequests atomic.Uint32
}

func (c *counters) rejected(ua.StatusCode) { c.rejectedRequests.Add(1) }
