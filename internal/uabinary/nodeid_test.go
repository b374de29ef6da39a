package uabinary

import (
	"errors"
	"math"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// Part 6 (1.05), 5.3.1.10.
func TestNodeIDText(t *testing.T) {
	guid, err := ParseGUID("09087e75-8e5e-499b-954f-f2a9603db28a")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]NodeID{
		"i=0":                                    {},
		"i=2258":                                 NumericID(0, 2258),
		"ns=1;i=4294967295":                      NumericID(1, math.MaxUint32),
		"ns=65535;s=Boiler.Temp":                 StringID(65535, "Boiler.Temp"),
		"s=a;b=c;ns=3;":                          StringID(0, "a;b=c;ns=3;"),
		"ns=2;s=":                                StringID(2, ""),
		"ns=10;b=Ba/+":                           OpaqueID(10, []byte{0x05, 0xaf, 0xfe}),
		"g=09087E75-8E5E-499B-954F-F2A9603DB28A": GUIDID(0, guid),
	} {
		got, err := ParseNodeID(text)
		if err != nil || got != want {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
		if got.String() != text {
			t.Errorf("%s came back as %s", text, got)
		}
	}
	for _, text := range []string{
		"", "i", "i=", "i=-1", "i=4294967296", "x=1", "Boiler", "ns=1", "ns=1;", "ns=65536;i=1", "ns=-1;i=1", "ns=;i=1", "ns=1,i=1",
		"ns=1;ns=2;i=1", "g=", "g=09087E75", "g=09087E75-8E5E-499B-954F-F2A9603DB28X", "b=?", "b=Ba", "i=1 ", " i=1",
	} {
		if got, err := ParseNodeID(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestNodeIDIsNull(t *testing.T) {
	for _, n := range []NodeID{{}, StringID(0, ""), GUIDID(0, GUID{}), OpaqueID(0, nil)} {
		if !n.IsNull() {
			t.Errorf("%v is not null", n)
		}
	}
	for _, n := range []NodeID{NumericID(0, 1), NumericID(1, 0), StringID(0, "a"), GUIDID(0, GUID{1}), StringID(0, string(make([]byte, 16)))} {
		if n.IsNull() {
			t.Errorf("%v is null", n)
		}
	}
}

// Every form is read; the namespace and server flags belong to
// ExpandedNodeIDs only.
func TestNodeIDForms(t *testing.T) {
	for _, wire := range [][]byte{{0, 85}, {1, 0, 85, 0}, {2, 0, 0, 85, 0, 0, 0}} {
		r := NewReader(wire, nil)
		if got := parseOne[NodeID](r); got != NumericID(0, 85) || r.Err() != nil {
			t.Errorf("% x: %v, %v", wire, got, r.Err())
		}
	}
	for _, form := range []byte{6, 0x0f, 0x40, 0x80} {
		r := NewReader([]byte{form, 85, 0, 0, 0, 0, 0, 0}, nil)
		if parseOne[NodeID](r); !errors.Is(r.Err(), ua.StatusBadDecodingError) {
			t.Errorf("form %#x: %v", form, r.Err())
		}
	}
	r := NewReader([]byte{0xc6, 85, 0, 0, 0, 0, 0, 0}, nil)
	if parseOne[ExpandedNodeID](r); !errors.Is(r.Err(), ua.StatusBadDecodingError) {
		t.Errorf("ExpandedNodeId: %v", r.Err())
	}
}

// A node is looked up from the bytes of the request without taking memory.
func TestNodeIDAsKey(t *testing.T) {
	nodes := map[NodeID]int{StringID(2, "Boiler.Temp"): 1, NumericID(0, 2258): 2}
	wire := StringID(2, "Boiler.Temp").Append(nil)
	r := NewReader(wire, nil)
	r.Borrow = true
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		var id NodeID
		r.Reset(wire)
		id.Parse(r)
		found = nodes[id]
	}); n != 0 || found != 1 {
		t.Errorf("%v allocations, found %d", n, found)
	}
}

func FuzzParseNodeID(f *testing.F) {
	for _, s := range []string{"i=1", "ns=2;s=a;b", "ns=1;g=09087E75-8E5E-499B-954F-F2A9603DB28A", "b=Ba/+", "ns=1;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNodeID(s)
		if err != nil {
			return
		}
		if again, err := ParseNodeID(n.String()); err != nil || again != n {
			t.Errorf("%q is %v, which is read as %v, %v", s, n, again, err)
		}
	})
}
