package commissioning

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/uabinary"
	library "github.com/goburrow/modbus"
	"github.com/gopcua/opcua/ua"
)

// View is what stands at and around an address.
type View struct {
	Area  modbus.Area
	First int // the address that was asked for
	Count int // registers or bits from there
	From  int // of Words
	Words []Word
}

// Word is one register or bit.
type Word struct {
	Value   uint16
	Refused byte // the exception instead of a value
	Missing bool // there is no value
}

// margin is how many registers around the ones asked for are looked at: manuals count from 0 or from 1, and a value has
// up to four registers.
const margin = 1

// Look reads count registers or bits at an address, and one on either side where the device has them.
func Look(ctx context.Context, m *modbus.Master, unit byte, area modbus.Area, first, count int) (*View, error) {
	from, end := max(0, first-margin), min(65536, first+count+margin)
	v := &View{Area: area, First: first, Count: count, From: from, Words: make([]Word, end-from)}
	if end-from <= most && v.read(ctx, m, unit, from, end) == nil {
		return v, nil
	}
	if err := v.read(ctx, m, unit, first, first+count); err == nil {
		return v, v.single(ctx, m, unit, from, first, first+count, end)
	} else if !isRange(modbus.FaultOf(err)) || count == 1 {
		return nil, err
	}
	if err := v.single(ctx, m, unit, from, end); err != nil {
		return nil, err
	}
	for _, w := range v.Words[first-from : first-from+count] {
		if !w.Missing {
			return v, nil
		}
	}
	return nil, &library.ModbusError{FunctionCode: area.ReadFunction(), ExceptionCode: v.Words[first-from].Refused}
}

// single reads the registers of spans, given by their borders, one by one. Those that are refused are noted.
func (v *View) single(ctx context.Context, m *modbus.Master, unit byte, spans ...int) error {
	for i := 0; i < len(spans); i += 2 {
		for at := spans[i]; at < spans[i+1]; at++ {
			err := v.read(ctx, m, unit, at, at+1)
			code := refusal(err)
			if err != nil && code == 0 {
				return err
			}
			if err != nil {
				v.Words[at-v.From] = Word{Missing: true, Refused: code}
			}
		}
	}
	return nil
}

// read fills in words, with as many requests as they need.
func (v *View) read(ctx context.Context, m *modbus.Master, unit byte, from, end int) error {
	for ; from < end; from += most {
		n := min(end-from, most)
		data, err := m.Read(ctx, unit, v.Area, from, n)
		if err != nil {
			return err
		}
		for i := range n {
			v.Words[from-v.From+i] = Word{Value: wordAt(v.Area, data, i)}
		}
	}
	return nil
}

// most is how many registers one request reads (Application Protocol, 6.3); of bits it could be more.
const most = 125

// bits tells whether an area holds single bits.
func bits(a modbus.Area) bool { return a == modbus.Coils || a == modbus.DiscreteInputs }

func wordAt(a modbus.Area, data []byte, i int) uint16 {
	if bits(a) {
		return uint16(data[i/8]>>(i%8)) & 1
	}
	return binary.BigEndian.Uint16(data[2*i:])
}

// wire returns n registers from an address as they came; false if one of them is not known.
func (v *View) wire(at, n int) ([]byte, bool) {
	if at < v.From || at+n > v.From+len(v.Words) {
		return nil, false
	}
	var b []byte
	for _, w := range v.Words[at-v.From : at-v.From+n] {
		if w.Missing {
			return nil, false
		}
		b = binary.BigEndian.AppendUint16(b, w.Value)
	}
	return b, true
}

// Registers lists every register, the neighbours in brackets.
func (v *View) Registers() [][]string {
	rows := [][]string{{"address", "hex", "UInt16", "Int16", "text"}}
	if bits(v.Area) {
		rows = [][]string{{"address", "value"}}
	}
	for i, w := range v.Words {
		at := v.From + i
		label := name(v.Area, at)
		if at < v.First || at >= v.First+v.Count {
			label = "(" + label + ")"
		}
		switch {
		case w.Missing:
			rows = append(rows, []string{label, Exception(w.Refused)})
		case bits(v.Area):
			rows = append(rows, []string{label, fmt.Sprint(w.Value)})
		default:
			rows = append(rows, []string{label, fmt.Sprintf("%04X", w.Value), fmt.Sprint(w.Value), fmt.Sprint(int16(w.Value)),
				printable([]byte{byte(w.Value >> 8), byte(w.Value)})})
		}
	}
	return rows
}

func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b))
}

// reading is one way to read registers.
type reading struct{ typ, order string }

// readings are those worth showing: the two usual orders of words, or all orders there are.
func readings(typ string, order string, all bool, count int) []reading {
	types := []string{typ}
	if typ == "" {
		types = []string{"Float32", "Int32", "UInt32"}
		if count >= 4 {
			types = append(types, "Float64", "Int64", "UInt64")
		}
	}
	orders := []string{"ABCD", "CDAB"}
	narrow := typ != "" && !strings.HasSuffix(typ, "32") && !strings.Contains(typ, "64") && !strings.HasPrefix(typ, "Mod10k") // there are no words to swap
	switch {
	case order != "":
		orders = []string{order}
	case narrow && all:
		orders = []string{"ABCD", "BADC"}
	case narrow:
		orders = orders[:1]
	case all:
		orders = []string{"ABCD", "BADC", "CDAB", "DCBA"}
	}
	var list []reading
	for _, t := range types {
		for _, o := range orders {
			list = append(list, reading{t, o})
		}
		if all && order == "" && strings.HasSuffix(t, "64") {
			list = append(list, reading{t, "CDABGHEF"}, reading{t, "EFGHABCD"})
		}
	}
	return list
}

// Values reads the registers as larger values, in several ways, beginning at the address and at its neighbours. The
// item gives the type and order that are wanted; without them the usual ones are shown, or all orders.
func (v *View) Values(item Item, all bool) [][]string {
	starts := []int{v.First - 1, v.First, v.First + 1}
	if v.First == 0 {
		starts = starts[1:]
	}
	head := []string{"read as", "order"}
	for _, at := range starts {
		head = append(head, "from "+name(v.Area, at))
	}
	rows := [][]string{head}
	for _, r := range readings(item.Type, item.Order, all, v.Count) {
		row := []string{r.typ, r.order}
		for _, at := range starts {
			row = append(row, v.value(item, r, at))
		}
		rows = append(rows, row)
	}
	return rows
}

// Bits tells whether the view is of single bits, which cannot be read as anything else.
func (v *View) Bits() bool { return bits(v.Area) }

func (v *View) value(item Item, r reading, at int) string {
	item.Address, item.Addressing, item.Type, item.Order = name(v.Area, at), "", r.typ, r.order
	t, err := item.tag(false)
	if err != nil {
		return "-"
	}
	wire, ok := v.wire(at, t.Span())
	if !ok {
		return "-"
	}
	return Text(t.Decode(wire, 0))
}

// Text shows a value, or why there is none.
func Text(dv uabinary.DataValue) string {
	if dv.Status != ua.StatusOK {
		return "no value"
	}
	switch x := dv.Value.Any().(type) {
	case string:
		return quote(x)
	case []byte:
		return fmt.Sprintf("% X", x)
	case float32:
		return fmt.Sprintf("%.7g", x)
	case float64:
		return fmt.Sprintf("%.12g", x)
	case uabinary.DateTime:
		return x.Time().UTC().Format("2006-01-02T15:04:05.000Z")
	default:
		return fmt.Sprint(x)
	}
}

func quote(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, s) + `"`
}

// isRange tells a refusal that concerns the address or the number of registers from one that concerns all of them.
func isRange(f drivers.Fault) bool {
	return f == drivers.IllegalAddress || f == drivers.IllegalValue || f == drivers.DeviceFailure
}
