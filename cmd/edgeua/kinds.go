package main

import (
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
)

// driverKinds is the table of drivers: the words that a Channel's Type may have. Devices of all of them can be simulated.
func driverKinds() []drivers.Kind {
	return append(simulated.Around(modbus.Kinds()), simulated.Kind())
}
