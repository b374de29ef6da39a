package modbus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
	"golang.org/x/sys/unix"
)

// awaitStatus waits until a tag is Good, or is not.
func awaitStatus(t *testing.T, v *addressspace.Variable, good bool) uabinary.DataValue {
	t.Helper()
	return driverstest.Await(t, v, "other status", func(dv uabinary.DataValue) bool { return (dv.Status == ua.StatusOK) == good })
}

// pollable makes Close end a Read that waits, as the far end of a pseudo-terminal does not by itself.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	if err == nil {
		err = errors.Join(unix.SetNonblock(fd, true), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// The whole way over a real tty of the kernel: read, write, silence, unplug.
func TestRTUOverPTY(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	far = pollable(t, far)
	slave := modbussim.NewMap()
	slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 125)...)
	slave.Set(17, modbussim.HoldingRegisters, 0, 7)
	served := make(chan error, 1)
	go func() { served <- modbussim.ServeRTU(t.Context(), far, slave) }()

	r := &rig{t: t, slave: slave, done: make(chan struct{})}
	c := parseGood(t, RTU(), `<Channel Name="Line1" Type="ModbusRtu" Port="`+near.Name()+`"/>`+
		dev(`Timeout="100" Retries="0" HoldPolls="0"`, `Period="20"`, oneTag+`<Tag Name="All" Address="h0[123]" Type="UInt16"/>`))
	r.bind(c, c.wiring())
	r.run()
	v := r.variable("T")
	if dv := awaitStatus(t, v, true); dv.Value.Any() != uint16(7) {
		t.Errorf("%v", dv)
	}
	slave.Script(modbussim.Around([]byte{17, 3, 255}, []byte{0, 0}), modbussim.Split(3, 20*time.Millisecond), modbussim.Flip(3))
	awaitStatus(t, v, false)
	awaitStatus(t, v, true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if s := v.Writer().Write(ctx, uabinary.DataValue{Value: uabinary.Uint16Variant(8)}); s != ua.StatusOK || slave.Get(17, modbussim.HoldingRegisters, 0) != 8 {
		t.Errorf("write: %v", s)
	}
	if err := errors.Join(far.Close(), near.Close()); err != nil { // unplugged
		t.Fatal(err)
	}
	awaitStatus(t, v, false)
	begin := time.Now()
	r.stop()
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("stopping took %v", d)
	}
	if err := <-served; err == nil {
		t.Error("the slave still has a line")
	}
}

// A port that is unplugged shows on its tags, and is used again when it is back, whatever it is called then: the path, as
// those below /dev/serial/by-id, is followed each time.
func TestReplugOverPTY(t *testing.T) {
	slave := modbussim.NewMap()
	slave.Set(17, modbussim.HoldingRegisters, 0, 7)
	path := filepath.Join(t.TempDir(), "by-id")
	plug := func() (unplug func()) {
		far, near, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		far = pollable(t, far)
		served := make(chan error, 1)
		go func() { served <- modbussim.ServeRTU(t.Context(), far, slave) }()
		if err := os.Symlink(near.Name(), path); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := errors.Join(os.Remove(path), far.Close(), near.Close()); err != nil {
				t.Error(err)
			}
			<-served
		}
	}
	unplug := plug()
	r := &rig{t: t, slave: slave, done: make(chan struct{})}
	c := parseGood(t, RTU(), `<Channel Name="Line1" Type="ModbusRtu" Port="`+path+`"/>`+dev(`Timeout="100" Retries="0" HoldPolls="0"`, `Period="20"`, oneTag))
	r.bind(c, c.wiring())
	r.driver.connect.Backoff = drivers.Backoff{Min: 10 * time.Millisecond, Max: 20 * time.Millisecond}
	r.run()
	for value := range uint16(3) {
		slave.Set(17, modbussim.HoldingRegisters, 0, value)
		awaitStatus(t, r.variable("T"), true)
		unplug()
		if dv := awaitStatus(t, r.variable("T"), false); dv.Status != ua.StatusBadNoCommunication || !dv.Value.IsNull() {
			t.Errorf("unplugged: %v %v", dv.Status, dv.Value.Any())
		}
		unplug = plug()
	}
	awaitStatus(t, r.variable("T"), true)
	r.stop()
	unplug()
}
