// Package uatcp is the OPC UA Connection Protocol: one TransportConnection over any net.Conn.
//
// It implements Part 6 (1.05), 7.1: the Hello/Acknowledge handshake with its negotiation of buffer and message
// limits, the Error message, the ReverseHello in both directions, and the framing of MessageChunks with
// a deadline per frame. Whoever dialled the socket, from Hello on the two cases are the same.
//
// It leaves out security (see securechannel), the multiplexing of several SecureChannels over one
// TransportConnection, which the standard allows and no client does, and the WebSocket and HTTPS transports.
package uatcp
