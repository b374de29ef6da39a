package modbus

import "testing"

func TestParseAddress(t *testing.T) {
	at := func(area Area, offset uint16) Address { return Address{Area: area, Offset: offset, Bit: noBit} }
	bit := func(a Address, b int8) Address { a.Bit = b; return a }
	array := func(a Address, n int) Address { a.Length = n; return a }
	for _, c := range []struct {
		text     string
		notation Notation
		msb1     bool
		want     Address
	}{
		{"h0", Protocol0, false, at(HoldingRegisters, 0)},
		{"i12", Protocol0, false, at(InputRegisters, 12)},
		{"c5", Protocol0, false, at(Coils, 5)},
		{"d7", Protocol0, false, at(DiscreteInputs, 7)},
		{"h0x1F4", Protocol0, false, at(HoldingRegisters, 500)},
		{"h65535", Protocol0, false, at(HoldingRegisters, 65535)},
		{"h1", Protocol1, false, at(HoldingRegisters, 0)},
		{"h65536", Protocol1, false, at(HoldingRegisters, 65535)},
		{"40001", Modicon5, false, at(HoldingRegisters, 0)},
		{"49999", Modicon5, false, at(HoldingRegisters, 9998)},
		{"30001", Modicon5, false, at(InputRegisters, 0)},
		{"10001", Modicon5, false, at(DiscreteInputs, 0)},
		{"00001", Modicon5, false, at(Coils, 0)},
		{"09999", Modicon5, false, at(Coils, 9998)},
		{"400001", Modicon6, false, at(HoldingRegisters, 0)},
		{"465536", Modicon6, false, at(HoldingRegisters, 65535)},
		{"300001", Modicon6, false, at(InputRegisters, 0)},
		{"100001", Modicon6, false, at(DiscreteInputs, 0)},
		{"000003", Modicon6, false, at(Coils, 2)},
		{"400120.3", Modicon6, false, bit(at(HoldingRegisters, 119), 3)},
		{"400120.15", Modicon6, false, bit(at(HoldingRegisters, 119), 15)},
		{"h7.1", Protocol0, true, bit(at(HoldingRegisters, 7), 15)},
		{"h7.16", Protocol0, true, bit(at(HoldingRegisters, 7), 0)},
		{"400200[24]", Modicon6, false, array(at(HoldingRegisters, 199), 24)},
		{"c8[3]", Protocol0, false, array(at(Coils, 8), 3)},
	} {
		if got, err := ParseAddress(c.text, c.notation, c.msb1); err != nil || got != c.want {
			t.Errorf("%s as %s: %+v, %v, want %+v", c.text, c.notation, got, err, c.want)
		}
	}
}

// What would have to be guessed is refused.
func TestParseAddressRefuses(t *testing.T) {
	for _, c := range []struct {
		text     string
		notation Notation
		msb1     bool
	}{
		{"", Protocol0, false}, {"h", Protocol0, false}, {"100", Protocol0, false}, {"x1", Protocol0, false},
		{"H1", Protocol0, false}, {"h-1", Protocol0, false}, {"h+1", Protocol0, false}, {"h1e2", Protocol0, false},
		{"h65536", Protocol0, false}, {"h4294967296", Protocol0, false}, {"h 1", Protocol0, false},
		{"h0", Protocol1, false}, {"h65537", Protocol1, false},
		{"40000", Modicon5, false}, {"4001", Modicon5, false}, {"400001", Modicon5, false}, {"20001", Modicon5, false},
		{"50001", Modicon5, false}, {"40001", Modicon6, false}, {"400000", Modicon6, false}, {"465537", Modicon6, false},
		{"4x0001", Modicon6, false}, {"40x123", Modicon6, false}, {"+40001", Modicon6, false}, {"h1", Modicon6, false},
		{"400001.16", Modicon6, false}, {"400001.", Modicon6, false}, {"400001.-1", Modicon6, false}, {"400001.1.2", Modicon6, false},
		{"h1.0", Protocol0, true}, {"h1.17", Protocol0, true},
		{"000001.3", Modicon6, false}, {"100001.0", Modicon6, false},
		{"h1[0]", Protocol0, false}, {"h1[", Protocol0, false}, {"h1[2", Protocol0, false}, {"h1[x]", Protocol0, false},
		{"h1[2]3", Protocol0, false}, {"h1[70000]", Protocol0, false},
		{"h1", "", false}, {"h1", "other", false},
	} {
		if got, err := ParseAddress(c.text, c.notation, c.msb1); err == nil {
			t.Errorf("%q as %q is accepted as %+v", c.text, c.notation, got)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("400120.3", false)
	f.Add("h0x1F4[24]", true)
	f.Fuzz(func(t *testing.T, text string, msb1 bool) {
		for _, n := range []Notation{Protocol0, Protocol1, Modicon5, Modicon6} {
			a, err := ParseAddress(text, n, msb1)
			if err == nil && (a.Area < Coils || a.Area > InputRegisters || a.Bit < noBit || a.Bit > 15 || a.Length < 0) {
				t.Errorf("%q as %s: %+v", text, n, a)
			}
		}
	})
}
