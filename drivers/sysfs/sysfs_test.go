package sysfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

const sample = `<EdgeUa>
<Channel><Name>Kernel</Name><Type>SysFs</Type></Channel>
<Device><Name>Gateway</Name><Channel>Kernel</Channel>
  <Group Name="Fast" Period="500">
    <Tag Name="Cpu.Temperature" Address="/sys/class/thermal/thermal_zone0/temp" Scale="0.001" Unit="CEL"/>
    <Tag Name="Led" Address="/sys/class/leds/user/brightness" Access="ReadWrite" Description="0 to 255"/>
  </Group>
  <Group Name="Slow"><Tag Name="Load" Address="/proc/loadavg" Type="Float64"/></Group>
</Device>
<Device Disabled="1"><Name>Spare</Name><Channel>Kernel</Channel><Group Name="G"><Tag Name="T" Address="/sys/x"/></Group></Device>
</EdgeUa>`

func parsed(t *testing.T, text string) (*channel, *xmltree.Report) {
	t.Helper()
	root, err := xmltree.Parse("edgeua.xml", []byte(text), xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := &xmltree.Report{}
	return Kind().Parse(r, root.Child("Channel"), root.All("Device"), nil).(*channel), r
}

func TestParse(t *testing.T) {
	c, r := parsed(t, sample)
	if again, _ := parsed(t, sample); r.HasErrors() || !reflect.DeepEqual(c, again) {
		t.Error("two readings differ", r.Problems)
	}
	tags := c.Devices()[0].Tags
	want := drivers.Tag{Name: "Cpu.Temperature", Type: uabinary.TypeDouble, Access: drivers.ReadOnly, Unit: "CEL", Period: 500 * time.Millisecond}
	if len(tags) != 3 || !reflect.DeepEqual(tags[0], want) || tags[1].Access != drivers.ReadWrite || tags[2].Period != 5*time.Second {
		t.Errorf("%+v", tags)
	}
	if c.Name() != "Kernel" || c.Summary() != "SysFs, 4 files" {
		t.Error(c.Name(), c.Summary())
	}
}

// Every mistake has its line and the value.
func TestParse_Faults(t *testing.T) {
	for change, want := range map[string]string{
		`/proc/loadavg=>/etc/passwd`:                 `edgeua.xml:8: error: EdgeUa/Device[Gateway]/Group[Slow]/Tag[Load]/Address: "/etc/passwd" is not a file below /sys or /proc`,
		`/proc/loadavg=>/proc/../etc/passwd`:         `edgeua.xml:8: error: EdgeUa/Device[Gateway]/Group[Slow]/Tag[Load]/Address: "/proc/../etc/passwd" is not a file below /sys or /proc`,
		`Scale="0.001"=>Scale="0"`:                   `edgeua.xml:5: error: EdgeUa/Device[Gateway]/Group[Fast]/Tag[Cpu.Temperature]/Scale: 0 would lose every value`,
		`Scale="0.001"=>Scale="x"`:                   `edgeua.xml:5: error: EdgeUa/Device[Gateway]/Group[Fast]/Tag[Cpu.Temperature]/Scale: "x" is not a number, such as 0.1 or -50`,
		`Type="Float64"=>Type="Int16"`:               `edgeua.xml:8: error: EdgeUa/Device[Gateway]/Group[Slow]/Tag[Load]/Type: "Int16" is not one of Float64`,
		`Name="Load"=>Name="led" Address="/proc/x"`:  `edgeua.xml:8: error: EdgeUa/Device[Gateway]/Group[Slow]/Tag[led]: Address stands twice`,
		`Period="500"=>Period="5"`:                   `edgeua.xml:4: error: EdgeUa/Device[Gateway]/Group[Fast]/Period: "5" is not a whole number of milliseconds from 100 to 3600000`,
		`<Type>SysFs</Type>=><Type>SysFs</Type><X/>`: `edgeua.xml:2: error: EdgeUa/Channel[Kernel]/X: unknown element X`,
		`Access="ReadWrite"=>Access="Write"`:         `edgeua.xml:6: error: EdgeUa/Device[Gateway]/Group[Fast]/Tag[Led]/Access: "Write" is not one of Read, ReadWrite`,
	} {
		from, to, _ := strings.Cut(change, "=>")
		_, r := parsed(t, strings.Replace(sample, from, to, 1))
		found := false
		for _, p := range r.Problems {
			found = found || strings.HasPrefix(p.String(), want)
		}
		if !found {
			t.Errorf("%s:\ngot  %v\nwant %s", change, r.Problems, want)
		}
	}
}

// A file is read at its period; what is wrong with it is the status; what is written arrives.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("temp", "48231\n")
	put("brightness", "0\n")
	put("loadavg", "0.52 0.58 0.59 1/467 12345\n")
	synctest.Test(t, func(t *testing.T) {
		c, r := parsed(t, sample)
		if r.HasErrors() {
			t.Fatal(r.Problems)
		}
		for i := range c.files {
			c.files[i].path = filepath.Join(dir, filepath.Base(c.files[i].path))
		}
		space := addressspace.New("urn:test")
		vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), c.Devices())
		if err != nil {
			t.Fatal(err)
		}
		want := func(tag string, status ua.StatusCode, value any) {
			t.Helper()
			if dv := vars[tag].Value(); dv.Status != status || dv.Value.Any() != value {
				t.Errorf("%s: %v %v, want %v %v", tag, dv.Status, dv.Value.Any(), status, value)
			}
		}
		d := c.New(nil)
		d.Bind(vars)
		want("Gateway.Load", ua.StatusBadWaitingForInitialData, nil)
		want("Spare.T", ua.StatusBadOutOfService, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()

		synctest.Wait()
		want("Gateway.Cpu.Temperature", ua.StatusOK, 48.231)
		want("Gateway.Load", ua.StatusOK, 0.52)
		put("temp", "50000\n")
		put("loadavg", "0.7 0.6 0.6\n")
		time.Sleep(600 * time.Millisecond) // of the bubble
		want("Gateway.Cpu.Temperature", ua.StatusOK, 50.0)
		want("Gateway.Load", ua.StatusOK, 0.52)

		led := vars["Gateway.Led"].Writer()
		if s := led.Write(ctx, uabinary.DataValue{Value: uabinary.DoubleVariant(1e6)}); s != ua.StatusOK {
			t.Error(s)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, "brightness")); string(text) != "1000000" {
			t.Errorf("%q was written", text)
		}
		if s := led.Write(ctx, uabinary.DataValue{Value: uabinary.StringVariant("on")}); s != ua.StatusBadTypeMismatch {
			t.Error(s)
		}
		if s := vars["Gateway.Load"].Writer().Write(ctx, uabinary.DataValue{Value: uabinary.DoubleVariant(1)}); s != ua.StatusBadNotWritable {
			t.Error(s)
		}

		time.Sleep(500 * time.Millisecond)
		want("Gateway.Led", ua.StatusOK, 1e6)

		put("temp", "none\n")
		if err := os.Remove(filepath.Join(dir, "brightness")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		want("Gateway.Led", ua.StatusUncertainNoCommunicationLastUsableValue, 1e6)
		time.Sleep(500 * time.Millisecond)
		want("Gateway.Cpu.Temperature", ua.StatusBadDeviceFailure, nil)
		want("Gateway.Led", ua.StatusBadNoCommunication, nil)
		put("temp", "-1500\n")
		time.Sleep(500 * time.Millisecond)
		want("Gateway.Cpu.Temperature", ua.StatusOK, -1.5)

		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A channel without tags waits, and ends.
func TestRun_NoTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := parsed(t, `<EdgeUa><Channel Name="K" Type="SysFs"/></EdgeUa>`)
		d := c.New(nil)
		d.Bind(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// The page shows the driver as it is, and it is as short as the page says.
func TestDocumentation(t *testing.T) {
	source, err := os.ReadFile("sysfs.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/adding-a-driver.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n```go\n"+string(source)+"```\n") {
		t.Error("docs/adding-a-driver.md shows another driver than sysfs.go")
	}
	if n := strings.Count(string(source), "\n"); n >= 150 {
		t.Errorf("the driver has %d lines", n)
	}
	root, err := xmltree.Parse("page", []byte("<EdgeUa>"+block(t, string(page), "xml")+"</EdgeUa>"), xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := &xmltree.Report{}
	if Kind().Parse(r, root.Child("Channel"), root.All("Device"), nil); len(r.Problems) > 0 {
		t.Error(r.Problems)
	}
}

// block is the first one of a language in a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, fmt.Sprintf("\n```%s\n", language))
	text, _, ended := strings.Cut(rest, "\n```")
	if !found || !ended {
		t.Fatalf("there is no %s in the page", language)
	}
	return text
}
