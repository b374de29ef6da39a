package modbus

import (
	"errors"

	"github.com/edgeua/edgeua/drivers"
	"github.com/goburrow/modbus"
)

// unsent makes of the loss of the link before anything was sent an error that says so.
func unsent(err error) error {
	if faultOf(err) == drivers.LinkLost {
		return &drivers.Error{Fault: drivers.NoCommunication, Err: err}
	}
	return err
}

// faultOf tells which fault an error of a transaction is. What the library says about a reply that came through our own
// checks is an invalid reply.
func faultOf(err error) drivers.Fault {
	var refused *modbus.ModbusError
	if errors.As(err, &refused) {
		return exceptionFault(refused.ExceptionCode)
	}
	return drivers.FaultOf(err)
}

// exceptionNegativeAcknowledge has no name in the library.
const exceptionNegativeAcknowledge = 7

// exceptionFault maps an exception code (Application Protocol, 7).
func exceptionFault(code byte) drivers.Fault {
	switch code {
	case modbus.ExceptionCodeIllegalFunction:
		return drivers.IllegalFunction
	case modbus.ExceptionCodeIllegalDataAddress:
		return drivers.IllegalAddress
	case modbus.ExceptionCodeIllegalDataValue:
		return drivers.IllegalValue
	case modbus.ExceptionCodeAcknowledge:
		return drivers.Acknowledged
	case modbus.ExceptionCodeServerDeviceBusy:
		return drivers.Busy
	case exceptionNegativeAcknowledge:
		return drivers.NegativeAcknowledge
	case modbus.ExceptionCodeGatewayPathUnavailable:
		return drivers.GatewayPath
	case modbus.ExceptionCodeGatewayTargetDeviceFailedToRespond:
		return drivers.GatewayTarget
	}
	return drivers.DeviceFailure
}
