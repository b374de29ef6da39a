package modbus

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// writes are tags and values of one Write call, in turn.
type writes []any

func (r *rig) writeAll(w writes) []ua.StatusCode {
	r.t.Helper()
	var all []addressspace.Write
	for i := 0; i < len(w); i += 2 {
		writer := r.variable(w[i].(string)).Writer().(addressspace.SourceWriter)
		all = append(all, addressspace.Write{Writer: writer, Value: uabinary.DataValue{Value: uabinary.VariantOf(w[i+1])}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	results := all[0].Writer.Source().WriteAll(ctx, all)
	synctest.Wait() // for what follows at once, such as reading back
	return results
}

const neighbourTags = `
	<Tag Name="A" Address="h0" Type="UInt16" Access="ReadWrite"/>
	<Tag Name="B" Address="h1" Type="UInt32" Access="ReadWrite"/>
	<Tag Name="C" Address="h3" Type="UInt16" Access="ReadWrite"/>
	<Tag Name="Bit" Address="h4.0" Access="ReadWrite"/>
	<Tag Name="D" Address="h5[3]" Type="UInt16" Access="ReadWrite"/>
	<Tag Name="X" Address="c0" Access="ReadWrite"/>
	<Tag Name="Y" Address="c1[8]" Access="ReadWrite"/>
	<Tag Name="Limited" Address="h8" Type="UInt16" WriteMax="5" Access="ReadWrite"/>`

// neighbourRig records what is written.
func neighbourRig(t *testing.T, settings string) (*rig, *[]string) {
	t.Helper()
	r := newRig(t, tcpChannel+dev(`Timeout="200" `+settings, `Period="60000" Phase="0"`, neighbourTags))
	r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 9)...)
	r.slave.Set(17, modbussim.Coils, 0, make([]uint16, 9)...)
	var sent []string
	r.slave.Trace = func(_ byte, pdu []byte) {
		if pdu[0] > 4 {
			sent = append(sent, hex.EncodeToString(pdu))
		}
	}
	r.run()
	after(10 * time.Millisecond)
	return r, &sent
}

func TestNeighboursAreWrittenTogether(t *testing.T) {
	for _, c := range []struct {
		settings string
		writes   writes
		want     []string
	}{
		{`MergeWrites="1"`, writes{"A", uint16(1), "B", uint32(2), "C", uint16(3)}, []string{"100000000408" + "0001000000020003"}},
		{`MergeWrites="0"`, writes{"A", uint16(1), "B", uint32(2), "C", uint16(3)}, []string{"0600000001", "10000100020400000002", "0600030003"}},
		{`MergeWrites="1"`, writes{"B", uint32(2), "A", uint16(1), "C", uint16(3)}, []string{"10000100020400000002", "0600000001", "0600030003"}}, // in their order
		{`MergeWrites="1"`, writes{"A", uint16(1), "A", uint16(2), "B", uint32(3)}, []string{"0600000001", "10000000030600020000" + "0003"}},
		{`MergeWrites="1"`, writes{"C", uint16(3), "Bit", true, "D", []uint16{4, 5, 6}}, []string{"0600030003", "160004fffe0001", "100005000306000400050006"}}, // a bit goes alone
		{`MergeWrites="1" MaxRegisters="3"`, writes{"A", uint16(1), "B", uint32(2), "C", uint16(3)}, []string{"100000000306" + "000100000002", "0600030003"}},
		{`MergeWrites="1"`, writes{"X", true, "Y", []bool{true, false, false, false, false, false, false, true}}, []string{"0f00000009020301"}},
		{`MergeWrites="1"`, writes{"C", uint16(1), "X", true}, []string{"0600030001", "050000ff00"}},
	} {
		inBubble(t, func(t *testing.T) {
			r, sent := neighbourRig(t, c.settings)
			for i, s := range r.writeAll(c.writes) {
				if s != ua.StatusOK {
					t.Errorf("%v: %d is %v", c.writes, i, s)
				}
			}
			if !slices.Equal(*sent, c.want) {
				t.Errorf("%s %v: sent %v, want %v", c.settings, c.writes, *sent, c.want)
			}
			after(10 * time.Millisecond)
			last := len(c.writes) - 2
			r.want(c.writes[last].(string), ua.StatusOK, c.writes[last+1])
		})
	}
}

// What cannot be sent has its own answer and does not go along; the rest goes as if it had not been there.
func TestWriteAllAnswersEach(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := neighbourRig(t, `MergeWrites="1"`)
		got := r.writeAll(writes{"A", uint16(1), "Limited", uint16(6), "B", uint32(2), "C", int16(3)})
		if !slices.Equal(got, []ua.StatusCode{ua.StatusOK, ua.StatusBadOutOfRange, ua.StatusOK, ua.StatusBadTypeMismatch}) {
			t.Error(got)
		}
		if want := []string{"10000000030600010000" + "0002"}; !slices.Equal(*sent, want) {
			t.Errorf("sent %v, want %v", *sent, want)
		}
	})
}

// A device that refuses the whole is asked for each part; who is refused then is alone.
func TestRefusedNeighboursAreWrittenOneByOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := neighbourRig(t, `MergeWrites="1"`)
		r.slave.Refuse = func(_ byte, pdu []byte) byte {
			if pdu[0] == 16 && pdu[4] > 2 || pdu[0] == 6 && pdu[2] == 3 {
				return 2
			}
			return 0
		}
		got := r.writeAll(writes{"A", uint16(1), "B", uint32(2), "C", uint16(3)})
		if !slices.Equal(got, []ua.StatusCode{ua.StatusOK, ua.StatusOK, ua.StatusBadConfigurationError}) || len(*sent) != 4 {
			t.Error(got, *sent)
		}
		if v := r.slave.Get(17, modbussim.HoldingRegisters, 2); v != 2 {
			t.Errorf("B is %d", v)
		}
	})
}

// A reply that is lost leaves the outcome of all of them open, once.
func TestOutcomeOfNeighboursUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := neighbourRig(t, `MergeWrites="1" DemoteAfter="2"`)
		r.slave.Script(modbussim.Drop)
		got := r.writeAll(writes{"A", uint16(1), "B", uint32(2), "C", uint16(3)})
		if !slices.Equal(got, []ua.StatusCode{ua.StatusBadTimeout, ua.StatusBadTimeout, ua.StatusBadTimeout}) || len(*sent) != 1 {
			t.Error(got, *sent)
		}
		after(10 * time.Millisecond)
		r.want("B", ua.StatusOK, 2) // read back at once: one timeout has not demoted the unit
	})
}

// Due polls get their turn among the writes of one call.
func TestManyWritesLetPollsThrough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`AfterWrite="none"`, `Period="10" Phase="0"`, neighbourTags))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 9)...)
		r.slave.Set(17, modbussim.Coils, 0, make([]uint16, 9)...)
		var order strings.Builder
		r.slave.Trace = func(_ byte, pdu []byte) { order.WriteByte('0' + pdu[0]) }
		for range 200 {
			r.slave.Script(modbussim.Delay(20 * time.Millisecond))
		}
		r.run()
		after(30 * time.Millisecond)
		var w writes
		for range 30 {
			w = append(w, "A", uint16(1), "C", uint16(2))
		}
		for _, s := range r.writeAll(w) {
			if s != ua.StatusOK {
				t.Fatal(s)
			}
		}
		if text := order.String(); strings.Contains(text, "66666") || strings.Count(text, "6") != 60 {
			t.Errorf("functions on the wire: %s", text)
		}
	})
}

func TestWriteAllWhileStopping(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, _ := neighbourRig(t, "")
		r.stop()
		if got := r.writeAll(writes{"A", uint16(1), "C", uint16(2)}); !slices.Equal(got, []ua.StatusCode{ua.StatusBadShutdown, ua.StatusBadShutdown}) {
			t.Error(got)
		}
	})
}

// Only what may be written twice is, and no oftener than a read.
func TestIdempotentWritesAreRepeated(t *testing.T) {
	for _, c := range []struct {
		tag    string
		faults []modbussim.Fault
		want   ua.StatusCode
		sent   int
	}{
		{`Idempotent="1"`, []modbussim.Fault{modbussim.Drop}, ua.StatusOK, 2},
		{`Idempotent="1"`, []modbussim.Fault{modbussim.WrongUnit}, ua.StatusOK, 2},
		{`Idempotent="1"`, []modbussim.Fault{modbussim.Drop, modbussim.Drop}, ua.StatusBadTimeout, 2},
		{`Idempotent="1"`, []modbussim.Fault{modbussim.Exception(4)}, ua.StatusBadDeviceFailure, 1},
		{`Idempotent="0"`, []modbussim.Fault{modbussim.Drop}, ua.StatusBadTimeout, 1},
	} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, tcpChannel+dev(`Timeout="200" AfterWrite="none"`, `Period="60000" Phase="0"`,
				`<Tag Name="T" Address="h0" Type="UInt16" Access="ReadWrite" `+c.tag+`/>`))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			codes := r.seen()
			r.run()
			after(10 * time.Millisecond)
			r.slave.Script(c.faults...)
			if s := r.write("T", uint16(8)); s != c.want {
				t.Errorf("%s: %v, want %v", c.tag, s, c.want)
			}
			after(time.Second)
			if sent := bytes.Count(*codes, []byte{6}); sent != c.sent {
				t.Errorf("%s: sent %d times, want %d", c.tag, sent, c.sent)
			}
		})
	}
}
