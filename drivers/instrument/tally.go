package instrument

import (
	"sync/atomic"

	"github.com/edgeua/edgeua/drivers"
)

// counter is one thing that is counted on a line, for all of it and for each device.
type counter uint8

// The counters.
const (
	received  counter = iota // bytes
	frames                   // with a good checksum
	checksums                // frames with a wrong checksum
	torn                     // frames that were begun and never finished, or too large
	noise                    // bytes that belong to no frame
	unmatched                // frames that are no configured message
	overflows
	reconnects
	messages // that were configured; from here on for each device as well
	badTimes // times of a device that are none, or too far off
	requests
	replies
	refusals
	timeouts
	lateReplies
	echoes // faults of the local echo
	retries
	overruns
	counters
)

// counterNames are the names and meanings of the counters as Variables. The first ones have no meaning for a single device.
func counterNames() [counters][2]string {
	return [counters][2]string{
		received:    {"BytesReceived", "bytes that came"},
		frames:      {"Frames", "frames with a good checksum, if there is one"},
		messages:    {"Messages", "frames that are a configured message"},
		checksums:   {"ChecksumErrors", "frames with a wrong checksum"},
		torn:        {"TornFrames", "frames that were begun and not finished, or too large"},
		noise:       {"NoiseBytes", "bytes that belong to no frame"},
		unmatched:   {"Unmatched", "frames that are no configured message; LastUnmatched is the last one"},
		badTimes:    {"TimeErrors", "times of the device that are none, or too far off; the time of arrival was taken"},
		requests:    {"Requests", "requests sent"},
		replies:     {"Replies", "replies that were believed"},
		refusals:    {"Refusals", "replies that say no"},
		timeouts:    {"Timeouts", "requests without any reply in time"},
		lateReplies: {"LateReplies", "replies that nobody waited for, and that were dropped"},
		echoes:      {"EchoErrors", "echoes of our own requests that were missing or changed"},
		overflows:   {"RxOverflows", "times that bytes came faster than they were taken"},
		retries:     {"Retries", "requests that were repeated"},
		reconnects:  {"Reconnects", "connections after the first one"},
		overruns:    {"Overruns", "polls left out because the one before was late"},
	}
}

// tally is what has happened. One goroutine writes, any may read.
type tally struct {
	drivers.Vitals
	counts        [counters]atomic.Uint64
	lastUnmatched atomic.Pointer[string] // frame on a channel, for people
}

func (t *tally) get(c counter) uint64 { return t.counts[c].Load() }

func (t *tally) add(c counter, n int) { t.counts[c].Add(uint64(n)) }

func (t *tally) reset() {
	for i := range t.counts {
		t.counts[i].Store(0)
	}
}

// counterGauges show the counters; from is the first that has a meaning.
func (t *tally) counterGauges(from counter) []drivers.Gauge {
	var all []drivers.Gauge
	for c, row := range counterNames() {
		if counter(c) >= from {
			all = append(all, drivers.CountGauge(row[0], row[1], t.counts[c].Load))
		}
	}
	return all
}
