package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// gauge reads a Variable of the channel, or of the device.
func (r *rig) gauge(path string) string {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(2, path))
	if n == nil || n.Variable == nil {
		r.t.Fatalf("no variable %s", path)
	}
	return fmt.Sprint(n.Variable.Value().Value.Any())
}

func (r *rig) call(path string, inputs ...uabinary.Variant) ua.StatusCode {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(2, path))
	if n == nil || n.Method == nil || !n.UsersOnly {
		r.t.Fatalf("no method %s, or it is for all", path)
	}
	_, status, _ := n.Method.Implementation().Run(context.Background(), &addressspace.MethodCall{Inputs: inputs})
	return status
}

func TestDiagnostics(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, patientChannel+dev(`Timeout="200" Retries="1" DemoteAfter="2" TimeSuspend="60000"`, everySecond,
			`<Tag Name="T" Address="h0" Type="UInt16"/><Tag Name="U" Address="h4[2]" Type="UInt16"/>`)+
			`<Device Name="Off" Channel="Line1" Unit="9" Disabled="1" Addressing="protocol0"><DiComponent Manufacturer="Acme"/></Device>`)
		if err := r.driver.AddNodes(r.space, 2); err != nil {
			t.Fatal(err)
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 6)...)
		r.run()
		after(2500 * time.Millisecond)
		device, channel := "Dev#Diagnostics/", "#Channels/Line1/"
		for name, want := range map[string]string{
			device + "State": "online", device + "Requests": "3", device + "Replies": "3", device + "Timeouts": "0", device + "Blocks": "1",
			device + "RegistersAsked": "6", device + "RegistersUsed": "3", device + "EffectivePeriod": "1000", device + "LastError": "",
			channel + "State": "up", channel + "Requests": "3", channel + "Where": "Modbus TCP 127.0.0.1:502", "Off#Manufacturer": "{ Acme}",
		} {
			if got := r.gauge(name); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		r.slave.Script(modbussim.Exception(4), modbussim.Exception(99))
		after(2 * time.Second)
		if got := r.gauge(device + "Exceptions"); got != "[1 0 0 0 1 0 0 0 0 0 0 0]" {
			t.Error(got)
		}
		r.slave.Mute(17, true)
		after(3 * time.Second)
		if got := r.gauge(device+"State") + r.gauge(device+"Timeouts") + r.gauge(device+"Retries") + r.gauge(device+"LastError"); got != "demoted31no reply in time: no reply" {
			t.Error(got)
		}
		r.slave.Mute(17, false)
		if s := r.call(device + "Probe"); s != ua.StatusOK {
			t.Error(s)
		}
		after(100 * time.Millisecond)
		if got := r.gauge(device + "State"); got != "online" {
			t.Error(got)
		}
		if s := r.call(channel + "ResetCounters"); s != ua.StatusOK || r.gauge(channel+"Requests") != "0" {
			t.Error(s, r.gauge(channel+"Requests"))
		}
	})
}

func TestTraceIsLoggedForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		var log strings.Builder
		r.driver.log = slog.New(slog.NewTextHandler(&log, nil))
		if err := r.driver.AddNodes(r.space, 2); err != nil {
			t.Fatal(err)
		}
		r.run()
		after(500 * time.Millisecond)
		if s := r.call("#Channels/Line1/SetTrace", uabinary.Uint32Variant(2)); s != ua.StatusOK {
			t.Error(s)
		}
		after(5 * time.Second)
		if n := strings.Count(log.String(), "direction=sent"); n != 2 || !strings.Contains(log.String(), "bytes=00020000000611030000000") {
			t.Errorf("%d requests in the log:\n%s", n, log.String())
		}
		if s := r.call("#Channels/Line1/SetTrace", uabinary.Uint32Variant(4000)); s != ua.StatusBadOutOfRange {
			t.Error(s)
		}
	})
}

func TestOverloadIsWarnedOfOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Timeout="500"`, `Period="100" Phase="0"`, oneTag))
		var log strings.Builder
		r.driver.log = slog.New(slog.NewTextHandler(&log, nil))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		for range 1000 {
			r.slave.Script(modbussim.Delay(95 * time.Millisecond))
		}
		r.run()
		after(50 * time.Second)
		if n := strings.Count(log.String(), "too much to do"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}
