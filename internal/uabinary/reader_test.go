package uabinary

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"github.com/gopcua/opcua/ua"
)

// wantCode fails the test unless r failed with that StatusCode.
func wantCode(t *testing.T, r *Reader, code ua.StatusCode) {
	t.Helper()
	var e *Error
	if !errors.As(r.Err(), &e) || e.Code != code || !errors.Is(r.Err(), code) {
		t.Fatalf("%v, want %v", r.Err(), code)
	}
}

func TestReaderErrorSticks(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5}, nil)
	r.Uint16()
	if got := r.Uint32(); got != 0 {
		t.Errorf("short read gave %d", got)
	}
	first := r.Err()
	wantCode(t, r, ua.StatusBadDecodingError)
	if got := r.Uint8(); got != 0 || r.Err() != first || r.Remaining() != 0 {
		t.Errorf("after the error: %d, %v, %d left", got, r.Err(), r.Remaining())
	}
	if want := "input ends inside a value at byte 2"; !strings.Contains(first.Error(), want) {
		t.Errorf("%q lacks %q", first, want)
	}
	r.Reset([]byte{7})
	if got := r.Uint8(); got != 7 || r.Err() != nil || r.Offset() != 1 {
		t.Errorf("after Reset: %d, %v, offset %d", got, r.Err(), r.Offset())
	}
}

func TestReaderBorrow(t *testing.T) {
	input := AppendByteString(AppendString(nil, "text"), []byte("bytes"))
	for _, borrow := range []bool{true, false} {
		r := NewReader(input, nil)
		r.Borrow = borrow
		s, b := r.String(), r.ByteString()
		if aliases := unsafe.StringData(s) == &input[4]; aliases != borrow {
			t.Errorf("Borrow %v: String aliases: %v", borrow, aliases)
		}
		if aliases := &b[0] == &input[12]; aliases != borrow {
			t.Errorf("Borrow %v: ByteString aliases: %v", borrow, aliases)
		}
		if cap(b) != len(b) {
			t.Errorf("Borrow %v: ByteString can grow over what follows it", borrow)
		}
	}
}

// A length with the top bit set is negative in an int of 32 bits.
func TestHugeLengths(t *testing.T) {
	for _, n := range []uint32{5, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 1} {
		whole := &Limits{MaxStringLength: math.MaxInt, MaxByteStringLength: math.MaxInt, MaxArrayLength: math.MaxInt}
		input := append(AppendUint32(nil, n), 1, 2, 3, 4)
		for name, parse := range map[string]func(*Reader){
			"String":          func(r *Reader) { _ = r.String() },
			"ByteString":      func(r *Reader) { r.ByteString() },
			"array":           func(r *Reader) { parseArray(r, nil, 1, (*Reader).Uint8) },
			"large elements":  func(r *Reader) { parseArray(r, nil, 1000, (*Reader).Uint8) },
			"ExtensionObject": func(r *Reader) { parseOne[ExtensionObject](r) },
			"DataValues":      func(r *Reader) { parseStructs[DataValue](r, 1) },
		} {
			r := NewReader(input, whole)
			if name == "ExtensionObject" {
				r = NewReader(append([]byte{0, 0, BodyByteString}, input...), whole)
			}
			if parse(r); !errors.Is(r.Err(), ua.StatusBadDecodingError) && !errors.Is(r.Err(), ua.StatusBadEncodingLimitsExceeded) {
				t.Errorf("%s of %d: %v", name, n, r.Err())
			}
		}
	}
}

// A count that the bytes left cannot hold is refused before memory is taken.
func TestAnnouncedArrays(t *testing.T) {
	header := (&RequestHeader{}).Append(nil)
	input := append(AppendUint32(header, 60_000), make([]byte, 60_000*3)...)
	r := NewReader(input, nil)
	before := allocated()
	new(AddNodesRequest).Parse(r)
	wantCode(t, r, ua.StatusBadDecodingError)
	if took := allocated() - before; took > 10_000 {
		t.Errorf("took %d bytes", took)
	}
}

func TestLimits(t *testing.T) {
	lim := &Limits{MaxStringLength: 3, MaxByteStringLength: 4, MaxArrayLength: 2}
	tests := []struct {
		name  string
		input []byte
		parse func(*Reader)
		fits  bool
	}{
		{"String 3", AppendString(nil, "abc"), func(r *Reader) { _ = r.String() }, true},
		{"String 4", AppendString(nil, "abcd"), func(r *Reader) { _ = r.String() }, false},
		{"ByteString 4", AppendString(nil, "abcd"), func(r *Reader) { r.ByteString() }, true},
		{"ByteString 5", AppendString(nil, "abcde"), func(r *Reader) { r.ByteString() }, false},
		{"XmlElement 4", AppendString(nil, "abcd"), func(r *Reader) { r.XMLElement() }, false},
		{"string NodeId 4", StringID(1, "abcd").Append(nil), func(r *Reader) { parseOne[NodeID](r) }, false},
		{"opaque NodeId 4", OpaqueID(1, []byte("abcd")).Append(nil), func(r *Reader) { parseOne[NodeID](r) }, true},
		{"opaque NodeId 5", OpaqueID(1, []byte("abcde")).Append(nil), func(r *Reader) { parseOne[NodeID](r) }, false},
		{"array 2", appendArray(nil, []bool{true, true}, AppendBool), func(r *Reader) { parseArray(r, nil, 1, (*Reader).Bool) }, true},
		{"array 3", appendArray(nil, make([]bool, 3), AppendBool), func(r *Reader) { parseArray(r, nil, 1, (*Reader).Bool) }, false},
		{"Variant array 3", appendValue(VariantOf([]int16{1, 2, 3})), func(r *Reader) { parseOne[Variant](r) }, false},
		{"Variant bytes 3", appendValue(VariantOf(ByteArray{1, 2, 3})), func(r *Reader) { parseOne[Variant](r) }, false},
		{"body 5", appendValue(ExtensionObject{NodeID{}, BodyByteString, make([]byte, 5)}), func(r *Reader) { parseOne[ExtensionObject](r) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(test.input, lim)
			test.parse(r)
			if test.fits {
				if r.Err() != nil {
					t.Fatal(r.Err())
				}
				return
			}
			wantCode(t, r, ua.StatusBadEncodingLimitsExceeded)
		})
	}
}

// A DataValue of one byte takes more than fifty in memory; a message full of
// them is refused before it takes more than MaxAlloc, and a reused structure
// is not charged.
func TestMaxAlloc(t *testing.T) {
	resp := &ReadResponse{Results: make([]DataValue, 1000)}
	encoded := resp.Append(nil)
	r := NewReader(encoded, &Limits{MaxAlloc: 999 * int(unsafe.Sizeof(DataValue{}))})
	new(ReadResponse).Parse(r)
	wantCode(t, r, ua.StatusBadEncodingLimitsExceeded)
	r.Reset(encoded)
	if resp.Parse(r); r.Err() != nil {
		t.Errorf("into a structure that has the memory: %v", r.Err())
	}
	arrays := make([]Variant, 100)
	for i := range arrays {
		arrays[i] = VariantOf(make([]DataValue, 1000))
	}
	encoded = appendValue(VariantOf(arrays))
	r = NewReader(encoded, &Limits{MaxAlloc: 1 << 20})
	before := allocated()
	parseOne[Variant](r)
	wantCode(t, r, ua.StatusBadEncodingLimitsExceeded)
	if took := allocated() - before; took > 2<<20 {
		t.Errorf("took %d bytes on the way", took)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// nest wraps nothing in n levels, each of which begins with open.
func nest(open []byte, n int) []byte { return bytes.Repeat(open, n) }

// Part 6 (1.05), 5.2.2.12 and 5.2.2.16: decoders support at least 100 levels.
// Beyond that, and however the levels are mixed, the answer comes without
// deep recursion.
func TestNesting(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	variants := []byte{0x80 | byte(TypeVariant), 1, 0, 0, 0} // array of one Variant
	dataValues := []byte{byte(TypeDataValue), dataValueValue}
	diagnostics := []byte{DiagnosticInnerDiagnosticInfo}
	parseVariant := func(r *Reader) { parseOne[Variant](r) }
	parseDiagnostics := func(r *Reader) { parseOne[DiagnosticInfo](r) }
	tests := []struct {
		name  string
		open  []byte
		most  int // how many of open are allowed before the last level
		end   []byte
		parse func(*Reader)
	}{
		{"Variant", variants, 99, []byte{0}, parseVariant},
		{"Variant and DataValue", dataValues, 49, []byte{0}, parseVariant},
		{"DiagnosticInfo", diagnostics, 99, []byte{0}, parseDiagnostics},
		{"Variant of DiagnosticInfo", append(bytes.Clone(variants), variants...), 49, []byte{byte(TypeDiagnosticInfo), 0}, parseVariant},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(append(nest(test.open, test.most), test.end...), nil)
			if test.parse(r); r.Err() != nil || r.Remaining() != 0 || r.depth != 0 {
				t.Fatalf("%d levels: %v, %d bytes left, depth %d", test.most, r.Err(), r.Remaining(), r.depth)
			}
			for _, n := range []int{test.most + 1, 400_000} {
				r := NewReader(append(nest(test.open, n), test.end...), nil)
				test.parse(r)
				wantCode(t, r, ua.StatusBadEncodingLimitsExceeded)
				if r.depth != 0 {
					t.Errorf("depth %d when done", r.depth)
				}
			}
		})
	}
}

func TestResize(t *testing.T) {
	r := NewReader(nil, nil)
	if got := resize[int](r, nil, -1); got != nil {
		t.Error("null array is not nil")
	}
	if got := resize[int](r, nil, 0); got == nil || len(got) != 0 {
		t.Error("empty array is not empty")
	}
	used := make([]int, 3)
	if got := resize(r, used, 2); &got[0] != &used[0] || len(got) != 2 {
		t.Error("memory not reused")
	}
	if got := resize(r, used, -1); got == nil || cap(got) != 3 {
		t.Error("memory lost over a null array")
	}
}
