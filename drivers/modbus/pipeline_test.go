package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/gopcua/opcua/ua"
)

// queue is a device on Modbus TCP that answers each request after a time of its own, so that answers overtake each
// other. Registers hold their offset, plus base.
type queue struct {
	latency func(offset int) time.Duration         // called in the order of the requests
	behave  func(waiting int, reply []byte) []byte // what is sent instead of a reply; nil: nothing, empty: the link is closed

	mu      sync.Mutex
	waiting int // requests that are not answered yet
	most    int // of them, so far
	served  int
	written []uint16
}

func (q *queue) serve(conn net.Conn) {
	defer conn.Close()
	for {
		request := make([]byte, 12)
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		go q.answer(conn, request, q.latency(int(binary.BigEndian.Uint16(request[8:]))))
	}
}

func (q *queue) answer(conn net.Conn, request []byte, latency time.Duration) {
	q.mu.Lock()
	q.waiting++
	q.served++
	q.most = max(q.most, q.waiting)
	offset, count, waiting := int(binary.BigEndian.Uint16(request[8:])), int(binary.BigEndian.Uint16(request[10:])), q.waiting
	reply := append([]byte(nil), request...)
	if request[7] == 6 {
		q.written = append(q.written, uint16(count))
	} else {
		reply = append(append(reply[:4:4], 0, byte(3+2*count)), request[6], request[7], byte(2*count))
		for i := range count {
			reply = binary.BigEndian.AppendUint16(reply, uint16(offset+i))
		}
	}
	if q.behave != nil {
		reply = q.behave(waiting, reply)
	}
	q.mu.Unlock()
	<-time.After(latency)
	q.mu.Lock()
	q.waiting--
	q.mu.Unlock()
	switch {
	case reply == nil:
	case len(reply) == 0:
		_ = conn.Close()
	default:
		_, _ = conn.Write(reply)
	}
}

// queueRig reads ten blocks of one tag each from a queue, with up to four requests at a time.
func queueRig(t *testing.T, q *queue, settings, group string) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan struct{})}
	t.Cleanup(func() { after(10 * time.Second) }) // until the queue has answered
	var tags strings.Builder
	for i := range 10 {
		fmt.Fprintf(&tags, `<Tag Name="T%d" Address="h%d" Type="UInt16" Access="ReadWrite"/>`, i, i)
	}
	c := parseGood(t, TCP(), `<Channel Name="Line1" Type="ModbusTcp" Host="127.0.0.1" MaxInFlight="4" `+settings+`/>`+
		dev(`OneTagPerRequest="1" AfterWrite="none"`, group, tags.String()))
	r.bind(c, c.socketWiring(func(context.Context) (drivers.Link, error) { return r.pipe(q.serve) }))
	return r
}

func (r *rig) wantOffsets() {
	r.t.Helper()
	for i := range 10 {
		r.want(fmt.Sprintf("T%d", i), ua.StatusOK, i)
	}
}

func constantly(d time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return d }
}

func TestSeveralRequestsAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := &queue{latency: func(offset int) time.Duration { return time.Duration(60-5*offset) * time.Millisecond }}
		r := queueRig(t, q, "", `Period="10" PollMode="Always"`)
		r.run()
		after(10 * time.Second)
		r.wantOffsets()
		// 4 at a time, 37.5 ms each on average; one at a time would make 267.
		if q.most != 4 || q.served < 900 || q.served > 1100 {
			t.Errorf("%d requests, %d at a time", q.served, q.most)
		}
		if n := r.driver.bus.total.get(protocol) + r.driver.bus.total.get(strays) + r.driver.bus.total.get(timeouts); n != 0 {
			t.Errorf("%d faults", n)
		}
		if s := r.write("T3", uint16(99)); s != ua.StatusOK || len(q.written) != 1 || q.written[0] != 99 {
			t.Errorf("write between reads: %v %v", s, q.written)
		}
		if n := r.dials.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Each device here fails in its own way when it is asked for more than one thing at a time. Nothing wrong may be shown,
// and it must be found out.
func TestDeviceThatBearsOneRequestAtATime(t *testing.T) {
	for name, behave := range map[string]func(waiting int, reply []byte) []byte{
		"drops": func(waiting int, reply []byte) []byte {
			if waiting > 1 {
				return nil
			}
			return reply
		},
		"closes": func(waiting int, reply []byte) []byte {
			if waiting > 1 {
				return []byte{}
			}
			return reply
		},
		"mixes up ids": func(waiting int, reply []byte) []byte {
			if waiting > 1 {
				reply[0] ^= 0x40
			}
			return reply
		},
		"answers for another unit": func(waiting int, reply []byte) []byte {
			if waiting > 1 {
				reply[6]++
			}
			return reply
		},
	} {
		inBubble(t, func(t *testing.T) {
			q := &queue{latency: constantly(20 * time.Millisecond), behave: behave}
			r := queueRig(t, q, `ReconnectAfterTimeouts="0"`, `Period="1000" PollMode="Always" Phase="0"`)
			records := make([]*driverstest.Record, 10)
			for i := range records {
				records[i] = r.watch(fmt.Sprintf("T%d", i))
			}
			r.run()
			after(30 * time.Second)
			q.mu.Lock()
			q.most = 0
			q.mu.Unlock()
			after(10 * time.Second)
			r.wantOffsets()
			if q.most != 1 || r.driver.trouble < maxTrouble {
				t.Errorf("%s: still %d requests at a time", name, q.most)
			}
			for i, rec := range records {
				for _, e := range rec.Events() {
					if e.Status == ua.StatusOK && e.Value != uint16(i) {
						t.Errorf("%s: T%d is %v", name, i, e.Value)
					}
				}
			}
		})
	}
}

// A device that does one request after the other gets the time for it.
func TestSeveralRequestsToASlowDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := &queue{}
		var free time.Time
		q.latency = func(int) time.Duration { // in turn, 400 ms each: the fourth answer comes after the timeout of one
			free = later(free, time.Now()).Add(400 * time.Millisecond)
			return time.Until(free)
		}
		r := queueRig(t, q, "", `Period="1000" PollMode="Always" Phase="0"`)
		r.run()
		after(20 * time.Second)
		r.wantOffsets()
		if n := r.driver.bus.total.get(timeouts); n != 0 || q.most != 4 {
			t.Errorf("%d timeouts, %d at a time", n, q.most)
		}
	})
}

// The end of the link with requests under way shows on no tag when the next link comes at once.
func TestLinkEndsUnderSeveralRequests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := &queue{latency: constantly(20 * time.Millisecond)}
		r := queueRig(t, q, "", `Period="100" PollMode="Always" Phase="0"`)
		rec := r.watch("T1")
		r.run()
		after(1010 * time.Millisecond) // in the middle of four
		r.hangUp()
		after(5 * time.Second)
		r.wantOffsets()
		rec.WantStatuses(t, "20ms Good 1")
		if r.driver.trouble != 1 {
			t.Errorf("trouble %d", r.driver.trouble)
		}
	})
}
