package serial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// plug makes a tty of a USB adapter, as the kernel shows it.
func plug(t *testing.T, sys, tty, vendor, product, serial string) {
	t.Helper()
	device := filepath.Join(sys, "devices/usb1", tty+"-adapter")
	port := filepath.Join(device, "1.0", tty)
	class := filepath.Join(sys, "class/tty", tty)
	for _, dir := range []string{port, class} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"idVendor": vendor, "idProduct": product, "serial": serial} {
		if err := os.WriteFile(filepath.Join(device, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(port, filepath.Join(class, "device")); err != nil {
		t.Fatal(err)
	}
}

func TestPortsByUSBIdentity(t *testing.T) {
	sys := t.TempDir()
	plug(t, sys, "ttyUSB0", "0403", "6001", "A1")
	plug(t, sys, "ttyUSB1", "0403", "6001", "A2")
	plug(t, sys, "ttyUSB2", "067b", "2303", "")
	for port, want := range map[string]string{
		"/dev/ttyS0": "/dev/ttyS0", "usb:0403:6001:A2": "/dev/ttyUSB1", "usb:067B:2303": "/dev/ttyUSB2",
		"usb:0403:6001": "2 ports fit", "usb:0403:6001:A3": "no adapter", "usb:1111:2222": "no adapter", "usb:x": "four hexadecimal digits",
	} {
		got, err := resolve(port, sys, "/dev")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s is %s, want %s", port, got, want)
		}
	}
	// It is unplugged and comes back under another name.
	if err := os.RemoveAll(filepath.Join(sys, "class/tty/ttyUSB1")); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve("usb:0403:6001:A2", sys, "/dev"); err == nil {
		t.Error("unplugged, but found")
	}
	plug(t, sys, "ttyUSB7", "0403", "6001", "A2")
	if got, err := resolve("usb:0403:6001:A2", sys, "/dev"); got != "/dev/ttyUSB7" {
		t.Error(got, err)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`<C Port="usb:403:6001"/>`:                                  `"usb:403:6001"`,
		`<C Port="p" BaudRate="14400"/>`:                            "warning: C/BaudRate: 14400",
		`<C Port="p" BaudRate="49"/>`:                               `"49"`,
		`<C Port="p" FlowControl="x"/>`:                             `"x"`,
		`<C Port="p"><Rs485 RtsOnSend="1" RtsAfterSend="1"/></C>`:   "RTS must change",
		`<C Port="p" FlowControl="rtscts"><Rs485/></C>`:             "uses the same line",
		`<C Port="p"><Rs485/><Rs485/></C>`:                          "stands twice",
		`<C Port="p"><Rs485 Mode="gpio"/></C>`:                      `"gpio"`,
		`<C Port="p"><Rs485 Mode="hardware"/></C>`:                  "",
		`<C Port="p" LowLatency="0" BaudRate="115200" Parity="E"/>`: "",
	} {
		root, err := xmltree.Parse("edge.xml", []byte(text), xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r := &xmltree.Report{}
		s := r.Settings(root)
		Parse(r, s, Config{BaudRate: 9600, DataBits: 8, Parity: 'N', StopBits: 1})
		s.Done()
		got := ""
		if len(r.Problems) > 0 {
			got = r.Problems[0].String()
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
