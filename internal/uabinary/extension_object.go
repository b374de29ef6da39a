package uabinary

import (
	"math"

	"github.com/gopcua/opcua/ua"
)

// How the body of an ExtensionObject is encoded (Part 6 (1.05), 5.2.2.15).
const (
	BodyNone       = 0
	BodyByteString = 1
	BodyXMLElement = 2
)

// ExtensionObject carries a structure whose type the receiver may not know.
// The body stays as it came: unknown types are passed over by their length.
type ExtensionObject struct {
	TypeID   NodeID // of the DataTypeEncoding
	Encoding uint8  // BodyNone, BodyByteString or BodyXMLElement
	Body     []byte
}

// ExtensionObjectOf returns s encoded. A nil s gives the null ExtensionObject.
func ExtensionObjectOf(s Structure) ExtensionObject {
	if s == nil {
		return ExtensionObject{}
	}
	return ExtensionObject{
		TypeID:   NumericID(0, s.EncodingID()),
		Encoding: BodyByteString,
		Body:     s.Append([]byte{}),
	}
}

// IsNull reports whether e carries nothing.
func (e *ExtensionObject) IsNull() bool { return e.Encoding == BodyNone && e.TypeID.IsNull() }

// Decode parses the body into s. It fails with BadDecodingError if e carries
// another type or not exactly one s, and with BadEncodingLimitsExceeded
// beyond lim. What it reads does not alias the body. Nesting is counted anew:
// whoever decodes ExtensionObjects inside ExtensionObjects bounds how deep.
func (e *ExtensionObject) Decode(into Structure, lim *Limits) error {
	if e.Encoding != BodyByteString || e.TypeID != NumericID(0, into.EncodingID()) {
		return &Error{Code: ua.StatusBadDecodingError, Reason: "ExtensionObject is of another type: " + e.TypeID.String()}
	}
	r := NewReader(e.Body, lim)
	into.Parse(r)
	if r.err == nil && r.Remaining() > 0 {
		r.failValue("ExtensionObject body is longer than its type")
	}
	return r.Err()
}

// Append appends e to dst.
func (e *ExtensionObject) Append(dst []byte) []byte {
	dst = append(e.TypeID.Append(dst), e.Encoding)
	if e.Encoding == BodyNone {
		return dst
	}
	return AppendByteString(dst, e.Body)
}

// Parse reads e. The body is bounded by the message, not by
// MaxByteStringLength: it may hold a whole array.
func (e *ExtensionObject) Parse(r *Reader) {
	*e = ExtensionObject{}
	if !r.enter() {
		return
	}
	defer r.leave()
	e.TypeID.Parse(r)
	e.Encoding = r.Uint8()
	switch e.Encoding {
	case BodyNone:
	case BodyByteString, BodyXMLElement:
		e.Body = r.own(r.bytes(math.MaxInt))
	default:
		r.failValue("unknown encoding of an ExtensionObject body")
	}
}
