package instrument

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

func awaitStatus(t *testing.T, v *addressspace.Variable, s ua.StatusCode) {
	t.Helper()
	driverstest.Await(t, v, driverstest.StatusName(s), func(dv uabinary.DataValue) bool { return dv.Status == s })
}

func awaitValue(t *testing.T, v *addressspace.Variable, value any) {
	t.Helper()
	driverstest.Await(t, v, "value", func(dv uabinary.DataValue) bool { return dv.Status == ua.StatusOK && dv.Value.Any() == value })
}

// plug makes a new pseudo-terminal and lets a name point to it, as udev does when an adapter is plugged in. It returns the
// instrument's end.
func plug(t *testing.T, name string) (far *os.File, unplug func()) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(near.Name(), name); err != nil {
		t.Fatal(err)
	}
	var gone bool
	unplug = func() {
		if gone {
			return
		}
		gone = true
		_ = os.Remove(name)
		_ = far.Close()
		_ = near.Close()
	}
	t.Cleanup(unplug)
	return far, unplug
}

func say(t *testing.T, far *os.File, text string) {
	t.Helper()
	if _, err := far.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// The whole way over real ttys of the kernel: values, unplugged in the middle of a frame, plugged in again under the same
// name, values again, without anybody's help.
func TestUnplugAndReplugOfAPTY(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ttyScale")
	far, unplug := plug(t, name)
	r := &rig{t: t, done: make(chan struct{}), end: '\n'}
	c := parseGood(t, `<Channel Name="Line1" Type="Serial" Port="`+name+`" BaudRate="9600"/><Device Name="Dev" Channel="Line1">`+scale+`</Device>`)
	r.bind(c, func(context.Context) (drivers.Link, error) { return serial.Open(*c.line) })
	r.run()
	weight := r.variable("Weight")
	quiet := stream(far, "\x02ST,GS,+  12.5kg\r") // as a scale does, whether somebody listens or not
	awaitValue(t, weight, 12.5)
	quiet()
	say(t, far, "\x02ST,GS,+  1")
	unplug()
	awaitStatus(t, weight, ua.StatusUncertainNoCommunicationLastUsableValue)
	awaitStatus(t, weight, ua.StatusBadNoCommunication)
	far, _ = plug(t, name)
	awaitStatus(t, weight, ua.StatusBadWaitingForInitialData)
	say(t, far, "3.5kg\r\x02ST,GS,+  14.5kg\r")
	awaitValue(t, weight, 14.5)
	begin := time.Now()
	r.stop()
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("stopping took %v", d)
	}
}

// stream says the same over and over until the function that it returns is called.
func stream(far *os.File, text string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := far.WriteString(text); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-done }
}

// An instrument that is asked and told over a real tty.
func TestCommandsOverAPTY(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ttyScale")
	far, _ := plug(t, name)
	r := &rig{t: t, done: make(chan struct{}), end: '\n'}
	r.answer = answerOfScale
	c := parseGood(t, `<Channel Name="Line1" Type="Serial" Port="`+name+`"/><Device Name="Dev" Channel="Line1" Profile="sics"><Poll Name="Weight" Period="50"/></Device>`)
	r.bind(c, func(context.Context) (drivers.Link, error) { return serial.Open(*c.line) })
	r.run()
	served := make(chan struct{})
	go func() { defer close(served); r.serve(ptyConn{File: far}) }()
	awaitValue(t, r.variable("Weight"), 100.25)
	awaitValue(t, r.variable("SerialNumberOfScale"), "B021002593")
	if s := r.call("Dev#Tare"); s != ua.StatusOK {
		t.Error(s)
	}
	if s := r.call("Dev#Zero"); s != ua.StatusBadInvalidState {
		t.Error(s)
	}
	r.stop()
}
