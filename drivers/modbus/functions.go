package modbus

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// Functions that neither read nor write a tag are Methods of the diagnostics of a device, under the names that the
// Application Protocol gives them.

// Bounds of their arguments (Application Protocol, 6.14, 6.15 and 6.18).
const (
	maxRecord      = 9999
	maxFileRead    = 121 // registers; the data of a reply are at most 0xF5 bytes
	maxFileWrite   = 122 // registers; the data of a request are at most 0xFB bytes
	maxQueue       = 31  // registers of a FIFO queue
	fileReference  = 6   // type of every reference to a file
	fileReadHead   = 9   // function, size, type, file, record, length
	diagnosticEcho = 0   // sub-function that returns its data
	forceListening = 4   // sub-function that makes a device silent; it has no reply
)

// function is one row of the table of Methods.
type function struct {
	name, description string
	in, out           []uabinary.Argument
	changes           func(in []uabinary.Variant) bool // what a ReadOnly device is not asked for; nil: nothing
	request           func(in []uabinary.Variant) (pdu []byte, faults []ua.StatusCode)
	result            func(reply []byte) []uabinary.Variant // of a reply that has been checked
}

// functions is that table.
func functions() []function {
	registers := func(name string) uabinary.Argument { return argument(name, id.UInt16, 1) }
	word := func(name string) uabinary.Argument { return argument(name, id.UInt16, -1) }
	just := func(code byte) func([]uabinary.Variant) ([]byte, []ua.StatusCode) {
		return func([]uabinary.Variant) ([]byte, []ua.StatusCode) { return []byte{code}, nil }
	}
	return []function{
		{name: "ReadExceptionStatus", description: "function 7: eight bits whose meaning is the device's",
			out: []uabinary.Argument{argument("ExceptionStatus", id.Byte, -1)}, request: just(funcReadExceptionStatus),
			result: func(reply []byte) []uabinary.Variant { return []uabinary.Variant{uabinary.Uint8Variant(reply[1])} }},
		{name: "RunDiagnostics", description: "function 8: 0 returns the data, 11 to 18 are counters; 4, which makes a device silent, is refused",
			in: []uabinary.Argument{word("SubFunction"), registers("Data")}, out: []uabinary.Argument{registers("Data")},
			changes: diagnosticsChange, request: diagnosticsRequest,
			result: func(reply []byte) []uabinary.Variant { return words(reply[3:]) }},
		{name: "GetCommEventCounter", description: "function 11: FFFF while a program command is processed, and how many messages were served",
			out: []uabinary.Argument{word("Status"), word("EventCount")}, request: just(funcCommEventCounter),
			result: func(reply []byte) []uabinary.Variant { return eachWord(reply[1:]) }},
		{name: "GetCommEventLog", description: "function 12: the same, how many messages were seen, and the last events, newest first",
			out:     []uabinary.Argument{word("Status"), word("EventCount"), word("MessageCount"), argument("Events", id.ByteString, -1)},
			request: just(funcCommEventLog),
			result: func(reply []byte) []uabinary.Variant {
				return append(eachWord(reply[2:8]), uabinary.ByteStringVariant(slices.Clone(reply[8:])))
			}},
		{name: "ReportServerID", description: "function 17: what the device says about itself, in a form of its own",
			out: []uabinary.Argument{argument("Data", id.ByteString, -1)}, request: just(funcReportServerID),
			result: func(reply []byte) []uabinary.Variant {
				return []uabinary.Variant{uabinary.ByteStringVariant(slices.Clone(reply[2:]))}
			}},
		{name: "ReadFileRecord", description: "function 20: registers of a file from a record on, at most 121",
			in: []uabinary.Argument{word("File"), word("Record"), word("Length")}, out: []uabinary.Argument{registers("Values")},
			request: fileReadRequest, result: func(reply []byte) []uabinary.Variant { return words(reply[4:]) }},
		{name: "WriteFileRecord", description: "function 21: registers into a file from a record on, at most 122",
			in:      []uabinary.Argument{word("File"), word("Record"), registers("Values")},
			changes: func([]uabinary.Variant) bool { return true }, request: fileWriteRequest,
			result: func([]byte) []uabinary.Variant { return nil }},
		{name: "ReadFIFOQueue", description: "function 24: the queue at an address (counted from 0), oldest first; it stays as it is",
			in: []uabinary.Argument{word("Address")}, out: []uabinary.Argument{registers("Values")},
			request: func(in []uabinary.Variant) ([]byte, []ua.StatusCode) {
				return binary.BigEndian.AppendUint16([]byte{modbus.FuncCodeReadFIFOQueue}, wordOf(in[0])), nil
			},
			result: func(reply []byte) []uabinary.Variant { return words(reply[5:]) }},
	}
}

func argument(name string, dataType uint32, rank int32) uabinary.Argument {
	a := uabinary.Argument{Name: name, DataType: uabinary.NumericID(0, dataType), ValueRank: rank}
	if rank == 1 {
		a.ArrayDimensions = []uint32{0}
	}
	return a
}

func wordOf(v uabinary.Variant) uint16 {
	n, _ := v.Any().(uint16)
	return n
}

func wordsOf(v uabinary.Variant) []uint16 {
	all, _ := v.Any().([]uint16)
	return all
}

// words makes one array of registers.
func words(wire []byte) []uabinary.Variant {
	return []uabinary.Variant{collect(len(wire)/2, func(i int) uint16 { return binary.BigEndian.Uint16(wire[2*i:]) })}
}

// eachWord makes a value of each register.
func eachWord(wire []byte) []uabinary.Variant {
	var all []uabinary.Variant
	for ; len(wire) >= 2; wire = wire[2:] {
		all = append(all, uabinary.Uint16Variant(binary.BigEndian.Uint16(wire)))
	}
	return all
}

func appendWords(pdu []byte, values ...uint16) []byte {
	for _, v := range values {
		pdu = binary.BigEndian.AppendUint16(pdu, v)
	}
	return pdu
}

// outOfRange are the results of arguments of which some are wrong; nil if none is.
func outOfRange(wrong ...bool) []ua.StatusCode {
	if !slices.Contains(wrong, true) {
		return nil
	}
	results := make([]ua.StatusCode, len(wrong))
	for i, bad := range wrong {
		if bad {
			results[i] = ua.StatusBadOutOfRange
		}
	}
	return results
}

// diagnosticsRequest: only sub-function 0 takes any number of registers, all others take one.
func diagnosticsRequest(in []uabinary.Variant) ([]byte, []ua.StatusCode) {
	sub, data := wordOf(in[0]), wordsOf(in[1])
	if len(data) == 0 {
		data = []uint16{0}
	}
	most := 1
	if sub == diagnosticEcho {
		most = (maxPDU - 3) / 2
	}
	if faults := outOfRange(sub == forceListening, len(data) > most); faults != nil {
		return nil, faults
	}
	return appendWords(appendWords([]byte{funcDiagnostics}, sub), data...), nil
}

// diagnosticsChange: only returning data and reading registers and counters leaves a device as it is.
func diagnosticsChange(in []uabinary.Variant) bool {
	sub := wordOf(in[0])
	return sub != diagnosticEcho && sub != 2 && (sub < 11 || sub > 18)
}

func fileReadRequest(in []uabinary.Variant) ([]byte, []ua.StatusCode) {
	file, record, length := wordOf(in[0]), wordOf(in[1]), wordOf(in[2])
	if faults := outOfRange(file == 0, record > maxRecord, length == 0 || length > maxFileRead); faults != nil {
		return nil, faults
	}
	return appendWords([]byte{funcReadFileRecord, fileReadHead - 2, fileReference}, file, record, length), nil
}

func fileWriteRequest(in []uabinary.Variant) ([]byte, []ua.StatusCode) {
	file, record, values := wordOf(in[0]), wordOf(in[1]), wordsOf(in[2])
	if faults := outOfRange(file == 0, record > maxRecord, len(values) == 0 || len(values) > maxFileWrite); faults != nil {
		return nil, faults
	}
	head := appendWords([]byte{funcWriteFileRecord, byte(fileReadHead - 2 + 2*len(values)), fileReference}, file, record, uint16(len(values)))
	return appendWords(head, values...), nil
}

// addFunctions adds the Methods to the diagnostics of a device.
func (d *driver) addFunctions(space *addressspace.Space, node uabinary.NodeID, u *unit, dev *device) error {
	for _, f := range functions() {
		m := drivers.Action(f.name, f.description, node, nil)
		m.InputArguments, m.OutputArguments, m.Blocking = f.in, f.out, true
		m.Run = func(ctx context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			return d.carryOut(ctx, &f, u, dev, call.Inputs)
		}
		if err := drivers.AddMethods(space, m); err != nil {
			return err
		}
	}
	return nil
}

// carryOut sends the request of a Method through the queue of the writes.
func (d *driver) carryOut(ctx context.Context, f *function, u *unit, dev *device, in []uabinary.Variant) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	pdu, faults := f.request(in)
	switch {
	case faults != nil:
		return nil, ua.StatusBadInvalidArgument, faults
	case dev.readOnly && f.changes != nil && f.changes(in):
		return nil, ua.StatusBadNotWritable, nil
	}
	j := &job{Ticket: drivers.NewTicket(), unit: u, device: dev, wire: pdu}
	if !d.submit(ctx, []*job{j}) {
		return nil, d.refusal(), nil
	}
	if s := j.Wait(ctx, d.stopped); s != ua.StatusOK {
		return nil, s, nil
	}
	return f.result(j.reply), ua.StatusOK, nil
}
