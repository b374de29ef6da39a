package modbus

import (
	"sync/atomic"

	"github.com/edgeua/edgeua/drivers"
)

// counter is one thing that is counted on a bus, for all of it and for each unit.
type counter uint8

// The counters.
const (
	requests counter = iota
	replies
	timeouts
	checksums // frames with a wrong CRC or LRC, or none at all among the bytes that came
	protocol  // whole frames that answer something else
	lateReplies
	strays // bytes or frames that nobody asked for
	echoes // faults of the local echo
	overflows
	retries
	reconnects
	overruns
	counters
)

// tally is what has happened. One goroutine writes, any may read.
type tally struct {
	drivers.Vitals
	counts     [counters]atomic.Uint64
	exceptions [12]atomic.Uint64 // by code; 0 for those without a name
}

func (t *tally) get(c counter) uint64 { return t.counts[c].Load() }

func (t *tally) exception(code byte) {
	if int(code) >= len(t.exceptions) {
		code = 0
	}
	t.exceptions[code].Add(1)
}

// reset sets everything that is counted to 0.
func (t *tally) reset() {
	for i := range t.counts {
		t.counts[i].Store(0)
	}
	for i := range t.exceptions {
		t.exceptions[i].Store(0)
	}
}
