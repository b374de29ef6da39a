// Package interop runs the edgeua binary against programs that we did not write: pymodbus and libmodbus as Modbus TCP
// and RTU slaves (over a socat pair of terminals, and over one that is as slow and as bad as a real line), gopcua's and
// node-opcua's clients, and tshark, which has to understand what goes over the wire.
//
// The tests need the build tag interop and those programs; without one of them they fail. .ci/run
// installs them:
//
//	apt-get install python3-pymodbus libmodbus-dev gcc socat tshark
//	(cd test/interop && npm ci)
//	go test -tags interop ./test/interop/...
package interop
