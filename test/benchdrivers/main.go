// Command benchdrivers measures the Modbus driver from the slave to the Variable: against the wire on a pseudo-terminal
// that is as slow as a serial line, and on TCP loopback beside a master in C on libmodbus, where that is installed.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/creack/pty"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/xmltree"
)

const registers = 125

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	fmt.Println("| Case | requests/s | registers/s | bound | share |\n|---|---|---|---|---|")
	for _, baud := range []int{19200, 115200} {
		if err := line(baud); err != nil {
			return err
		}
	}
	return loopback()
}

// channel makes a running driver of configuration text. What it returns ends it.
func channel(kind drivers.Kind, text string) (stop func() error, err error) {
	root, err := xmltree.Parse("bench.xml", []byte("<EdgeUa>"+text+"</EdgeUa>"), xmltree.Limits{})
	if err != nil {
		return nil, err
	}
	report := &xmltree.Report{}
	c := kind.Parse(report, root.Child("Channel"), root.All("Device"), nil)
	if report.HasErrors() {
		return nil, fmt.Errorf("%v", report.Problems)
	}
	space := addressspace.New("urn:bench")
	vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:bench:devices"), c.Devices())
	if err != nil {
		return nil, err
	}
	d := c.New(slog.New(slog.DiscardHandler))
	d.Bind(vars)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() error { cancel(); return <-ended }, nil
}

func device(tags string) string {
	return `<Device Name="D" Channel="L" Unit="17" Addressing="protocol0" OneTagPerRequest="1"><Group Name="G" Period="10">` + tags + `</Group></Device>`
}

// manyTags are tags that are read one by one, each a full block.
func manyTags(n int) string {
	var tags strings.Builder
	for i := range n {
		fmt.Fprintf(&tags, `<Tag Name="T%d" Address="h0[125]" Type="UInt16"/>`, i)
	}
	return tags.String()
}

func slave() *modbussim.Map {
	m := modbussim.NewMap()
	m.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, registers)...)
	return m
}

// rate counts requests for a while, after a while to get going.
func rate(m *modbussim.Map, d time.Duration) float64 {
	time.Sleep(time.Second)
	n, begin := m.Requests(), time.Now()
	time.Sleep(d)
	return float64(m.Requests()-n) / time.Since(begin).Seconds()
}

// thinking is what the slave on the line takes before it answers.
const thinking = 5 * time.Millisecond

// line measures a serial line of that rate with 11 bits for a character. The slave answers when the bytes of request
// and reply would have passed, with the silence after which it may believe that the request is complete.
func line(baud int) error {
	far, near, err := pty.Open()
	if err != nil {
		return err
	}
	defer near.Close()
	character := 11 * time.Second / time.Duration(baud)
	silence := max(character*7/2, 0)
	if baud > 19200 {
		silence = 1750 * time.Microsecond
	}
	wire := time.Duration(8+5+2*registers) * character
	m := slave()
	for range 2000 {
		m.Script(modbussim.Delay(wire + silence + thinking))
	}
	go func() { _ = modbussim.ServeRTU(context.Background(), far, m) }() // ends with the pseudo-terminal
	stop, err := channel(modbus.RTU(), fmt.Sprintf(`<Channel Name="L" Type="ModbusRtu" Port="%s" BaudRate="%d"/>`, near.Name(), baud)+
		device(manyTags(20))) // so that one is always due
	if err != nil {
		return err
	}
	got := rate(m, 10*time.Second)
	bound := 1 / (wire + 2*silence + thinking).Seconds()
	fmt.Printf("| RTU %d Bd 8E1, blocks of %d, device 5 ms | %.2f | %.0f | %.2f | %.1f %% |\n", baud, registers, got, got*registers, bound, 100*got/bound)
	return stop()
}

func loopback() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m := slave()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- modbussim.Serve(ctx, l, m) }()
	defer func() {
		cancel()
		<-served
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	master, clean := foreignMaster()
	defer clean()
	var got, foreign float64
	for range rounds { // in turn and the best of each, because other programs run as well
		foreign = max(foreign, master(port))
		ours, err := ownMaster(m, port)
		if err != nil {
			return err
		}
		got = max(got, ours)
	}
	share := "libmodbus is not installed"
	if foreign > 0 {
		share = fmt.Sprintf("%.1f %%", 100*got/foreign)
	}
	fmt.Printf("| TCP loopback, blocks of %d | %.0f | %.0f | %.0f (libmodbus in C) | %s |\n", registers, got, got*registers, foreign, share)
	return nil
}

const rounds = 5

func ownMaster(m *modbussim.Map, port string) (float64, error) {
	stop, err := channel(modbus.TCP(), `<Channel Name="L" Type="ModbusTcp" Host="127.0.0.1" TcpPort="`+port+`"/>`+device(manyTags(1000)))
	if err != nil {
		return 0, err
	}
	got := rate(m, time.Second)
	return got, stop()
}

// foreignMaster builds the master in C; without it the master returns 0.
func foreignMaster() (master func(port string) float64, clean func()) {
	none := func(string) float64 { return 0 }
	dir, err := os.MkdirTemp("", "benchdrivers")
	if err != nil {
		return none, func() {}
	}
	clean = func() { os.RemoveAll(dir) }
	bin := filepath.Join(dir, "master")
	if out, err := exec.Command("gcc", "-O2", "-o", bin, "test/benchdrivers/libmodbus/master.c", "-lmodbus").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "no master in C (Debian: gcc, libmodbus-dev): %s\n", firstLine(out))
		return none, clean
	}
	return func(port string) (perSecond float64) {
		out, err := exec.Command(bin, port).Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "master in C:", err)
			return 0
		}
		_, _ = fmt.Sscan(string(out), &perSecond)
		return perSecond
	}, clean
}

func firstLine(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\n")
	return text
}
