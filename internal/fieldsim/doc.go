// Package fieldsim stands in for the devices of a configuration: it answers as Modbus slaves with the registers that the
// tags of edgeua.xml describe, so that a gateway or any other master can be tried before the hardware is there.
//
// Registers hold what the signals of drivers/simulated say, in the type, order and scale of their tags. What no tag has
// does not exist (exception 2), and what no tag may write cannot be written. A written value stays.
//
// Values are encoded with the driver's own code. That is right for trying a configuration and would be wrong for testing
// the driver: a mistake in the order of bytes would be made twice. Tests of the driver use internal/modbussim by itself.
package fieldsim
