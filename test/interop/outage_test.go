//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/ptyline"
)

// A plant with a libmodbus slave on TCP and another one on a serial line as slow as a real one.
const (
	overTCP  = "ns=2;s=Boiler.Counter"
	overLine = "ns=2;s=Meter.Counter"

	lineBaud = 19200

	altitude = "ns=2;s=Receiver.Altitude"
	nmeaBaud = 4800
)

// patience is how long a test waits for anything that must happen.
const patience = 20 * time.Second

// buildSlave compiles the libmodbus slave.
func buildSlave(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "slave")
	run(t, time.Minute, "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", bin, "peers/slave.c", "-lmodbus")
	return bin
}

func startSlave(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	p := start(t, bin, args...)
	p.waitText("slave ready", patience)
	return p
}

// cable is a serial line whose near end has a name that survives unplugging, as those in /dev/serial/by-id do.
type cable struct {
	*ptyline.Line
	t        *testing.T
	settings ptyline.Settings
	name     string
}

func newCable(t *testing.T, s ptyline.Settings) *cable {
	t.Helper()
	if s.Character == 0 {
		s.Character = ptyline.Rate(lineBaud, 11)
	}
	c := &cable{t: t, settings: s, name: filepath.Join(t.TempDir(), "port")}
	c.plug()
	t.Cleanup(c.unplug)
	return c
}

func (c *cable) plug() {
	c.t.Helper()
	line, err := ptyline.Open(c.settings)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Line = line
	if err := os.Symlink(line.Near(), c.name); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cable) unplug() {
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
	_ = os.Remove(c.name) // at the end of the test it may be gone
}

// plant holds a value for two polls, so that the client's samples, which are as far apart as polls, see it held.
func plant(port int, line, antenna string) string {
	return fmt.Sprintf(`<EdgeUa>
	<Listeners Enabled="1"/>
	<Channel><Name>Ethernet</Name> %s</Channel>
	<Channel><Name>Line</Name> <Type>ModbusRtu</Type> <Port>%s</Port> <BaudRate>%d</BaudRate></Channel>
	<Device>
		<Name>Boiler</Name> <Channel>Ethernet</Channel> <Unit>17</Unit> <Addressing>modicon6</Addressing> <HoldPolls>2</HoldPolls>
		<Group Name="Fast" Period="200"><Tag Name="Counter" Address="300001" Type="UInt16"/></Group>
	</Device>
	<Device>
		<Name>Meter</Name> <Channel>Line</Channel> <Unit>17</Unit> <Addressing>modicon6</Addressing> <HoldPolls>2</HoldPolls>
		<Timeout>300</Timeout> <TimeSuspend>1000</TimeSuspend> <MaxSuspend>1000</MaxSuspend>
		<Group Name="Fast" Period="500"><Tag Name="Counter" Address="300001" Type="UInt16"/></Group>
	</Device>
	<Channel><Name>Antenna</Name> <Type>Serial</Type> <Port>%s</Port> <BaudRate>%d</BaudRate></Channel>
	<Device><Name>Receiver</Name> <Channel>Antenna</Channel> <Profile>nmea0183</Profile> <SilenceTimeout>1000</SilenceTimeout></Device>
	</EdgeUa>`, tcpChannel(port), line, lineBaud, antenna, nmeaBaud)
}

// receiver speaks NMEA 0183 into a line, as a receiver of satellites does, four sentences a second.
type receiver struct {
	stopped chan struct{}
	done    chan error
}

func startReceiver(t *testing.T, port string) *receiver {
	t.Helper()
	f, err := os.OpenFile(port, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{stopped: make(chan struct{}), done: make(chan error, 1)}
	go func() { r.done <- errors.Join(r.speak(f), f.Close()) }()
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) speak(w io.Writer) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for height := 500; ; height++ {
		sentence := fmt.Sprintf("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,%d.4,M,46.9,M,,", height)
		sum := byte(0)
		for i := range len(sentence) {
			sum ^= sentence[i]
		}
		if _, err := fmt.Fprintf(w, "$%s*%02X\r\n", sentence, sum); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-r.stopped:
			return nil
		}
	}
}

func (r *receiver) stop() {
	select {
	case <-r.stopped:
	default:
		close(r.stopped)
		<-r.done // an antenna that was unplugged says so
	}
}

// logbook is what a subscribed client sees, and what was done to the plant.
type logbook struct {
	t       *testing.T
	begin   time.Time
	names   map[uint32]string
	changes chan *opcua.PublishNotificationData
	last    map[string]string // status by node
	rows    []string
	seen    []string // node and status of each change since the last mark
}

// subscribe opens a logbook over nodes.
func subscribe(ctx context.Context, t *testing.T, c *opcua.Client, nodes ...string) *logbook {
	t.Helper()
	l := &logbook{
		t: t, begin: time.Now(), names: map[uint32]string{}, last: map[string]string{},
		changes: make(chan *opcua.PublishNotificationData, 64),
	}
	sub, err := c.Subscribe(ctx, &opcua.SubscriptionParameters{Interval: 50 * time.Millisecond}, l.changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, node := range nodes {
		id, err := ua.ParseNodeID(node)
		if err != nil {
			t.Fatal(err)
		}
		handle := uint32(i + 1)
		l.names[handle] = node
		request := opcua.NewMonitoredItemCreateRequestWithDefaults(id, ua.AttributeIDValue, handle)
		request.RequestedParameters.SamplingInterval, request.RequestedParameters.QueueSize = 50, 20
		res, err := sub.Monitor(ctx, ua.TimestampsToReturnBoth, request)
		if err != nil || res.Results[0].StatusCode != ua.StatusOK {
			t.Fatalf("monitoring %s: %v, %v", node, err, res)
		}
	}
	return l
}

// done notes what was done to the plant. Changes are counted from here.
func (l *logbook) done(what string) {
	l.rows = append(l.rows, fmt.Sprintf("| %.2f | **%s** | | | |", time.Since(l.begin).Seconds(), what))
	l.seen = nil
}

// settled waits until every node has said something.
func (l *logbook) settled() {
	l.t.Helper()
	limit := time.After(patience)
	for len(l.last) < len(l.names) {
		select {
		case n := <-l.changes:
			l.note(n)
		case <-limit:
			l.t.Fatalf("only %v", l.last)
		}
	}
}

// await waits until a node has shown these statuses in this order, and nothing in between, while all others stay as
// they are.
func (l *logbook) await(node string, statuses ...string) {
	l.t.Helper()
	want := make([]string, len(statuses))
	for i, s := range statuses {
		want[i] = node + " " + s
	}
	limit := time.After(patience)
	for !slices.Equal(l.seen, want) {
		if len(l.seen) > len(want) || !slices.Equal(l.seen, want[:len(l.seen)]) {
			l.t.Fatalf("got\n%s\nwant\n%s\n%s", strings.Join(l.seen, "\n"), strings.Join(want, "\n"), l)
		}
		select {
		case n := <-l.changes:
			l.note(n)
		case <-limit:
			l.t.Fatalf("after %v only\n%s\nof\n%s\n%s", patience, strings.Join(l.seen, "\n"), strings.Join(want, "\n"), l)
		}
	}
}

func (l *logbook) note(n *opcua.PublishNotificationData) {
	if n.Error != nil {
		l.t.Fatalf("subscription: %v", n.Error)
	}
	change, ok := n.Value.(*ua.DataChangeNotification)
	if !ok {
		return
	}
	for _, item := range change.MonitoredItems {
		node, status := l.names[item.ClientHandle], strings.TrimPrefix(ua.StatusCodes[item.Value.Status].Name, "Status")
		if item.Value.Status == ua.StatusOK {
			status = "Good"
		}
		if l.last[node] == status {
			continue
		}
		l.last[node] = status
		l.seen = append(l.seen, node+" "+status)
		value := "null"
		if item.Value.Value != nil && item.Value.Value.Value() != nil {
			value = fmt.Sprint(item.Value.Value.Value())
		}
		l.rows = append(l.rows, fmt.Sprintf("| %.2f | | %s | %s | %s |", time.Since(l.begin).Seconds(), node, status, value))
	}
}

// String is the logbook as a table.
func (l *logbook) String() string {
	return "| s | What was done | Node | Status | Value |\n|---|---|---|---|---|\n" + strings.Join(l.rows, "\n")
}

// Each device dies and comes back: its tags say so in the words of the status table, the others stay Good, and no old
// value is ever shown as Good.
func TestOutages(t *testing.T) {
	bin := buildSlave(t)
	port := freePort(t)
	line := newCable(t, ptyline.Settings{})
	ethernet := startSlave(t, bin, "tcp", strconv.Itoa(port))
	meter := startSlave(t, bin, "rtu", line.Far(), strconv.Itoa(lineBaud))
	antenna := newCable(t, ptyline.Settings{Character: ptyline.Rate(nmeaBaud, 10)})
	satellites := startReceiver(t, antenna.Far())
	g := newGateway(t, setup{edge: plant(port, line.name, antenna.name)})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)
	for _, node := range []string{overTCP, overLine, altitude} {
		waitStatus(ctx, t, c, node, true, patience)
	}
	book := subscribe(ctx, t, c, overTCP, overLine, altitude)
	book.settled()

	book.done("TCP slave killed")
	ethernet.kill()
	book.await(overTCP, "UncertainNoCommunicationLastUsableValue", "BadNoCommunication")
	book.done("TCP slave started")
	startSlave(t, bin, "tcp", strconv.Itoa(port))
	book.await(overTCP, "Good")

	book.done("RTU slave killed")
	meter.kill()
	book.await(overLine, "UncertainNoCommunicationLastUsableValue", "BadTimeout", "BadNoCommunication")
	book.done("RTU slave started")
	meter = startSlave(t, bin, "rtu", line.Far(), strconv.Itoa(lineBaud))
	book.await(overLine, "Good")

	book.done("serial adapter unplugged")
	line.unplug()
	book.await(overLine, "UncertainNoCommunicationLastUsableValue", "BadNoCommunication")
	<-meter.done
	book.done("serial adapter and slave plugged in again")
	line.plug()
	startSlave(t, bin, "rtu", line.Far(), strconv.Itoa(lineBaud))
	book.await(overLine, "Good")

	book.done("receiver silent")
	satellites.stop()
	book.await(altitude, "UncertainLastUsableValue")
	book.done("receiver speaks again")
	satellites = startReceiver(t, antenna.Far())
	book.await(altitude, "Good")

	book.done("receiver unplugged")
	antenna.unplug()
	book.await(altitude, "UncertainNoCommunicationLastUsableValue", "BadNoCommunication")
	satellites.stop()
	book.done("receiver plugged in again, and switched off")
	antenna.plug()
	book.await(altitude, "BadWaitingForInitialData")
	book.done("receiver switched on")
	startReceiver(t, antenna.Far())
	book.await(altitude, "Good")
	g.stop(10 * time.Second)
	t.Logf("\n%s", book)
}

// meterAlone is a gateway on one line that holds no values back and repeats nothing.
func meterAlone(line string) string {
	return fmt.Sprintf(`<EdgeUa>
	<Listeners Enabled="1"/>
	<Channel><Name>Line</Name> <Type>ModbusRtu</Type> <Port>%s</Port> <BaudRate>%d</BaudRate></Channel>
	<Device>
		<Name>Meter</Name> <Channel>Line</Channel> <Unit>17</Unit> <Addressing>modicon6</Addressing>
		<Timeout>200</Timeout> <HoldPolls>0</HoldPolls> <Retries>0</Retries> <DemoteAfter>1000</DemoteAfter>
		<Group Name="Fast" Period="500">
			<Tag Name="Counter" Address="300001" Type="UInt16"/>
			<Tag Name="SetPoint" Address="400011" Type="UInt16" Access="Write"/>
		</Group>
	</Device>
	</EdgeUa>`, line, lineBaud)
}

// Between the gateway and a foreign slave the line spoils one reply after the other.
func TestSpoiledReplies(t *testing.T) {
	line := newCable(t, ptyline.Settings{})
	startSlave(t, buildSlave(t), "rtu", line.Far(), strconv.Itoa(lineBaud))
	g := newGateway(t, setup{edge: meterAlone(line.name)})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)
	waitStatus(ctx, t, c, overLine, true, patience)
	book := subscribe(ctx, t, c, overLine)
	book.settled()
	for _, s := range []struct {
		what   string
		fault  ptyline.Fault
		status string
	}{
		{"reply lost", ptyline.Drop(0, 1000), "BadTimeout"},
		{"a bit of the reply flipped", ptyline.Flip(4), "BadCommunicationError"},
		{"a byte of the reply lost", ptyline.Drop(3, 4), "BadCommunicationError"},
		{"the end of the reply lost", ptyline.Drop(5, 1000), "BadCommunicationError"},
		{"reply comes after the timeout", ptyline.Delay(250 * time.Millisecond), "BadTimeout"},
	} {
		book.done(s.what)
		line.ToNear(s.fault)
		book.await(overLine, s.status, "Good")
	}
	book.done("the request spoiled")
	line.ToFar(ptyline.Flip(2))
	book.await(overLine, "BadTimeout", "Good")

	// What does no harm, with something behind it that does.
	book.done("one reply in two parts, one behind noise, and then one lost")
	line.ToNear(ptyline.Split(3, 40*time.Millisecond), ptyline.Noise(0, 0xFF, 17, 4), ptyline.Drop(0, 1000))
	book.await(overLine, "BadTimeout", "Good")
	for gauge, want := range map[string]uint64{"Timeouts": 4, "CrcErrors": 3, "ProtocolErrors": 0} {
		if got := read(ctx, t, c, "ns=2;s=Meter#Diagnostics/"+gauge).Value.Value(); got != want {
			t.Errorf("%s is %v, want %d", gauge, got, want)
		}
	}
	t.Logf("\n%s", book)
}

// An RS-485 adapter that gives back what is sent makes a write look answered when there is nobody.
func TestEchoingAdapter(t *testing.T) {
	line := newCable(t, ptyline.Settings{Echo: true})
	bin := buildSlave(t)
	slave := startSlave(t, bin, "rtu", line.Far(), strconv.Itoa(lineBaud))
	g := newGateway(t, setup{edge: meterAlone(line.name)})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, nil)
	waitStatus(ctx, t, c, overLine, true, patience)
	write(ctx, t, c, "ns=2;s=Meter.SetPoint", uint16(4711))
	slave.kill()
	waitStatus(ctx, t, c, overLine, false, patience)
	if s := tryWrite(ctx, t, c, "ns=2;s=Meter.SetPoint", uint16(4712)); s != ua.StatusBadTimeout {
		t.Errorf("a write without a slave: %v", s)
	}
}

// What the driver does besides reading, and a foreign slave understands: writes of neighbours in one request, a bit of a
// register (function 22), writing and reading in one request (23), and what a slave says about itself (17).
func TestFunctions_Libmodbus(t *testing.T) {
	port := freePort(t)
	startSlave(t, buildSlave(t), "tcp", strconv.Itoa(port))
	g := newGateway(t, setup{edge: fmt.Sprintf(`<EdgeUa>
	<Listeners Enabled="1"/>
	<Channel><Name>Ethernet</Name> %s</Channel>
	<Device>
		<Name>Boiler</Name> <Channel>Ethernet</Channel> <Unit>17</Unit> <Addressing>protocol0</Addressing>
		<MergeWrites>1</MergeWrites> <AfterWrite>verify</AfterWrite>
		<Group Name="Fast" Period="200">
			<Tag Name="Counter" Address="i0" Type="UInt16"/>
			<Tag Name="A" Address="h10" Type="UInt16" Access="ReadWrite"/>
			<Tag Name="B" Address="h11" Type="Mod10k2" Access="ReadWrite"/>
			<Tag Name="Flags" Address="h13" Type="Bits16" Bits="3=Alarm" Access="ReadWrite"/>
		</Group>
	</Device>
	</EdgeUa>`, tcpChannel(port))})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := g.visit(ctx, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, &login{"operator", "secret"})
	waitStatus(ctx, t, c, overTCP, true, patience)
	requests := func() uint64 {
		n, _ := read(ctx, t, c, "ns=2;s=Boiler#Diagnostics/Requests").Value.Value().(uint64)
		return n
	}
	var nodes []*ua.WriteValue
	for name, value := range map[string]any{"A": uint16(7), "B": int64(-12345678)} {
		nodes = append(nodes, &ua.WriteValue{NodeID: ua.NewStringNodeID(2, "Boiler."+name), AttributeID: ua.AttributeIDValue,
			Value: &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(value)}})
	}
	slices.SortFunc(nodes, func(a, b *ua.WriteValue) int { return strings.Compare(a.NodeID.String(), b.NodeID.String()) })
	before := requests()
	res, err := c.Write(ctx, &ua.WriteRequest{NodesToWrite: nodes})
	if err != nil || !slices.Equal(res.Results, []ua.StatusCode{ua.StatusOK, ua.StatusOK}) || requests() == before {
		t.Fatalf("%v, %v", res, err)
	}
	write(ctx, t, c, "ns=2;s=Boiler.Flags", uint16(0xF0F0))
	write(ctx, t, c, "ns=2;s=Boiler.Flags.Alarm", true)

	handler := modbus.NewTCPClientHandler(fmt.Sprintf("127.0.0.1:%d", port))
	handler.SlaveId, handler.Timeout = 17, 5*time.Second
	defer handler.Close()
	registers, err := modbus.NewClient(handler).ReadHoldingRegisters(10, 4)
	if want := "\x00\x07\xfb\x2e\xe9\xd2\xf0\xf8"; err != nil || string(registers) != want {
		t.Errorf("holding registers % x, %v; want % x", registers, err, want)
	}
	answer, err := c.Call(ctx, &ua.CallMethodRequest{
		ObjectID: ua.NewStringNodeID(2, "Boiler#Diagnostics"), MethodID: ua.NewStringNodeID(2, "Boiler#Diagnostics/ReportServerID"),
	})
	if err != nil || answer.StatusCode != ua.StatusOK {
		t.Fatalf("ReportServerID: %v, %v", answer, err)
	}
	if data, _ := answer.OutputArguments[0].Value().([]byte); !strings.Contains(string(data), "LMB") {
		t.Errorf("the slave says %q", data)
	}
}
