package modbus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// request calls a Method of the diagnostics of the device, after checking the number and the types of its arguments as
// the server does.
func (r *rig) request(name string, inputs ...any) (outputs string, status ua.StatusCode, faults []ua.StatusCode) {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(2, "Dev#Diagnostics/"+name))
	if n == nil || n.Method == nil || !n.UsersOnly || !n.Method.Implementation().Blocking {
		r.t.Fatalf("no method %s, or one for all, or one that must not wait", name)
	}
	call := &addressspace.MethodCall{}
	for i, in := range inputs {
		v := uabinary.VariantOf(in)
		if a := n.Method.Implementation().Inputs[i]; a.DataType != uabinary.NumericID(0, id.UInt16) || v.Type() != uabinary.TypeUint16 || v.IsArray() != (a.ValueRank == 1) {
			r.t.Fatalf("%s: argument %d is %v", name, i, a)
		}
		call.Inputs = append(call.Inputs, v)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, status, faults := n.Method.Implementation().Run(ctx, call)
	var all []any
	for _, v := range out {
		all = append(all, v.Any())
	}
	return fmt.Sprint(all), status, faults
}

// methodRig has a device with a queue and a file.
func methodRig(t *testing.T, tr transport, settings string) *rig {
	t.Helper()
	r := newTransportRig(t, tr, "", dev(`Timeout="200" Retries="0" HoldPolls="0" `+settings, `Period="1000" Phase="0"`, oneTag), deviceCertificate(t))
	if err := r.driver.AddNodes(r.space, 2); err != nil {
		t.Fatal(err)
	}
	r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
	r.slave.Set(17, modbussim.HoldingRegisters, 0x4DE, 2, 0x1B8, 0x1284)
	r.slave.Set(17, modbussim.HoldingRegisters, 0x600, 32)
	r.slave.Set(17, modbussim.HoldingRegisters, 0x601, make([]uint16, 32)...)
	r.slave.SetFile(17, 4, make([]uint16, 200)...)
	r.run()
	after(500 * time.Millisecond)
	return r
}

func many(n int, v uint16) []uint16 { return slices.Repeat([]uint16{v}, n) }

func TestFunctionsAsMethods(t *testing.T) {
	for _, tr := range transports() {
		inBubble(t, func(t *testing.T) {
			r := methodRig(t, tr, "")
			n := r.slave.Requests()
			for i, c := range []struct {
				method string
				in     []any
				want   string
			}{
				{"ReadExceptionStatus", nil, "[109]"},
				{"RunDiagnostics", []any{uint16(0), []uint16{0xA537}}, "[[42295]]"},
				{"RunDiagnostics", []any{uint16(2), []uint16{}}, "[[0]]"},
				{"GetCommEventCounter", nil, fmt.Sprintf("[0 %d]", n+4)},
				{"GetCommEventLog", nil, fmt.Sprintf("[0 %d 2 [32 0]]", n+5)},
				{"ReportServerID", nil, "[[1 255 115 105 109]]"},
				{"WriteFileRecord", []any{uint16(4), uint16(1), []uint16{5, 6}}, "[]"},
				{"ReadFileRecord", []any{uint16(4), uint16(0), uint16(4)}, "[[0 5 6 0]]"},
				{"WriteFileRecord", []any{uint16(4), uint16(2), many(122, 9)}, "[]"},
				{"ReadFileRecord", []any{uint16(4), uint16(1), uint16(121)}, fmt.Sprint([]any{append([]uint16{5}, many(120, 9)...)})},
				{"ReadFIFOQueue", []any{uint16(0x4DE)}, "[[440 4740]]"},
			} {
				if got, s, _ := r.request(c.method, c.in...); s != ua.StatusOK || got != c.want {
					t.Errorf("%s: %d %s: %s %v, want %s", tr.name, i, c.method, got, s, c.want)
				}
			}
			after(time.Second)
			r.want("T", ua.StatusOK, 7)
		})
	}
}

func TestMethodsCheckTheirArguments(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := methodRig(t, transports()[0], "")
		n := r.slave.Requests()
		wrong, fine := ua.StatusBadOutOfRange, ua.StatusOK
		for _, c := range []struct {
			method string
			in     []any
			faults []ua.StatusCode
		}{
			{"RunDiagnostics", []any{uint16(4), []uint16{0}}, []ua.StatusCode{wrong, fine}},
			{"RunDiagnostics", []any{uint16(11), []uint16{0, 0}}, []ua.StatusCode{fine, wrong}},
			{"RunDiagnostics", []any{uint16(0), many(126, 0)}, []ua.StatusCode{fine, wrong}},
			{"ReadFileRecord", []any{uint16(0), uint16(10000), uint16(0)}, []ua.StatusCode{wrong, wrong, wrong}},
			{"ReadFileRecord", []any{uint16(1), uint16(9999), uint16(122)}, []ua.StatusCode{fine, fine, wrong}},
			{"WriteFileRecord", []any{uint16(0), uint16(10000), []uint16{}}, []ua.StatusCode{wrong, wrong, wrong}},
			{"WriteFileRecord", []any{uint16(1), uint16(1), many(123, 0)}, []ua.StatusCode{fine, fine, wrong}},
		} {
			if _, s, faults := r.request(c.method, c.in...); s != ua.StatusBadInvalidArgument || !slices.Equal(faults, c.faults) {
				t.Errorf("%s %v: %v %v", c.method, c.in, s, faults)
			}
		}
		if r.slave.Requests() != n {
			t.Error("something was sent")
		}
	})
}

// A device that is ReadOnly is not asked for what changes it.
func TestMethodsOfAReadOnlyDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := methodRig(t, transports()[0], `ReadOnly="1"`)
		for _, c := range []struct {
			method string
			in     []any
			want   ua.StatusCode
		}{
			{"RunDiagnostics", []any{uint16(0), []uint16{1}}, ua.StatusOK}, {"RunDiagnostics", []any{uint16(11), []uint16{0}}, ua.StatusOK},
			{"RunDiagnostics", []any{uint16(10), []uint16{0}}, ua.StatusBadNotWritable}, {"RunDiagnostics", []any{uint16(1), []uint16{0}}, ua.StatusBadNotWritable},
			{"WriteFileRecord", []any{uint16(4), uint16(1), []uint16{5}}, ua.StatusBadNotWritable}, {"ReadFileRecord", []any{uint16(4), uint16(1), uint16(1)}, ua.StatusOK},
		} {
			if _, s, _ := r.request(c.method, c.in...); s != c.want {
				t.Errorf("%s %v: %v, want %v", c.method, c.in, s, c.want)
			}
		}
	})
}

func answerWith(pdu ...byte) modbussim.Fault { return func(x *modbussim.Exchange) { x.PDU = pdu } }

// What is no answer to what was asked is not handed out, nothing is repeated, and the tags of the device stay right.
func TestMethodsAndBadReplies(t *testing.T) {
	bad := ua.StatusBadCommunicationError
	for _, c := range []struct {
		what, method string
		in           []any
		fault        modbussim.Fault
		want         ua.StatusCode
	}{
		{"no reply", "ReadExceptionStatus", nil, modbussim.Drop, ua.StatusBadTimeout},
		{"exception 1", "ReportServerID", nil, modbussim.Exception(1), ua.StatusBadNotSupported},
		{"exception 2", "ReadFIFOQueue", []any{uint16(9)}, modbussim.Exception(2), ua.StatusBadConfigurationError},
		{"exception 3", "ReadFileRecord", []any{uint16(4), uint16(0), uint16(1)}, modbussim.Exception(3), ua.StatusBadOutOfRange},
		{"exception 6", "ReadExceptionStatus", nil, modbussim.Exception(6), ua.StatusBadResourceUnavailable},
		{"another function", "GetCommEventCounter", nil, answerWith(7, 1), bad},
		{"two bytes of status", "ReadExceptionStatus", nil, answerWith(7, 1, 2), bad},
		{"other data", "RunDiagnostics", []any{uint16(0), []uint16{1}}, answerWith(8, 0, 0, 0, 2), bad},
		{"other sub-function", "RunDiagnostics", []any{uint16(11), []uint16{0}}, answerWith(8, 0, 12, 0, 2), bad},
		{"log without counters", "GetCommEventLog", nil, answerWith(12, 2, 0, 0), bad},
		{"fewer bytes than announced", "ReportServerID", nil, answerWith(17, 4, 1, 2), bad},
		{"fewer registers of a file", "ReadFileRecord", []any{uint16(4), uint16(0), uint16(2)}, answerWith(20, 4, 3, 6, 0, 1), bad},
		{"group of another size", "ReadFileRecord", []any{uint16(4), uint16(0), uint16(2)}, answerWith(20, 6, 3, 6, 0, 1, 0, 2), bad},
		{"other reference type", "ReadFileRecord", []any{uint16(4), uint16(0), uint16(2)}, answerWith(20, 6, 5, 7, 0, 1, 0, 2), bad},
		{"other record written", "WriteFileRecord", []any{uint16(4), uint16(0), []uint16{1}}, answerWith(21, 9, 6, 0, 4, 0, 1, 0, 1, 0, 1), bad},
		{"longer queue than announced", "ReadFIFOQueue", []any{uint16(0x4DE)}, answerWith(24, 0, 6, 0, 1, 0, 1, 0, 2), bad},
		{"queue of 32", "ReadFIFOQueue", []any{uint16(0x4DE)}, answerWith(append([]byte{24, 0, 66, 0, 32}, make([]byte, 64)...)...), bad},
		{"queue without a count", "ReadFIFOQueue", []any{uint16(0x4DE)}, answerWith(24, 0, 0), bad},
	} {
		for _, tr := range []transport{transports()[0], transports()[3], transports()[4]} {
			inBubble(t, func(t *testing.T) {
				r := methodRig(t, tr, "")
				n := r.slave.Requests()
				r.slave.Script(c.fault)
				got, s, _ := r.request(c.method, c.in...)
				if s != c.want || got != "[]" {
					t.Errorf("%s, %s: %s %v, want %v", tr.name, c.what, got, s, c.want)
				}
				if sent := r.slave.Requests() - n; sent != 1 {
					t.Errorf("%s, %s: %d requests", tr.name, c.what, sent)
				}
				after(2 * time.Second)
				r.want("T", ua.StatusOK, 7)
			})
		}
	}
}

func TestMethodsWithoutADevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := methodRig(t, transports()[0], `DemoteAfter="1"`)
		r.slave.Mute(17, true)
		after(2 * time.Second)
		n := r.slave.Requests()
		if _, s, _ := r.request("ReadExceptionStatus"); s != ua.StatusBadNoCommunication || r.slave.Requests() != n {
			t.Errorf("demoted: %v, %d sent", s, r.slave.Requests()-n)
		}
		r.stop()
		if _, s, _ := r.request("ReadExceptionStatus"); s != ua.StatusBadShutdown {
			t.Errorf("stopped: %v", s)
		}
	})
}

// Whatever a reply holds that is believed, its result can be made.
func FuzzFunctionReplies(f *testing.F) {
	all := functions()
	inputs := map[string][]uabinary.Variant{
		"RunDiagnostics":  {uabinary.Uint16Variant(0), uabinary.VariantOf([]uint16{1, 2})},
		"ReadFileRecord":  {uabinary.Uint16Variant(4), uabinary.Uint16Variant(1), uabinary.Uint16Variant(2)},
		"WriteFileRecord": {uabinary.Uint16Variant(4), uabinary.Uint16Variant(7), uabinary.VariantOf([]uint16{1})},
		"ReadFIFOQueue":   {uabinary.Uint16Variant(0x4DE)},
	}
	for _, x := range exchanges() {
		f.Add(x.reply)
	}
	f.Add([]byte{12, 6, 0, 0, 1, 8, 1, 0x21})
	f.Add([]byte{24, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, reply []byte) {
		for _, x := range all {
			request, faults := x.request(inputs[x.name])
			if faults != nil {
				t.Fatal(x.name, faults)
			}
			if checkReply(request, reply) == nil && reply[0] == request[0] {
				if got := x.result(reply); len(got) != len(x.out) {
					t.Fatalf("%s: %d values of % x", x.name, len(got), reply)
				}
			}
		}
	})
}

// No part of a reply is one.
func TestTruncatedReplies(t *testing.T) {
	for name, x := range exchanges() {
		for n := range len(x.reply) {
			if checkReply(x.request, x.reply[:n]) == nil {
				t.Errorf("%s: %d of %d bytes are believed", name, n, len(x.reply))
			}
		}
	}
}
