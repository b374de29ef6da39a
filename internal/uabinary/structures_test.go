package uabinary

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// structurePair makes one generated type, and gopcua's of the same name.
type structurePair struct {
	ours   func() Structure
	theirs func() any
}

func (p structurePair) name() string { return reflect.TypeOf(p.ours()).Elem().Name() }

// rounds is how many random values of each type the tests try.
const rounds = 60

// reparse decodes b, which must succeed and take all of it.
func reparse(t *testing.T, b []byte, into Structure, borrow bool) {
	t.Helper()
	r := NewReader(b, nil)
	r.Borrow = borrow
	into.Parse(r)
	if err := r.Err(); err != nil {
		t.Fatalf("%T: %v in % x", into, err, b)
	}
	if r.Remaining() != 0 {
		t.Fatalf("%T: %d bytes left of % x", into, r.Remaining(), b)
	}
}

// What we encode, gopcua decodes and encodes to the same bytes, and so do we,
// into a fresh structure and into one that was used before.
func TestStructuresAgainstGopcua(t *testing.T) {
	for i, pair := range structures() {
		t.Run(pair.name(), func(t *testing.T) {
			f := newFiller(uint64(i))
			used := pair.ours()
			for range rounds {
				ours := pair.ours()
				f.fill(reflect.ValueOf(ours).Elem())
				want := ours.Append(nil)

				theirs := pair.theirs()
				n, err := ua.Decode(want, theirs)
				if err != nil || n != len(want) {
					t.Fatalf("gopcua decodes %d of %d bytes, %v: % x", n, len(want), err, want)
				}
				if got, err := ua.Encode(theirs); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("gopcua encodes, %v\n% x, ours\n% x", err, got, want)
				}

				fresh := pair.ours()
				reparse(t, want, fresh, false)
				if got := fresh.Append(nil); !bytes.Equal(got, want) {
					t.Fatalf("again\n% x, first\n% x", got, want)
				}
				reparse(t, want, used, true)
				if fresh := fresh.Append(nil); !sameButNull(t, pair, used.Append(nil), fresh) {
					t.Fatalf("into a used structure\n% x, fresh\n% x", used.Append(nil), fresh)
				}
			}
		})
	}
}

// sameButNull compares two encodings, null arrays being the same as empty
// ones: a used structure keeps the memory of its slices.
func sameButNull(t *testing.T, pair structurePair, a, b []byte) bool {
	t.Helper()
	x, y := pair.ours(), pair.ours()
	reparse(t, a, x, false)
	reparse(t, b, y, false)
	emptyToNil(reflect.ValueOf(x).Elem())
	emptyToNil(reflect.ValueOf(y).Elem())
	return bytes.Equal(x.Append(nil), y.Append(nil))
}

// emptyToNil makes every empty slice in exported fields nil.
func emptyToNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.Len() == 0 && v.CanSet() {
			v.SetZero()
		}
		for i := range v.Len() {
			emptyToNil(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			emptyToNil(v.Field(i))
		}
	}
}

// What gopcua encodes, we decode and encode to the same bytes.
func TestStructuresFromGopcua(t *testing.T) {
	for i, pair := range structures() {
		t.Run(pair.name(), func(t *testing.T) {
			f := newFiller(uint64(i))
			for range rounds {
				theirs := pair.theirs()
				f.fill(reflect.ValueOf(theirs).Elem())
				want, err := ua.Encode(theirs)
				if err != nil {
					t.Fatal(err)
				}
				ours := pair.ours()
				reparse(t, want, ours, false)
				if got := ours.Append(nil); !bytes.Equal(got, want) {
					t.Fatalf("ours\n% x, gopcua\n% x", got, want)
				}
			}
		})
	}
}

// Every message that we register under an identifier is the one that gopcua
// finds there.
func TestMessageTypesAgainstGopcua(t *testing.T) {
	for i, pair := range structures() {
		theirs := pair.theirs()
		if ua.ServiceTypeID(theirs) == 0 {
			continue
		}
		ours := pair.ours()
		newFiller(uint64(i)).fill(reflect.ValueOf(ours).Elem())
		message := AppendMessage(nil, ours)
		if _, got, err := ua.DecodeService(message); err != nil || reflect.TypeOf(got) != reflect.TypeOf(theirs) {
			t.Errorf("%s: gopcua decodes %T, %v", pair.name(), got, err)
		}
		r := NewReader(message, nil)
		if got := r.MessageType(); got != ours.EncodingID() || got == 0 {
			t.Errorf("%s: type %d, want %d", pair.name(), got, ours.EncodingID())
		}
	}
}

// Every prefix of every structure fails with BadDecodingError.
func TestTruncatedAtEveryByte(t *testing.T) {
	for i, pair := range structures() {
		f := newFiller(uint64(i))
		for range 3 {
			ours := pair.ours()
			f.fill(reflect.ValueOf(ours).Elem())
			whole := ours.Append(nil)
			for n := range whole {
				r := NewReader(whole[:n:n], nil)
				into := pair.ours()
				into.Parse(r)
				if !errors.Is(r.Err(), ua.StatusBadDecodingError) {
					t.Fatalf("%s: %v after %d of %d bytes", pair.name(), r.Err(), n, len(whole))
				}
			}
		}
	}
}

// A structure that was parsed with Borrow off owns all of its memory.
func TestParseCopies(t *testing.T) {
	for i, pair := range structures() {
		ours := pair.ours()
		newFiller(uint64(i)).fill(reflect.ValueOf(ours).Elem())
		want := ours.Append(nil)
		input := bytes.Clone(want)
		parsed := pair.ours()
		reparse(t, input, parsed, false)
		clear(input)
		if got := parsed.Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s changed with the input", pair.name())
		}
	}
}

// Steady state takes no memory: a used structure, a large enough buffer,
// borrowed text.
func TestNoAllocations(t *testing.T) {
	for _, m := range benchMessages {
		buf := m.ours.Append(nil)
		encoded := bytes.Clone(buf)
		if n := testing.AllocsPerRun(100, func() { buf = m.ours.Append(buf[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations to append", m.name, n)
		}
		r := NewReader(encoded, nil)
		r.Borrow = true
		if n := testing.AllocsPerRun(100, func() { r.Reset(encoded); m.ours.Parse(r) }); n != 0 {
			t.Errorf("%s: %v allocations to parse", m.name, n)
		}
	}
}

func TestMessageTypeOfOthers(t *testing.T) {
	for _, n := range []NodeID{StringID(0, "Read"), NumericID(1, 631), {}} {
		if got := NewReader(n.Append(nil), nil).MessageType(); got != 0 {
			t.Errorf("%v: %d", n, got)
		}
	}
	if got := NewReader([]byte{2, 0, 0, 0x77, 2, 0, 0}, nil).MessageType(); got != 631 {
		t.Errorf("long form: %d", got)
	}
}
