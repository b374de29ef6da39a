package modbus

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/gopcua/opcua/ua"
)

// seen collects the function codes of requests.
func (r *rig) seen() *[]byte {
	var codes []byte
	r.slave.Trace = func(_ byte, pdu []byte) { codes = append(codes, pdu[0]) }
	return &codes
}

const bitTag = `<Tag Name="B" Address="h0.3" Access="ReadWrite"/>`

func TestMaskWrite(t *testing.T) {
	for _, c := range []struct {
		mode  string
		knows bool
		want  string
	}{
		{"auto", true, "[3 22 22]"}, {"auto", false, "[3 22 3 16 3 16]"}, {"off", true, "[3 3 16 3 16]"}, {"on", true, "[3 22 22]"},
	} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, tcpChannel+dev(`AfterWrite="none" WriteFunction="16" MaskWrite="`+c.mode+`"`, `Period="60000" Phase="0"`, bitTag))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 0xFF00)
			r.slave.Refuse = func(_ byte, pdu []byte) byte {
				if pdu[0] == 22 && !c.knows {
					return 1
				}
				return 0
			}
			codes := r.seen()
			r.run()
			after(10 * time.Millisecond)
			for _, on := range []bool{true, false} {
				if s := r.write("B", on); s != ua.StatusOK {
					t.Errorf("%s: %v", c.mode, s)
				}
				want := uint16(0xFF00)
				if on {
					want = 0xFF08
				}
				if got := r.slave.Get(17, modbussim.HoldingRegisters, 0); got != want {
					t.Errorf("%s: %04x, want %04x", c.mode, got, want)
				}
			}
			if got := fmt.Sprint(*codes); got != c.want {
				t.Errorf("%s, knows %v: functions %s, want %s", c.mode, c.knows, got, c.want)
			}
		})
	}
}

// On a line that may echo, the answer to function 22 could be our own request.
func TestMaskWriteIsNotBelievedOnALineThatMayEcho(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, "", dev(`Timeout="200"`, `Phase="5000" Period="10000"`, bitTag), true)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 0)
		r.slave.Mute(17, true)
		r.run()
		after(10 * time.Millisecond)
		if s := r.write("B", true); s>>30 == 0 {
			t.Errorf("written without a device: %v", s)
		}
	})
}

// As long as nothing tells whether the line echoes, a bit is written in a way that can be believed.
func TestBitWriteBeforeTheFirstRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRTURig(t, "", dev(`Timeout="200"`, `Phase="5000" Period="10000"`, bitTag), false)
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 0)
		r.run()
		after(10 * time.Millisecond)
		for _, on := range []bool{true, false} {
			if s := r.write("B", on); s != ua.StatusOK {
				t.Errorf("%v: %v", on, s)
			}
		}
	})
}

func TestWriteAndReadInOneRequest(t *testing.T) {
	for _, c := range []struct {
		knows bool
		keeps bool
		want  string
		s     ua.StatusCode
	}{
		{true, true, "[3 23 3]", ua.StatusOK}, {false, true, "[3 23 16 3 3]", ua.StatusOK},
	} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, tcpChannel+dev(`AfterWrite="verify" WriteFunction="16"`, `Period="60000" Phase="0"`, oneTag))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			r.slave.Refuse = func(_ byte, pdu []byte) byte {
				if pdu[0] == 23 && !c.knows {
					return 1
				}
				return 0
			}
			codes := r.seen()
			r.run()
			after(10 * time.Millisecond)
			if s := r.write("T", uint16(8)); s != c.s {
				t.Errorf("%v", s)
			}
			after(10 * time.Millisecond)
			r.want("T", ua.StatusOK, 8)
			if got := fmt.Sprint(*codes); got != c.want {
				t.Errorf("functions %s, want %s", got, c.want)
			}
		})
	}
}

func TestDeviceKeepsAnotherValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`AfterWrite="verify"`, everySecond, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.run()
		after(10 * time.Millisecond)
		r.slave.Script(func(x *modbussim.Exchange) { x.PDU[3] = 9 }) // the reply to function 23
		if s := r.write("T", uint16(8)); s != ua.StatusBadInvalidState {
			t.Errorf("%v", s)
		}
	})
}

// A broadcast is heard by all, answered by nobody, and leaves the line free again after the turnaround.
func TestBroadcast(t *testing.T) {
	for _, tr := range transports()[3:5] {
		inBubble(t, func(t *testing.T) {
			r := newTransportRig(t, tr, `BroadcastTurnaround="150"`, dev("", everySecond, oneTag)+`
				<Device Name="All" Channel="Line1" Unit="0" Broadcast="1" Addressing="protocol0"><Group Name="G">
				<Tag Name="Set" Address="h0" Type="UInt16" Access="Write"/></Group></Device>`, nil)
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			r.slave.Set(18, modbussim.HoldingRegisters, 0, 7)
			r.vars["Dev.All"] = r.vars["All.Set"]
			r.run()
			after(100 * time.Millisecond)
			begin := time.Now()
			if s := r.write("All", uint16(8)); s != ua.StatusOK {
				t.Errorf("%s: %v", tr.name, s)
			}
			if d := time.Since(begin); d < 150*time.Millisecond || d > 200*time.Millisecond {
				t.Errorf("%s: took %v", tr.name, d)
			}
			if r.slave.Get(17, modbussim.HoldingRegisters, 0) != 8 || r.slave.Get(18, modbussim.HoldingRegisters, 0) != 8 {
				t.Errorf("%s: not everybody heard it", tr.name)
			}
			after(time.Second)
			r.want("T", ua.StatusOK, 8)
		})
	}
}

func TestIdentity(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Identify="1"`, everySecond, oneTag))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Identity = []string{"Acme", "HB-20", "1.2", "http://acme", "Boiler", "HB-20 Plus\x00\x01"}
		r.run()
		after(500 * time.Millisecond)
		plate := r.driver.units[0].plate()
		if got := fmt.Sprintf("%+v", plate); got != "{Manufacturer:Acme Model:HB-20 Plus SerialNumber: HardwareRevision: SoftwareRevision:1.2 ProductCode:HB-20 ManufacturerURI:http://acme}" {
			t.Error(got)
		}
		n := r.slave.Requests()
		after(5 * time.Second)
		if more := r.slave.Requests() - n; more != 5 {
			t.Errorf("%d requests in 5 s; a device is asked once", more)
		}
	})
}

// A device that does not know the function, or is silent to it, is none the worse for it.
func TestIdentityIsNotForced(t *testing.T) {
	for name, fault := range map[string]modbussim.Fault{"exception": nil, "silence": modbussim.Drop} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, patientChannel+dev(`Identify="1" Timeout="200"`, everySecond, oneTag))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
			r.slave.Script(nil, fault)
			rec := r.watch("T")
			r.run()
			after(5500 * time.Millisecond)
			rec.WantStatuses(t, "0s Good 7")
			if n := r.slave.Requests(); n != 7 {
				t.Errorf("%s: %d requests for 6 polls", name, n)
			}
		})
	}
}

// What was learned about one device says nothing about another one at the same address.
func TestAnotherDeviceIsPlannedAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev(`Identify="1"`, everySecond, `<Tag Name="T" Address="h0" Type="UInt16"/><Tag Name="U" Address="h2" Type="UInt16"/>`))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(17, modbussim.HoldingRegisters, 2, 8)
		r.slave.Identity = []string{"Acme", "One", "1"}
		r.run()
		after(3500 * time.Millisecond)
		r.want("U", ua.StatusOK, 8)
		if n := int(r.driver.units[0].shape.blocks.Load()); n != 2 {
			t.Fatalf("%d blocks for a device without the register between", n)
		}
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 0, 8)
		r.slave.Identity = []string{"Acme", "Two", "1"}
		r.hangUp()
		after(3 * time.Second)
		r.want("U", ua.StatusOK, 8)
		if n := int(r.driver.units[0].shape.blocks.Load()); n != 1 {
			t.Errorf("%d blocks for another device", n)
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte{43, 14, 1, 1, 0, 0, 2, 0, 2, 'A', 'B', 1, 1, 'C'})
	f.Fuzz(func(t *testing.T, pdu []byte) {
		request := identityRequest(identityBasic, 0)
		if checkReply(request, pdu) == nil && pdu[0] == funcEncapsulated {
			var id identity
			id.take(pdu)
		}
	})
}
