package modbus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// refresh asks for tags as a Read with MaxAge 0 does, and returns how long it took.
func (r *rig) refresh(limit time.Duration, names ...string) time.Duration {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var variables []*addressspace.Variable
	for _, name := range names {
		variables = append(variables, r.variable(name))
	}
	begin := time.Now()
	variables[0].Refresher().Refresh(ctx, variables)
	return time.Since(begin)
}

const onRequest = `Period="1000" PollMode="OnRequest"`

// threeTags are in one block, and the third one far away in another.
const threeTags = `<Tag Name="A" Address="h0" Type="UInt16"/><Tag Name="B" Address="h1" Type="UInt16"/><Tag Name="C" Address="h500" Type="UInt16"/>`

func threeTagRig(t *testing.T, settings, group string) *rig {
	t.Helper()
	r := newRig(t, patientChannel+dev(`Timeout="200" `+settings, group, threeTags))
	r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 8)
	r.slave.Set(17, modbussim.HoldingRegisters, 500, 9)
	return r
}

func TestReadOnRequest(t *testing.T) {
	for _, group := range []string{onRequest, `Period="1000" PollMode="Subscribed"`} { // the same as long as nobody watches
		inBubble(t, func(t *testing.T) {
			r := threeTagRig(t, "", group)
			r.run()
			after(time.Minute)
			r.want("A", ua.StatusBadWaitingForInitialData, nil)
			if n := r.slave.Requests(); n != 0 {
				t.Errorf("%d requests although nobody asked", n)
			}
			if took := r.refresh(time.Second, "B", "C", "A"); took > time.Millisecond || r.slave.Requests() != 2 {
				t.Errorf("%v, %d requests for two blocks", took, r.slave.Requests())
			}
			r.want("A", ua.StatusOK, 7)
			r.want("B", ua.StatusOK, 8)
			r.want("C", ua.StatusOK, 9)
			after(2 * time.Second)
			r.want("B", ua.StatusOK, 8)
			after(2 * time.Second) // older than three periods
			r.want("B", ua.StatusUncertainLastUsableValue, 8)
			r.slave.Set(17, modbussim.HoldingRegisters, 1, 18)
			r.refresh(time.Second, "B")
			r.want("B", ua.StatusOK, 18)
			after(time.Minute)
			if n := r.slave.Requests(); n != 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestManyAskForTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := threeTagRig(t, "", onRequest)
		r.slave.Script(modbussim.Delay(100*time.Millisecond), modbussim.Delay(100*time.Millisecond))
		r.run()
		after(time.Second)
		var tasks sync.WaitGroup
		for i := range 20 {
			tasks.Go(func() { r.refresh(time.Second, []string{"A", "B"}[i%2]) })
		}
		tasks.Wait()
		if n := r.slave.Requests(); n > 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// Nobody waits longer than what it takes to find out, or than he said.
func TestRefreshThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := threeTagRig(t, `Retries="1" DemoteAfter="2"`, onRequest)
		r.slave.Mute(17, true)
		r.run()
		after(time.Second)
		for i, want := range []struct {
			took, limit time.Duration
			status      ua.StatusCode
			requests    int
		}{
			{400 * time.Millisecond, time.Second, ua.StatusBadTimeout, 2}, // with a retry
			{100 * time.Millisecond, 100 * time.Millisecond, ua.StatusBadTimeout, 3},
			{0, time.Second, ua.StatusBadTimeout, 3}, // demoted
		} {
			took := r.refresh(want.limit, "A").Round(time.Microsecond)
			after(time.Second)
			if s := r.variable("A").Value().Status; took != want.took || r.slave.Requests() != want.requests || i < 2 && s != want.status {
				t.Errorf("%d: %v, %v, %d requests", i, took, s, r.slave.Requests())
			}
		}
		r.want("A", ua.StatusBadNoCommunication, nil)
	})
	inBubble(t, func(t *testing.T) {
		r := threeTagRig(t, "", onRequest)
		r.down.Store(true)
		r.run()
		after(time.Second)
		if took := r.refresh(time.Second, "A"); took > 0 {
			t.Errorf("no link: %v", took)
		}
		r.want("A", ua.StatusBadNoCommunication, nil)
		r.stop()
		if took := r.refresh(time.Second, "A"); took > 0 {
			t.Errorf("no driver: %v", took)
		}
	})
}

// What is no longer waited for is not read.
func TestRefreshGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := threeTagRig(t, "", onRequest)
		r.slave.Script(modbussim.Delay(150 * time.Millisecond))
		r.run()
		after(time.Second)
		if took := r.refresh(100*time.Millisecond, "A", "C"); took != 100*time.Millisecond {
			t.Errorf("%v", took)
		}
		after(time.Second)
		if n := r.slave.Requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A block that the device refuses is split while somebody waits; he gets what can be had.
func TestRefreshOfABlockThatIsSplit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, patientChannel+dev("", onRequest, threeTags+`<Tag Name="X" Address="h3" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 8)
		r.slave.Set(17, modbussim.HoldingRegisters, 500, 9)
		r.run()
		after(time.Second)
		r.refresh(time.Second, "A", "X")
		r.want("A", ua.StatusOK, 7)
		r.want("X", ua.StatusBadConfigurationError, nil)
		if s := r.variable("B").Value().Status; s != ua.StatusOK {
			t.Errorf("B was in the same block: %v", s)
		}
	})
}

// Reads that a client waits for pass those that are due, and neither keeps the other from the bus.
func TestRefreshOnABusyBus(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tags := ""
		for i := range 20 {
			tags += fmt.Sprintf(`<Tag Name="T%d" Address="h%d" Type="UInt16"/>`, i, i)
		}
		r := newRig(t, patientChannel+dev(`OneTagPerRequest="1"`, `Period="100"`, tags))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 20)...)
		for range 10000 {
			r.slave.Script(modbussim.Delay(50 * time.Millisecond))
		}
		rec := r.watch("T0") // and the others, so that the bus has ten times too much to do
		for i := range 20 {
			r.watch(fmt.Sprintf("T%d", i))
		}
		r.run()
		after(5 * time.Second)
		if took := r.refresh(time.Second, "T9"); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		before := len(rec.Events())
		for range 100 {
			r.refresh(time.Second, "T5", "T6", "T7", "T8", "T9")
		}
		if n := len(rec.Events()) - before; n < 3 { // a fifth of the bus is left for 20 blocks
			t.Errorf("%d polls", n)
		}
	})
}

func TestRefreshWithSeveralRequestsAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q := &queue{latency: constantly(100 * time.Millisecond)}
		r := queueRig(t, q, "", onRequest)
		r.run()
		after(time.Second)
		if took := r.refresh(time.Second, "T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7").Round(time.Microsecond); took != 200*time.Millisecond || q.most != 4 {
			t.Errorf("%v, %d at a time", took, q.most)
		}
		r.want("T7", ua.StatusOK, 7)
		r.want("T8", ua.StatusBadWaitingForInitialData, nil)
	})
}

func TestPollModes(t *testing.T) {
	for mode, want := range map[string]group{
		``:                      {subscribed: true},
		`PollMode="Subscribed"`: {subscribed: true},
		`PollMode="OnRequest"`:  {subscribed: true, onRequest: true},
		`PollMode="Always"`:     {},
		`PollMode="Once"`:       {once: true},
	} {
		c := parseGood(t, TCP(), tcpChannel+`<Device Name="D" Channel="Line1" Unit="1" Addressing="protocol0"><Group Name="G" `+mode+`>`+oneTag+`</Group></Device>`)
		got := c.devices[0].groups[0]
		want.name, want.period, want.phase = "G", time.Second, -1
		if got != want {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}
