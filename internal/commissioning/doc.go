// Package commissioning is what a person does with a Modbus device before it has a place in edgeua.xml: ask whether it is
// there, look at registers in every way they can be meant, write a value, and get a first list of tags.
//
// It asks with drivers/modbus, so that what answers here answers the gateway; targets and tags are parsed by the code that
// reads edgeua.xml. Documents: MODBUS Application Protocol V1.1b3. Left out: finding rate and parity of a line by trying
// them all, because wrong ones disturb whoever else is on it.
package commissioning
