package instrument

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// field is one value in a message.
type field struct {
	tag        int // of the device
	from       source
	raw        valueType
	required   bool // a message without it has a wrong value, not none
	keepBlanks bool // of a String
	latin1     bool
	comma      bool // stands for the point
	base       int  // of integers: 10 or 16
	angle      bool // degrees and minutes as NMEA 0183 writes them: dddmm.mmmm
	little     bool // the low byte comes first
	bit        int  // of a Bool in bytes; -1: the whole byte
	sign       *source
	hemisphere *source
	unit       *condition // what the unit must be; nil: not told
	on, off    []string   // words of a Bool
	missing    []string   // texts that mean "no value"
	moment     moments    // of a DateTime
	conversion drivers.Conversion
}

// decode reads the value from a message. It returns false if the message does not have it, which leaves the tag as it is.
func (f *field) decode(v *view, at time.Time, dv *uabinary.DataValue) bool {
	text, found := v.get(&f.from)
	if !found && !f.required {
		return false
	}
	ok := found && (f.unit == nil || f.unit.is(v))
	switch {
	case !ok:
	case f.from.kind == layoutBinary && f.from.find == nil:
		ok = f.bytes(text, dv)
	case f.raw == Bytes:
		dv.Value = uabinary.ByteStringVariant(slices.Clone(text))
	case f.raw == String:
		ok = f.text(text, dv)
	default:
		ok = f.word(strings.TrimSpace(string(text)), v, at, dv)
	}
	if !ok {
		dv.Status = drivers.Undecodable.Status()
	}
	if dv.Status>>31 != 0 { // Part 8 (1.05), 7.3.2: Bad goes with a null value
		dv.Value = uabinary.Variant{}
	}
	return true
}

// text reads a String.
func (f *field) text(text []byte, dv *uabinary.DataValue) bool {
	if !f.keepBlanks {
		text = bytes.TrimSpace(text)
	}
	s := string(text)
	if f.latin1 {
		runes := make([]rune, len(text))
		for i, c := range text {
			runes[i] = rune(c)
		}
		s = string(runes)
	}
	if slices.Contains(f.missing, s) {
		dv.Status = f.conversion.NotAvailableStatus
		return true
	}
	dv.Value = uabinary.StringVariant(s)
	return utf8.ValidString(s)
}

// word reads what is written in characters and is no text. Nothing at all means that there is no value.
func (f *field) word(s string, v *view, at time.Time, dv *uabinary.DataValue) bool {
	if s == "" || slices.Contains(f.missing, s) {
		dv.Status = f.conversion.NotAvailableStatus
		return true
	}
	switch {
	case f.raw == Bool:
		on, ok := f.truth(s)
		dv.Value = uabinary.BoolVariant(on)
		return ok
	case f.raw == DateTime:
		moment, ok := f.moment.parse(s, at)
		dv.Value = uabinary.DateTimeVariant(uabinary.DateTimeOf(moment))
		return ok
	}
	negative, ok := f.signed(v)
	if !ok {
		return false
	}
	if bits, ok := f.named(s); ok {
		return f.number(bits, dv)
	}
	if negative {
		s = "-" + s
	}
	if f.raw.integer() && !f.conversion.Linear.Active() {
		bits, ok := f.whole(plainNumber(s))
		return ok && f.number(bits, dv)
	}
	if f.angle {
		n, ok := f.degrees(s, v)
		return ok && f.real(n, dv)
	}
	n, ok := f.decimal(s)
	return ok && f.real(n, dv)
}

// truth reads a word. With only one list given everything else is the other value.
func (f *field) truth(s string) (value, ok bool) {
	on, off := slices.Contains(f.on, s), slices.Contains(f.off, s)
	switch {
	case len(f.off) == 0:
		return on, true
	case len(f.on) == 0:
		return !off, true
	}
	return on, on || off
}

// named finds a value by its name.
func (f *field) named(s string) (uint64, bool) {
	i := slices.IndexFunc(f.conversion.Enum, func(e drivers.EnumValue) bool { return e.Text == s })
	if i < 0 {
		return 0, false
	}
	return uint64(f.conversion.Enum[i].Value), true
}

// signed reads a sign that stands apart.
func (f *field) signed(v *view) (negative, ok bool) {
	if f.sign == nil {
		return false, true
	}
	text, found := v.get(f.sign)
	switch s := string(bytes.TrimSpace(text)); {
	case !found, s != "" && s != "+" && s != "-":
		return false, false
	default:
		return s == "-", true
	}
}

// plainNumber takes blanks out between a sign and its digits, and brings a sign from the end to the front.
func plainNumber(s string) string {
	if n := len(s) - 1; n > 0 && (s[n] == '-' || s[n] == '+') && s[0] != '-' && s[0] != '+' {
		s = s[n:] + strings.TrimSpace(s[:n])
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[:1] + strings.TrimLeft(s[1:], " ")
	}
	return s
}

// whole reads an integer that fits the type.
func (f *field) whole(s string) (uint64, bool) {
	if f.base == 16 {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
		n, err := strconv.ParseUint(s, 16, f.raw.bits()) // as it stands in a register: FFFF is -1 of an Int16
		return n, err == nil
	}
	if f.raw.row().signed {
		n, err := strconv.ParseInt(s, 10, f.raw.bits())
		return uint64(n), err == nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, f.raw.bits())
	return n, err == nil
}

// decimal reads a number as devices write it: no hexadecimal floats, no underscores.
func (f *field) decimal(s string) (float64, bool) {
	if s = plainNumber(s); f.comma {
		if strings.Contains(s, ".") {
			return 0, false
		}
		s = strings.Replace(s, ",", ".", 1)
	}
	if f.base == 16 {
		bits, ok := f.whole(s)
		return f.raw.float(bits), ok
	}
	if strings.ContainsAny(s, "_xXpP") {
		return 0, false
	}
	size := 64
	if f.raw == Float32 {
		size = 32
	}
	n, err := strconv.ParseFloat(s, size)
	return n, err == nil
}

// degrees makes degrees of degrees and minutes, dddmm.mmmm, with the sign of their hemisphere.
func (f *field) degrees(s string, v *view) (float64, bool) {
	point := strings.IndexByte(s+".", '.')
	if strings.Trim(s, "0123456789.") != "" || point < 3 {
		return 0, false
	}
	whole, err := strconv.ParseUint(s[:point-2], 10, 8)
	minutes, ok := f.decimal(s[point-2:])
	if err != nil || !ok || minutes >= 60 || whole > 180 {
		return 0, false
	}
	n := float64(whole) + minutes/60
	if f.hemisphere == nil {
		return n, true
	}
	text, _ := v.get(f.hemisphere)
	switch string(bytes.TrimSpace(text)) {
	case "N", "E":
		return n, true
	case "S", "W":
		return -n, true
	}
	return 0, false
}

// number publishes an integer, or a float in its bits.
func (f *field) number(bits uint64, dv *uabinary.DataValue) bool {
	c := &f.conversion
	if size := f.raw.bits(); slices.Contains(c.NotAvailable, bits&(1<<(size-1)<<1-1)) {
		if dv.Status = c.NotAvailableStatus; dv.Status>>31 != 0 {
			return true
		}
	}
	if c.EnumStrict && !c.Lists(int64(bits)) {
		return false
	}
	if f.raw.integer() && !c.Linear.Active() {
		dv.Value = f.raw.variantOf(bits)
		f.qualify(f.raw.float(bits), dv)
		return true
	}
	return f.real(f.raw.float(bits), dv)
}

// real publishes a number that may have a scale.
func (f *field) real(n float64, dv *uabinary.DataValue) bool {
	if f.conversion.Linear.Active() {
		n = f.conversion.Linear.EU(n)
	}
	f.qualify(n, dv)
	if f.raw == Float32 {
		dv.Value = uabinary.FloatVariant(float32(n))
	} else {
		dv.Value = uabinary.DoubleVariant(n)
	}
	return true
}

func (f *field) qualify(n float64, dv *uabinary.DataValue) {
	if dv.Status == ua.StatusOK {
		dv.Status = f.conversion.Quality(n)
	}
}

// bytes reads a value from the bytes of the binary layout.
func (f *field) bytes(b []byte, dv *uabinary.DataValue) bool {
	size := f.raw.row().size
	switch {
	case f.raw == Bytes:
		dv.Value = uabinary.ByteStringVariant(slices.Clone(b))
		return true
	case f.raw == String:
		end := bytes.IndexByte(b, 0)
		if end >= 0 {
			b = b[:end]
		}
		return f.text(b, dv)
	case len(b) < size:
		return false
	case f.raw == BCD:
		return f.packedDigits(b, dv)
	}
	var wide [8]byte
	if b = b[:size]; f.little {
		copy(wide[:], b)
		slices.Reverse(wide[:size])
		b = wide[:size]
	}
	var bits uint64
	switch size {
	case 1:
		bits = uint64(b[0])
	case 2:
		bits = uint64(binary.BigEndian.Uint16(b))
	case 4:
		bits = uint64(binary.BigEndian.Uint32(b))
	default:
		bits = binary.BigEndian.Uint64(b)
	}
	switch {
	case f.raw == Bool && f.bit >= 0:
		dv.Value = uabinary.BoolVariant(bits>>f.bit&1 != 0)
		return true
	case f.raw == Bool:
		dv.Value = uabinary.BoolVariant(bits != 0)
		return true
	case f.raw.row().signed:
		bits = uint64(f.raw.extend(bits))
	}
	return f.number(bits, dv)
}

// packedDigits reads two decimal digits per byte. A digit over 9 is none.
func (f *field) packedDigits(b []byte, dv *uabinary.DataValue) bool {
	if len(b) > 8 {
		return false
	}
	var n uint64
	for i := range b {
		c := b[i]
		if f.little {
			c = b[len(b)-1-i]
		}
		if c>>4 > 9 || c&15 > 9 {
			return false
		}
		n = 100*n + 10*uint64(c>>4) + uint64(c&15)
	}
	return f.number(n, dv)
}
