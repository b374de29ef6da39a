package main

import (
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
)

// driverKinds is the table of drivers: the words that a Channel's Type may have.
func driverKinds() []drivers.Kind {
	return modbus.Kinds()
}
