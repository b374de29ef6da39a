//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers/modbus"
)

const rounds = 7

// master reads full blocks as fast as it can: requests per second, and CPU time for each.
type master func(port string) (perSecond float64, cpu time.Duration, err error)

// loopback measures three masters in turn, because other programs run as well, and compares their medians.
func loopback() error {
	port, stop, err := startSlave()
	if err != nil {
		return err
	}
	foreign, clean := foreignMaster()
	defer clean()
	masters := []master{foreign, ownMaster(1), ownMaster(8)}
	rates, cpu := make([][]float64, len(masters)), make([][]time.Duration, len(masters))
	for range rounds {
		for i, m := range masters {
			r, c, err := m(port)
			if err != nil {
				return errors.Join(err, stop())
			}
			rates[i], cpu[i] = append(rates[i], r), append(cpu[i], c)
		}
	}
	row := func(name string, i int, other, bar string, base float64) {
		share := "libmodbus is not installed"
		if base > 0 {
			share = fmt.Sprintf("%.1f %%", 100*median(rates[i])/base)
		}
		fmt.Printf("| %s | %.0f requests/s, %.1f µs of CPU each | %s | %s | %s |\n", name, median(rates[i]), micros(median(cpu[i])), other, share, bar)
	}
	row("TCP loopback, blocks of 125", 1,
		fmt.Sprintf("%.0f, %.1f µs: libmodbus in C", median(rates[0]), micros(median(cpu[0]))), "80 %", median(rates[0]))
	row("TCP loopback, `MaxInFlight` 8", 2, fmt.Sprintf("%.0f, one at a time", median(rates[1])), "", median(rates[1]))
	return stop()
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func median[T float64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

func ownMaster(inFlight int) master {
	return func(port string) (float64, time.Duration, error) {
		b := &bench{}
		err := b.run(modbus.TCP(), fmt.Sprintf(`<Channel Name="L" Type="ModbusTcp" Host="127.0.0.1" TcpPort="%s" MaxInFlight="%d"/>`, port, inFlight)+
			device("D", unit, `OneTagPerRequest="1"`, "10", manyTags(1000)))
		if err != nil {
			return 0, 0, err
		}
		got, cpu := b.rate(time.Second)
		return got, cpu / time.Duration(max(1, got)), b.end()
	}
}

// foreignMaster builds the master in C; without it the master returns 0.
func foreignMaster() (m master, clean func()) {
	none := func(string) (float64, time.Duration, error) { return 0, 0, nil }
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
	return func(port string) (perSecond float64, cpu time.Duration, err error) {
		cmd := exec.Command(bin, port)
		out, err := cmd.Output()
		if err != nil {
			return 0, 0, fmt.Errorf("master in C: %w", err)
		}
		if _, err = fmt.Sscan(string(out), &perSecond); err == nil { // it runs for a second
			cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()) / time.Duration(max(1, perSecond))
		}
		return perSecond, cpu, err
	}, clean
}

func firstLine(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\n")
	return text
}
