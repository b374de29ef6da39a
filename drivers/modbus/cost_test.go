package modbus

import (
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// The table of the wire at 19,200 Bd 8E1 and a device that thinks for 5 ms.
func TestCostOnTheWire(t *testing.T) {
	c := parseGood(t, RTU(), `<Channel Name="L" Type="ModbusRtu" Port="p"/>`+dev("", "", oneTag))
	for n, want := range map[int]float64{1: 17.6, 2: 18.8, 10: 27.9, 50: 73.8, 125: 159.7} {
		got := c.cost(&extent{area: HoldingRegisters, count: n}, 5*time.Millisecond)
		if ms := got.Seconds() * 1000; ms < want-0.1 || ms > want+0.1 {
			t.Errorf("%d registers: %.1f ms, want %.1f", n, ms, want)
		}
	}
	if got := c.gap(20 * time.Millisecond); got != 27 {
		t.Errorf("gap %d", got)
	}
}

func TestOverloadedLineIsWarnedOf(t *testing.T) {
	text := `<Channel Name="L" Type="ModbusRtu" Port="p" BaudRate="9600"/>` + dev("", `Period="20"`, oneTag)
	c, r := parse(t, RTU(), text)
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].String(), `edge.xml:1: warning`) || !strings.Contains(r.Problems[0].Message, `group "G" of "Dev"`) {
		t.Errorf("%v", r.Problems)
	}
	if s := c.Summary(); !strings.Contains(s, "bus load about 1") {
		t.Error(s)
	}
	if _, r = parse(t, RTU(), strings.Replace(text, `"20"`, `"1000"`, 1)); len(r.Problems) != 0 {
		t.Errorf("%v", r.Problems)
	}
}

func TestSkippedRangesAreNotTouched(t *testing.T) {
	tags := `<Tag Name="A" Address="h1" Type="UInt16"/><Tag Name="B" Address="h3" Type="UInt16"/><Tag Name="C" Address="h5" Type="UInt16"/>`
	for skip, want := range map[string]int{"": 1, `<Skip Area="holding" From="2"/>`: 2, `<Skip From="2" To="4"/>`: 2 + 1, `<Skip Area="input" From="2"/>`: 1, `<Skip From="3"/>`: 1} {
		text := strings.Replace(dev("", everySecond, tags), "<Group", skip+"<Group", 1)
		c := parseGood(t, TCP(), tcpChannel+text)
		if n := len(plan(c.devices[0].tags, c.devices[0].members(0), c.devices[0].limits)); n != want {
			t.Errorf("%s: %d requests, want %d", skip, n, want)
		}
	}
	_, r := parse(t, TCP(), tcpChannel+strings.Replace(dev("", everySecond, tags), "<Group", `<Skip From="9" To="3"/><Group`, 1))
	if !r.HasErrors() {
		t.Error("a range that ends before it begins")
	}
}

// A slow device makes it worth while to read more registers in vain.
func TestGapFollowsTheDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, "", dev("", `Period="1000" Phase="0"`, `<Tag Name="T" Address="h0" Type="UInt16"/><Tag Name="U" Address="h50" Type="UInt16"/>`), false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 51)...)
		for range 200 {
			r.slave.Script(modbussim.Delay(80 * time.Millisecond))
		}
		r.run()
		after(10 * time.Second)
		if n := int(r.driver.units[0].shape.blocks.Load()); n != 2 {
			t.Fatalf("%d blocks", n)
		}
		after(40 * time.Second)
		if n := int(r.driver.units[0].shape.blocks.Load()); n != 1 {
			t.Errorf("%d blocks after measuring", n)
		}
		r.want("U", ua.StatusOK, 0)
	})
}
