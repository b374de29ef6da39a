//go:build linux

// Command benchdrivers measures the Modbus driver from the slave to the Variable: against the wire on a pseudo-terminal
// that is as slow as a serial line, on TCP loopback beside a master in C on libmodbus where that is installed, with many
// devices, and with a dead one among living ones. The TCP slave is a process of its own, so that CPU time is the driver's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
)

const (
	registers = 125
	unit      = 17
)

func main() {
	slave := flag.Bool("slave", false, "be the TCP slave (used by benchdrivers itself)")
	rows := flag.String("rows", "line,tcp,fleet,dead", "what to measure")
	flag.Parse()
	run := func() error { return measure(strings.Split(*rows, ",")) }
	if *slave {
		run = serveSlave
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchdrivers:", err)
		os.Exit(1)
	}
}

func measure(rows []string) error {
	fmt.Println("| Case | Measured | Compared with | Share | Bar |\n|---|---|---|---|---|")
	all := map[string]func() error{"line": lines, "tcp": loopback, "fleet": fleet, "dead": dead}
	for _, row := range rows {
		f, ok := all[row]
		if !ok {
			return fmt.Errorf("no row %q", row)
		}
		if err := f(); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	return nil
}

// bench is a set of running channels, and the number of good values that they have set.
type bench struct {
	stop []func() error
	sets atomic.Uint64
}

// Changed implements addressspace.Watcher.
func (b *bench) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	if dv.Status == ua.StatusOK {
		b.sets.Add(1)
	}
}

// run adds a driver made of configuration text. Every Variable is watched.
func (b *bench) run(kind drivers.Kind, text string) error {
	root, err := xmltree.Parse("bench.xml", []byte("<EdgeUa>"+text+"</EdgeUa>"), xmltree.Limits{})
	if err != nil {
		return err
	}
	report := &xmltree.Report{}
	c := kind.Parse(report, root.Child("Channel"), root.All("Device"), nil)
	if report.HasErrors() {
		return fmt.Errorf("%v", report.Problems)
	}
	space := addressspace.New("urn:bench")
	vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:bench:devices"), c.Devices())
	if err != nil {
		return err
	}
	d := c.New(slog.New(slog.DiscardHandler))
	d.Bind(vars)
	for _, v := range vars {
		v.Watch(b)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	b.stop = append(b.stop, func() error { cancel(); return <-ended })
	return nil
}

func (b *bench) end() error {
	var err error
	for _, stop := range b.stop {
		err = errors.Join(err, stop())
	}
	return err
}

// rate counts values for a while, after a while to get going.
func (b *bench) rate(d time.Duration) (perSecond float64, cpu time.Duration) {
	time.Sleep(time.Second)
	n, used, begin := b.sets.Load(), cpuTime(), time.Now()
	time.Sleep(d)
	perSecond = float64(b.sets.Load()-n) / time.Since(begin).Seconds()
	return perSecond, cpuTime() - used
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func device(name string, unit int, settings, period, tags string) string {
	return fmt.Sprintf(`<Device Name="%s" Channel="L" Unit="%d" Addressing="protocol0" %s><Group Name="G" Period="%s" PollMode="Always">%s</Group></Device>`,
		name, unit, settings, period, tags)
}

// manyTags are tags that are read one by one, each a full block; none lies inside another.
func manyTags(n int) string {
	var tags strings.Builder
	for i := range n {
		fmt.Fprintf(&tags, `<Tag Name="T%d" Address="h%d[%d]" Type="UInt16"/>`, i, i, registers)
	}
	return tags.String()
}

func newMap(units ...byte) *modbussim.Map {
	m := modbussim.NewMap()
	for _, u := range units {
		m.Set(u, modbussim.HoldingRegisters, 0, make([]uint16, registers+1000)...)
	}
	return m
}
