// Package drivers is what every field driver shares, and the floor on which the rooms of the drivers stand.
//
// A driver is one row of a table ([Kind]) that reads its part of edgeua.xml into plain data ([Channel]) and makes a
// [Driver] of it. A driver publishes by setting Variables of the address space and is told of OPC UA writes through
// their Writer; it knows no session and no transport of OPC UA.
//
// One goroutine per channel owns its [Link], a byte pipe that it asks for what comes. [Dialling] brings the link and
// brings it back, a [Schedule] tells what is due, [Patience] is how long a device is waited for, [Health] decides when
// a silent one is left alone, and a [Ticket] stands for a write that waits. A [Point] is a tag at work: a [Fault]
// becomes its status, never an old value as Good. [Conversion] is how a raw value becomes that of a tag, [TagNames]
// are the rules of its name. [Tree] keeps devices and tags in the address space while a configuration is replaced;
// [Vitals] and [Gauge] are the diagnostics beside them.
//
// The rooms:
//
//   - modbus: Modbus TCP, UDP, RTU and ASCII, on a port or behind a gateway
//   - instrument: instruments that speak text or bytes of their own, described by configuration
//   - sysfs: values that the kernel shows as files; the shortest driver, and the example to start from
//   - simulated: a channel without a field bus, and signals in place of any device of any driver
//   - serial, socket: ports and sockets as a Link, with the settings that all drivers share
//   - framing: how a stream of bytes is cut into frames, and their checksums
//   - sniff: guesses the settings of an unknown serial line from what it says
//   - taglist: tags in a spreadsheet
//   - driverstest: what the tests of drivers share
//
// Implemented from the documents: Part 8, 5.3.2 and 7.3.2 (analog items, Bad goes with a null value), Part 4, 7.38
// (status codes). docs/adding-a-driver.md leads through a new one.
package drivers
