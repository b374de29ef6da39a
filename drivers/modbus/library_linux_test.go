package modbus

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/ptyline"
	"github.com/goburrow/modbus"
)

// bareRTU is the library's own way to a slave on a serial line, which answers as scripted.
func bareRTU(t *testing.T, s ptyline.Settings, script ...modbussim.Fault) (*ptyline.Line, modbus.Client) {
	t.Helper()
	line, err := ptyline.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(line.Far(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	slave := modbussim.NewMap()
	slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 125)...)
	slave.Script(script...)
	served := make(chan error, 1)
	go func() { served <- modbussim.ServeRTU(t.Context(), far, slave) }()
	h := modbus.NewRTUClientHandler(line.Near())
	h.SlaveId, h.BaudRate, h.Parity, h.StopBits, h.Timeout = 17, 19200, "N", 1, time.Second
	h.IdleTimeout = 0 // its timer races with the next request: G-03
	t.Cleanup(func() {
		_ = h.Close() // the line goes anyway
		if err := line.Close(); err != nil {
			t.Error(err)
		}
		<-served
		_ = far.Close()
	})
	return line, modbus.NewClient(h)
}

// G-04
func TestBareLibrary_LosesAnExceptionInTwoParts(t *testing.T) {
	_, c := bareRTU(t, ptyline.Settings{}, func(x *modbussim.Exchange) {
		modbussim.Exception(2)(x)
		modbussim.Split(4, 50*time.Millisecond)(x)
	})
	_, err := c.ReadHoldingRegisters(0, 1)
	if err == nil || strings.Contains(err.Error(), "exception '2'") {
		t.Errorf("the trap is gone: %v", err)
	}
}

// G-05
func TestBareLibrary_TakesOldBytesForTheReply(t *testing.T) {
	line, c := bareRTU(t, ptyline.Settings{})
	if _, err := c.ReadHoldingRegisters(0, 1); err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(line.Far(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, err := far.Write([]byte{0xFF, 0xFF}); err != nil { // long before the request
		t.Fatal(err)
	}
	<-time.After(50 * time.Millisecond)
	if _, err := c.ReadHoldingRegisters(0, 1); err == nil {
		t.Error("the trap is gone")
	}
}

// G-06
func TestBareLibrary_SleepsBeforeItReads(t *testing.T) {
	_, c := bareRTU(t, ptyline.Settings{})
	if _, err := c.ReadHoldingRegisters(0, 1); err != nil { // opens the port
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := c.ReadHoldingRegisters(0, 125); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 150*time.Millisecond {
		t.Errorf("the trap is gone: %v on a line without a rate", d)
	}
}

// A line that echoes and has nobody at its end: the normal reply to a single write equals the request.
func TestBareLibrary_BelievesTheEchoOfAWrite(t *testing.T) {
	_, c := bareRTU(t, ptyline.Settings{Echo: true}, modbussim.Drop)
	if _, err := c.WriteSingleRegister(0, 1); err != nil {
		t.Errorf("the trap is gone: %v", err)
	}
}
