package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/goburrow/modbus"
)

// exceptionBit marks the function code of a refusal (Application Protocol, 7).
const exceptionBit = 0x80

// maxPDU is the most that a PDU has (Application Protocol, 4.1).
const maxPDU = 253

// Function codes without a method in the library, or with one that does not work (Application Protocol, 6).
const (
	funcReadExceptionStatus = 7
	funcDiagnostics         = 8
	funcCommEventCounter    = 11
	funcCommEventLog        = 12
	funcReportServerID      = 17
	funcReadFileRecord      = 20
	funcWriteFileRecord     = 21
	funcEncapsulated        = 43
)

// replySize tells how long the PDU of a regular reply to the request PDU is; 0 if only the reply itself tells, or for a
// function that is not known.
func replySize(request []byte) int {
	switch request[0] {
	case funcReadExceptionStatus:
		return 2
	case funcCommEventCounter:
		return 5
	case funcDiagnostics:
		return len(request)
	case modbus.FuncCodeMaskWriteRegister:
		return 7
	}
	if len(request) < 5 {
		return 0
	}
	quantity := int(binary.BigEndian.Uint16(request[3:]))
	switch request[0] {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		return 2 + (quantity+7)/8
	case modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters:
		return 2 + 2*quantity
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister,
		modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		return 5
	}
	return 0
}

// longestReply is replySize, or what a reply can have at most.
func longestReply(request []byte) int {
	if n := replySize(request); n > 0 {
		return n
	}
	return maxPDU
}

// measure takes the length of a regular reply from its own head: less than 0 if that cannot be told yet, 0 for a
// function that is not known.
func measure(request, head []byte) int {
	switch head[0] {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs, modbus.FuncCodeReadHoldingRegisters,
		modbus.FuncCodeReadInputRegisters, modbus.FuncCodeReadWriteMultipleRegisters,
		funcCommEventLog, funcReportServerID, funcReadFileRecord, funcWriteFileRecord:
		if len(head) < 2 {
			return -1
		}
		return 2 + int(head[1])
	case modbus.FuncCodeReadFIFOQueue:
		if len(head) < 3 {
			return -1
		}
		return 3 + int(binary.BigEndian.Uint16(head[1:]))
	case funcEncapsulated:
		return measureIdentity(head)
	}
	return replySize(request)
}

// checkReply compares the PDU of a reply with that of its request. What passes is safe for the library to unpack and
// has as many values as were asked for, which the library does not check.
func checkReply(request, reply []byte) error {
	switch {
	case len(reply) < 2:
		return fmt.Errorf("%d bytes are no reply", len(reply))
	case reply[0] == request[0]|exceptionBit:
		if len(reply) != 2 {
			return fmt.Errorf("exception of %d bytes", len(reply))
		}
		return nil
	case reply[0] != request[0]:
		return fmt.Errorf("function %d answers function %d", reply[0], request[0])
	}
	want := replySize(request)
	switch size := measure(request, reply); {
	case want > 0 && len(reply) != want:
		return fmt.Errorf("%d bytes answer a request for %d", len(reply), want)
	case len(reply) != size:
		return fmt.Errorf("the reply has %d bytes and announces %d", len(reply), size)
	}
	return checkContent(request, reply)
}

// checkContent looks into replies of the right length, of functions that the library does not check.
func checkContent(request, reply []byte) error {
	switch request[0] {
	case funcDiagnostics: // 6.8: the sub-function comes back, and of sub-function 0 the data as well
		same := min(3, len(request))
		if wordAt(request, 1) == diagnosticEcho {
			same = len(request)
		}
		if !bytes.Equal(request[:same], reply[:same]) {
			return errors.New("diagnostics are acknowledged for something else")
		}
	case funcCommEventLog: // 6.10: status and two counters come before the events
		if len(reply) < 8 {
			return fmt.Errorf("%d bytes are no event log", len(reply))
		}
	case funcWriteFileRecord: // 6.15: an echo
		if !bytes.Equal(request, reply) {
			return errors.New("another file record is acknowledged")
		}
	case funcReadFileRecord: // 6.14: one group, as was asked for
		size := 1 + 2*wordAt(request, fileReadHead-2)
		if len(reply) != 3+size || int(reply[2]) != size || reply[3] != fileReference {
			return fmt.Errorf("%d bytes answer a request for a file record of %d", len(reply), size)
		}
	case modbus.FuncCodeReadFIFOQueue: // 6.18: as many registers as the count says
		if len(reply) < 5 {
			return errors.New("a queue without a count")
		}
		if count := int(binary.BigEndian.Uint16(reply[3:])); count > maxQueue || len(reply) != 5+2*count {
			return fmt.Errorf("%d bytes are no queue of %d", len(reply), count)
		}
	}
	return nil
}

// wordAt is a number in a request, 0 if the request ends before it.
func wordAt(request []byte, at int) int {
	if len(request) < at+2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(request[at:]))
}

// isRead tells whether the PDU asks for data. The reply to such a request can never equal it.
func isRead(request []byte) bool { return request[0] <= modbus.FuncCodeReadInputRegisters }
