// Package server answers OPC UA clients: TransportConnections and
// SecureChannels from either side of the dial, Sessions, and one file per
// service set of Part 4 (Discovery, Session, View, Attribute, Method,
// MonitoredItem, Subscription).
//
// A connection is one goroutine that reads requests and answers the cheap ones
// itself. Publish is parked in the Session; a Write or Call that has to wait
// for a device runs aside. Everything a client can make the server hold is bounded by
// Limits. Values live in package addressspace; the server never polls them.
//
// Left out, and answered BadServiceUnsupported: NodeManagement, Query, history,
// TransferSubscriptions, RegisterServer. Diagnostics are the counters the
// address space shows, nothing per Session.
package server
