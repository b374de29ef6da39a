package server

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// maxRangeDimensions bounds the dimensions of an IndexRange.
const maxRangeDimensions = 8

// numericRange selects part of an array, matrix, String or ByteString: one span
// per dimension. nil selects all. Part 4 (1.05), 7.27.
type numericRange []span

// span is the indexes low to high of one dimension, both included.
type span struct{ low, high uint32 }

// parseRange reads "2", "1:4" or "0:1,3"; "" is nil.
func parseRange(s string) (numericRange, bool) {
	if s == "" {
		return nil, true
	}
	if strings.Count(s, ",") >= maxRangeDimensions {
		return nil, false
	}
	var r numericRange
	for dim := range strings.SplitSeq(s, ",") {
		sp, ok := parseSpan(dim)
		if !ok {
			return nil, false
		}
		r = append(r, sp)
	}
	return r, true
}

func parseSpan(s string) (span, bool) {
	first, last, isSpan := strings.Cut(s, ":")
	low, ok := parseIndex(first)
	if !ok || !isSpan {
		return span{low, low}, ok
	}
	high, ok := parseIndex(last)
	return span{low, high}, ok && low < high
}

// parseIndex takes digits only: no sign, no space.
func parseIndex(s string) (uint32, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// applyTo returns dv itself without a range, else a copy with the part selected
// or the status that says why there is none.
func (r numericRange) applyTo(dv *uabinary.DataValue) *uabinary.DataValue {
	if r == nil {
		return dv
	}
	part := *dv
	r.apply(&part)
	return &part
}

func (r numericRange) apply(dv *uabinary.DataValue) {
	if r == nil || dv.Value.IsNull() {
		return
	}
	part, ok := r.of(dv.Value)
	if !ok {
		part, dv.Status = uabinary.Variant{}, ua.StatusBadIndexRangeNoData
	}
	dv.Value = part
}

// of selects from v; false when nothing of it is inside.
func (r numericRange) of(v uabinary.Variant) (uabinary.Variant, bool) {
	if !v.IsArray() {
		return r.ofText(v)
	}
	dims := v.Dimensions()
	if dims == nil {
		dims = []uint32{uint32(v.Len())}
	}
	switch {
	case len(r) == len(dims):
		return r.ofArray(v, dims)
	case len(r) == len(dims)+1 && (v.Type() == uabinary.TypeString || v.Type() == uabinary.TypeByteString):
		return r.ofTexts(v, dims)
	}
	return uabinary.Variant{}, false
}

// ofText takes a substring: characters of a String, bytes of a ByteString.
func (r numericRange) ofText(v uabinary.Variant) (uabinary.Variant, bool) {
	if len(r) != 1 {
		return uabinary.Variant{}, false
	}
	switch s := v.Any().(type) {
	case string:
		part, ok := r[0].substring(s)
		return uabinary.StringVariant(part), ok
	case []byte:
		part, ok := r[0].bytes(s)
		return uabinary.ByteStringVariant(part), ok
	}
	return uabinary.Variant{}, false
}

// ofArray selects a block of elements. A high end past the array is cut.
func (r numericRange) ofArray(v uabinary.Variant, dims []uint32) (uabinary.Variant, bool) {
	size := make([]uint32, len(dims))
	total := 1
	for i, sp := range r {
		if sp.low >= dims[i] {
			return uabinary.Variant{}, false
		}
		size[i] = min(sp.high, dims[i]-1) - sp.low + 1
		total *= int(size[i])
	}
	return pick(v, r.indexes(dims, size, total), size), true
}

// indexes lists the flat positions of a block; the last dimension varies
// fastest.
func (r numericRange) indexes(dims, size []uint32, total int) []int {
	list := make([]int, total)
	for n := range list {
		rest, stride := n, 1
		for d := len(dims) - 1; d >= 0; d-- {
			list[n] += (rest%int(size[d]) + int(r[d].low)) * stride
			rest /= int(size[d])
			stride *= int(dims[d])
		}
	}
	return list
}

// ofTexts selects elements and then a part of each (7.27: the last dimension
// is that of the text). An element too short becomes empty.
func (r numericRange) ofTexts(v uabinary.Variant, dims []uint32) (uabinary.Variant, bool) {
	inner := r[len(r)-1]
	block, ok := r[:len(r)-1].ofArray(v, dims)
	if !ok {
		return block, false
	}
	any := false
	switch all := block.Any().(type) {
	case []string:
		for i, s := range all {
			part, has := inner.substring(s)
			all[i], any = part, any || has
		}
	case [][]byte:
		for i, b := range all {
			part, has := inner.bytes(b)
			all[i], any = part, any || has
		}
	}
	return block, any
}

func (sp span) bytes(b []byte) ([]byte, bool) {
	if uint64(sp.low) >= uint64(len(b)) {
		return nil, false
	}
	return b[sp.low:min(uint64(sp.high)+1, uint64(len(b)))], true
}

func (sp span) substring(s string) (string, bool) {
	start, index := -1, uint32(0)
	for i := 0; i < len(s); index++ {
		if index == sp.low {
			start = i
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if index == sp.high {
			return s[start:i], true
		}
	}
	if start < 0 {
		return "", false
	}
	return s[start:], true
}

// pick copies the elements at those positions into an array of that shape.
func pick(v uabinary.Variant, at []int, size []uint32) uabinary.Variant {
	dims := size
	if len(dims) == 1 {
		dims = nil
	}
	return uabinary.ArrayVariant(pickAny(v.Any(), at), dims...)
}

// pickAny is flat: one case per element type of a Variant.
func pickAny(all any, at []int) any {
	switch all := all.(type) {
	case []bool:
		return pickFrom(all, at)
	case []int8:
		return pickFrom(all, at)
	case uabinary.ByteArray:
		return uabinary.ByteArray(pickFrom([]byte(all), at))
	case []int16:
		return pickFrom(all, at)
	case []uint16:
		return pickFrom(all, at)
	case []int32:
		return pickFrom(all, at)
	case []uint32:
		return pickFrom(all, at)
	case []int64:
		return pickFrom(all, at)
	case []uint64:
		return pickFrom(all, at)
	case []float32:
		return pickFrom(all, at)
	case []float64:
		return pickFrom(all, at)
	case []string:
		return pickFrom(all, at)
	case []uabinary.DateTime:
		return pickFrom(all, at)
	case []uabinary.GUID:
		return pickFrom(all, at)
	case [][]byte:
		return pickFrom(all, at)
	case []uabinary.XMLElement:
		return pickFrom(all, at)
	case []uabinary.NodeID:
		return pickFrom(all, at)
	case []uabinary.ExpandedNodeID:
		return pickFrom(all, at)
	case []ua.StatusCode:
		return pickFrom(all, at)
	case []uabinary.QualifiedName:
		return pickFrom(all, at)
	case []uabinary.LocalizedText:
		return pickFrom(all, at)
	case []uabinary.ExtensionObject:
		return pickFrom(all, at)
	case []uabinary.DataValue:
		return pickFrom(all, at)
	case []uabinary.DiagnosticInfo:
		return pickFrom(all, at)
	}
	return pickFrom(all.([]uabinary.Variant), at)
}

func pickFrom[T any](all []T, at []int) []T {
	part := make([]T, len(at))
	for i, k := range at {
		part[i] = all[k]
	}
	return part
}
