// Package reverseconnect turns the direction of dialling round: the OPC UA server calls the client.
//
// It implements both ends of Part 6 (1.05), 7.1.2.6 and 7.1.3. The Manager is the server's end: it dials each configured
// client, announces itself with a ReverseHello and hands the socket to whoever answers it. The Listener is the client's
// end: it accepts the calls, reads the ReverseHello and hands out Sessions, on which NewClient makes an ordinary gopcua
// client. From Hello on neither end of the wire can tell who dialled. A Bridge is a Listener with an ordinary port for each
// server, for clients that can only dial.
//
// The state of a Target, one handler per state in dialler.go:
//
//	Waiting --(slot free, delay over)--> Dialling --TCP up--> Announced (RHE sent) --HEL--> Negotiated --OPN--> Active
//	   ^            |                       |                     |                              |
//	   |            +--refused, timeout-----+--client ERR---------+---closed before OPN----------+
//	   +--- delay: none after Active closed; jittered exponential after a failure; reject delay after any ERR
//
// With one socket per client, the default, a client is called again once its SecureChannel or socket is closed (Part 6
// 1.04, 7.1.3). With more, the next socket is announced as soon as a SecureChannel opens (1.05, 7.1.3).
//
// It leaves out the SecureChannel and everything above it, and transports other than opc.tcp.
package reverseconnect
