package commissioning

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// Written is what became of a write.
type Written struct {
	Tag           *modbus.Tag
	Before, After string // as read; "-" where it could not be read
	Asked         string // as it should read
	BeforeErr     error
	Confirmed     bool // the device has answered that it took the value
}

// Kept tells whether the device has what was written.
func (w *Written) Kept() bool { return w.After == w.Asked }

// Prepare checks an item and a value before anything is sent.
func Prepare(item Item, value string) (*modbus.Tag, []byte, error) {
	if item.untyped() {
		return nil, nil, fmt.Errorf("what stands at %s? say it with --type, as in --type Int16 or --type Float32", item.Address)
	}
	t, err := item.tag(true)
	if err != nil {
		return nil, nil, err
	}
	v, err := ParseValue(t, value)
	if err != nil {
		return nil, nil, err
	}
	wire, status := t.Encode(v, 0)
	if status != ua.StatusOK || wire == nil {
		return nil, nil, fmt.Errorf("%s does not fit into %s", quote(value), t.Raw)
	}
	return t, wire, nil
}

// Put reads a value, writes it, and reads it back. The write itself is sent once and never repeated.
func Put(ctx context.Context, m *modbus.Master, unit byte, t *modbus.Tag, wire []byte) (*Written, error) {
	w := &Written{Tag: t, Before: "-", After: "-"}
	var before string
	if before, w.BeforeErr = get(ctx, m, unit, t); w.BeforeErr == nil {
		w.Before = before
	}
	w.Asked = Text(t.Decode(wire, 0))
	if err := m.Write(ctx, unit, t, wire); err != nil {
		return w, err
	}
	w.Confirmed = true
	after, err := get(ctx, m, unit, t)
	if err != nil {
		return w, fmt.Errorf("written, but it cannot be read back: %w", err)
	}
	w.After = after
	return w, nil
}

// Unclear tells of a write that failed whether the device may have carried it out all the same.
func Unclear(err error) bool {
	var known *drivers.Error
	return errors.As(err, &known) && (known.Fault == drivers.NoReply || known.Fault == drivers.BadReply || known.Fault == drivers.LinkLost)
}

func get(ctx context.Context, m *modbus.Master, unit byte, t *modbus.Tag) (string, error) {
	data, err := m.Read(ctx, unit, t.Address.Area, int(t.Address.Offset), t.Span())
	if err != nil {
		return "", err
	}
	return Text(t.Decode(data, 0)), nil
}

// ParseValue reads what a person types for a tag; arrays are separated by commas.
func ParseValue(t *modbus.Tag, text string) (uabinary.Variant, error) {
	if t.Length == 0 {
		return parseOne(t.Type, text)
	}
	words := strings.Split(text, ",")
	if len(words) != t.Length {
		return uabinary.Variant{}, fmt.Errorf("%d values for an array of %d", len(words), t.Length)
	}
	switch t.Type {
	case uabinary.TypeBoolean:
		return parseAll[bool](t.Type, words)
	case uabinary.TypeInt16:
		return parseAll[int16](t.Type, words)
	case uabinary.TypeUint16:
		return parseAll[uint16](t.Type, words)
	case uabinary.TypeInt32:
		return parseAll[int32](t.Type, words)
	case uabinary.TypeUint32:
		return parseAll[uint32](t.Type, words)
	case uabinary.TypeInt64:
		return parseAll[int64](t.Type, words)
	case uabinary.TypeUint64:
		return parseAll[uint64](t.Type, words)
	case uabinary.TypeFloat:
		return parseAll[float32](t.Type, words)
	case uabinary.TypeDouble:
		return parseAll[float64](t.Type, words)
	}
	return uabinary.Variant{}, errors.New("an array of these cannot be written from here")
}

func parseAll[T any](typ uabinary.TypeID, words []string) (uabinary.Variant, error) {
	values := make([]T, len(words))
	for i, word := range words {
		v, err := parseOne(typ, strings.TrimSpace(word))
		if err != nil {
			return v, err
		}
		values[i], _ = v.Any().(T)
	}
	return uabinary.VariantOf(values), nil
}

func parseOne(typ uabinary.TypeID, text string) (uabinary.Variant, error) {
	switch typ {
	case uabinary.TypeBoolean:
		on, err := strconv.ParseBool(strings.NewReplacer("off", "0", "on", "1").Replace(text))
		return uabinary.BoolVariant(on), unlike(err, text, "0, 1, on, off, true or false")
	case uabinary.TypeString:
		return uabinary.StringVariant(text), nil
	case uabinary.TypeByteString:
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		return uabinary.ByteStringVariant(b), unlike(err, text, "bytes in hexadecimal, such as 01 AF")
	case uabinary.TypeDateTime:
		at, err := time.Parse(time.RFC3339, text)
		return uabinary.DateTimeVariant(uabinary.DateTimeOf(at)), unlike(err, text, "a time such as 2026-01-31T12:00:00Z")
	case uabinary.TypeFloat:
		f, err := strconv.ParseFloat(text, 32)
		return uabinary.FloatVariant(float32(f)), unlike(err, text, "a number, such as 21.5")
	case uabinary.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		return uabinary.DoubleVariant(f), unlike(err, text, "a number, such as 21.5")
	}
	return parseWhole(typ, text)
}

func parseWhole(typ uabinary.TypeID, text string) (uabinary.Variant, error) {
	size := map[uabinary.TypeID]int{uabinary.TypeSByte: 8, uabinary.TypeByte: 8, uabinary.TypeInt16: 16, uabinary.TypeUint16: 16,
		uabinary.TypeInt32: 32, uabinary.TypeUint32: 32, uabinary.TypeInt64: 64, uabinary.TypeUint64: 64}[typ]
	signed, err := strconv.ParseInt(text, 0, size)
	unsigned := uint64(signed)
	switch typ {
	case uabinary.TypeByte, uabinary.TypeUint16, uabinary.TypeUint32, uabinary.TypeUint64:
		unsigned, err = strconv.ParseUint(text, 0, size)
	}
	err = unlike(err, text, fmt.Sprintf("a whole number that fits into %d bits", size))
	switch typ {
	case uabinary.TypeSByte:
		return uabinary.Int8Variant(int8(signed)), err
	case uabinary.TypeByte:
		return uabinary.Uint8Variant(uint8(unsigned)), err
	case uabinary.TypeInt16:
		return uabinary.Int16Variant(int16(signed)), err
	case uabinary.TypeUint16:
		return uabinary.Uint16Variant(uint16(unsigned)), err
	case uabinary.TypeInt32:
		return uabinary.Int32Variant(int32(signed)), err
	case uabinary.TypeUint32:
		return uabinary.Uint32Variant(uint32(unsigned)), err
	case uabinary.TypeInt64:
		return uabinary.Int64Variant(signed), err
	}
	return uabinary.Uint64Variant(unsigned), err
}

func unlike(err error, text, want string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s is not %s", quote(text), want)
}
