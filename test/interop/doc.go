// Package interop runs the edgeua binary against programs that we did not write: pymodbus as a Modbus TCP
// and RTU slave (over a socat pair of terminals), gopcua's and node-opcua's clients, and tshark, which has
// to understand what goes over the wire.
//
// The tests need the build tag interop and those programs; without one of them they fail. .ci/run
// installs them:
//
//	apt-get install python3-pymodbus socat tshark
//	(cd test/interop && npm ci)
//	go test -tags interop ./test/interop/...
package interop
