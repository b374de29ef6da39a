package modbus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// The table of the wire at 19,200 Bd 8E1, for devices that think for 5 and for 20 ms.
func TestCostOnTheWire(t *testing.T) {
	c := parseGood(t, RTU(), `<Channel Name="L" Type="ModbusRtu" Port="p"/>`+dev("", "", oneTag))
	for n, want := range map[int][2]float64{1: {17.6, 32.6}, 2: {18.8, 33.8}, 10: {27.9, 42.9}, 50: {73.8, 88.8}, 125: {159.7, 174.7}} {
		for i, thinking := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond} {
			got := c.cost(&extent{area: HoldingRegisters, count: n}, thinking)
			if ms := got.Seconds() * 1000; ms < want[i]-0.1 || ms > want[i]+0.1 {
				t.Errorf("%d registers, %v: %.1f ms, want %.1f", n, thinking, ms, want[i])
			}
		}
	}
}

// How many registers take as long as a further request.
func TestGapAtUsualRates(t *testing.T) {
	for rate, want := range map[string][2]int{"1200": {10, 11}, "9600": {12, 19}, "19200": {14, 27}, "38400": {21, 47}, "115200": {51, 130}} {
		c := parseGood(t, RTU(), `<Channel Name="L" Type="ModbusRtu" Port="p" BaudRate="`+rate+`"/>`+dev("", "", oneTag))
		for i, thinking := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond} {
			if got := c.gap(thinking); got < want[i]-1 || got > want[i]+1 {
				t.Errorf("%s Bd, %v: %d registers, want about %d", rate, thinking, got, want[i])
			}
		}
	}
}

// Delays that were asked for are a part of the load.
func TestCostOfDelays(t *testing.T) {
	cost := func(channel, devices string) time.Duration {
		c := parseGood(t, RTU(), `<Channel Name="L" Type="ModbusRtu" Port="p" `+channel+`/>`+devices)
		return c.cost(&extent{area: HoldingRegisters, count: 1}, drivers.ThinkingTime)
	}
	one := dev("", "", oneTag)
	two := one + strings.NewReplacer(`Name="Dev"`, `Name="Other"`, `Unit="17"`, `Unit="18"`).Replace(one)
	plain := cost("", one)
	silence := 7 * 11 * time.Second / 19200 / 2
	for _, tc := range []struct {
		channel, devices string
		more             time.Duration
	}{
		{"", two, 0}, {`UnitChangeDelay="30"`, one, 0}, {`UnitChangeDelay="30"`, two, 30 * time.Millisecond},
		{`InterFrameDelay="1"`, one, 0}, {`InterFrameDelay="50"`, one, 50*time.Millisecond - silence},
	} {
		if got := cost(tc.channel, tc.devices) - plain; got < tc.more-time.Microsecond || got > tc.more+time.Microsecond {
			t.Errorf("%s: %v more, want %v", tc.channel, got, tc.more)
		}
	}
}

// A full line: 32 meters with two blocks of 10 registers each, every 3 s.
func TestLoadOfAFullLine(t *testing.T) {
	text := `<Channel Name="L" Type="ModbusRtu" Port="p"/>`
	for i := range 32 {
		text += strings.NewReplacer(`Name="Dev"`, fmt.Sprintf(`Name="Meter%d"`, i), `Unit="17"`, fmt.Sprintf(`Unit="%d"`, i+1)).Replace(
			dev("", `Period="3000"`, `<Tag Name="A" Address="h0[10]" Type="UInt16"/><Tag Name="B" Address="h500[10]" Type="UInt16"/>`))
	}
	c, r := parse(t, RTU(), text)
	// 64 requests of 27.9 ms, with 5 ms more of thinking, in 3 s.
	if total := c.loads().Total(); total < 0.69 || total > 0.71 || len(r.Problems) > 0 {
		t.Errorf("load %.3f, %v", total, r.Problems)
	}
	if _, r = parse(t, RTU(), strings.ReplaceAll(text, `"3000"`, `"2000"`)); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Message, "about 105 % of the time") {
		t.Errorf("%v", r.Problems)
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
