package modbussim

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goburrow/modbus"
)

// serve runs a slave until the test ends and returns its address.
func serve(t *testing.T, m *Map) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, m) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// A client that is not ours understands the slave.
func TestForeignClient(t *testing.T) {
	m := NewMap()
	m.Set(17, Coils, 0, 1, 0, 1)
	m.Set(17, HoldingRegisters, 5, 0x1234, 0x5678)
	h := modbus.NewTCPClientHandler(serve(t, m))
	h.SlaveId, h.Timeout = 17, 5*time.Second
	defer h.Close()
	c := modbus.NewClient(h)
	if got, err := c.ReadCoils(0, 3); err != nil || len(got) != 1 || got[0] != 5 {
		t.Error(got, err)
	}
	if got, err := c.ReadHoldingRegisters(5, 2); err != nil || string(got) != "\x12\x34\x56\x78" {
		t.Error(got, err)
	}
	for _, write := range []func() ([]byte, error){
		func() ([]byte, error) { return c.WriteSingleRegister(5, 7) },
		func() ([]byte, error) { return c.WriteMultipleRegisters(5, 2, []byte{0, 8, 0, 9}) },
		func() ([]byte, error) { return c.WriteSingleCoil(1, 0xFF00) },
		func() ([]byte, error) { return c.WriteMultipleCoils(0, 3, []byte{2}) },
	} {
		if _, err := write(); err != nil {
			t.Error(err)
		}
	}
	if m.Get(17, HoldingRegisters, 6) != 9 || m.Get(17, Coils, 0) != 0 || m.Get(17, Coils, 1) != 1 {
		t.Error("writes did not stick")
	}
	var refused *modbus.ModbusError
	if _, err := c.ReadHoldingRegisters(5, 3); !errors.As(err, &refused) || refused.ExceptionCode != IllegalAddress {
		t.Error("a register that was never set:", err)
	}
	h.SlaveId = 18
	if _, err := c.ReadCoils(0, 1); !errors.As(err, &refused) || refused.ExceptionCode != GatewayTarget {
		t.Error("a unit that was never set:", err)
	}
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMap()
		m.Signal(1, InputRegisters, 0, 1, AsInt(Ramp(10*time.Second, -100, 100)))
		m.Signal(1, InputRegisters, 1, 2, AsFloat32(Sine(4*time.Second, 0, 2)))
		m.Signal(1, Coils, 0, 1, AsInt(Square(2*time.Second, 0, 1)))
		m.Signal(1, InputRegisters, 3, 1, AsInt(Count(time.Second)))
		for _, want := range [][2]string{
			{"\x04\x08\xff\x9c\x3f\x80\x00\x00\x00\x00", "\x01\x01\x00"},
			{"\x04\x08\xff\xb0\x40\x00\x00\x00\x00\x01", "\x01\x01\x01"},
		} {
			if got := string(m.answer(nil, 1, []byte{4, 0, 0, 0, 4})); got != want[0] {
				t.Errorf("% x, want % x", got, want[0])
			}
			if got := string(m.answer(nil, 1, []byte{1, 0, 0, 0, 1})); got != want[1] {
				t.Errorf("% x, want % x", got, want[1])
			}
			time.Sleep(time.Second) // fake
		}
	})
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	m := NewMap()
	m.Set(1, HoldingRegisters, 0, make([]uint16, 200)...)
	for _, pdu := range []string{"\x03\x00\x00\x00\x00", "\x03\x00\x00\x00\x7e", "\x03", "\x63\x00\x00\x00\x01",
		"\x10\x00\x00\x00\x01\x02\x00", "\x10\x00\x00\x00\x02\x02\x00\x01", "\x10\x00\x00\x00\x00\x00"} {
		if got := m.answer(nil, 1, []byte(pdu)); len(got) != 2 || got[0] != pdu[0]|0x80 {
			t.Errorf("% x: % x", pdu, got)
		}
	}
}

func FuzzRTURequests(f *testing.F) {
	f.Add(appendCRC([]byte{17, 3, 0, 0, 0, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		skip, size := nextRTU(b)
		if skip < 0 || size < 0 || skip+size > len(b) {
			t.Fatalf("%d, %d of %d", skip, size, len(b))
		}
	})
}

// Generators share registers, give way to what is written, and protected registers cannot be written.
func TestGenerate(t *testing.T) {
	m := NewMap()
	var written []uint16
	m.Written = func(_ byte, _ Area, _ uint16, values []uint16) { written = values }
	m.Generate(1, HoldingRegisters, 0, 2, func(_ time.Duration, to []uint16) { to[0], to[1] = to[0]|1, 5 })
	m.Generate(1, HoldingRegisters, 0, 1, func(_ time.Duration, to []uint16) { to[0] |= 8 })
	m.Generate(1, HoldingRegisters, 2, 1, func(_ time.Duration, to []uint16) { to[0]++ })
	m.Protect(1, HoldingRegisters, 2, 1)
	ask := func(pdu, want string) {
		t.Helper()
		if got := string(m.answer(nil, 1, []byte(pdu))); got != want {
			t.Errorf("% x: % x, want % x", pdu, got, want)
		}
	}
	ask("\x03\x00\x00\x00\x03", "\x03\x06\x00\x09\x00\x05\x00\x01")
	ask("\x06\x00\x02\x00\x09", "\x86\x02")
	ask("\x10\x00\x01\x00\x02\x04\x00\x00\x00\x00", "\x90\x02")
	ask("\x16\x00\x02\x00\x00\x00\x00", "\x96\x02")
	ask("\x16\x00\x00\xff\x00\x00\x40", "\x16\x00\x00\xff\x00\x00\x40")
	if len(written) != 1 || written[0] != 0x40 {
		t.Error(written)
	}
	ask("\x03\x00\x00\x00\x02", "\x03\x04\x00\x40\x00\x05")
	if m.Elapsed() <= 0 {
		t.Error("no time has passed")
	}
}
