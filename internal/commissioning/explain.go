package commissioning

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/serial"
	library "github.com/goburrow/modbus"
)

// Exception says an exception code in words (Application Protocol, 7).
func Exception(code byte) string {
	words := map[byte]string{
		1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "server device failure", 5: "acknowledge",
		6: "server device busy", 7: "negative acknowledge", 8: "memory parity error", 10: "gateway path unavailable",
		11: "gateway target device failed to respond",
	}[code]
	if words == "" {
		words = "not in the standard"
	}
	return fmt.Sprintf("exception %d, %s", code, words)
}

// refusal is the exception code of an error; 0 if the device did not refuse.
func refusal(err error) byte {
	var refused *library.ModbusError
	if errors.As(err, &refused) {
		return refused.ExceptionCode
	}
	return 0
}

// Explain makes of a failure what happened and what to try. Line errors are the counts of the port before and after.
func Explain(m *modbus.Master, unit byte, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if code := refusal(err); code != 0 {
		return fmt.Errorf("unit %d refuses: %s; %s", unit, Exception(code), exceptionRemedy(code))
	}
	switch modbus.FaultOf(err) {
	case drivers.NoCommunication:
		return fmt.Errorf("%s: %w; %s", m.Where(), cause(err), connectRemedy(m, err))
	case drivers.LinkLost:
		return fmt.Errorf("%s: the connection ended while unit %d was asked (%w); is another master using the only connection?", m.Where(), unit, cause(err))
	case drivers.NoReply:
		return fmt.Errorf("%s: unit %d does not answer; %s", m.Where(), unit, silenceRemedy(m))
	case drivers.BadReply:
		return fmt.Errorf("%s: %w; %s", m.Where(), cause(err), noiseRemedy(m))
	}
	return err
}

// cause is an error without the word of its fault.
func cause(err error) error {
	var known *drivers.Error
	for errors.As(err, &known) {
		err = known.Err
	}
	return err
}

func exceptionRemedy(code byte) string {
	switch code {
	case library.ExceptionCodeIllegalFunction:
		return "it does not know this kind of request: try h in place of i, or i in place of h"
	case library.ExceptionCodeIllegalDataAddress:
		return "it does not have this address: try one lower and one higher, since manuals count from 0 or from 1, and the other kind of register"
	case library.ExceptionCodeIllegalDataValue:
		return "it takes neither so many at once nor this value: ask for fewer, or look up the range"
	case library.ExceptionCodeServerDeviceFailure:
		return "something in it is broken, or these registers must not be asked for together"
	case library.ExceptionCodeAcknowledge:
		return "it will do so later; read the value again in a while"
	case library.ExceptionCodeServerDeviceBusy:
		return "ask again later, and less often"
	case library.ExceptionCodeGatewayPathUnavailable:
		return "the gateway has no line for this unit; look at its table of units"
	case library.ExceptionCodeGatewayTargetDeviceFailedToRespond:
		return "the gateway is there, the device behind it is silent: unit address, wiring and line settings of the gateway"
	}
	return "see the manual of the device"
}

func connectRemedy(m *modbus.Master, err error) string {
	var dns *net.DNSError
	switch {
	case m.Serial() && errors.Is(err, fs.ErrNotExist):
		return "look for the port in /dev/serial/by-id"
	case m.Serial():
		return "is another program using it?"
	case errors.As(err, &dns):
		return "the name is not known; use the address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the host is there, but nothing listens on that port: the usual one is 502, and Modbus may have to be switched on in the device"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "nobody is at that address: address, network mask, cable, firewall"
	}
	return "is another master using the only connection?"
}

// SilentScan says what to try when a scan has found nobody.
func SilentScan(m *modbus.Master) string {
	if m.Serial() {
		return "rate and parity (--baud, --parity), A and B swapped, termination, power" + lineHint(m)
	}
	return "other units (--units 0,248-255), a longer --silence, or another kind of framing (--framing rtu)"
}

func silenceRemedy(m *modbus.Master) string {
	if m.Serial() {
		return "unit address, rate and parity (--baud, --parity), A and B swapped, termination; edgeua modbus scan finds units" + lineHint(m)
	}
	return "it is reached, so try another unit: --unit 1, 255 or 0, or edgeua modbus scan; a slow gateway needs a longer --timeout"
}

func noiseRemedy(m *modbus.Master) string {
	if m.Serial() {
		return "rate or parity are wrong (--baud, --parity), there are two masters, or termination is missing" + lineHint(m)
	}
	return "is it Modbus TCP at all? A device server that passes a serial line on needs --framing rtu"
}

// lineHint tells what the kernel counted on a port, which says whether it is the rate or the parity.
func lineHint(m *modbus.Master) string {
	n, ok := m.LineErrors()
	if !ok {
		return ""
	}
	return countHint(n)
}

func countHint(n serial.Counters) string {
	switch {
	case n.Frame > 0:
		return fmt.Sprintf(". The port has counted %d framing errors: the rate is wrong", n.Frame)
	case n.Parity > 0:
		return fmt.Sprintf(". The port has counted %d parity errors: only the parity is wrong", n.Parity)
	case n.Break > 0:
		return fmt.Sprintf(". The port has counted %d breaks: A and B are swapped, or the rate is far too high", n.Break)
	}
	return ""
}
