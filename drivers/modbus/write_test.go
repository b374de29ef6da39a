package modbus

import (
	"context"
	"encoding/hex"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

const writable = `
	<Tag Name="Coil" Address="c0" Access="ReadWrite"/>
	<Tag Name="Coils" Address="c8[10]" Access="ReadWrite"/>
	<Tag Name="Word" Address="h0" Type="UInt16" Access="ReadWrite"/>
	<Tag Name="Bit" Address="h1.4" Type="Bool" Access="ReadWrite"/>
	<Tag Name="Long" Address="h2" Type="Int32" ByteOrder="CDAB" Access="ReadWrite"/>
	<Tag Name="Temp" Address="h4" Type="Int16" Scale="0.1" Offset="-50" EULow="-50" EUHigh="150" Access="ReadWrite"/>
	<Tag Name="Clamped" Address="h5" Type="Int16" EULow="0" EUHigh="100" Clamp="1" Access="ReadWrite"/>
	<Tag Name="Limited" Address="h6" Type="UInt16" WriteMin="1" WriteMax="3" Access="ReadWrite"/>
	<Tag Name="Text" Address="h7" Type="String" Length="2" Access="ReadWrite"/>
	<Tag Name="Only" Address="h9" Type="UInt16" Access="Write"/>
	<Tag Name="Fixed" Address="h0" Type="UInt16"/>`

// writeRig records the write requests that the slave sees.
func writeRig(t *testing.T, settings string) (*rig, *[]string) {
	t.Helper()
	r := newRig(t, tcpChannel+dev(`Timeout="200" `+settings, `Period="1000" Phase="0"`, writable))
	r.slave.Set(17, modbussim.Coils, 0, make([]uint16, 18)...)
	r.slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 10)...)
	var sent []string
	r.slave.Trace = func(_ byte, pdu []byte) {
		if pdu[0] > 4 {
			sent = append(sent, hex.EncodeToString(pdu))
		}
	}
	return r, &sent
}

func TestWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, "")
		r.run()
		after(100 * time.Millisecond)
		coils := []bool{true, false, false, false, false, false, false, false, true, true}
		for _, c := range []struct {
			tag    string
			value  any
			status ua.StatusCode
			pdu    string
		}{
			{"Coil", true, ua.StatusOK, "050000ff00"},
			{"Coil", false, ua.StatusOK, "0500000000"},
			{"Coils", coils, ua.StatusOK, "0f0008000a020103"},
			{"Word", uint16(0x1234), ua.StatusOK, "0600001234"},
			{"Bit", true, ua.StatusOK, "160001ffef0010"},
			{"Long", int32(-123456789), ua.StatusOK, "100002000204" + "32ebf8a4"},
			{"Temp", 21.74, ua.StatusOK, "06000402cd"}, // 717.4 rounds to 717
			{"Temp", 21.75, ua.StatusOK, "06000402ce"}, // half away from zero
			{"Temp", 150.1, ua.StatusBadOutOfRange, ""},
			{"Clamped", int16(120), ua.StatusGoodClamped, "0600050064"},
			{"Limited", uint16(4), ua.StatusBadOutOfRange, ""},
			{"Limited", uint16(3), ua.StatusOK, "0600060003"},
			{"Text", "abc", ua.StatusOK, "100007000204" + "61626300"},
			{"Text", "abcde", ua.StatusBadOutOfRange, ""},
			{"Text", "a\x00b", ua.StatusBadOutOfRange, ""},
			{"Only", uint16(5), ua.StatusOK, "0600090005"},
			{"Word", int16(1), ua.StatusBadTypeMismatch, ""},
			{"Word", []uint16{1}, ua.StatusBadTypeMismatch, ""},
			{"Coils", []bool{true}, ua.StatusBadTypeMismatch, ""},
			{"Coils", true, ua.StatusBadTypeMismatch, ""},
		} {
			*sent = nil
			if got := r.write(c.tag, c.value); got != c.status {
				t.Errorf("%s = %v: %v, want %v", c.tag, c.value, got, c.status)
			}
			if want := []string{c.pdu}; c.pdu != "" && !slices.Equal(*sent, want) || c.pdu == "" && *sent != nil {
				t.Errorf("%s = %v: sent %v, want %q", c.tag, c.value, *sent, c.pdu)
			}
		}
		after(50 * time.Millisecond) // long before the next poll: read back
		r.want("Coil", ua.StatusOK, false)
		r.want("Coils", ua.StatusOK, coils)
		r.want("Word", ua.StatusOK, 0x1234)
		r.want("Bit", ua.StatusOK, true)
		r.want("Long", ua.StatusOK, -123456789)
		r.want("Temp", ua.StatusOK, 21.8)
		r.want("Text", ua.StatusOK, "abc")
		if r.variable("Fixed").Writer() != nil {
			t.Error("a read-only tag has a writer")
		}
	})
}

func TestWriteRefusesStatusAndTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, _ := writeRig(t, "")
		r.run()
		after(100 * time.Millisecond)
		w := r.variable("Word").Writer()
		for _, dv := range []uabinary.DataValue{
			{Value: uabinary.Uint16Variant(1), SourceTimestamp: 1},
			{Value: uabinary.Uint16Variant(1), ServerTimestamp: 1},
			{Value: uabinary.Uint16Variant(1), Status: ua.StatusUncertain},
		} {
			if s := w.Write(context.Background(), dv); s != ua.StatusBadWriteNotSupported {
				t.Errorf("%v: %v", dv, s)
			}
		}
	})
}

func TestWriteFunctionsCanBeChosen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, `WriteFunction="16" WriteCoilFunction="15" MaskWrite="off"`)
		r.run()
		after(100 * time.Millisecond)
		r.write("Coil", true)
		r.write("Word", uint16(7))
		r.write("Bit", true)
		want := []string{"0f000000010101", "10000000" + "01020007", "10000100" + "01020010"}
		if !slices.Equal(*sent, want) {
			t.Errorf("sent %v, want %v", *sent, want)
		}
	})
}

// Between the read and the write of a bit nothing else may come, and the other bits stay.
func TestBitWriteIsUninterrupted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, _ := writeRig(t, `MaskWrite="off"`)
		var all []byte
		r.slave.Trace = func(_ byte, pdu []byte) { all = append(all, pdu[0]) }
		r.slave.Set(17, modbussim.HoldingRegisters, 1, 0xFFEF)
		r.run()
		after(100 * time.Millisecond)
		all = nil
		done := make(chan ua.StatusCode, 2)
		go func() { done <- r.write("Bit", true) }()
		go func() { done <- r.write("Coil", true) }()
		if a, b := <-done, <-done; a != ua.StatusOK || b != ua.StatusOK {
			t.Fatal(a, b)
		}
		synctest.Wait()
		at := slices.Index(all, 6)
		if at < 1 || all[at-1] != 3 {
			t.Errorf("functions on the wire: %v", all)
		}
		if got := r.slave.Get(17, modbussim.HoldingRegisters, 1); got != 0xFFFF {
			t.Errorf("register is %#x", got)
		}
	})
}

func TestWriteOutcomeUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, "")
		r.run()
		after(100 * time.Millisecond)
		r.slave.Script(modbussim.Drop) // done, but not answered
		if s := r.write("Word", uint16(9)); s != ua.StatusBadTimeout {
			t.Errorf("write: %v", s)
		}
		after(10 * time.Millisecond)
		r.want("Word", ua.StatusOK, 9) // read back at once
		if len(*sent) != 1 {
			t.Errorf("a write must not be repeated by itself: %v", *sent)
		}
	})
}

func TestWriteWithoutConnectionSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, "")
		r.down.Store(true)
		r.run()
		after(100 * time.Millisecond)
		if s := r.write("Word", uint16(9)); s != ua.StatusBadNoCommunication {
			t.Errorf("write: %v", s)
		}
		r.down.Store(false)
		after(10 * time.Second)
		if len(*sent) != 0 {
			t.Errorf("sent later: %v", *sent)
		}
	})
}

func TestWriteToDemotedUnit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, `DemoteAfter="1" Retries="0"`)
		r.slave.Mute(17, true)
		r.run()
		after(2 * time.Second)
		if s := r.write("Word", uint16(9)); s != ua.StatusBadNoCommunication || len(*sent) != 0 {
			t.Errorf("write: %v, sent %v", s, *sent)
		}
	})
}

// A write that its caller has given up before it was sent is never sent.
func TestWriteGivenUpIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, sent := writeRig(t, "")
		r.slave.Script(modbussim.Delay(150 * time.Millisecond))
		r.run()
		after(10 * time.Millisecond) // a read is under way
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		s := r.variable("Word").Writer().Write(ctx, uabinary.DataValue{Value: uabinary.Uint16Variant(9)})
		if s != ua.StatusBadTimeout {
			t.Errorf("write: %v", s)
		}
		after(5 * time.Second)
		if len(*sent) != 0 {
			t.Errorf("sent later: %v", *sent)
		}
	})
}

func TestAfterWrite(t *testing.T) {
	for mode, want := range map[string]any{"cache": 9, "readback": 9, "verify": 9, "none": 0} {
		inBubble(t, func(t *testing.T) {
			r, _ := writeRig(t, `AfterWrite="`+mode+`"`)
			r.run()
			after(100 * time.Millisecond)
			if s := r.write("Word", uint16(9)); s != ua.StatusOK {
				t.Errorf("%s: %v", mode, s)
			}
			after(time.Millisecond)
			r.want("Word", ua.StatusOK, want)
			if s := r.write("Bit", true); s != ua.StatusOK {
				t.Errorf("%s: bit %v", mode, s)
			}
		})
	}
}

func TestVerifyFindsADeviceThatKeepsItsValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r, _ := writeRig(t, `AfterWrite="verify" ReadWriteFunction="off"`)
		r.slave.Signal(17, modbussim.HoldingRegisters, 0, 1, func(time.Duration) uint64 { return 5 })
		r.run()
		after(100 * time.Millisecond)
		if s := r.write("Word", uint16(9)); s != ua.StatusBadInvalidState {
			t.Errorf("write: %v", s)
		}
	})
}

// Writes come first, but not so that nothing is read any more.
func TestWritesLetDuePollsThrough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`AfterWrite="none"`, `Period="10" Phase="0"`, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		var script []modbussim.Fault
		for range 1000 {
			script = append(script, modbussim.Delay(20*time.Millisecond))
		}
		r.slave.Script(script...)
		var order []byte
		r.slave.Trace = func(_ byte, pdu []byte) { order = append(order, pdu[0]) }
		r.run()
		after(30 * time.Millisecond)
		for range 30 {
			go func() { r.write("T", uint16(1)) }()
		}
		after(500 * time.Millisecond)
		run := 0
		for _, f := range order {
			if f != 6 {
				run = 0
			} else if run++; run > writeBurst {
				t.Fatalf("more than %d writes in a row: %v", writeBurst, order)
			}
		}
		if !slices.Contains(order, 6) {
			t.Error("no write at all")
		}
	})
}
