package modbus

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// tallyWatcher counts the values of many Variables.
type tallyWatcher struct{ good, n atomic.Int64 }

func (w *tallyWatcher) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	if w.n.Add(1); dv.Status == 0 {
		w.good.Add(1)
	}
}

// 10,000 tags of 100 devices on TCP make one request per device and second and as many values, spread over the second.
func TestManyDevices(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const devices, tags = 100, 100
		var list strings.Builder
		for i := range tags {
			fmt.Fprintf(&list, `<Tag Name="T%d" Address="h%d" Type="UInt16" Scale="0.1"/>`, i, i)
		}
		slave := modbussim.NewMap()
		slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, tags)...)
		var perSlot [10]atomic.Int64 // requests in each tenth of a second
		start := time.Now()
		slave.Trace = func(byte, []byte) {
			perSlot[time.Since(start)%time.Second/(100*time.Millisecond)].Add(1)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var tasks sync.WaitGroup
		w := &tallyWatcher{}
		var fleet []*driver
		for i := range devices {
			text := strings.ReplaceAll(tcpChannel+dev("", `Period="1000"`, list.String()), `Name="Dev"`, fmt.Sprintf(`Name="Dev%d"`, i))
			c := parseGood(t, TCP(), text)
			space := addressspace.New("urn:test")
			vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), c.Devices())
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{t: t}
			d := newDriver(c, c.socketWiring(func(ctx context.Context) (drivers.Link, error) {
				return r.pipe(func(server net.Conn) { modbussim.ServeConn(ctx, server, slave) })
			}), slog.New(slog.DiscardHandler))
			d.Bind(vars)
			for _, v := range vars {
				v.Watch(w)
			}
			fleet = append(fleet, d)
			tasks.Go(func() { _ = d.Run(ctx) })
		}
		after(5 * time.Second)
		n, values := slave.Requests(), w.good.Load()
		for i := range perSlot {
			perSlot[i].Store(0)
		}
		after(5 * time.Second)
		if n, values = slave.Requests()-n, w.good.Load()-values; n != 5*devices || values != 5*devices*tags || w.n.Load() != w.good.Load() {
			t.Errorf("%d requests and %d values in 5 s; %d of all %d values were good", n, values, w.good.Load(), w.n.Load())
		}
		for i := range perSlot {
			if n := perSlot[i].Load(); n > 5*devices/10*2 {
				t.Errorf("%d requests in slot %d: not spread", n, i)
			}
		}
		for _, d := range fleet {
			if d.bus.total.get(overruns) != 0 {
				t.Error("overruns")
			}
		}
		cancel()
		tasks.Wait()
	})
}

// slowLine answers as a line at 19200 Bd would, in memory.
type slowLine struct {
	net.Conn
	character time.Duration
}

func (l slowLine) Write(p []byte) (int, error) {
	<-time.After(time.Duration(8+len(p))*l.character + 5*time.Millisecond)
	return l.Conn.Write(p)
}

// A dead unit among 32 costs the others less than one in a hundred readings once it is demoted, with the defaults, on a
// line that is always busy.
func TestDeadUnitAmongMany(t *testing.T) {
	const long = 10 * time.Minute
	readings := func(t *testing.T, units int) (n int64) {
		inBubble(t, func(t *testing.T) {
			var devices strings.Builder
			slave := modbussim.NewMap()
			for u := 1; u <= units; u++ {
				slave.Set(byte(u), modbussim.HoldingRegisters, 0, make([]uint16, 125)...)
				fmt.Fprintf(&devices, `<Device Name="D%d" Channel="Line1" Unit="%d" Addressing="protocol0">
					<Group Name="G" Period="10" PollMode="Always"><Tag Name="T" Address="h0[125]" Type="UInt16"/></Group></Device>`, u, u)
			}
			slave.Mute(32, true)
			var alive atomic.Int64
			slave.Trace = func(unit byte, _ []byte) {
				if unit != 32 {
					alive.Add(1)
				}
			}
			r := &rig{t: t, slave: slave, done: make(chan struct{})}
			c := parseGood(t, RTU(), `<Channel Name="Line1" Type="ModbusRtu" Port="/dev/none"/>`+devices.String())
			w := c.wiring()
			w.dial = func(ctx context.Context) (drivers.Link, error) {
				return r.pipe(func(server net.Conn) {
					defer server.Close()
					_ = modbussim.ServeRTU(ctx, struct {
						io.Reader
						io.Writer
					}{server, slowLine{server, 11 * time.Second / 19200}}, slave)
				})
			}
			r.bind(c, w)
			r.run()
			after(5 * time.Minute) // demoted, and its probes rare
			before := alive.Load()
			after(long)
			n = alive.Load() - before
			r.stop()
			after(time.Second) // the slave may be in the middle of an answer
		})
		return n
	}
	without, with := readings(t, 31), readings(t, 32)
	if share := float64(with) / float64(without); share < 0.99 || share > 1 || without < 3500 {
		t.Errorf("%d readings with a dead unit, %d without it: %.2f %%", with, without, 100*share)
	} else {
		t.Logf("%d readings with a dead unit, %d without it: %.2f %%", with, without, 100*share)
	}
}

// A Phase that is given holds from the first reading on, and also for what somebody begins to watch later.
func TestPhase(t *testing.T) {
	for mode, want := range map[string]string{"Always": "[400ms 1.4s 2.4s 3.4s]", "Subscribed": "[1.7s 2.4s 3.4s]"} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, patientChannel+dev("", `Period="1000" Phase="400" PollMode="`+mode+`"`, oneTag))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			var at []time.Duration
			r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start).Round(time.Microsecond)) }
			r.run()
			after(1700 * time.Millisecond)
			r.watch("T")
			after(2 * time.Second)
			if fmt.Sprint(at) != want {
				t.Errorf("%s: %v, want %v", mode, at, want)
			}
		})
	}
}
