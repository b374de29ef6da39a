//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers/modbus"
)

// fleet measures the CPU time of many devices that are read once a second, each on a connection of its own.
func fleet() error {
	const devices, tags = 100, 100
	port, stop, err := startSlave()
	if err != nil {
		return err
	}
	var list strings.Builder
	for i := range tags {
		fmt.Fprintf(&list, `<Tag Name="T%d" Address="h%d" Type="UInt16" Scale="0.1"/>`, i, i)
	}
	b := &bench{}
	for range devices {
		if err := b.run(modbus.TCP(), `<Channel Name="L" Type="ModbusTcp" Host="127.0.0.1" TcpPort="`+port+`"/>`+
			device("D", unit, "", "1000", list.String())); err != nil {
			return errors.Join(err, b.end(), stop())
		}
	}
	time.Sleep(2 * time.Second)
	const long = 10 * time.Second
	got, cpu := b.rate(long)
	fmt.Printf("| %d tags on %d TCP devices at 1 s | %.2f %% of one core | %.0f of %d values/s | | 5 %% |\n",
		devices*tags, devices, 100*cpu.Seconds()/long.Seconds(), got, devices*tags)
	return errors.Join(b.end(), stop())
}
