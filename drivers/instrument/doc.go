// Package instrument drives what speaks plain text or bytes of its own over a serial line or a socket: scales, barcode
// readers, GNSS receivers, laboratory instruments, electricity meters, boards that print lines.
//
// What a device says is configuration, not code: how its bytes are cut into frames (drivers/framing), which frames are
// which message, where in a message a value stands and how it is written, what is sent to ask for one, and what is sent to
// command something. Profiles for common devices are embedded files in the words of edgeua.xml that are read like the
// devices of a configuration; a device may refine them.
//
// One goroutine per channel owns the line: it sends, waits for the reply, and publishes what comes, asked for or not. What
// a device says by itself is an event for nobody to miss; what was asked for counts only while it is asked for, so that a
// late reply is never taken for another one.
//
// Documents: NMEA 0183 sentences, MT-SICS level 0 and 1, SCPI-99 messages, DSMR 5.0.2 P1 telegrams, RFC 6901 (JSON
// pointers), Part 8, 7.3.2 (Bad goes with a null value). Left out: baud rates that change after sign-on (IEC 62056-21 mode
// C), byte stuffing, ports that listen for devices, RFC 2217.
package instrument
