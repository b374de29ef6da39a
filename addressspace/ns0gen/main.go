// Command ns0gen writes the file that package addressspace embeds: namespace
// 0 of OPC UA from the standard nodeset (Part 5), which comes with gopcua.
//
// It leaves out instances that this server has nothing to say about; see
// absent in select.go. It leaves out the EventNotifier of the Server object,
// which has no events yet, and the AccessLevel of a few Variables: nothing in
// namespace 0 can be written. The same nodeset gives the same bytes.
//
// # Format
//
// Integers are little endian, uvarint is that of encoding/binary. A node is
// named by its index in the ascending order of the NodeIds.
//
//	magic    "ns0\x01"
//	nodes    uint32 number of nodes
//	length   uint32 bytes of text
//	ids      uint16 numeric NodeId of each node
//	offsets  uint32 where the record of each node begins, from the start of records
//	text     all names, one after the other
//	records  one per node
//
// A record is made of these fields, in this order, those in brackets only
// where the flags or the class say so:
//
//	class        byte, the number of the bit that the NodeClass is
//	flags        uvarint, see encode.go
//	BrowseName   string: uvarint offset in text, uvarint length
//	[DisplayName] [Description] string
//	Variable:      value type, uvarint MinimumSamplingInterval, [value: uvarint length, Variant in OPC UA Binary]
//	types:         uvarint index of the supertype + 1, 0 if none, [InverseName string]
//	VariableType:  value type
//	DataType:      [DataTypeDefinition: uvarint length, OPC UA Binary]
//	references   uvarint count, then for each: uvarint index of the type << 1 | inverse, uvarint index of the target
//
// A value type is the uvarint index of the DataType, the uvarint ValueRank + 3
// and the ArrayDimensions as a uvarint count and uvarints.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/gopcua/opcua/schema"
)

func main() {
	out := flag.String("o", "ns0_gen.bin", "file to write")
	flag.Parse()
	file, err := generate(schema.OpcUaNodeSet2)
	if err == nil {
		err = os.WriteFile(*out, file, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ns0gen:", err)
		os.Exit(1)
	}
}

// generate makes the file from the XML of the nodeset.
func generate(xml []byte) ([]byte, error) {
	set, err := parse(xml)
	if err != nil {
		return nil, err
	}
	set.link()
	set.cut()
	return set.encode()
}
