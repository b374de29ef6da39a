package server

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// bus is a Source that keeps what it is given together.
type bus struct{ got []string }

func (b *bus) WriteAll(_ context.Context, writes []addressspace.Write) []ua.StatusCode {
	results := make([]ua.StatusCode, len(writes))
	var names []string
	for i, w := range writes {
		names = append(names, w.Writer.(onBus).name)
		if w.Value.Value.Equal(uabinary.StringVariant("refused")) {
			results[i] = ua.StatusBadOutOfRange
		}
	}
	b.got = append(b.got, fmt.Sprint(names))
	return results
}

type onBus struct {
	bus  *bus
	name string
}

func (w onBus) Write(context.Context, uabinary.DataValue) ua.StatusCode {
	w.bus.got = append(w.bus.got, w.name)
	return ua.StatusOK
}

func (w onBus) Source() addressspace.Source { return w.bus }

// What a call writes to one source one after the other goes there together; the order of the call stays.
func TestAttributeWriteValues_OneSourceTakesAllTogether(t *testing.T) {
	r := newRig(t, nil)
	one, two := &bus{}, &bus{}
	for name, b := range map[string]*bus{"Int16": one, "Device16": one, "Text": one, "Number": two} {
		r.space.Variable(uabinary.StringID(2, name)).SetWriter(onBus{b, name})
	}
	alone := &eagerDevice{}
	r.space.Variable(uabinary.StringID(2, "Secret")).SetWriter(alone)
	c := r.session(ua.MessageSecurityModeNone)
	got := c.write(
		writeOf("Int16", int16(1)), writeOf("Double", 0.0), writeOf("Text", "refused"), writeOf("Device16", uint16(2)),
		writeOf("Number", 1.0), writeOf("Int16", int16(3)), writeOf("Secret", int32(4)), writeOf("Int16", int16(5)), writeOf("Text", "x"),
	)
	want := []ua.StatusCode{0, ua.StatusBadNotWritable, ua.StatusBadOutOfRange, 0, 0, 0, 0, 0, 0}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if want := []string{"[Int16 Text Device16]", "Int16", "[Int16 Text]"}; !slices.Equal(one.got, want) {
		t.Errorf("%v, want %v", one.got, want)
	}
	if !slices.Equal(two.got, []string{"Number"}) || len(alone.got) != 1 {
		t.Errorf("%v, %v", two.got, alone.got)
	}
}
