package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/gopcua/opcua/schema"
)

// TestGenerateReproducesFile fails when the file was not generated from this
// nodeset by this code: run go generate ./addressspace.
func TestGenerateReproducesFile(t *testing.T) {
	want, err := os.ReadFile("../ns0_gen.bin")
	if err != nil {
		t.Fatal(err)
	}
	got, err := generate(schema.OpcUaNodeSet2)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, the file has %d", len(got), len(want))
	}
	if len(want) > 700<<10 {
		t.Errorf("the file has %d bytes", len(want))
	}
}

func TestGenerateRefuses(t *testing.T) {
	const document = `<UANodeSet><Aliases><Alias Alias="Organizes">i=35</Alias></Aliases>%</UANodeSet>`
	for what, content := range map[string]string{
		"no XML":            `<`,
		"string NodeId":     `<UAObject NodeId="s=Root" BrowseName="Root"/>`,
		"large NodeId":      `<UAObject NodeId="i=65536" BrowseName="Root"/>`,
		"unknown alias":     `<UAObject NodeId="i=84"><References><Reference ReferenceType="Has">i=1</Reference></References></UAObject>`,
		"reference to text": `<UAObject NodeId="i=84"><References><Reference ReferenceType="Organizes">x</Reference></References></UAObject>`,
	} {
		if _, err := generate([]byte(strings.Replace(document, "%", content, 1))); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestValueRefuses(t *testing.T) {
	for what, content := range map[string]string{
		"nothing":          ``,
		"two values":       `<Int32>1</Int32><Int32>2</Int32>`,
		"unknown type":     `<Matrix/>`,
		"not a number":     `<Int32>x</Int32>`,
		"too large":        `<UInt32>4294967296</UInt32>`,
		"not a time":       `<DateTime>today</DateTime>`,
		"element":          `<ListOfInt32><Int32>x</Int32></ListOfInt32>`,
		"no body":          `<ExtensionObject/>`,
		"unknown body":     `<ExtensionObject><Body><Range/></Body></ExtensionObject>`,
		"unknown in array": `<ListOfExtensionObject><ExtensionObject/></ListOfExtensionObject>`,
		"unit":             `<ExtensionObject><Body><EUInformation/></Body></ExtensionObject>`,
	} {
		nodes, err := parse([]byte(`<UANodeSet><UAVariable NodeId="i=1"><Value>` + content + `</Value></UAVariable></UANodeSet>`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes.value(nodes.nodes[1].xml.child("Value")); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
