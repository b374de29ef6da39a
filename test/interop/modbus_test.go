//go:build interop

package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// The Python of Debian, which has pymodbus: another one may come first in PATH.
const python = "/usr/bin/python3"

func startTCPSlave(t *testing.T, port int) *process {
	t.Helper()
	p := start(t, python, "peers/slave.py", "tcp", "127.0.0.1", strconv.Itoa(port))
	return p
}

func tcpChannel(port int) string {
	return fmt.Sprintf("<Type>ModbusTcp</Type> <Host>127.0.0.1</Host> <TcpPort>%d</TcpPort> <ConnectTimeout>1000</ConnectTimeout>", port)
}

// checkValues reads what slave.py offers and writes what it keeps.
func checkValues(ctx context.Context, t *testing.T, c *opcua.Client) {
	t.Helper()
	waitStatus(ctx, t, c, counter, true, 15*time.Second)
	before := read(ctx, t, c, counter).Value.Value()
	eventually(t, "a new value", 5*time.Second, func() error {
		if now := read(ctx, t, c, counter).Value.Value(); now == before {
			return fmt.Errorf("still %v", now)
		}
		return nil
	})
	if v, ok := read(ctx, t, c, constant).Value.Value().(float64); !ok || math.Abs(v-26.5) > 1e-9 {
		t.Errorf("scaled value %v, want 765 * 0.1 - 50", v)
	}
	if v := read(ctx, t, c, "ns=2;s=Boiler.Alarm").Value.Value(); v != true {
		t.Errorf("discrete input %v", v)
	}
	write(ctx, t, c, setPoint, float32(71.25))
	write(ctx, t, c, pump, true)
	if v := read(ctx, t, c, setPoint).Value.Value(); v != float32(71.25) {
		t.Errorf("set point after writing: %v", v)
	}
}

func TestModbusTCP_Pymodbus(t *testing.T) {
	port := freePort(t)
	slave := startTCPSlave(t, port)
	g := newGateway(t, setup{channel: tcpChannel(port), listen: true})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)
	checkValues(ctx, t, c)

	// What was written is in the slave, seen by a master that is not ours.
	handler := modbus.NewTCPClientHandler(fmt.Sprintf("127.0.0.1:%d", port))
	handler.SlaveId, handler.Timeout = 17, 5*time.Second
	defer handler.Close()
	master := modbus.NewClient(handler)
	registers, err := master.ReadHoldingRegisters(10, 2)
	if err != nil || math.Float32frombits(binary.BigEndian.Uint32(registers)) != 71.25 {
		t.Errorf("holding registers % x, %v", registers, err)
	}
	coils, err := master.ReadCoils(2, 1)
	if err != nil || coils[0]&1 != 1 {
		t.Errorf("coil % x, %v", coils, err)
	}

	// The slave dies and comes back: the value is never the old one with Good.
	slave.kill()
	waitStatus(ctx, t, c, counter, false, 5*time.Second)
	startTCPSlave(t, port)
	waitStatus(ctx, t, c, counter, true, 20*time.Second)
	g.stop(10 * time.Second)
}

func TestModbusRTU_PymodbusOverPty(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "gateway"), filepath.Join(dir, "slave")
	start(t, "socat", "-d", "-d", "pty,raw,echo=0,link="+ours, "pty,raw,echo=0,link="+theirs)
	eventually(t, "terminals", 10*time.Second, func() error {
		_, err := os.Stat(theirs)
		return err
	})
	slave := start(t, python, "peers/slave.py", "rtu", theirs, "19200")
	g := newGateway(t, setup{
		channel: fmt.Sprintf("<Type>ModbusRtu</Type> <Port>%s</Port> <BaudRate>19200</BaudRate> <Parity>N</Parity> <StopBits>1</StopBits>", ours),
		listen:  true,
	})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)
	checkValues(ctx, t, c)

	slave.kill()
	waitStatus(ctx, t, c, counter, false, 5*time.Second)
	start(t, python, "peers/slave.py", "rtu", theirs, "19200")
	waitStatus(ctx, t, c, counter, true, 20*time.Second)
}
