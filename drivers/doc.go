// Package drivers is what every field driver shares: the tag model, linear conversion, the schedule of due reads, the
// health of a unit on a bus, the table of status codes that failures turn into, and the byte pipe under a framing.
//
// A driver is one row of a table ([Kind]) that reads its part of edgeua.xml into plain data ([Channel]) and makes a
// [Driver] of it. A driver publishes by setting Variables of the address space and is told of OPC UA writes through
// their Writer; it knows no session and no transport of OPC UA.
//
// Implemented from the documents: Part 8, 5.3.2 and 7.3.2 (analog items, Bad goes with a null value), Part 4, 7.38
// (status codes). Left out: Modbus (drivers/modbus) and the serial port (drivers/serial).
package drivers
