package modbus

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// update writes the table instead of comparing: go test ./drivers/modbus -run FaultTable -update
var update = flag.Bool("update", false, "write docs/drivers-faults.md")

const faultTable = "../../docs/drivers-faults.md"

// wireFault is one row of the table.
type wireFault struct {
	name  string
	fault func(tr transport) modbussim.Fault // nil: does not exist there
}

func everywhere(f modbussim.Fault) func(transport) modbussim.Fault {
	return func(transport) modbussim.Fault { return f }
}

func (tr transport) mbap() bool { return tr.name == "TCP" || tr.name == "TLS" || tr.name == "UDP" }

// flipped changes a byte that the framing guards: the CRC or LRC guards data, an MBAP header guards only itself.
func flipped(tr transport) modbussim.Fault {
	if tr.mbap() {
		return modbussim.Flip(3)
	}
	return modbussim.Flip(4)
}

func foreignID(tr transport) modbussim.Fault {
	if tr.mbap() {
		return modbussim.WrongID
	}
	return nil
}

func splitInTwo(tr transport) modbussim.Fault {
	if tr.name == "UDP" { // a datagram comes whole or not at all
		return nil
	}
	return modbussim.Split(4, 50*time.Millisecond)
}

func wireFaults() []wireFault {
	all := []wireFault{
		{"no reply", everywhere(modbussim.Drop)},
		{"reply comes 100 ms after the timeout", everywhere(modbussim.Delay(300 * time.Millisecond))},
		{"reply in two parts, 50 ms apart", splitInTwo},
		{"reply doubled", everywhere(modbussim.Double)},
		{"reply cut off", everywhere(modbussim.Cut(6))},
		{"a bit flipped", flipped},
		{"answer of another unit", everywhere(modbussim.WrongUnit)},
		{"answer to another function", everywhere(modbussim.WrongFunction)},
		{"fewer registers than asked for", everywhere(modbussim.WrongCount)},
		{"other transaction id", foreignID},
		{"the request echoed, no reply", everywhere(modbussim.Echo)},
		{"the previous reply once more", everywhere(modbussim.Replay)},
		{"noise before the reply", everywhere(modbussim.Around([]byte{0, 17, 3, 255, 9, 9}, nil))},
		{"noise after the reply", everywhere(modbussim.Around(nil, []byte{0, 17, 3, 255, 9, 9}))},
		{"3000 bytes of babble", everywhere(modbussim.Around(bytes.Repeat([]byte{0x55}, 3000), nil))},
		{"link closed instead of a reply", everywhere(modbussim.Close)},
		{"link closed after each reply", everywhere(modbussim.CloseAfter)},
	}
	for code := range byte(12) {
		all = append(all, wireFault{fmt.Sprintf("exception %d", code+1), everywhere(modbussim.Exception(code + 1))})
	}
	return append(all, wireFault{"exception 99", everywhere(modbussim.Exception(99))})
}

// tryFault reads two units each second, lets the second reading of the first one fail, and returns the status that it
// shows then. The other unit must not notice, nothing wrong may be shown as Good, and the next reading must be Good.
func tryFault(t *testing.T, tr transport, fault modbussim.Fault, cert *tls.Certificate) (shown string) {
	inBubble(t, func(t *testing.T) {
		unit := `<Device Name="%s" Channel="Line1" Unit="%d" Addressing="protocol0" Timeout="200" Retries="0" HoldPolls="0">
			<Group Name="G" Period="1000" Phase="0" PollMode="Always"><Tag Name="T" Address="h0[2]" Type="UInt16"/></Group></Device>`
		r := newTransportRig(t, tr, "", fmt.Sprintf(unit, "Dev", 17)+fmt.Sprintf(unit, "Other", 18), cert)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 7)
		r.slave.Set(18, modbussim.HoldingRegisters, 0, 107, 107)
		r.slave.Script(nil, nil, fault)
		r.vars["Dev.Other"] = r.vars["Other.T"]
		sick, well := r.watch("T"), r.watch("Other")
		r.run()
		after(500 * time.Millisecond)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 8, 8)
		after(1400 * time.Millisecond)
		shown = strings.TrimPrefix(ua.StatusCodes[r.variable("T").Value().Status].Name, "Status")
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 9, 9)
		after(1500 * time.Millisecond)
		r.want("T", ua.StatusOK, []uint16{9, 9})
		wantOnly(t, sick, "7 8 9")
		wantOnly(t, well, "107")
		for _, s := range well.Statuses() {
			if !strings.Contains(s, " Good ") {
				t.Errorf("the other unit noticed: %s", s)
			}
		}
		r.stop()
	})
	return shown
}

// wantOnly fails if a Good value is not one of the words.
func wantOnly(t *testing.T, r *driverstest.Record, words string) {
	t.Helper()
	for _, e := range r.Events() {
		if e.Status != ua.StatusOK {
			continue
		}
		v, _ := e.Value.([]uint16)
		if len(v) != 2 || v[0] != v[1] || !strings.Contains(" "+words+" ", fmt.Sprintf(" %d ", v[0])) {
			t.Errorf("at %v: %v is shown as Good", e.At, e.Value)
		}
	}
}

func TestFaultTable(t *testing.T) {
	cert := deviceCertificate(t)
	var b strings.Builder
	b.WriteString(faultTableHead)
	for _, tr := range transports() {
		b.WriteString(" " + tr.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(transports())) + "\n")
	for _, f := range wireFaults() {
		b.WriteString("| " + f.name + " |")
		for _, tr := range transports() {
			cell := "–"
			if fault := f.fault(tr); fault != nil {
				t.Run(f.name+"/"+tr.name, func(t *testing.T) { cell = tryFault(t, tr, fault, cert) })
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	compareTable(t, b.String())
}

const faultTableHead = `# What a tag shows when the wire misbehaves

Written by ` + "`go test ./drivers/modbus -run FaultTable -update`" + `; the same test fails when this page is not true any more.

Two units share a channel and are read once a second, without retries and with ` + "`HoldPolls=0`" + `, so that nothing is
hidden. The second reading of the first unit meets the fault. Each cell is the status that its tag shows until the next
reading, which must be Good again; Good means that the right value was read in spite of the fault. The other unit must
stay Good all the time, and no value that was not asked for may ever be Good.

| Fault |`

// faultSection begins what another package writes into the same page.
const faultSection = "\n## Plain serial instruments\n"

func compareTable(t *testing.T, table string) {
	t.Helper()
	old, err := os.ReadFile(faultTable)
	if err != nil {
		t.Fatal(err)
	}
	mine, rest, _ := strings.Cut(string(old), faultSection)
	if *update {
		if err := os.WriteFile(faultTable, []byte(table+faultSection+rest), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if mine != table {
		t.Errorf("%s is not true any more; write it again with -update and look at the difference", faultTable)
	}
}
