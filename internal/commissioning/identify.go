package commissioning

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
)

// Fact is one thing that a unit says about itself.
type Fact struct{ Name, Text string }

// Function codes and sub-functions of diagnostics (Application Protocol, 6.7, 6.8, 6.9 and 6.13).
const (
	readExceptionStatus = 7
	diagnostics         = 8
	eventCounter        = 11
	reportServerID      = 17

	returnQueryData = 0
)

// Identify asks a unit for everything that it can say about itself. A unit that does not know a function says so, which
// is a fact as well, and some answer such a request with silence. The error is of a unit that answers nothing.
func Identify(ctx context.Context, m *modbus.Master, unit byte) ([]Fact, error) {
	// A read comes first, which tells whether the line gives back what is sent: some of the answers below equal their request.
	if _, err := m.Read(ctx, unit, modbus.HoldingRegisters, 0, 1); silent(err) {
		return nil, err
	}
	plate, err := m.Plate(ctx, unit)
	var facts []Fact
	for _, row := range plate {
		facts = append(facts, Fact{row[0], row[1]})
	}
	if err != nil {
		facts = append(facts, Fact{"identification (43/14)", outcome(err)})
	}
	for _, ask := range []struct {
		name string
		pdu  []byte
		tell func(reply []byte) string
	}{
		{"server id (17)", []byte{reportServerID}, serverID},
		{"exception status (7)", []byte{readExceptionStatus}, exceptionStatus},
		{"event counter (11)", []byte{eventCounter}, events},
		{"echo (8/0)", []byte{diagnostics, 0, returnQueryData, 0xA5, 0x5A}, func([]byte) string { return "comes back as it was sent" }},
	} {
		reply, err := m.Ask(ctx, unit, ask.pdu...)
		switch {
		case ctx.Err() != nil:
			return facts, ctx.Err()
		case err != nil:
			facts = append(facts, Fact{ask.name, outcome(err)})
		default:
			facts = append(facts, Fact{ask.name, ask.tell(reply)})
		}
	}
	return append(facts, lineFacts(ctx, m, unit)...), ctx.Err()
}

// silent tells whether nothing can be learned from a unit.
func silent(err error) bool {
	if err == nil {
		return false
	}
	switch modbus.FaultOf(err) {
	case drivers.NoCommunication, drivers.LinkLost, drivers.NoReply, drivers.BadReply, drivers.GatewayPath, drivers.GatewayTarget:
		return true
	}
	return false
}

func outcome(err error) string {
	if code := refusal(err); code == 1 {
		return "not known to the device"
	} else if code != 0 {
		return Exception(code)
	}
	return modbus.FaultOf(err).String()
}

// serverID has no fixed form: bytes of the device's own, among them one that tells whether it runs (6.13).
func serverID(reply []byte) string {
	if len(reply) < 3 {
		return "empty"
	}
	return fmt.Sprintf("% X  %s", reply[2:], printable(reply[2:]))
}

func exceptionStatus(reply []byte) string {
	return fmt.Sprintf("%08b", reply[len(reply)-1])
}

func events(reply []byte) string {
	if len(reply) < 5 {
		return "empty"
	}
	busy := ""
	if binary.BigEndian.Uint16(reply[1:]) == 0xFFFF {
		busy = ", busy with a request"
	}
	return fmt.Sprintf("%d%s", binary.BigEndian.Uint16(reply[3:]), busy)
}

// lineFacts are the counters of the device's own side of the line (6.8), of which the wrong ones tell of wiring.
func lineFacts(ctx context.Context, m *modbus.Master, unit byte) []Fact {
	if !m.Serial() {
		return nil
	}
	var facts []Fact
	for _, c := range []struct {
		sub  byte
		name string
	}{{11, "messages on the line (8/11)"}, {12, "with a wrong checksum (8/12)"}, {13, "answered by an exception (8/13)"},
		{14, "for this unit (8/14)"}, {15, "not answered (8/15)"}, {18, "character overruns (8/18)"}} {
		reply, err := m.Ask(ctx, unit, diagnostics, 0, c.sub, 0, 0)
		if err != nil { // one that does not know the first knows none
			break
		}
		if len(reply) >= 5 {
			facts = append(facts, Fact{c.name, fmt.Sprint(binary.BigEndian.Uint16(reply[3:]))})
		}
	}
	return facts
}
