package uabinary

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"
)

// filler makes random values of our types and of gopcua's, within what both
// codecs can express. gopcua v0.9.0 differs in these points, all of which the
// fillers stay clear of:
//
//   - A Variant holding an array of ByteString loses its elements on encoding.
//   - A ByteString in a Variant comes back null if it was empty.
//   - A DateTime outside 1678 to 2262 wraps: it passes through nanoseconds.
//   - The body of an ExtensionObject is lost if its type is not registered, and
//     an XML body is read as a String inside the body.
//   - The built-in types 26 to 31 are refused.
//   - A nil pointer to a structure is encoded as no bytes at all.
//   - A NodeID keeps the form it came in; ours are written in the shortest.
//   - An empty array of two dimensions is encoded with dimensions.
type filler struct {
	*rand.Rand
	depth int
}

func newFiller(seed uint64) *filler {
	return &filler{Rand: rand.New(rand.NewPCG(seed, 1))}
}

func (f *filler) text() string { return strings.Repeat("aä€", f.IntN(4)) }

func (f *filler) bytes() []byte {
	if f.IntN(4) == 0 {
		return nil
	}
	b := make([]byte, 1+f.IntN(9))
	for i := range b {
		b[i] = byte(f.Uint32())
	}
	return b
}

// time is absent or a time that nanoseconds since 1970 can hold.
func (f *filler) time() time.Time {
	if f.IntN(4) == 0 {
		return time.Time{}
	}
	return time.Unix(f.Int64N(18_000_000_000)-9_000_000_000, f.Int64N(10_000_000)*100).UTC()
}

// length is -1 for a null array.
func (f *filler) length() int {
	if f.depth > 3 {
		return -1
	}
	return f.IntN(5) - 1
}

func (f *filler) guid() (g GUID) {
	for i := range g {
		g[i] = byte(f.Uint32())
	}
	return g
}

func (f *filler) nodeID() NodeID {
	ns := uint16(f.Uint32() >> f.IntN(32))
	switch f.IntN(5) {
	case 0:
		return StringID(ns, f.text())
	case 1:
		return GUIDID(ns, f.guid())
	case 2:
		return OpaqueID(ns, f.bytes())
	case 3:
		return NumericID(0, f.Uint32()>>f.IntN(32))
	}
	return NumericID(ns, f.Uint32()>>f.IntN(32))
}

// small returns a structure to put into an ExtensionObject.
func (f *filler) small() Structure {
	switch f.IntN(3) {
	case 0:
		return &Range{Low: f.Float64(), High: f.Float64()}
	case 1:
		return &AnonymousIdentityToken{PolicyID: f.text()}
	}
	return &ElementOperand{Index: f.Uint32()}
}

// value returns a random value of a built-in type of ours.
func (f *filler) value(t reflect.Type) any {
	f.depth++
	defer func() { f.depth-- }()
	switch reflect.New(t).Elem().Interface().(type) {
	case NodeID:
		return f.nodeID()
	case ExpandedNodeID:
		e := ExpandedNodeID{NodeID: f.nodeID(), NamespaceURI: f.text(), ServerIndex: f.Uint32N(3)}
		return e
	case GUID:
		return f.guid()
	case DateTime:
		return DateTimeOf(f.time())
	case LocalizedText:
		return LocalizedText{Locale: f.text(), Text: f.text()}
	case Variant:
		return f.variant()
	case ExtensionObject:
		if f.IntN(3) == 0 {
			return ExtensionObject{}
		}
		return ExtensionObjectOf(f.small())
	case DiagnosticInfo:
		return f.diagnosticInfo()
	}
	return nil
}

func (f *filler) diagnosticInfo() DiagnosticInfo {
	d := DiagnosticInfo{Fields: uint8(f.IntN(64))}
	for bit, value := range map[uint8]*int32{
		DiagnosticSymbolicID: &d.SymbolicID, DiagnosticNamespaceURI: &d.NamespaceURI,
		DiagnosticLocale: &d.Locale, DiagnosticLocalizedText: &d.LocalizedText,
	} {
		if d.Fields&bit != 0 {
			*value = f.Int32()
		}
	}
	if d.Fields&DiagnosticAdditionalInfo != 0 {
		d.AdditionalInfo = f.text()
	}
	if f.IntN(3) == 0 {
		inner := f.diagnosticInfo()
		d.Fields |= DiagnosticInnerDiagnosticInfo
		d.Inner = &inner
	}
	return d
}

// variantTypes are the types of elements that a Variant can hold.
func variantTypes() []reflect.Type {
	var types []reflect.Type
	for _, v := range []any{
		false, int8(0), uint8(0), int16(0), uint16(0), int32(0), uint32(0), int64(0), uint64(0),
		float32(0), float64(0), "", DateTime(0), GUID{}, []byte(nil), XMLElement(""), NodeID{},
		ExpandedNodeID{}, ua.StatusCode(0), QualifiedName{}, LocalizedText{}, ExtensionObject{},
		DataValue{}, DiagnosticInfo{}, Variant{},
	} {
		types = append(types, reflect.TypeOf(v))
	}
	return types
}

// variant returns null, a scalar, an array or a matrix of any type.
func (f *filler) variant() Variant {
	if f.depth > 4 || f.IntN(8) == 0 {
		return Variant{}
	}
	types := variantTypes()
	t := types[f.IntN(len(types))]
	isBytes := t == reflect.TypeFor[[]byte]()
	switch {
	case t == reflect.TypeFor[Variant]():
		return ArrayVariant(f.slice(t, f.length()).Interface())
	case isBytes || f.IntN(3) == 0:
		return VariantOf(f.element(t).Interface())
	case f.IntN(3) == 0:
		return ArrayVariant(f.slice(t, 6).Interface(), 2, 3)
	}
	return ArrayVariant(f.slice(t, f.length()).Interface())
}

func (f *filler) slice(t reflect.Type, n int) reflect.Value {
	if n < 0 {
		return reflect.Zero(reflect.SliceOf(t))
	}
	s := reflect.MakeSlice(reflect.SliceOf(t), n, n)
	for i := range n {
		s.Index(i).Set(f.element(t))
	}
	return s
}

func (f *filler) element(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	f.fill(v)
	return v
}

// fill sets a value of our types, or of gopcua's of the same kinds.
func (f *filler) fill(v reflect.Value) {
	if x := f.value(v.Type()); x != nil {
		v.Set(reflect.ValueOf(x))
		return
	}
	if x := f.theirValue(v.Type()); x != nil {
		v.Set(reflect.ValueOf(x))
		return
	}
	f.depth++
	defer func() { f.depth-- }()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.Uint64()) >> (64 - v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(f.NormFloat64())))
	case reflect.String:
		v.SetString(f.text())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(f.bytes())
			return
		}
		v.Set(f.slice(v.Type().Elem(), f.length()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic("no filler for " + v.Type().String())
	}
}

// theirValue returns a random value of gopcua's types that hide their fields
// or have a mask.
func (f *filler) theirValue(t reflect.Type) any {
	switch reflect.New(t).Elem().Interface().(type) {
	case time.Time:
		return f.time()
	case *ua.NodeID:
		return f.theirNodeID()
	case *ua.ExpandedNodeID:
		return ua.NewExpandedNodeID(f.theirNodeID(), f.text(), f.Uint32N(3))
	case *ua.GUID:
		return ua.NewGUID(f.guid().String())
	case *ua.LocalizedText:
		return ua.NewLocalizedTextWithLocale(f.text(), f.text())
	case *ua.ExtensionObject:
		if f.IntN(3) == 0 {
			return &ua.ExtensionObject{TypeID: ua.NewTwoByteExpandedNodeID(0)}
		}
		return ua.NewExtensionObject(&ua.Range{Low: f.Float64(), High: f.Float64()})
	case *ua.DiagnosticInfo:
		d := &ua.DiagnosticInfo{SymbolicID: f.Int32N(3), Locale: f.Int32N(3), AdditionalInfo: f.text()}
		if f.IntN(3) == 0 {
			d.InnerDiagnosticInfo = &ua.DiagnosticInfo{EncodingMask: ua.DiagnosticInfoInnerStatusCode, InnerStatusCode: ua.StatusBad}
		}
		d.UpdateMask()
		return d
	case *ua.DataValue:
		d := &ua.DataValue{Status: ua.StatusCode(f.Uint32N(3)), SourceTimestamp: f.time(), SourcePicoseconds: uint16(f.IntN(3))}
		if v := f.theirVariant(); v.Type() != ua.TypeIDNull {
			d.Value = v
		}
		d.UpdateMask()
		return d
	case *ua.Variant:
		return f.theirVariant()
	}
	return nil
}

// theirNodeID is in the shortest form: theirs keep the form they have.
func (f *filler) theirNodeID() *ua.NodeID {
	n := f.nodeID()
	switch {
	case n.Type == IDTypeString:
		return ua.NewStringNodeID(n.Namespace, n.Text+"x")
	case n.Type == IDTypeGUID:
		return ua.NewGUIDNodeID(n.Namespace, f.guid().String())
	case n.Type == IDTypeOpaque:
		return ua.NewByteStringNodeID(n.Namespace, []byte(n.Text+"x"))
	case n.Namespace == 0 && n.Numeric < 0x100:
		return ua.NewTwoByteNodeID(uint8(n.Numeric))
	case n.Namespace < 0x100 && n.Numeric < 0x10000:
		return ua.NewFourByteNodeID(uint8(n.Namespace), uint16(n.Numeric))
	}
	return ua.NewNumericNodeID(n.Namespace, n.Numeric)
}

func (f *filler) theirVariant() *ua.Variant {
	values := []any{
		f.IntN(2) == 0, int8(-3), uint8(200), int16(-300), uint16(40000), f.Int32(), f.Uint32(), int64(-5), f.Uint64(),
		float32(1.5), f.NormFloat64(), f.text(), f.time(), ua.NewGUID(f.guid().String()), []byte{1, 2}, ua.XMLElement("<a/>"),
		f.theirNodeID(), &ua.QualifiedName{NamespaceIndex: 1, Name: "q"}, ua.NewLocalizedText("t"), ua.StatusBad,
		[]bool{true, false}, []int16{1, -1}, ua.ByteArray{1, 2, 3}, []float64{1, 2.5}, []string{"a", "", "b"},
		[][]uint32{{1, 2}, {3, 4}, {5, 6}}, [][][]float32{{{1}, {2}}, {{3}, {4}}}, []*ua.NodeID{f.theirNodeID()},
		[]*ua.Variant{ua.MustVariant(int32(1)), ua.MustVariant("x")},
	}
	if f.IntN(8) == 0 {
		return &ua.Variant{}
	}
	return ua.MustVariant(values[f.IntN(len(values))])
}
