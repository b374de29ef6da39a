package modbus

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

func TestIdleCloseEndsAndComesBackForThePoll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newTransportRig(t, transports()[0], `IdleClose="200"`, dev(`Timeout="200"`, everySecond, oneTag), nil)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		rec := r.watch("T")
		r.run()
		after(2500 * time.Millisecond)
		if n := r.dials.Load(); n != 3 {
			t.Errorf("%d connections for three polls", n)
		}
		rec.WantStatuses(t, "0s Good 7")
		if s := r.write("T", uint16(8)); s != ua.StatusOK || r.slave.Get(17, modbussim.HoldingRegisters, 0) != 8 {
			t.Errorf("write on a channel that rests: %v", s)
		}
		if n := r.dials.Load(); n != 4 {
			t.Errorf("%d connections with one write", n)
		}
	})
}

// A dead device behind a gateway costs a new connection for each try; the living one must not suffer.
func TestRTUOverTCPMakesANewConnectionAfterATimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tr := transports()[5]
		devices := ""
		for i, name := range []string{"Dev", "Dead"} {
			devices += fmt.Sprintf(`<Device Name="%s" Channel="Line1" Unit="%d" Addressing="protocol0" Timeout="200" Retries="1">
				<Group Name="G" Period="1000" Phase="0" PollMode="Always"><Tag Name="T" Address="h0" Type="UInt16"/></Group></Device>`, name, 17+i)
		}
		r := newTransportRig(t, tr, "", devices, nil)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		rec := r.watch("T")
		r.run()
		after(10 * time.Second)
		rec.WantStatuses(t, "0s Good 7")
		if n := r.dials.Load(); n < 3 || n > 5 {
			t.Errorf("%d connections; the dead unit was asked three times", n)
		}
	})
}

func TestLenientTransactionIDs(t *testing.T) {
	for mode, want := range map[string]ua.StatusCode{"strict": ua.StatusBadCommunicationError, "lenient": ua.StatusOK} {
		inBubble(t, func(t *testing.T) {
			r := newTransportRig(t, transports()[0], `TransactionIdCheck="`+mode+`"`, dev(`Timeout="200" Retries="0" HoldPolls="0"`, everySecond, oneTag), nil)
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			for range 10 {
				r.slave.Script(modbussim.WrongID)
			}
			r.run()
			after(900 * time.Millisecond)
			if s := r.variable("T").Value().Status; s != want {
				t.Errorf("%s: %v", mode, s)
			}
		})
	}
}

func TestConnectionsShareTheUnits(t *testing.T) {
	devices := ""
	for i := range 5 {
		devices += fmt.Sprintf(`<Device Name="D%d" Channel="L" Unit="%d" Addressing="protocol0"><Group Name="G"><Tag Name="T" Address="h0" Type="Int16"/></Group></Device>`, i, 1+i%3)
	}
	c := parseGood(t, TCP(), `<Channel Name="L" Type="ModbusTcp" Host="h" Connections="2"/>`+devices)
	parts := c.share()
	if len(parts) != 2 || len(parts[0].devices) != 3 || len(parts[1].devices) != 2 || parts[1].devices[1].unit != 2 {
		t.Errorf("%d parts", len(parts))
	}
	_, report := parse(t, TCP(), `<Channel Name="L" Type="ModbusTcp" Host="h" Connections="9"/>`+devices)
	if len(report.Problems) != 1 || report.HasErrors() {
		t.Errorf("%v", report.Problems)
	}
}

// What does not change is read once, again after a write, and on each new connection.
func TestReadOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, patientChannel+dev("", `Period="1000" Phase="0" PollMode="Once"`, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Script(modbussim.Exception(6), modbussim.Exception(6))
		r.run()
		after(5500 * time.Millisecond)
		r.want("T", ua.StatusOK, 7)
		if n := r.slave.Requests(); n != 3 {
			t.Errorf("%d requests; it was busy twice", n)
		}
		if s := r.write("T", uint16(8)); s != ua.StatusOK {
			t.Error(s)
		}
		after(5 * time.Second)
		r.want("T", ua.StatusOK, 8)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 9)
		r.hangUp()
		after(5 * time.Second)
		r.want("T", ua.StatusOK, 9)
		if n := r.slave.Requests(); n != 6 {
			t.Errorf("%d requests", n)
		}
	})
}
