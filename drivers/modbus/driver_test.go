package modbus

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

const everySecond = `Period="1000" Phase="0"`

func TestReadsAllAreas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond, `
			<Tag Name="Coil" Address="c3"/>
			<Tag Name="Input" Address="d7000"/>
			<Tag Name="Bits" Address="c8[3]"/>
			<Tag Name="Holding" Address="h0" Type="Int16" Scale="0.1"/>
			<Tag Name="Bit" Address="h1.15" Type="Bool"/>
			<Tag Name="Array" Address="h2[3]" Type="UInt16"/>
			<Tag Name="Text" Address="h5" Type="String" Length="3"/>
			<Tag Name="In" Address="i9" Type="Float32"/>`))
		r.slave.Set(17, modbussim.Coils, 3, 1, 0, 0, 0, 0, 1, 0, 1)
		r.slave.Set(17, modbussim.DiscreteInputs, 7000, 1)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 217, 0x8000, 1, 2, 3, 0x4162, 0x6320, 0)
		r.slave.Set(17, modbussim.InputRegisters, 9, 0x47F1, 0x2000)
		r.want("Holding", ua.StatusBadWaitingForInitialData, nil)
		r.run()
		after(10 * time.Millisecond)
		r.want("Coil", ua.StatusOK, true)
		r.want("Input", ua.StatusOK, true)
		r.want("Bits", ua.StatusOK, []bool{true, false, true})
		r.want("Holding", ua.StatusOK, 21.7)
		r.want("Bit", ua.StatusOK, true)
		r.want("Array", ua.StatusOK, []uint16{1, 2, 3})
		r.want("Text", ua.StatusOK, "Abc")
		r.want("In", ua.StatusOK, 123456)
		if n := r.slave.Requests(); n != 4 {
			t.Errorf("%d requests for four areas", n)
		}
		h, b := r.variable("Holding").Value(), r.variable("Bit").Value()
		if h.SourceTimestamp == 0 || h.SourceTimestamp != b.SourceTimestamp {
			t.Errorf("two tags of one reply have times %v and %v", h.SourceTimestamp, b.SourceTimestamp)
		}
	})
}

const oneTag = `<Tag Name="T" Address="h0" Type="UInt16" Access="ReadWrite"/>`

// oneTagRig has one register, read every second, with a timeout of 200 ms.
func oneTagRig(t *testing.T, settings string) *rig {
	t.Helper()
	r := newRig(t, patientChannel+dev(`Timeout="200" `+settings, everySecond, oneTag))
	r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
	return r
}

// patientChannel never connects again because of timeouts.
const patientChannel = `<Channel Name="Line1" Type="ModbusTcp" Host="127.0.0.1" ReconnectAfterTimeouts="0"/>`

func TestConnectsAgainAfterTimeoutsInARow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Timeout="200" Retries="0" DemoteAfter="100"`, everySecond, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Script(nil, modbussim.Drop, modbussim.Drop, nil, modbussim.Drop, modbussim.Drop, modbussim.Drop)
		r.run()
		after(6 * time.Second)
		if n := r.dials.Load(); n != 1 {
			t.Errorf("%d connections after two timeouts in a row, and two more", n)
		}
		after(time.Second)
		r.want("T", ua.StatusOK, 7)
		if n := r.dials.Load(); n != 2 {
			t.Errorf("%d connections after three timeouts in a row", n)
		}
	})
}

func TestSilentDeviceBecomesUncertainThenBadAndComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		rec := r.watch("T")
		r.run()
		after(1500 * time.Millisecond)
		r.slave.Mute(17, true)
		after(4 * time.Second)
		rec.WantStatuses(t,
			"0s Good 7",
			"2.4s UncertainNoCommunicationLastUsableValue 7", // one try and one repetition
			"3.2s BadTimeout <nil>",                          // no repetition while suspect
			"5s BadNoCommunication <nil>")                    // demoted after the third
		r.slave.Mute(17, false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 8)
		after(13 * time.Second) // TimeSuspend 10 s and 20 %
		r.want("T", ua.StatusOK, 8)
	})
}

func TestUncertainKeepsTheTimeOfTheLastGoodValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, `HoldPolls="2"`)
		r.run()
		after(500 * time.Millisecond)
		good := r.variable("T").Value()
		r.slave.Mute(17, true)
		after(2 * time.Second)
		held := r.variable("T").Value()
		if held.Status != ua.StatusUncertainNoCommunicationLastUsableValue || held.SourceTimestamp != good.SourceTimestamp {
			t.Errorf("held %v, last good %v", held, good)
		}
		after(time.Second)
		if bad := r.variable("T").Value(); bad.Status != ua.StatusBadTimeout || bad.SourceTimestamp <= good.SourceTimestamp || !bad.Value.IsNull() {
			t.Errorf("bad %v, last good %v", bad, good)
		}
	})
}

func TestHoldPollsZeroGoesStraightToBad(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, `HoldPolls="0" Retries="0"`)
		rec := r.watch("T")
		r.run()
		after(500 * time.Millisecond)
		r.slave.Mute(17, true)
		after(time.Second)
		rec.WantStatuses(t, "0s Good 7", "1.2s BadTimeout <nil>")
	})
}

func TestProbesDouble(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, `TimeSuspend="1000" MaxSuspend="4000" DemoteAfter="1" Retries="0"`)
		r.slave.Mute(17, true)
		var at []time.Duration
		r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start)) }
		r.run()
		after(30 * time.Second)
		want := []time.Duration{1000, 2000, 4000, 4000, 4000} // ms of pause, each 20 % more or less, and 200 ms of waiting
		for i, w := range want {
			pause := at[i+1] - at[i] - 200*time.Millisecond
			if pause < w*time.Millisecond*8/10 || pause > w*time.Millisecond*12/10 {
				t.Errorf("pause %d is %v, want about %d ms", i, pause, w)
			}
		}
	})
}

func TestNoConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		r.down.Store(true)
		rec := r.watch("T")
		r.run()
		after(30 * time.Second)
		rec.WantStatuses(t, "0s BadNoCommunication <nil>")
		if n := r.dials.Load(); n < 5 || n > 6 { // after 0, 1, 3, 7, 15 s, about
			t.Errorf("%d attempts to connect in 30 s", n)
		}
		r.down.Store(false)
		after(37 * time.Second) // the longest pause is 30 s and 20 %
		r.want("T", ua.StatusOK, 7)
	})
}

func TestDeviceThatClosesIsNotNoticed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		rec := r.watch("T")
		r.slave.Script(modbussim.CloseAfter, modbussim.CloseAfter, modbussim.CloseAfter)
		r.run()
		after(5500 * time.Millisecond)
		rec.WantStatuses(t, "0s Good 7")
		if n := r.dials.Load(); n != 4 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestCloseInsteadOfReply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		rec := r.watch("T")
		r.slave.Script(nil, modbussim.Close)
		r.run()
		after(1500 * time.Millisecond)
		rec.WantStatuses(t, "0s Good 7") // it was read again at once on a new connection
		if n := r.dials.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// A device that accepts connections and closes them at once must not be hammered.
func TestAcceptAndCloseBacksOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		var script []modbussim.Fault
		for range 100 {
			script = append(script, modbussim.Close)
		}
		r.slave.Script(script...)
		r.run()
		after(30 * time.Second)
		if n := r.dials.Load(); n < 4 || n > 7 {
			t.Errorf("%d connections in 30 s", n)
		}
	})
}

func TestExceptions(t *testing.T) {
	uncertain, lastUsable := ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusUncertainLastUsableValue
	for code, want := range map[byte]struct{ held, none, write ua.StatusCode }{
		1:  {ua.StatusBadNotSupported, ua.StatusBadNotSupported, ua.StatusBadNotSupported},
		2:  {ua.StatusBadConfigurationError, ua.StatusBadConfigurationError, ua.StatusBadConfigurationError},
		3:  {ua.StatusBadInvalidArgument, ua.StatusBadInvalidArgument, ua.StatusBadOutOfRange},
		4:  {ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure},
		5:  {lastUsable, ua.StatusBadWaitingForInitialData, ua.StatusGoodCompletesAsynchronously},
		6:  {lastUsable, ua.StatusBadResourceUnavailable, ua.StatusBadResourceUnavailable},
		7:  {ua.StatusBadInvalidState, ua.StatusBadInvalidState, ua.StatusBadInvalidState},
		8:  {ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure},
		10: {uncertain, ua.StatusBadNoCommunication, ua.StatusBadNoCommunication},
		11: {uncertain, ua.StatusBadTimeout, ua.StatusBadTimeout},
		99: {ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure},
	} {
		inBubble(t, func(t *testing.T) {
			r := oneTagRig(t, `Retries="0"`)
			r.slave.Script(modbussim.Exception(code))
			r.run()
			after(500 * time.Millisecond)
			r.want("T", want.none, nil)
			after(time.Second)
			if want.held == ua.StatusBadConfigurationError || want.held == ua.StatusBadInvalidArgument {
				after(time.Minute) // in quarantine
			}
			r.want("T", ua.StatusOK, 7)
		})
		inBubble(t, func(t *testing.T) {
			r := oneTagRig(t, `Retries="0"`)
			r.slave.Script(nil, modbussim.Exception(code))
			r.run()
			after(1500 * time.Millisecond)
			var value any
			if want.held>>30 == 1 {
				value = 7
			}
			r.want("T", want.held, value)
		})
		inBubble(t, func(t *testing.T) {
			r := oneTagRig(t, `AfterWrite="none"`)
			r.slave.Script(nil, modbussim.Exception(code))
			r.run()
			after(500 * time.Millisecond)
			if got := r.write("T", uint16(9)); got != want.write {
				t.Errorf("exception %d: write %v, want %v", code, got, want.write)
			}
		})
	}
}

// Whatever a device sends instead of the right reply: the tag leaves Good, the value is never wrong, and the next
// proper reply is believed.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault  modbussim.Fault
		status ua.StatusCode // with nothing to hold and no repetition
	}{
		"late":          {modbussim.Delay(500 * time.Millisecond), ua.StatusBadTimeout},
		"silence":       {modbussim.Drop, ua.StatusBadTimeout},
		"wrong id":      {modbussim.WrongID, ua.StatusBadCommunicationError},
		"wrong unit":    {modbussim.WrongUnit, ua.StatusBadCommunicationError},
		"wrong fc":      {modbussim.WrongFunction, ua.StatusBadCommunicationError},
		"wrong count":   {modbussim.WrongCount, ua.StatusBadCommunicationError},
		"echo":          {modbussim.Echo, ua.StatusBadCommunicationError},
		"replay":        {modbussim.Replay, ua.StatusBadTimeout},
		"close":         {modbussim.Close, ua.StatusOK}, // read again at once on a new connection
		"half, silence": {modbussim.Cut(7), ua.StatusBadTimeout},
		"noise before":  {modbussim.Around([]byte{1, 2, 3, 4, 5, 6}, nil), ua.StatusOK},
		"noise after":   {modbussim.Around(nil, []byte{1, 2, 3, 4, 5, 6}), ua.StatusOK},
		"split":         {modbussim.Split(8, 100*time.Millisecond), ua.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := oneTagRig(t, `HoldPolls="0" Retries="0"`)
				rec := r.watch("T")
				r.slave.Script(nil, c.fault)
				r.run()
				after(500 * time.Millisecond)
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
				for _, e := range rec.Events() {
					if e.Status == ua.StatusOK && e.Value == uint16(7) && e.At > 0 {
						t.Errorf("old value as Good: %v", e)
					}
				}
			})
		})
	}
}

func TestLateReplyIsDroppedByItsID(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Timeout="200" Retries="0" HoldPolls="0"`, everySecond,
			oneTag+`<Tag Name="U" Address="h900" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(17, modbussim.HoldingRegisters, 900, 8)
		r.slave.Script(modbussim.Delay(300 * time.Millisecond))
		r.run()
		after(1500 * time.Millisecond)
		r.want("T", ua.StatusOK, 7)
		r.want("U", ua.StatusOK, 8)
		r.stop()
		if r.driver.bus.total.get(lateReplies) != 1 || r.dials.Load() != 1 {
			t.Errorf("%d late replies, %d connections", r.driver.bus.total.get(lateReplies), r.dials.Load())
		}
	})
}

func TestDeadUnitDoesNotDisturbTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Timeout="200"`, everySecond, oneTag)+
			`<Device Name="Dead" Channel="Line1" Unit="18" Addressing="protocol0" Timeout="200"><Group Name="G" Period="1000" Phase="0" PollMode="Always">
			<Tag Name="T" Address="h0" Type="UInt16"/></Group></Device>`)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Mute(18, true)
		rec := r.watch("T")
		r.run()
		after(2 * time.Minute)
		rec.WantStatuses(t, "0s Good 7")
		r.stop()
		if n := len(rec.Events()); n < 118 {
			t.Errorf("%d polls of the live unit in 120 s", n)
		}
		if dv := r.vars["Dead.T"].Value(); dv.Status != ua.StatusBadNoCommunication {
			t.Errorf("dead unit: %v", dv.Status)
		}
	})
}

func TestRefusedBlockIsSplit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`HoldPolls="0"`, everySecond, `
			<Tag Name="A" Address="h0" Type="UInt16"/> <Tag Name="B" Address="h1" Type="UInt16"/>
			<Tag Name="C" Address="h2" Type="UInt16"/> <Tag Name="D" Address="h3" Type="UInt16"/>
			<Tag Name="E" Address="h10" Type="UInt32"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 1, 2)
		r.slave.Set(17, modbussim.HoldingRegisters, 3, 4)
		r.slave.Set(17, modbussim.HoldingRegisters, 10, 0, 5)
		r.run()
		after(100 * time.Millisecond)
		r.want("A", ua.StatusOK, 1)
		r.want("B", ua.StatusOK, 2)
		r.want("C", ua.StatusBadConfigurationError, nil)
		r.want("D", ua.StatusOK, 4)
		r.want("E", ua.StatusOK, 5)
		before := r.slave.Requests()
		after(10 * time.Second)
		if n := r.slave.Requests() - before; n != 30 {
			t.Errorf("%d requests in ten periods, want those of three blocks", n)
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 2, 3)
		after(time.Minute)
		r.want("C", ua.StatusOK, 3)
	})
}

// What was split is joined again when the device knows all of it, and nobody notices that this was tried when it does not.
func TestSplitBlocksAreJoinedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`HoldPolls="0"`, everySecond, `<Tag Name="A" Address="h0" Type="UInt16"/>
			<Tag Name="B" Address="h1" Type="UInt16"/> <Tag Name="C" Address="h2" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 1, 2)
		rec := r.watch("A")
		bad := r.watch("C")
		var whole atomic.Int32
		r.slave.Trace = func(_ byte, pdu []byte) {
			if pdu[4] == 3 {
				whole.Add(1)
			}
		}
		r.run()
		after(7 * time.Minute)
		blocks := &r.driver.units[0].shape.blocks
		n := blocks.Load()
		after(6 * time.Minute) // tried once, after eight to twelve minutes
		if blocks.Load() != n || whole.Load() != 2 {
			t.Errorf("%d blocks, all was asked for %d times", blocks.Load(), whole.Load())
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 2, 3)
		after(30 * time.Minute)
		if blocks.Load() != 1 {
			t.Errorf("%d blocks", blocks.Load())
		}
		rec.WantStatuses(t, "0s Good 1")
		if got := bad.Statuses(); len(got) != 2 || !strings.Contains(got[1], "Good 3") {
			t.Error(got)
		}
	})
}

func TestSubscribedIsReadOnlyWhileWatched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond+` PollMode="Subscribed"`, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.run()
		after(10 * time.Second)
		if n := r.slave.Requests(); n != 0 {
			t.Errorf("%d requests though nobody watches", n)
		}
		r.want("T", ua.StatusBadWaitingForInitialData, nil)
		rec := r.watch("T")
		after(100 * time.Millisecond)
		r.want("T", ua.StatusOK, 7)
		after(5 * time.Second)
		r.variable("T").Unwatch(rec)
		after(30 * time.Second)
		r.want("T", ua.StatusUncertainLastUsableValue, 7)
		before := r.slave.Requests()
		if before > 18 {
			t.Errorf("%d requests in 5 s and the 10 s after", before)
		}
		after(time.Minute)
		if n := r.slave.Requests(); n != before {
			t.Errorf("%d requests though nobody watches", n-before)
		}
		r.watch("T")
		after(10 * time.Millisecond)
		r.want("T", ua.StatusOK, 7)
	})
}

func TestBusyIsRepeatedAfterAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		rec := r.watch("T")
		r.slave.Script(modbussim.Exception(6))
		r.run()
		after(500 * time.Millisecond)
		rec.WantStatuses(t, "100ms Good 7")
	})
}

func TestDisabledDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, `Disabled="1"`)
		r.run()
		after(10 * time.Second)
		r.want("T", ua.StatusBadOutOfService, nil)
		if s := r.write("T", uint16(1)); s != ua.StatusBadOutOfService {
			t.Errorf("write: %v", s)
		}
		if r.dials.Load() != 0 {
			t.Error("a channel without enabled devices was opened")
		}
	})
}

func TestOverrunsAreCountedNotMadeUpFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", `Period="100" Phase="0"`, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Script(modbussim.Delay(550 * time.Millisecond))
		r.run()
		after(1050 * time.Millisecond)
		r.stop()
		if n := r.slave.Requests(); n != 7 {
			t.Errorf("%d requests, want the slow one and those at 550, 600, 700, 800, 900 and 1000 ms", n)
		}
		if n := r.driver.blocks[0].slot.Overruns; n != 4 {
			t.Errorf("%d overruns", n)
		}
	})
}

// Slow groups are read soon after the start, and then at times that are spread over their period.
func TestFirstReadIsEarlyAndTurnsAreSpread(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`OneTagPerRequest="1"`, `Period="86400000"`, `
			<Tag Name="A" Address="h0" Type="UInt16"/> <Tag Name="B" Address="h1" Type="UInt16"/>
			<Tag Name="C" Address="h2" Type="UInt16"/> <Tag Name="D" Address="h3" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 1, 2, 3, 4)
		var at []time.Duration
		r.slave.Trace = func(byte, []byte) { at = append(at, time.Since(r.start)) }
		r.run()
		after(time.Second)
		r.want("A", ua.StatusOK, 1)
		r.want("D", ua.StatusOK, 4)
		after(24 * time.Hour)
		r.stop()
		if len(at) != 8 {
			t.Fatalf("requests at %v", at)
		}
		for i := 5; i < len(at); i++ {
			if at[i]-at[i-1] < time.Minute {
				t.Errorf("turns at %v are not spread", at[4:])
			}
		}
	})
}

// A connection that is found closed before a write was sent is no unknown outcome.
func TestWriteOnClosedConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		r.run()
		after(500 * time.Millisecond)
		r.down.Store(true)
		r.hangUp()
		synctest.Wait() // until it has been noticed
		if s := r.write("T", uint16(1)); s != ua.StatusBadNoCommunication {
			t.Errorf("write: %v", s)
		}
	})
}

func TestStopIsPromptAndRefusesWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := oneTagRig(t, "")
		r.slave.Mute(17, true)
		r.run()
		after(100 * time.Millisecond) // in the middle of a read
		answer := make(chan ua.StatusCode)
		go func() { answer <- r.write("T", uint16(1)) }()
		after(10 * time.Millisecond)
		begin := time.Now()
		r.stop()
		if d := time.Since(begin); d > 10*time.Millisecond {
			t.Errorf("stopping took %v", d)
		}
		if s := <-answer; s != ua.StatusBadShutdown {
			t.Errorf("write while stopping: %v", s)
		}
		if s := r.write("T", uint16(1)); s != ua.StatusBadShutdown {
			t.Errorf("write after the end: %v", s)
		}
	})
}

// A device so slow that its values grow older than StaleAfter periods: they say so until the next read.
func TestOverloadMakesValuesStale(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`StaleAfter="2" OneTagPerRequest="1"`, `Period="100" Phase="0"`,
			oneTag+`<Tag Name="U" Address="h1" Type="UInt16"/><Tag Name="V" Address="h2" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 8, 9)
		var script []modbussim.Fault
		for range 20 {
			script = append(script, modbussim.Delay(900*time.Millisecond))
		}
		r.slave.Script(script...)
		rec := r.watch("T")
		r.run()
		after(4 * time.Second)
		rec.WantStatuses(t, "900ms Good 7", "2.7s UncertainLastUsableValue 7", "3.6s Good 7")
	})
}

// A small change is no change, until it has added up.
func TestDeadbandOfATag(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond, `<Tag Name="T" Address="h0" Type="Int16" Scale="0.1" Deadband="0.5"/><Tag Name="Every" Address="h1" Type="UInt16"/>`))
		r.run()
		for _, step := range []struct {
			raw   uint16
			shown float64
		}{{100, 10}, {104, 10}, {96, 10}, {106, 10.6}, {102, 10.6}, {100, 10}} {
			r.slave.Set(17, modbussim.HoldingRegisters, 0, step.raw, step.raw)
			after(2 * time.Second)
			r.want("T", ua.StatusOK, step.shown)
			r.want("Every", ua.StatusOK, step.raw)
		}
	})
}
