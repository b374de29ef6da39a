package uabinary

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/gopcua/opcua/ua"
)

// VariantOf and Any are inverse for every type, as scalar, array and matrix.
func TestVariantOfEveryType(t *testing.T) {
	f := newFiller(1)
	for i, typ := range variantTypes() {
		id := TypeID(i + 1)
		if typ == reflect.TypeFor[Variant]() {
			id = TypeVariant
		} else if typ == reflect.TypeFor[DiagnosticInfo]() {
			id = TypeDiagnosticInfo
		} else {
			checkScalar(t, id, f.element(typ).Interface())
		}
		slice := f.slice(typ, 6).Interface()
		if b, ok := slice.([]byte); ok {
			slice = ByteArray(b)
		}
		checkArray(t, id, slice)
	}
	checkScalar(t, TypeDiagnosticInfo, DiagnosticInfo{Fields: 1, SymbolicID: 3})
}

func checkScalar(t *testing.T, id TypeID, value any) {
	t.Helper()
	v := VariantOf(value)
	if v.Type() != id || v.IsNull() || v.IsArray() || v.Len() != -1 || v.Dimensions() != nil {
		t.Errorf("%T: type %d array %v len %d dims %v", value, v.Type(), v.IsArray(), v.Len(), v.Dimensions())
	}
	if got := v.Any(); !reflect.DeepEqual(got, value) {
		t.Errorf("%T: %#v, want %#v", value, got, value)
	}
	checkRoundTrip(t, v)
}

func checkArray(t *testing.T, id TypeID, slice any) {
	t.Helper()
	v := ArrayVariant(slice)
	m := ArrayVariant(slice, 3, 2)
	if v.Type() != id || !v.IsArray() || v.Len() != 6 || v.Dimensions() != nil {
		t.Errorf("%T: type %d array %v len %d dims %v", slice, v.Type(), v.IsArray(), v.Len(), v.Dimensions())
	}
	if m.Type() != id || m.Len() != 6 || !slices.Equal(m.Dimensions(), []uint32{3, 2}) {
		t.Errorf("%T matrix: type %d len %d dims %v", slice, m.Type(), m.Len(), m.Dimensions())
	}
	if !reflect.DeepEqual(v.Any(), slice) || !reflect.DeepEqual(m.Any(), slice) {
		t.Errorf("%T: %#v and %#v", slice, v.Any(), m.Any())
	}
	if v.Equal(m) {
		t.Errorf("%T: array equals matrix", slice)
	}
	checkRoundTrip(t, v)
	checkRoundTrip(t, m)
	empty := reflect.MakeSlice(reflect.TypeOf(slice), 0, 0).Interface()
	null := reflect.Zero(reflect.TypeOf(slice)).Interface()
	if !VariantOf(empty).Equal(VariantOf(null)) {
		t.Errorf("%T: empty and null array differ", slice)
	}
	checkRoundTrip(t, VariantOf(null))
}

func checkRoundTrip(t *testing.T, v Variant) {
	t.Helper()
	wire := v.Append(nil)
	r := NewReader(wire, nil)
	got := parseOne[Variant](r)
	if r.Err() != nil || r.Remaining() != 0 {
		t.Fatalf("type %d: %v, %d bytes left", v.Type(), r.Err(), r.Remaining())
	}
	if !got.Equal(v) || !bytes.Equal(got.Append(nil), wire) || !slices.Equal(got.Dimensions(), v.Dimensions()) {
		t.Errorf("%v became %v", v, got)
	}
	if clone := v.Clone(); !clone.Equal(v) || !bytes.Equal(clone.Append(nil), wire) {
		t.Errorf("%v has the clone %v", v, clone)
	}
}

func TestVariantSize(t *testing.T) {
	if size := unsafe.Sizeof(Variant{}); size > 32 {
		t.Errorf("Variant takes %d bytes", size)
	}
}

func TestVariantOfPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"int":             func() { VariantOf(1) },
		"pointer":         func() { VariantOf(&NodeID{}) },
		"no slice":        func() { ArrayVariant("a") },
		"wrong product":   func() { ArrayVariant([]bool{true}, 1, 2) },
		"zero dimension":  func() { ArrayVariant([]bool{}, 0, 2) },
		"wrong dimension": func() { ArrayVariant([]bool{true}, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// Part 6 (1.05), 5.2.2.16.
func TestVariantRefused(t *testing.T) {
	array := []byte{0xc6, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0} // two Int32, dimensions follow
	dims := func(d ...uint32) []byte {
		return append(slices.Clone(array), appendArray(nil, d, AppendUint32)...)
	}
	for name, wire := range map[string][]byte{
		"dimensions without array": {0x46, 1, 0, 0, 0},
		"dimensions of null":       {0xc0, 0, 0, 0, 0},
		"unknown type 32":          {32, 0, 0, 0, 0},
		"Variant in Variant":       {24, 0, 0, 0, 0},
		"product too small":        dims(1, 1),
		"product too large":        dims(2, 2),
		"zero dimension":           dims(0, 2),
		"only zero dimensions":     {0xc6, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"negative dimensions":      dims(math.MaxUint32, math.MaxUint32-1),
		"product is 2 mod 2^32":    dims(0x80000001, 2),
		"product is 2 mod 2^64":    dims(2, 3, 11, 131, 2731, 409891, 7623851),
		"one wrong dimension":      dims(3),
	} {
		r := NewReader(wire, nil)
		v := parseOne[Variant](r)
		if !errors.Is(r.Err(), ua.StatusBadDecodingError) {
			t.Errorf("%s: %v", name, r.Err())
		}
		v.Append(nil) // even what failed can be encoded
	}
	for _, d := range [][]uint32{nil, {2}} { // no matrix, but harmless
		r := NewReader(dims(d...), nil)
		if v := parseOne[Variant](r); r.Err() != nil || v.Dimensions() != nil || v.Len() != 2 {
			t.Errorf("%v: %v, dimensions %v", d, r.Err(), v.Dimensions())
		}
	}
}

func TestVariantEqual(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 1000)
	values := []Variant{
		{}, VariantOf(true), VariantOf(int8(1)), VariantOf(uint8(1)), VariantOf(1.0), VariantOf(float32(1)),
		VariantOf(0.0), VariantOf(math.Copysign(0, -1)), VariantOf(math.NaN()), VariantOf(float32(math.NaN())),
		VariantOf(""), VariantOf("a"), VariantOf(XMLElement("a")), VariantOf([]byte("a")), VariantOf([]byte("b")),
		VariantOf(string(long)), VariantOf(long), VariantOf([]string{"a"}), VariantOf([]string{"b"}),
		VariantOf([]string{}), VariantOf([]int32{}), VariantOf(NumericID(1, 2)), VariantOf(NumericID(2, 1)),
		ArrayVariant([]int16{1, 2, 3, 4}), ArrayVariant([]int16{1, 2, 3, 4}, 2, 2), ArrayVariant([]int16{1, 2, 3, 4}, 1, 4),
	}
	for i, v := range values {
		for j, w := range values {
			if got := v.Equal(w); got != (i == j) {
				t.Errorf("%d, %d: %v equals %v: %v", i, j, v, w, got)
			}
		}
	}
	if otherNaN := DoubleVariant(math.Float64frombits(0x7ff8000000000001)); !otherNaN.Equal(VariantOf(math.NaN())) {
		t.Error("NaNs with other bits differ")
	}
}

func TestVariantAccessors(t *testing.T) {
	for _, v := range []any{int8(-7), int16(-7), int32(-7), int64(-7), float32(-7), -7.0} {
		if got, ok := VariantOf(v).Number(); !ok || got != -7 {
			t.Errorf("%T: %v, %v", v, got, ok)
		}
	}
	for _, v := range []any{uint8(7), uint16(7), uint32(7), uint64(7)} {
		if got, ok := VariantOf(v).Number(); !ok || got != 7 {
			t.Errorf("%T: %v, %v", v, got, ok)
		}
	}
	for _, v := range []any{nil, true, "7", DateTime(7), ua.StatusCode(7), []int32{7}, NodeID{}} {
		if _, ok := VariantOf(v).Number(); ok {
			t.Errorf("%T is a number", v)
		}
	}
	for _, s := range []any{
		[]int8{1, 7}, ByteArray{1, 7}, []int16{1, 7}, []uint16{1, 7}, []int32{1, 7}, []uint32{1, 7},
		[]int64{1, 7}, []uint64{1, 7}, []float32{1, 7}, []float64{1, 7},
	} {
		if got, ok := ArrayVariant(s, 1, 2).NumberAt(1); !ok || got != 7 {
			t.Errorf("%T: %v, %v", s, got, ok)
		}
		for _, i := range []int{-1, 2} {
			if _, ok := VariantOf(s).NumberAt(i); ok {
				t.Errorf("%T has a number at %d", s, i)
			}
		}
	}
	if _, ok := VariantOf([]string{"7"}).NumberAt(0); ok {
		t.Error("a String is a number")
	}
	if _, ok := VariantOf(7.0).NumberAt(0); ok {
		t.Error("a scalar has elements")
	}
	if v, ok := VariantOf(true).Bool(); !v || !ok {
		t.Error("Bool of true")
	}
	if _, ok := VariantOf(uint8(1)).Bool(); ok {
		t.Error("a Byte is a Boolean")
	}
	if v, ok := VariantOf("a").Text(); v != "a" || !ok {
		t.Error("Text of a String")
	}
	if _, ok := VariantOf([]string{"a"}).Text(); ok {
		t.Error("an array is a String")
	}
}

// Making a Variant of a plain scalar, a text or a ByteString takes no memory.
func TestVariantAllocations(t *testing.T) {
	text, data := "text", []byte("data")
	var v Variant
	for name, f := range map[string]func(){
		"Int32":      func() { v = Int32Variant(-1) },
		"Double":     func() { v = DoubleVariant(1.5) },
		"String":     func() { v = StringVariant(text) },
		"ByteString": func() { v = ByteStringVariant(data) },
		"Equal":      func() { v.Equal(StringVariant(text)) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	_ = v
}

// What is cloned lives on when the input it was borrowed from is gone.
func TestClone(t *testing.T) {
	d := DataValue{Value: VariantOf([]Variant{VariantOf("text"), VariantOf([]byte("bytes")), VariantOf(StringID(1, "node"))}), Status: 1}
	want := d.Append(nil)
	input := bytes.Clone(want)
	r := NewReader(input, nil)
	r.Borrow = true
	clone := parseOne[DataValue](r).Clone()
	r.Reset(StringID(3, "x").Append(nil))
	node := parseOne[NodeID](r).Clone()
	clear(input)
	clear(r.buf)
	if got := clone.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("clone is % x, want % x", got, want)
	}
	if node != StringID(3, "x") {
		t.Errorf("clone is %v", node)
	}
}
