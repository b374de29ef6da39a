package uabinary

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/gopcua/opcua/ua"
)

// nullLength announces a null String, ByteString or array (Part 6 (1.05),
// 5.2.2.4, 5.2.2.7, 5.2.5): -1 as an Int32.
const nullLength = math.MaxUint32

// Error says why bytes could not be decoded. It unwraps to its StatusCode.
type Error struct {
	Code   ua.StatusCode // BadDecodingError or BadEncodingLimitsExceeded
	Offset int           // where in the input
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("uabinary: %s at byte %d", e.Reason, e.Offset)
}

// Unwrap returns the StatusCode to answer with.
func (e *Error) Unwrap() error { return e.Code }

// Reader decodes OPC UA Binary from a byte slice. The first failure sticks:
// from then on every read returns a zero value and Err the failure.
type Reader struct {
	// Borrow lets Strings and ByteStrings alias the input instead of being
	// copied. They are then valid only as long as the input is.
	Borrow bool

	buf       []byte
	pos       int
	depth     int
	allocated uint64 // bytes, by charge
	err       error
	limits    Limits
}

// NewReader returns a Reader of b. A nil lim means [DefaultLimits].
func NewReader(b []byte, lim *Limits) *Reader {
	return &Reader{buf: b, limits: lim.resolved()}
}

// Reset makes r read b from its start and forget its error. Borrow and the
// limits stay.
func (r *Reader) Reset(b []byte) {
	r.buf, r.pos, r.depth, r.allocated, r.err = b, 0, 0, 0, nil
}

// Err returns the first failure, an [*Error], or nil.
func (r *Reader) Err() error { return r.err }

// Remaining returns how many bytes are left to read; 0 after a failure.
func (r *Reader) Remaining() int { return len(r.buf) - r.pos }

// Offset returns how many bytes have been read; after a failure the length
// of the input.
func (r *Reader) Offset() int { return r.pos }

// fail records the first failure. Moving to the end of the input makes every
// later read fail its length check, so that the checks need not look at err.
func (r *Reader) fail(code ua.StatusCode, reason string) {
	if r.err == nil {
		r.err = &Error{Code: code, Offset: r.pos, Reason: reason}
	}
	r.pos = len(r.buf)
}

func (r *Reader) failShort() {
	r.fail(ua.StatusBadDecodingError, "input ends inside a value")
}

func (r *Reader) failValue(reason string) {
	r.fail(ua.StatusBadDecodingError, reason)
}

func (r *Reader) failLimit(reason string) {
	r.fail(ua.StatusBadEncodingLimitsExceeded, reason)
}

// enter counts one more level of nesting and reports whether it is allowed.
// Whoever entered leaves.
func (r *Reader) enter() bool {
	if r.depth >= maxNesting {
		r.failLimit("nested too deeply")
		return false
	}
	r.depth++
	return true
}

func (r *Reader) leave() { r.depth-- }

// Bool reads a Boolean: any byte but zero is true (Part 6 (1.05), 5.2.2.1).
func (r *Reader) Bool() bool { return r.Uint8() != 0 }

// Int8 reads an SByte.
func (r *Reader) Int8() int8 { return int8(r.Uint8()) }

// Uint8 reads a Byte.
func (r *Reader) Uint8() uint8 {
	if len(r.buf)-r.pos < 1 {
		r.failShort()
		return 0
	}
	v := r.buf[r.pos]
	r.pos++
	return v
}

// Int16 reads an Int16.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint16 reads a UInt16.
func (r *Reader) Uint16() uint16 {
	if len(r.buf)-r.pos < 2 {
		r.failShort()
		return 0
	}
	v := binary.LittleEndian.Uint16(r.buf[r.pos:])
	r.pos += 2
	return v
}

// Int32 reads an Int32.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint32 reads a UInt32.
func (r *Reader) Uint32() uint32 {
	if len(r.buf)-r.pos < 4 {
		r.failShort()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.buf[r.pos:])
	r.pos += 4
	return v
}

// Int64 reads an Int64.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// Uint64 reads a UInt64.
func (r *Reader) Uint64() uint64 {
	if len(r.buf)-r.pos < 8 {
		r.failShort()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.buf[r.pos:])
	r.pos += 8
	return v
}

// Float32 reads a Float.
func (r *Reader) Float32() float32 { return math.Float32frombits(r.Uint32()) }

// Float64 reads a Double.
func (r *Reader) Float64() float64 { return math.Float64frombits(r.Uint64()) }

// StatusCode reads a StatusCode.
func (r *Reader) StatusCode() ua.StatusCode { return ua.StatusCode(r.Uint32()) }

// DateTime reads a DateTime.
func (r *Reader) DateTime() DateTime { return DateTime(r.Uint64()) }

// String reads a String; null comes back as "".
func (r *Reader) String() string {
	return r.text(r.bytes(r.limits.MaxStringLength))
}

// text returns b, which aliases the input, as a string: itself if r may lend,
// or a copy.
func (r *Reader) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if r.Borrow {
		return unsafe.String(&b[0], len(b))
	}
	return string(b)
}

// XMLElement reads an XmlElement.
func (r *Reader) XMLElement() XMLElement { return XMLElement(r.String()) }

// ByteString reads a ByteString; null comes back as nil.
func (r *Reader) ByteString() []byte {
	return r.own(r.bytes(r.limits.MaxByteStringLength))
}

// own returns b as the caller may keep it: itself if r may lend, or a copy.
func (r *Reader) own(b []byte) []byte {
	if b == nil || r.Borrow {
		return b
	}
	return append(make([]byte, 0, len(b)), b...)
}

// bytes reads a length and that many bytes, which alias the input; nil if
// the length is null.
func (r *Reader) bytes(limit int) []byte {
	n := r.Uint32()
	if n == nullLength || r.err != nil {
		return nil
	}
	if uint64(n) > uint64(limit) {
		r.failLimit("String or ByteString too long")
		return nil
	}
	return r.take(n)
}

// take returns the next n bytes, which alias the input. The length is
// compared unsigned: int has 32 bits on some targets.
func (r *Reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.buf)-r.pos) {
		r.failShort()
		return nil
	}
	end := r.pos + int(n)
	b := r.buf[r.pos:end:end]
	r.pos = end
	return b
}

// arrayLength reads the length of an array whose elements take at least
// minSize bytes each (Part 6 (1.05), 5.2.5). It returns -1 for a null array
// and never more than the bytes left can hold.
func (r *Reader) arrayLength(minSize int) int {
	n := r.Uint32()
	switch {
	case r.err != nil || n == nullLength:
		return -1
	case uint64(n) > uint64(r.limits.MaxArrayLength):
		r.failLimit("array too long")
		return -1
	case uint64(n)*uint64(minSize) > uint64(len(r.buf)-r.pos):
		r.failShort()
		return -1
	}
	return int(n)
}

// resize returns s with n elements whose content is to be overwritten. It
// keeps the memory of s if that suffices. A null array (n < 0) is the same as
// an empty one (Part 6 (1.05), 5.2.5), but on a nil s it stays nil.
func resize[T any](r *Reader, s []T, n int) []T {
	if n < 0 {
		return s[:0]
	}
	if s != nil && n <= cap(s) {
		return s[:n]
	}
	if !r.charge(n, unsafe.Sizeof(*new(T))) {
		return nil
	}
	return make([]T, n)
}

// charge counts the memory that n values of the given size are about to take
// and reports whether it may be taken. One byte on the wire can stand for a
// value of many bytes in memory; this bounds what a message of such makes of
// itself.
func (r *Reader) charge(n int, size uintptr) bool {
	r.allocated += uint64(n) * uint64(size)
	if r.allocated > uint64(r.limits.MaxAlloc) {
		r.failLimit("message takes too much memory")
		return false
	}
	return true
}

// parseArray reads an array of elements of at least minSize bytes into the
// memory of s, or into new memory if that is too small.
func parseArray[T any](r *Reader, s []T, minSize int, parse func(*Reader) T) []T {
	s = resize(r, s, r.arrayLength(minSize))
	for i := range s {
		s[i] = parse(r)
	}
	return s
}
