package modbus

import (
	"encoding/binary"
	"fmt"

	"github.com/goburrow/modbus"
)

// exceptionBit marks the function code of a refusal (Application Protocol, 7).
const exceptionBit = 0x80

// replySize tells how long the PDU of a regular reply to the request PDU is; 0 for a function that is not known.
func replySize(request []byte) int {
	if len(request) < 5 {
		return 0
	}
	quantity := int(binary.BigEndian.Uint16(request[3:]))
	switch request[0] {
	case modbus.FuncCodeReadCoils, modbus.FuncCodeReadDiscreteInputs:
		return 2 + (quantity+7)/8
	case modbus.FuncCodeReadHoldingRegisters, modbus.FuncCodeReadInputRegisters:
		return 2 + 2*quantity
	case modbus.FuncCodeWriteSingleCoil, modbus.FuncCodeWriteSingleRegister,
		modbus.FuncCodeWriteMultipleCoils, modbus.FuncCodeWriteMultipleRegisters:
		return 5
	}
	return 0
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
	size := replySize(request)
	if len(reply) != size {
		return fmt.Errorf("%d bytes answer a request for %d", len(reply), size)
	}
	if isRead(request) && int(reply[1]) != size-2 {
		return fmt.Errorf("byte count %d where %d was asked for", reply[1], size-2)
	}
	return nil
}

// isRead tells whether the PDU asks for data. The reply to such a request can never equal it.
func isRead(request []byte) bool { return request[0] <= modbus.FuncCodeReadInputRegisters }
