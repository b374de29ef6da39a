// Package simulated gives values to devices that are not there: for commissioning before the hardware has come, for
// training, and for tests of what stands above the server.
//
// There are two ways in. [Around] teaches every other driver the words Simulated and Signal in a Device: no link is
// opened for such a device, and everything else about it, addresses and conversions included, is checked as before, so
// that taking the word away is all it takes to go live. [Kind] is a channel without any field bus, for tags that never
// had an address.
//
// The words Signal, Period, Amplitude and Offset are those of the simulation of the older TwinCAT OPC server. Values are
// Uncertain_SimulatedValue (Part 8 (1.05), A.4.3.2) unless a device asks for Good. What a client writes stays. Every
// signal is a function of the time since the start and of the tag's name, so that two runs show the same.
//
// Left out: noise on top of a signal, formulas, and files of recorded values.
package simulated
