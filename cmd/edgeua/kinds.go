package main

import (
	"slices"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/instrument"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
	"github.com/edgeua/edgeua/drivers/sysfs"
)

// driverKinds is the table of drivers: the words that a Channel's Type may have. Devices of all of them can be simulated.
func driverKinds() []drivers.Kind {
	return append(simulated.Around(slices.Concat(modbus.Kinds(), instrument.Kinds(), []drivers.Kind{sysfs.Kind()})), simulated.Kind())
}
