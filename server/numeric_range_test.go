package server

import (
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func TestNumericRange_Syntax(t *testing.T) {
	for _, bad := range []string{
		",", ":", "1:", ":1", "1:1", "2:1", "-1", "+1", " 1", "1 ", "1,", ",1", "1:2:3", "a", "0x1",
		"4294967296", "1:4294967296", "1,1,1,1,1,1,1,1,1", "99999999999999999999",
	} {
		if r, ok := parseRange(bad); ok {
			t.Errorf("%q is taken as %v", bad, r)
		}
	}
	for _, good := range []string{"0", "0:1", "1,2", "0:4294967295", "1:2,3,4:5", "1,1,1,1,1,1,1,1"} {
		if r, ok := parseRange(good); !ok || r == nil {
			t.Errorf("%q is refused", good)
		}
	}
}

// Part 4 (1.05), 7.27.
func TestNumericRange_Selects(t *testing.T) {
	array := uabinary.VariantOf([]int32{10, 11, 12, 13})
	matrix := uabinary.ArrayVariant([]int32{0, 1, 2, 10, 11, 12}, 2, 3)
	texts := uabinary.VariantOf([]string{"abc", "x", "grüße"})
	for _, tt := range []struct {
		from  uabinary.Variant
		index string
		want  uabinary.Variant // null: no data
	}{
		{array, "1", uabinary.VariantOf([]int32{11})},
		{array, "1:2", uabinary.VariantOf([]int32{11, 12})},
		{array, "2:99", uabinary.VariantOf([]int32{12, 13})},
		{array, "4", uabinary.Variant{}},
		{array, "1,1", uabinary.Variant{}},
		{matrix, "1,2", uabinary.ArrayVariant([]int32{12}, 1, 1)},
		{matrix, "0:1,1:2", uabinary.ArrayVariant([]int32{1, 2, 11, 12}, 2, 2)},
		{matrix, "0:1,1:9", uabinary.ArrayVariant([]int32{1, 2, 11, 12}, 2, 2)},
		{matrix, "1", uabinary.Variant{}},
		{matrix, "2,0", uabinary.Variant{}},
		{texts, "1:2", uabinary.VariantOf([]string{"x", "grüße"})},
		{texts, "0:2,2:3", uabinary.VariantOf([]string{"c", "", "üß"})},
		{texts, "1,3", uabinary.Variant{}},
		{uabinary.StringVariant("grüße"), "2:3", uabinary.StringVariant("üß")},
		{uabinary.StringVariant("grüße"), "2:300", uabinary.StringVariant("üße")},
		{uabinary.StringVariant("grüße"), "5", uabinary.Variant{}},
		{uabinary.StringVariant("abc"), "0", uabinary.StringVariant("a")},
		{uabinary.ByteStringVariant([]byte{1, 2, 3}), "1:4294967295", uabinary.ByteStringVariant([]byte{2, 3})},
		{uabinary.ByteStringVariant([]byte{1, 2, 3}), "3", uabinary.Variant{}},
		{uabinary.Int32Variant(1), "0", uabinary.Variant{}},
		{uabinary.VariantOf([]int32{}), "0", uabinary.Variant{}},
	} {
		r, ok := parseRange(tt.index)
		if !ok {
			t.Fatal(tt.index)
		}
		before := uabinary.DataValue{Value: tt.from}
		got := r.applyTo(&before)
		if !got.Value.Equal(tt.want) || tt.want.IsNull() != (got.Status == ua.StatusBadIndexRangeNoData) {
			t.Errorf("%v[%s] = %v, %v, want %v", tt.from, tt.index, got.Value, got.Status, tt.want)
		}
		if !before.Value.Equal(tt.from) {
			t.Errorf("[%s] changed the value it selects from", tt.index)
		}
	}
	if dv := (&uabinary.DataValue{}); numericRange(nil).applyTo(dv) != dv {
		t.Error("no range makes a copy")
	}
}

// Every type an array may have can be selected from.
func TestNumericRange_AllTypes(t *testing.T) {
	for _, all := range []any{
		[]bool{true, false}, []int8{1, 2}, uabinary.ByteArray{1, 2}, []int16{1, 2}, []uint16{1, 2}, []int32{1, 2}, []uint32{1, 2},
		[]int64{1, 2}, []uint64{1, 2}, []float32{1, 2}, []float64{1, 2}, []string{"a", "b"}, []uabinary.DateTime{1, 2},
		make([]uabinary.GUID, 2), [][]byte{{1}, {2}}, []uabinary.XMLElement{"a", "b"}, make([]uabinary.NodeID, 2),
		make([]uabinary.ExpandedNodeID, 2), make([]ua.StatusCode, 2), make([]uabinary.QualifiedName, 2), make([]uabinary.LocalizedText, 2),
		make([]uabinary.ExtensionObject, 2), make([]uabinary.DataValue, 2), make([]uabinary.Variant, 2), make([]uabinary.DiagnosticInfo, 2),
	} {
		from := uabinary.VariantOf(all)
		part, ok := numericRange{{1, 1}}.of(from)
		if !ok || part.Len() != 1 || part.Type() != from.Type() {
			t.Errorf("%T: got %v", all, part)
		}
	}
}

func FuzzNumericRange(f *testing.F) {
	for _, s := range []string{"", "1", "1:2", "1,2:3", "0:4294967295", "1,1,1,1,1,1,1,1"} {
		f.Add(s)
	}
	values := []uabinary.Variant{
		{}, uabinary.StringVariant("grüße"), uabinary.ByteStringVariant([]byte{1, 2, 3}), uabinary.VariantOf([]string{"abc", ""}),
		uabinary.ArrayVariant([]int32{0, 1, 2, 10, 11, 12}, 2, 3), uabinary.ArrayVariant([][]byte{{1, 2}, nil, {3}, {4}}, 2, 2),
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := parseRange(s)
		if !ok {
			return
		}
		for _, v := range values {
			dv := uabinary.DataValue{Value: v}
			r.apply(&dv)
			if dv.Value.Len() > max(v.Len(), 0) {
				t.Errorf("%v[%s] grew to %v", v, s, dv.Value)
			}
		}
	})
}
