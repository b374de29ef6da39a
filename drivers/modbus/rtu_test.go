package modbus

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// newRTURig is a rig on a serial line in memory; echo gives back what is sent, as some adapters do.
func newRTURig(t *testing.T, channelSettings, devices string, echo bool) *rig {
	t.Helper()
	r := &rig{t: t, slave: modbussim.NewMap(), done: make(chan struct{})}
	c := parseGood(t, RTU(), `<Channel Name="Line1" Type="ModbusRtu" Port="/dev/none" `+channelSettings+`/>`+devices)
	w := c.wiring()
	w.dial = func(ctx context.Context) (drivers.Link, error) {
		return r.pipe(func(server net.Conn) {
			_ = modbussim.ServeRTU(ctx, echoing{server, echo}, r.slave) // ends with the pipe
		})
	}
	r.bind(c, w)
	return r
}

// echoing is a line whose adapter hears itself.
type echoing struct {
	net.Conn
	on bool
}

func (e echoing) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if err == nil && e.on {
		_, err = e.Conn.Write(p[:n])
	}
	return n, err
}

func oneTagRTU(t *testing.T, channelSettings, settings string, echo bool) *rig {
	t.Helper()
	r := newRTURig(t, channelSettings, dev(`Timeout="200" HoldPolls="0" Retries="0" `+settings, everySecond, oneTag), echo)
	r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
	return r
}

func TestRTUFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault  modbussim.Fault
		status ua.StatusCode
	}{
		"silence":      {modbussim.Drop, ua.StatusBadTimeout},
		"CRC":          {modbussim.Flip(4), ua.StatusBadCommunicationError},
		"wrong unit":   {modbussim.WrongUnit, ua.StatusBadCommunicationError},
		"wrong fc":     {modbussim.WrongFunction, ua.StatusBadCommunicationError},
		"wrong count":  {modbussim.WrongCount, ua.StatusBadCommunicationError},
		"half":         {modbussim.Cut(4), ua.StatusBadCommunicationError},
		"noise before": {modbussim.Around([]byte{0, 17, 3, 9, 9}, nil), ua.StatusOK},
		"noise after":  {modbussim.Around(nil, []byte{0, 0, 0, 17, 3}), ua.StatusOK},
		"split":        {modbussim.Split(2, 10*time.Millisecond), ua.StatusOK},
		"exception":    {modbussim.Exception(4), ua.StatusBadDeviceFailure},
		"split exception": {func(x *modbussim.Exchange) {
			modbussim.Exception(4)(x)
			modbussim.Split(2, 10*time.Millisecond)(x)
		}, ua.StatusBadDeviceFailure},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := oneTagRTU(t, "", "", false)
				r.slave.Script(nil, c.fault)
				r.run()
				after(500 * time.Millisecond)
				r.want("T", ua.StatusOK, 7)
				r.slave.Set(17, modbussim.HoldingRegisters, 0, 8)
				after(time.Second)
				if c.status != ua.StatusOK {
					r.want("T", c.status, nil)
				} else {
					r.want("T", ua.StatusOK, 8)
				}
				r.slave.Set(17, modbussim.HoldingRegisters, 0, 9)
				after(time.Second)
				r.want("T", ua.StatusOK, 9)
			})
		})
	}
}

// There is no transaction id: a late reply looks like the reply to the next request of the same kind. It must never
// become the value of another tag.
func TestRTULateReplyIsNotTakenForAnother(t *testing.T) {
	for _, retries := range []string{"0", "1"} {
		for late := 210 * time.Millisecond; late < 400*time.Millisecond; late += 10 * time.Millisecond {
			inBubble(t, func(t *testing.T) {
				r := newRTURig(t, "", dev(`Timeout="200" HoldPolls="0" Retries="`+retries+`"`, everySecond,
					oneTag+`<Tag Name="U" Address="h900" Type="UInt16"/>`), false)
				r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
				r.slave.Set(17, modbussim.HoldingRegisters, 900, 8)
				r.slave.Script(modbussim.Delay(late), nil, modbussim.Delay(late))
				t7, t8 := r.watch("T"), r.watch("U")
				r.run()
				after(5 * time.Second)
				r.want("T", ua.StatusOK, 7)
				r.want("U", ua.StatusOK, 8)
				for _, e := range slices.Concat(t7.Events(), t8.Events()) {
					if e.Status == ua.StatusOK && e.Value != uint16(7) && slices.Contains(t7.Events(), e) {
						t.Errorf("late by %v: T became %v", late, e)
					}
					if e.Status == ua.StatusOK && e.Value != uint16(8) && slices.Contains(t8.Events(), e) {
						t.Errorf("late by %v: U became %v", late, e)
					}
				}
			})
		}
	}
}

// The reply to the first try comes during the second one and is taken; the reply to the second is still under way.
func TestRTUSecondReplyIsNotTakenForAnother(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, "", dev(`Timeout="200" HoldPolls="0" Retries="1"`, everySecond,
			oneTag+`<Tag Name="U" Address="h900" Type="UInt16"/>`), false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(17, modbussim.HoldingRegisters, 900, 8)
		r.slave.Script(modbussim.Delay(210*time.Millisecond), modbussim.Delay(100*time.Millisecond))
		rec := r.watch("U")
		r.run()
		after(900 * time.Millisecond)
		rec.WantStatuses(t, "410ms Good 8")
	})
}

func TestRTUKeepsSilenceAfterATimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, "", dev(`Timeout="200" Retries="0"`, everySecond, oneTag+`<Tag Name="U" Address="h900" Type="UInt16"/>`), false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(17, modbussim.HoldingRegisters, 900, 8)
		r.slave.Script(modbussim.Drop)
		var at []time.Duration
		r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start)) }
		r.run()
		after(900 * time.Millisecond)
		if len(at) != 2 || at[1]-at[0] < 400*time.Millisecond || at[1]-at[0] > 410*time.Millisecond {
			t.Errorf("requests at %v, want 200 ms of waiting and 200 ms of silence between them", at)
		}
	})
}

func TestRTUSilenceBetweenFrames(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, `BaudRate="1200"`, dev("", everySecond, oneTag+`<Tag Name="U" Address="h900" Type="UInt16"/>`), false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(17, modbussim.HoldingRegisters, 900, 8)
		var at []time.Duration
		r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start)) }
		r.run()
		after(900 * time.Millisecond)
		if want := 11 * time.Second * 7 / 2 / 1200; len(at) != 2 || at[1]-at[0] < want-time.Microsecond || at[1]-at[0] > want+time.Millisecond {
			t.Errorf("requests at %v, want 3.5 characters (%v) between them", at, want)
		}
	})
}

func TestRTUUnitChangeDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, `UnitChangeDelay="50"`, dev("", everySecond, oneTag)+
			`<Device Name="Other" Channel="Line1" Unit="18" Addressing="protocol0"><Group Name="G" Period="1000" Phase="0" PollMode="Always">
			<Tag Name="T" Address="h0" Type="UInt16"/></Group></Device>`, false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(18, modbussim.HoldingRegisters, 0, 7)
		var at []time.Duration
		r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start)) }
		r.run()
		after(900 * time.Millisecond)
		if len(at) != 2 || at[1]-at[0] < 50*time.Millisecond {
			t.Errorf("requests at %v", at)
		}
	})
}

// On a line that echoes, the answer to a single write could be our own request.
func TestRTUEcho(t *testing.T) {
	for _, mode := range []string{"on", "auto"} {
		inBubble(t, func(t *testing.T) {
			r := oneTagRTU(t, `LocalEcho="`+mode+`"`, "", true)
			r.run()
			after(500 * time.Millisecond)
			r.want("T", ua.StatusOK, 7)
			if s := r.write("T", uint16(8)); s != ua.StatusOK || r.slave.Get(17, modbussim.HoldingRegisters, 0) != 8 {
				t.Errorf("%s: write %v", mode, s)
			}
			r.slave.Mute(17, true) // the device is gone, the adapter still echoes
			if s := r.write("T", uint16(9)); s != ua.StatusBadTimeout {
				t.Errorf("%s: write without device: %v", mode, s)
			}
			after(700 * time.Millisecond)
			r.want("T", ua.StatusBadTimeout, nil)
		})
	}
}

// With no device at all nothing tells yet whether the line echoes; no write may look successful.
func TestRTUEchoWithoutDevice(t *testing.T) {
	for _, function := range []string{"auto", "6", "16"} {
		inBubble(t, func(t *testing.T) {
			r := newRTURig(t, "", dev(`Timeout="200" WriteFunction="`+function+`"`, `Phase="5000" Period="10000"`, oneTag), true)
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			r.slave.Mute(17, true)
			r.run()
			after(100 * time.Millisecond)
			if s := r.write("T", uint16(9)); s>>30 == 0 {
				t.Errorf("function %s: write without device: %v", function, s)
			}
		})
	}
}

func TestRTUMissingEchoIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRTU(t, `LocalEcho="on"`, "", false)
		r.run()
		after(500 * time.Millisecond)
		r.want("T", ua.StatusBadCommunicationError, nil)
	})
}

func TestRTUPortIsReopenedWhenNobodyAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRTU(t, "", "", false)
		r.slave.Mute(17, true)
		r.run()
		after(5 * time.Minute)
		if n := r.dials.Load(); n < 2 || n > 5 {
			t.Errorf("opened %d times in 5 minutes", n)
		}
		r.slave.Mute(17, false)
		after(3 * time.Minute)
		r.want("T", ua.StatusOK, 7)
	})
}

func TestRTUIgnoresBabble(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRTU(t, "", "", false)
		r.slave.Script(nil, modbussim.Around(make([]byte, 3000), nil))
		r.run()
		after(1500 * time.Millisecond)
		r.want("T", ua.StatusBadCommunicationError, nil)
		after(time.Second)
		r.want("T", ua.StatusOK, 7)
	})
}

// A device that reboots when its port is opened is given time, counted from each opening.
func TestStartupDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newTransportRig(t, transports()[3], `StartupDelay="2000"`, dev(`Timeout="200"`, `Period="100" Phase="0"`, oneTag), nil)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.run()
		after(1900 * time.Millisecond)
		if n := r.slave.Requests(); n != 0 {
			t.Errorf("%d requests to a device that starts", n)
		}
		after(300 * time.Millisecond)
		r.want("T", ua.StatusOK, 7)
	})
}
