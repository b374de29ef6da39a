// Package addressspace holds the nodes of an OPC UA server (Part 3): their
// attributes, the references between them and the values of the Variables.
//
// Namespace 0 is the standard nodeset 1.05.02 (Part 5): its whole type system
// and those instances that this server has something to say about. It lives
// in one embedded file of 200 KB, written by ns0gen; a node of it becomes a
// [Node] when it is first asked for. All other nodes are added, and removed,
// at run time.
//
// A [Variable] holds one immutable DataValue. Whoever sets it, pushes it to
// those who watch it, on his own goroutine; the package starts none. Nothing
// here knows of sessions, services, sockets or devices. There is no query, no
// history and no way to add types yet.
package addressspace

//go:generate go run ./ns0gen -o ns0_gen.bin
