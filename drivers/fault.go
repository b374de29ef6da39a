package drivers

import (
	"errors"
	"fmt"

	"github.com/gopcua/opcua/ua"
)

// Fault is how a read or a write of a device failed. It decides the status a client sees, for a tag with a last good
// value and for one without, and the answer to a write.
type Fault uint8

// The faults of a field bus.
const (
	Waiting             Fault = iota + 1 // no poll has finished yet
	NoCommunication                      // port missing, refused, unreachable, or the unit is demoted: nothing was sent
	LinkLost                             // the connection ended during the transaction
	NoReply                              // nothing came in time
	BadReply                             // bytes came but they are no answer to what was asked
	IllegalFunction                      // the device does not know the function
	IllegalAddress                       // the device does not have the address
	IllegalValue                         // the device does not take the value, or the quantity
	DeviceFailure                        // the device says that it is broken
	Acknowledged                         // the device will do it later
	Busy                                 // the device says to come again
	NegativeAcknowledge                  // the device cannot do it in its present state
	GatewayPath                          // a gateway has no way to the device
	GatewayTarget                        // the device behind a gateway is silent
	OutOfService                         // the device is disabled in the configuration
	Stale                                // polled well, but too long ago
	Undecodable                          // the bytes make no value of the configured type
)

// faultRow is one line of the table of status codes. A held status that is Bad does not hold the value: Bad goes with
// a null value (Part 8, 7.3.2).
type faultRow struct {
	held, none, write ua.StatusCode
	demotes           bool
	name              string
}

func (f Fault) row() faultRow {
	switch f {
	case Waiting:
		return faultRow{ua.StatusBadWaitingForInitialData, ua.StatusBadWaitingForInitialData, ua.StatusBadWaitingForInitialData, false, "no poll yet"}
	case NoCommunication:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadNoCommunication, ua.StatusBadNoCommunication, true, "no communication"}
	case LinkLost:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadNoCommunication, ua.StatusBadCommunicationError, true, "connection lost"}
	case NoReply:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadTimeout, ua.StatusBadTimeout, true, "no reply in time"}
	case BadReply:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadCommunicationError, ua.StatusBadCommunicationError, true, "invalid reply"}
	case IllegalFunction:
		return faultRow{ua.StatusBadNotSupported, ua.StatusBadNotSupported, ua.StatusBadNotSupported, false, "function refused"}
	case IllegalAddress:
		return faultRow{ua.StatusBadConfigurationError, ua.StatusBadConfigurationError, ua.StatusBadConfigurationError, false, "address refused"}
	case IllegalValue:
		return faultRow{ua.StatusBadInvalidArgument, ua.StatusBadInvalidArgument, ua.StatusBadOutOfRange, false, "value or quantity refused"}
	case Acknowledged:
		return faultRow{ua.StatusUncertainLastUsableValue, ua.StatusBadWaitingForInitialData, ua.StatusGoodCompletesAsynchronously, false, "acknowledged, not done yet"}
	case Busy:
		return faultRow{ua.StatusUncertainLastUsableValue, ua.StatusBadResourceUnavailable, ua.StatusBadResourceUnavailable, false, "device busy"}
	case NegativeAcknowledge:
		return faultRow{ua.StatusBadInvalidState, ua.StatusBadInvalidState, ua.StatusBadInvalidState, false, "refused in this state"}
	case GatewayPath:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadNoCommunication, ua.StatusBadNoCommunication, true, "gateway has no path"}
	case GatewayTarget:
		return faultRow{ua.StatusUncertainNoCommunicationLastUsableValue, ua.StatusBadTimeout, ua.StatusBadTimeout, true, "no reply to the gateway"}
	case OutOfService:
		return faultRow{ua.StatusBadOutOfService, ua.StatusBadOutOfService, ua.StatusBadOutOfService, false, "disabled"}
	case Stale:
		return faultRow{ua.StatusUncertainLastUsableValue, ua.StatusBadWaitingForInitialData, ua.StatusBadInternalError, false, "not read for long"}
	case Undecodable:
		return faultRow{ua.StatusBadConfigurationError, ua.StatusBadConfigurationError, ua.StatusBadOutOfRange, false, "no value of this type"}
	default: // DeviceFailure, and what nobody named
		return faultRow{ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure, ua.StatusBadDeviceFailure, false, "device failure"}
	}
}

// String says it in words, for logs.
func (f Fault) String() string { return f.row().name }

// Held is the status of a tag with a last good value; if it is Bad the value is not shown.
func (f Fault) Held() ua.StatusCode { return f.row().held }

// Status is the status of a tag without a last good value.
func (f Fault) Status() ua.StatusCode { return f.row().none }

// WriteStatus is the answer to a write that failed so.
func (f Fault) WriteStatus() ua.StatusCode { return f.row().write }

// Demotes tells whether the fault speaks against the unit as a whole. A refusal proves that it is alive.
func (f Fault) Demotes() bool { return f.row().demotes }

// Error is a Fault and what caused it.
type Error struct {
	Fault Fault
	Err   error
}

// Error puts the fault before its cause.
func (e *Error) Error() string { return e.Fault.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a Fault and a text.
func (f Fault) Errorf(format string, args ...any) error {
	return &Error{Fault: f, Err: fmt.Errorf(format, args...)}
}

// FaultOf tells which Fault an error is. Bytes that nobody gave a Fault are an invalid reply.
func FaultOf(err error) Fault {
	var known *Error
	if errors.As(err, &known) {
		return known.Fault
	}
	return BadReply
}

// CutOff tells whether there was no link, or no longer one, which says nothing about the device.
func (f Fault) CutOff() bool { return f == LinkLost || f == NoCommunication }
