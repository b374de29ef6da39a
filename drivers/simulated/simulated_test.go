package simulated

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

func TestWaves(t *testing.T) {
	second := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for _, c := range []struct {
		signal Signal
		at     []float64
		want   []float64
	}{
		{Signal{Wave: Constant, Offset: 7}, []float64{0, 99}, []float64{7, 7}},
		{Signal{Wave: Constant, Values: []string{"8"}}, []float64{0, 99}, []float64{8, 8}},
		{Signal{Wave: Ramp, Offset: 10, Amplitude: 5}, []float64{0, 1, 2, 3.9999999, 4}, []float64{5, 7.5, 10, 15, 5}},
		{Signal{Wave: Sine, Offset: 10, Amplitude: 5}, []float64{0, 1, 2, 3}, []float64{10, 15, 10, 5}},
		{Signal{Wave: Square, Offset: 10, Amplitude: 5}, []float64{0, 1.9, 2, 3.9, 4}, []float64{5, 5, 15, 15, 5}},
		{Signal{Wave: Count, Offset: 3}, []float64{0, 3.9, 4, 12}, []float64{3, 3, 4, 6}},
		{Signal{Wave: Replay, Values: []string{"1", "true", "-2.5"}}, []float64{0, 4, 8, 12}, []float64{1, 1, -2.5, 1}},
	} {
		c.signal.Period = 4 * time.Second
		for i, at := range c.at {
			if got := c.signal.number(second(at), 0, 1); math.Abs(got-c.want[i]) > 1e-6 {
				t.Errorf("%s at %v s: %v, want %v", c.signal.Wave, at, got, c.want[i])
			}
		}
	}
}

// What looks random stays inside, uses its room, is the same in the next run, and wanders without jumps.
func TestWaves_Random(t *testing.T) {
	for _, wave := range []Wave{Random, Walk} {
		s := Signal{Wave: wave, Period: time.Second, Offset: 10, Amplitude: 5}
		low, high, jump, last := math.Inf(1), math.Inf(-1), 0.0, math.NaN()
		for i := range 10000 {
			at := time.Duration(i) * 100 * time.Millisecond
			v := s.number(at, 0, seedOf("T"))
			if v != s.number(at, 0, seedOf("T")) {
				t.Fatalf("%s is not repeatable", wave)
			}
			low, high = min(low, v), max(high, v)
			if i > 0 {
				jump = max(jump, math.Abs(v-last))
			}
			last = v
		}
		if low < 5 || high > 15 || high-low < 8 {
			t.Errorf("%s went from %v to %v", wave, low, high)
		}
		if smooth := jump < 4; smooth != (wave == Walk) {
			t.Errorf("%s jumps by %v", wave, jump)
		}
	}
}

func TestFromNumber(t *testing.T) {
	for _, c := range []struct {
		typ  uabinary.TypeID
		n    float64
		want any
	}{
		{uabinary.TypeByte, 300, uint8(255)}, {uabinary.TypeSByte, -300, int8(-128)},
		{uabinary.TypeInt16, 1e9, int16(math.MaxInt16)}, {uabinary.TypeUint16, -1, uint16(0)},
		{uabinary.TypeInt32, -2.5, int32(-3)}, {uabinary.TypeUint32, 1e12, uint32(math.MaxUint32)},
		{uabinary.TypeInt64, 7, int64(7)}, {uabinary.TypeUint64, 7, uint64(7)},
		{uabinary.TypeFloat, 0.5, float32(0.5)}, {uabinary.TypeDouble, 0.5, 0.5},
		{uabinary.TypeBoolean, 0, false}, {uabinary.TypeBoolean, 1, true}, {uabinary.TypeBoolean, 2, false}, {uabinary.TypeBoolean, 3, true},
	} {
		if got := fromNumber(c.typ, c.n).Any(); got != c.want {
			t.Errorf("%v as type %d: %v, want %v", c.n, c.typ, got, c.want)
		}
	}
}

const modbusLine = "<Channel Name='Line1' Type='ModbusTcp' Host='192.0.2.1'/>\n"

// boiler is a Modbus device with these settings and signals.
func boiler(settings, signals string) string {
	return modbusLine + "<Device Name='Boiler' Channel='Line1' Unit='1' Addressing='protocol0' " + settings + ">\n" + signals + `
		<Group Name='G' Period='100'>
			<Tag Name='Temp' Address='i0' Type='Int16' Scale='0.1' EULow='0' EUHigh='80'/>
			<Tag Name='Set' Address='h0' Type='Float32' Access='ReadWrite'/>
			<Tag Name='Run' Address='c0' Access='ReadWrite'/>
			<Tag Name='Running' Address='d0'/>
			<Tag Name='Label' Address='h10' Type='String' Length='4'/>
			<Tag Name='Mode' Address='h20' Type='UInt16' Enum='3=Auto;5=Off'/>
			<Tag Name='Curve' Address='h30[4]' Type='Int16'/>
		</Group></Device>`
}

func parseText(t testing.TB, text string) (drivers.Channel, *xmltree.Report) {
	t.Helper()
	root, err := xmltree.Parse("edge.xml", []byte("<EdgeUa>"+text+"</EdgeUa>"), xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := &xmltree.Report{}
	conversions := drivers.ParseConversions(r, root.All("Conversions"))
	kind := value(root.Child("Channel"), "Type")
	for _, k := range append(Around(modbus.Kinds()), Kind()) {
		if k.Type == kind {
			return k.Parse(r, root.Child("Channel"), root.All("Device"), conversions), r
		}
	}
	t.Fatal("no kind ", kind)
	return nil, nil
}

// run binds a channel and runs it in a bubble of fake time.
func run(t *testing.T, text string) map[string]*addressspace.Variable {
	t.Helper()
	c, report := parseText(t, text)
	if report.HasErrors() {
		t.Fatal(report.Problems)
	}
	space := addressspace.New("urn:test")
	ns := space.AddNamespace("urn:test:devices")
	vars, err := drivers.AddToSpace(space, ns, c.Devices())
	if err != nil {
		t.Fatal(err)
	}
	d := c.New(slog.New(slog.NewTextHandler(io.Discard, nil)))
	d.Bind(vars)
	if n, ok := d.(drivers.Noder); ok {
		if err := n.AddNodes(space, ns); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return vars
}

// after lets fake time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func want(t *testing.T, v *addressspace.Variable, status ua.StatusCode, value any) {
	t.Helper()
	if dv := v.Value(); dv.Status != status || fmt.Sprint(dv.Value.Any()) != fmt.Sprint(value) {
		t.Errorf("%v %v, want %v %v", dv.Status, dv.Value.Any(), status, value)
	}
}

// A device of another driver is simulated without a link; its channel is not even dialled.
func TestAround_ValuesAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vars := run(t, boiler("Simulated='1'", `<Signal Tag="Running" Kind="echo" Of="Run"/>
			<Signal Tag="Temp" Kind="ramp" Period="8000"/>`))
		simulated := ua.StatusUncertainSimulatedValue
		want(t, vars["Boiler.Temp"], simulated, 0.0)
		want(t, vars["Boiler.Set"], simulated, float32(0))
		want(t, vars["Boiler.Label"], simulated, "Label")
		want(t, vars["Boiler.Mode"], simulated, 3)
		want(t, vars["Boiler.Running"], simulated, false)
		want(t, vars["Boiler.Curve"], simulated, []int16{50, 100, 50, 0})
		after(2 * time.Second)
		want(t, vars["Boiler.Temp"], simulated, 20.0)
		for name, value := range map[string]any{"Set": float32(21.5), "Run": true} {
			v := vars["Boiler."+name]
			if s := v.Writer().Write(t.Context(), uabinary.DataValue{Value: uabinary.VariantOf(value)}); s != ua.StatusOK {
				t.Error(name, s)
			}
			want(t, v, simulated, value)
		}
		if s := vars["Boiler.Set"].Writer().Write(t.Context(), uabinary.DataValue{Value: uabinary.VariantOf(int16(1))}); s != ua.StatusBadTypeMismatch {
			t.Error("wrong type:", s)
		}
		after(10 * time.Second)
		want(t, vars["Boiler.Set"], simulated, float32(21.5))
		want(t, vars["Boiler.Running"], simulated, true)
		want(t, vars["Boiler.Mode"], simulated, 5)
		if vars["Boiler.Temp"].Writer() != nil {
			t.Error("a read-only tag can be written")
		}
	})
}

// The place where the device will be is left alone.
func TestAround_OpensNoLink(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := fmt.Sprintf("Host='127.0.0.1' TcpPort='%d'", l.Addr().(*net.TCPAddr).Port)
	vars := run(t, strings.Replace(boiler("Simulated='1'", ""), "Host='192.0.2.1'", here, 1))
	changed := make(signalled, 1)
	vars["Boiler.Temp"].Watch(changed)
	for range 3 { // the link would be opened before the first of them
		<-changed
	}
	if err := l.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := l.Accept(); err == nil {
		t.Error("somebody connects: ", conn.RemoteAddr())
	}
}

// signalled hears of changes.
type signalled chan struct{}

func (s signalled) Changed(*addressspace.Variable, *uabinary.DataValue) {
	select {
	case s <- struct{}{}:
	default:
	}
}

func TestAround_Good(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vars := run(t, boiler("Simulated='1' SimulatedStatus='Good'", ""))
		want(t, vars["Boiler.Set"], ua.StatusOK, 0)
	})
}

// Signals of a device that is not simulated are for others; the driver goes about its work.
func TestAround_NotSimulated(t *testing.T) {
	for settings, simulated := range map[string]bool{"": false, "Simulated='0'": false, "Simulated='1' Disabled='1'": false, "Simulated='1'": true} {
		c, report := parseText(t, boiler(settings, `<Signal Tag="Temp" Kind="count"/>`))
		if report.HasErrors() {
			t.Fatal(report.Problems)
		}
		if _, ok := c.New(nil).(pair); ok != simulated {
			t.Errorf("%s: simulated %v", settings, ok)
		}
		inner, devices := Signals(c)
		if inner == c || len(devices) != 1 || devices[0].Signals[0].Wave != Count || devices[0].Signals[1].Wave != Constant {
			t.Errorf("%s: %+v", settings, devices)
		}
	}
	c, _ := parseText(t, boiler("", ""))
	if inner, devices := Signals(c); inner != c || len(devices) != 1 || devices[0].Signals[0].Wave != Sine {
		t.Errorf("without a word: %+v", devices)
	}
}

func TestWords_Faults(t *testing.T) {
	for signal, message := range map[string]string{
		`<Signal Kind="sine"/>`:                                  `edge.xml:3: error: EdgeUa/Device[Boiler]/Signal: Tag is missing`,
		`<Signal Tag="Tmp" Kind="sine"/>`:                        `there is no tag "Tmp" in device "Boiler"; did you mean Temp?`,
		`<Signal Tag="Temp" Kind="sinus"/>`:                      `"sinus" is not one of constant, ramp`,
		`<Signal Tag="Temp" Kind="sine" Speed="1"/>`:             `unknown attribute Speed`,
		`<Signal Tag="Temp" Period="5"/>`:                        `"5" is not a whole number of milliseconds from 10`,
		`<Signal Tag="Temp"/><Signal Tag="Temp"/>`:               `"Temp" has a Signal already`,
		`<Signal Tag="Temp" Kind="replay"/>`:                     `Values: is missing`,
		`<Signal Tag="Temp" Kind="replay" Values="1;x"/>`:        `"x" is not a number`,
		`<Signal Tag="Temp" Kind="sine" Values="1;2"/>`:          `goes with replay and constant, not with sine`,
		`<Signal Tag="Temp" Kind="sine" Of="Set"/>`:              `goes with echo, not with sine`,
		`<Signal Tag="Temp" Kind="echo"/>`:                       `Of: is missing`,
		`<Signal Tag="Temp" Kind="echo" Of="Sett"/>`:             `there is no tag "Sett"`,
		`<Signal Tag="Temp" Kind="echo" Of="Temp"/>`:             `"Temp" cannot be its own echo`,
		`<Signal Tag="Temp" Kind="echo" Of="Label"/>`:            `"Label" has another kind of value than "Temp"`,
		`<Signal Tag="Curve" Kind="echo" Of="Temp"/>`:            `another kind of value`,
		`<Signal Tag="Label" Kind="sine"/>`:                      `sine is for numbers; "Label" is a text`,
		`<Simulated>perhaps</Simulated>`:                         `"perhaps" is neither 0, 1, true nor false`,
		`<SimulatedStatus>Bad</SimulatedStatus>`:                 `"Bad" is not one of Uncertain, Good`,
		`<Simulated>1</Simulated><Simulated>1</Simulated>`:       `Simulated stands twice`,
		`<Simulated>1</Simulated><Disabled>x</Disabled>`:         ``,
		`<Signal Tag="Running" Kind="echo" Of="Run"/>`:           ``,
		`<Signal Tag="Temp" Kind="walk" Amplitude="1e9"/>`:       ``,
		`<Signal Tag="Label" Kind="replay" Values="one; two "/>`: ``,
	} {
		_, report := parseText(t, boiler("", signal))
		var text strings.Builder
		for _, p := range report.Problems {
			fmt.Fprintln(&text, p)
		}
		if message == "" && report.HasErrors() || !strings.Contains(text.String(), message) {
			t.Errorf("%s\n got %s\nwant %s", signal, text.String(), message)
		}
	}
}

// Two echoes of each other end somewhere.
func TestModel_EchoCircle(t *testing.T) {
	c, report := parseText(t, boiler("", `<Signal Tag="Running" Kind="echo" Of="Run"/><Signal Tag="Run" Kind="echo" Of="Running"/>`))
	if report.HasErrors() {
		t.Fatal(report.Problems)
	}
	_, devices := Signals(c)
	m := NewModel(&devices[0])
	if v, ok := m.Value(3, 0).Bool(); !ok || v {
		t.Error(v, ok)
	}
	m.Write(2, uabinary.BoolVariant(true))
	if v, _ := m.Value(3, 0).Bool(); !v {
		t.Error("the echo does not follow")
	}
}

const bareDevice = `<Channel Name='Sim' Type='Simulated'/>
<Device Name='Tank' Channel='Sim'>
	<Signal Tag="In.Level" Kind="sine" Period="4000"/>
	<Group Name='G' Period='100'>
		<Tag Name='In.Level' Type='Float' EULow='0' EUHigh='10' Unit='MTR'/>
		<Tag Name='In.Pumps' Type='Boolean' Length='2'/>
		<Tag Name='Started' Type='DateTime'/>
		<Tag Name='Set' Type='Int32' Access='ReadWrite'/>
	</Group></Device>`

func TestKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vars := run(t, bareDevice)
		simulated := ua.StatusUncertainSimulatedValue
		want(t, vars["Tank.In.Level"], simulated, 5)
		want(t, vars["Tank.In.Pumps"], simulated, []bool{false, true})
		want(t, vars["Tank.Set"], simulated, 0)
		after(time.Second)
		want(t, vars["Tank.In.Level"], simulated, 10)
		if at := vars["Tank.Started"].Value().Value.Any().(uabinary.DateTime); !at.Time().Equal(time.Now()) {
			t.Error(at.Time(), time.Now())
		}
	})
	c, _ := parseText(t, bareDevice)
	if c.Name() != "Sim" || c.Summary() != "simulated, 1 devices, 4 tags" {
		t.Error(c.Name(), c.Summary())
	}
}

func TestKind_Faults(t *testing.T) {
	for tag, message := range map[string]string{
		`<Tag/>`:                                             `Name is missing`,
		`<Tag Name="a" Type="Quad"/>`:                        `"Quad" is not one of Boolean`,
		`<Tag Name="a" Address="h0"/>`:                       `unknown attribute Address`,
		`<Tag Name="a"/><Tag Name="A"/>`:                     `tag "A" exists already`,
		`<Tag Name="a"/><Tag Name="a.b"/>`:                   `needs a folder "a", but that is a tag`,
		`<Tag Name="a.b"/><Tag Name="A"/>`:                   `is a folder of another tag`,
		`<Tag Name="a..b"/>`:                                 `has an empty part between its dots`,
		`<Tag Name="a" Type="String" Length="2"/>`:           `there are no arrays of this type`,
		`<Tag Name="a" Conversion="none"/>`:                  `there is no conversion "none"`,
		`<Tag Name="a" Enum="0=Off"/>`:                       `Enum: is only for whole numbers`,
		`<Tag Name="a" Type="Boolean" Enum="1=On"/>`:         `of a Boolean names 0 and 1`,
		`<Tag Name="a" Type="String" EULow="0" EUHigh="1"/>`: `is only for numbers`,
	} {
		_, report := parseText(t, "<Channel Name='Sim' Type='Simulated'/><Device Name='D' Channel='Sim'><Group Name='G'>"+tag+"</Group></Device>")
		if text := fmt.Sprint(report.Problems); !report.HasErrors() || !strings.Contains(text, message) {
			t.Errorf("%s\n got %s\nwant %s", tag, text, message)
		}
	}
}

// The examples of the documentation hold.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/drivers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Without the device")
	parts := strings.Split(section, "```")
	if !found || len(parts) < 4 {
		t.Fatal("no examples")
	}
	if _, report := parseText(t, strings.TrimPrefix(parts[3], "xml")); report.HasErrors() {
		t.Error(report.Problems)
	}
	words := strings.NewReplacer("SupplyTemp", "Temp", "Pump1.Running", "Running", "Pump1.Run", "Run").Replace(strings.TrimPrefix(parts[1], "xml"))
	if c, report := parseText(t, boiler("", words)); report.HasErrors() || !strings.Contains(c.Summary(), "1 of the devices simulated") {
		t.Error(report.Problems, c.Summary())
	}
	for _, wave := range waves() {
		if !strings.Contains(section, "`"+wave+"`") {
			t.Errorf("%s is not documented", wave)
		}
	}
}
