package fieldsim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// plant has a channel of every kind, all with the same tags.
func plant() string {
	var b strings.Builder
	b.WriteString("<EdgeUa>\n  <!-- a plant -->\n")
	for i, where := range []string{
		`ModbusTcp" Host="192.0.2.1`, `ModbusRtuOverTcp" Host="192.0.2.2`, `ModbusAsciiOverTcp" Host="192.0.2.3`,
		`ModbusUdp" Host="192.0.2.4" UdpPort="5020`, `ModbusRtu" Port="/dev/ttyNone" BaudRate="19200`, `ModbusAscii" Port="/dev/ttyNone2`,
	} {
		fmt.Fprintf(&b, `  <Channel Name="C%d" Type="%s"><!-- gone --></Channel>`+"\n", i, where)
		fmt.Fprintf(&b, `  <Device Name="D%d" Channel="C%d" Unit="%d" Addressing="protocol0" ByteOrder="CDAB">
    <Signal Tag="Temp" Kind="constant" Offset="21.5"/> <Signal Tag="Running" Kind="echo" Of="Run"/>
    <Signal Tag="Curve" Kind="replay" Values="-3"/> <Signal Tag="Factor" Kind="constant" Offset="-2"/>
    <Signal Tag="Power" Kind="constant" Offset="12.34"/> <Signal Tag="Bit3" Kind="constant" Offset="1"/>
    <Signal Tag="Label" Kind="constant" Values="Überlänge: abcdefgh"/> <Signal Tag="Big" Kind="constant" Offset="1e9"/>
    <Group Name="G" Period="20" PollMode="Always">
      <Tag Name="Temp" Address="i0" Type="Int16" Scale="0.1" Offset="-50"/>
      <Tag Name="Level" Address="i2" Type="Float32" EULow="0" EUHigh="10"/>
      <Tag Name="Power" Address="i10" Type="Int16" ScaleFactorTag="Factor"/>
      <Tag Name="Factor" Address="i11" Type="Int16"/>
      <Tag Name="Set" Address="h0" Type="Float32" Access="ReadWrite"/>
      <Tag Name="Bit3" Address="h5.3" Access="ReadWrite"/>
      <Tag Name="Bit4" Address="h5.4" Access="ReadWrite"/>
      <Tag Name="Label" Address="h10" Type="String" Length="4"/>
      <Tag Name="Curve" Address="h20[3]" Type="Int32"/>
      <Tag Name="Raw" Address="h30" Type="Bytes" Length="2"/>
      <Tag Name="Big" Address="h40" Type="UInt32"/>
      <Tag Name="Run" Address="c0" Access="ReadWrite"/>
      <Tag Name="Running" Address="d0"/>
    </Group>
  </Device>
`, i, i, i+1)
	}
	b.WriteString("  <!-- the end --></EdgeUa>\n")
	return b.String()
}

func kinds() []drivers.Kind { return simulated.Around(modbus.Kinds()) }

func load(t *testing.T, text string) []drivers.Channel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edgeua.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	channels, report := config.LoadChannels(file, kinds())
	if report.HasErrors() {
		t.Fatal(report.Problems)
	}
	return channels
}

// start serves a file and returns it as a gateway needs it.
func start(t *testing.T, text string, o Options) (rewritten string, stands []*Stand) {
	t.Helper()
	stands, _, err := Open(t.Context(), load(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, stands) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	out, err := Rewrite("edgeua.xml", []byte(text), stands)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), stands
}

// gateway runs the drivers of a file.
func gateway(t *testing.T, text string) map[string]*addressspace.Variable {
	t.Helper()
	all := map[string]*addressspace.Variable{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	n := 0
	for _, c := range load(t, text) {
		space := addressspace.New("urn:test")
		vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), c.Devices())
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range vars {
			all[name] = v
		}
		d := c.New(nil)
		d.Bind(vars)
		n++
		go func() { done <- d.Run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range n {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return all
}

// watcher tells of changes.
type watcher struct{ changed chan struct{} }

func (w watcher) Changed(*addressspace.Variable, *uabinary.DataValue) {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// await waits until a tag is Good with a value; nil: any.
func await(t *testing.T, vars map[string]*addressspace.Variable, name string, value any) uabinary.DataValue {
	t.Helper()
	v := vars[name]
	w := watcher{make(chan struct{}, 1)}
	v.Watch(w)
	defer v.Unwatch(w)
	deadline := time.After(10 * time.Second)
	for {
		dv := v.Value()
		if dv.Status == ua.StatusOK && (value == nil || fmt.Sprint(dv.Value.Any()) == fmt.Sprint(value)) {
			return dv
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("%s is %v %v, want %v", name, dv.Status, dv.Value.Any(), value)
		}
	}
}

func write(t *testing.T, v *addressspace.Variable, value any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if s := v.Writer().Write(ctx, uabinary.DataValue{Value: uabinary.VariantOf(value)}); s != ua.StatusOK {
		t.Errorf("write %v: %v", value, s)
	}
}

// The gateway that the file describes reads and writes the stand-ins over every transport.
func TestStandsInForEveryTransport(t *testing.T) {
	rewritten, stands := start(t, plant(), Options{Host: "127.0.0.1"})
	if len(stands) != 6 {
		t.Fatalf("%d stands", len(stands))
	}
	if !strings.Contains(rewritten, "<!-- a plant -->") || !strings.Contains(rewritten, "<!-- the end -->") || strings.Contains(rewritten, "192.0.2") {
		t.Error(rewritten)
	}
	vars := gateway(t, rewritten)
	for i := range stands {
		d := fmt.Sprintf("D%d.", i)
		await(t, vars, d+"Temp", 21.5)
		await(t, vars, d+"Power", 12.34)
		await(t, vars, d+"Curve", []int32{-3, -3, -3})
		await(t, vars, d+"Label", "Überlä")
		await(t, vars, d+"Big", 1000000000)
		await(t, vars, d+"Raw", []byte("Raw\x00"))
		level := await(t, vars, d+"Level", nil)
		if n, _ := level.Value.Number(); n < 0 || n > 10 {
			t.Error("level", n)
		}
		await(t, vars, d+"Bit3", true)
		write(t, vars[d+"Set"], float32(72.5))
		write(t, vars[d+"Bit4"], true)
		write(t, vars[d+"Run"], true)
		await(t, vars, d+"Set", 72.5)
		await(t, vars, d+"Bit4", true)
		await(t, vars, d+"Bit3", true)
		await(t, vars, d+"Running", true)
	}
}

// What no tag may write cannot be written, and what no tag has is not there.
func TestWhatIsNotInTheFile(t *testing.T) {
	_, stands := start(t, plant(), Options{Host: "127.0.0.1"})
	channels := load(t, strings.Replace(plant(), `Host="192.0.2.1"`, fmt.Sprintf(`Host="127.0.0.1" TcpPort="%d"`, stands[0].Port), 1))
	inner, _ := simulated.Signals(channels[0])
	m, err := modbus.NewMaster(inner, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		pdu  string
		want drivers.Fault
	}{
		{"\x06\x00\x00\x00\x01", 0}, {"\x06\x00\x14\x00\x01", drivers.IllegalAddress}, {"\x10\x00\x14\x00\x01\x02\x00\x01", drivers.IllegalAddress},
		{"\x16\x00\x14\x00\x01\x00\x01", drivers.IllegalAddress}, {"\x03\x00\x02\x00\x01", drivers.IllegalAddress},
		{"\x16\x00\x05\xff\xff\x00\x00", 0}, {"\x63\x00\x00\x00\x01", drivers.IllegalFunction},
	} {
		_, err := m.Ask(t.Context(), 1, []byte(c.pdu)...)
		if err == nil && c.want != 0 || err != nil && modbus.FaultOf(err) != c.want {
			t.Errorf("% x: %v, want %v", c.pdu, err, c.want)
		}
	}
	if plate, err := m.Plate(t.Context(), 1); err != nil || fmt.Sprint(plate[0]) != "[VendorName edgeua]" {
		t.Error(plate, err)
	}
}

// A channel that is on this machine already answers where the file has it; one that is taken moves on.
func TestPorts(t *testing.T) {
	_, first := start(t, plant(), Options{Host: "127.0.0.1"})
	taken := first[0].Port
	file := fmt.Sprintf(`<EdgeUa><Channel Name="A" Type="ModbusTcp" Host="127.0.0.1" TcpPort="%d"/><Device Name="D" Channel="A" Unit="1" Addressing="protocol0">
		<Group Name="G"><Tag Name="T" Address="h0" Type="Int16"/></Group></Device></EdgeUa>`, taken)
	_, moved := start(t, file, Options{Host: "127.0.0.1", Port: taken})
	if moved[0].AsConfigured || moved[0].Port == taken {
		t.Error(moved[0].Where())
	}
	free := moved[0].Port + 50
	file = strings.Replace(file, fmt.Sprint(taken), fmt.Sprint(free), 1)
	_, own := start(t, file, Options{Host: "127.0.0.1", Port: taken})
	if own[0].AsConfigured != (own[0].Port == free) {
		t.Error(own[0].Where())
	}
}

// On a paced line a reply takes its time.
func TestPace(t *testing.T) {
	text := strings.ReplaceAll(plant(), `BaudRate="19200`, `BaudRate="1200`)
	rewritten, stands := start(t, text, Options{Host: "127.0.0.1", Paced: true})
	inner, _ := simulated.Signals(load(t, rewritten)[4])
	m, err := modbus.NewMaster(inner, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	begin := time.Now()
	if _, err := m.Read(t.Context(), 5, modbus.HoldingRegisters, 20, 6); err != nil {
		t.Fatal(err)
	}
	// 8 characters there, 17 back, 11 bits each
	if took := time.Since(begin); took < 25*11*time.Second/1200 {
		t.Errorf("%v at %s", took, stands[4].Kind)
	}
}

func TestRewrite_Faults(t *testing.T) {
	for text, want := range map[string]string{
		"<EdgeUa>": "",
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><EdgeUa><Channel Name='A'/></EdgeUa>": "only files in UTF-8 can be rewritten",
	} {
		if _, err := Rewrite("edgeua.xml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
}
