// Package modbus drives Modbus devices: TCP, UDP and TLS, RTU and ASCII on serial lines and through sockets.
//
// Documents: MODBUS Application Protocol V1.1b3 (function codes, exceptions), MODBUS over Serial Line V1.02 (RTU
// framing, silent intervals), MODBUS Messaging on TCP/IP V1.0b (MBAP header). Requests are packed and replies unpacked
// by github.com/goburrow/modbus; its transporters are not used, because they cannot be cancelled and never recover from
// one late reply. A channel is built of three layers:
//
//   - a [drivers.Link] moves bytes (a socket of drivers/socket, or a serial port of drivers/serial),
//   - a framer, which is a pure function, finds the reply to a request among the bytes received,
//   - one goroutine per channel owns the bus: it sends, waits, retries, and publishes the tags.
//
// A reply is believed only if transaction, unit, function, and count are those of the request. The functions 1 to 6, 15,
// 16, 22 and 23 read and write tags, 43/14 tells who a device is, and 7, 8, 11, 12, 17, 20, 21 and 24 are Methods of the
// diagnostics of a device. Left out: devices that dial in, reading a file or a queue as a tag.
package modbus
