package uabinary

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// addSeeds adds one random value of every structure, and every vector inside a
// WriteRequest or as it is.
func addSeeds(f *testing.F) {
	write := 0
	for i, pair := range structures() {
		ours := pair.ours()
		newFiller(uint64(i)).fill(reflect.ValueOf(ours).Elem())
		f.Add(uint16(i), ours.Append(nil))
		if pair.name() == "WriteRequest" {
			write = i
		}
	}
	for _, v := range vectors() {
		if value, ok := v.value.(Variant); ok {
			req := &WriteRequest{NodesToWrite: []WriteValue{{Value: DataValue{Value: value}}}}
			f.Add(uint16(write), req.Append(nil))
		}
		f.Add(uint16(write), v.wire())
	}
}

// FuzzDecode: no bytes make any structure panic, take memory without measure
// or fail with anything but the two StatusCodes; what decodes is encoded and
// decoded to the same.
func FuzzDecode(f *testing.F) {
	addSeeds(f)
	table := structures()
	f.Fuzz(func(t *testing.T, which uint16, data []byte) {
		pair := table[int(which)%len(table)]
		first := pair.ours()
		r := NewReader(data, nil)
		first.Parse(r)
		if r.depth != 0 {
			t.Fatalf("depth %d when done", r.depth)
		}
		if err := r.Err(); err != nil {
			if !errors.Is(err, ua.StatusBadDecodingError) && !errors.Is(err, ua.StatusBadEncodingLimitsExceeded) {
				t.Fatal(err)
			}
			return
		}
		want := first.Append(nil)
		if len(want) > r.Offset() {
			t.Fatalf("%d bytes became %d", r.Offset(), len(want))
		}
		second := pair.ours()
		reparse(t, want, second, true)
		if got := second.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%s\n% x became\n% x", pair.name(), want, got)
		}
	})
}

// FuzzDifferential: what both codecs accept means the same to both.
func FuzzDifferential(f *testing.F) {
	addSeeds(f)
	table := structures()
	f.Fuzz(func(t *testing.T, which uint16, data []byte) {
		pair := table[int(which)%len(table)]
		ours := pair.ours()
		r := NewReader(data, nil)
		ours.Parse(r)
		// Ours goes first: what it accepts announces no more than is there.
		if r.Err() != nil || !kept(reflect.ValueOf(ours).Elem()) {
			return
		}
		theirs := pair.theirs()
		encoded, err := recode(data, theirs)
		if err != nil {
			return
		}
		again := pair.ours()
		reparse(t, encoded, again, false)
		if got, want := again.Append(nil), ours.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%s: gopcua makes\n% x, ours is\n% x", pair.name(), got, want)
		}
	})
}

// recode decodes and encodes with gopcua, whose panics are errors here.
func recode(data []byte, into any) (encoded []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("gopcua panics")
		}
	}()
	if _, err := ua.Decode(data, into); err != nil {
		return nil, err
	}
	return ua.Encode(into)
}

// kept reports whether gopcua keeps what v holds; the exceptions are
// those listed at filler.
func kept(v reflect.Value) bool {
	switch x := v.Interface().(type) {
	case DateTime:
		return x == 0 || x.Time().After(time.Unix(-9e9, 0)) && x.Time().Before(time.Unix(9e9, 0))
	case ExtensionObject:
		return x.Encoding == BodyNone
	case Variant:
		return keptVariant(x)
	case DiagnosticInfo:
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !kept(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !kept(v.Index(i)) {
				return false
			}
		}
	}
	return true
}

func keptVariant(v Variant) bool {
	isBytes := v.Type() == TypeByteString
	switch {
	case v.IsNull():
		return true
	case len(v.Dimensions()) > 8:
		return false // gopcua makes a Go type for each, which takes for ever
	case v.Type() > TypeDiagnosticInfo, isBytes && (v.IsArray() || len(v.bytes()) == 0):
		return false
	}
	return kept(reflect.ValueOf(v.Any()))
}
