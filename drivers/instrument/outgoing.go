package instrument

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// outgoing is a value that a client writes: plain data.
type outgoing struct {
	raw        valueType
	comma      bool
	on, off    string // of a Bool
	conversion drivers.Conversion
	limits     drivers.Range // zero: anything that fits
}

// format makes the text of a value for a template. The value has passed drivers.Tag.CheckWrite. The status is Good,
// GoodClamped, or says why it does not fit; then nothing must be sent.
func (o *outgoing) format(v uabinary.Variant) (func(verb string) string, ua.StatusCode) {
	switch o.raw {
	case Bool:
		on, _ := v.Bool()
		word := o.off
		if on {
			word = o.on
		}
		return func(string) string { return word }, ua.StatusOK
	case String:
		s, _ := v.Text()
		if strings.ContainsFunc(s, unicode.IsControl) || len(s) > maxSend { // it could hold a command of its own
			return nil, ua.StatusBadOutOfRange
		}
		return func(verb string) string { return written(verb, "%s", s) }, ua.StatusOK
	}
	n, _ := v.Number()
	n, status := o.admit(n)
	if status != ua.StatusOK && status != ua.StatusGoodClamped {
		return nil, status
	}
	if o.raw.integer() {
		return o.integer(v, n, status)
	}
	if o.conversion.Linear.Active() {
		n = o.conversion.Linear.Raw(n)
	}
	return func(verb string) string {
		s := strconv.FormatFloat(n, 'f', -1, 64)
		if verb != "" {
			s = fmt.Sprintf(verb, n)
		}
		if o.comma {
			s = strings.Replace(s, ".", ",", 1)
		}
		return s
	}, status
}

// admit checks a value in engineering units against what may be written.
func (o *outgoing) admit(n float64) (float64, ua.StatusCode) {
	c := &o.conversion
	status := ua.StatusOK
	if c.Clamp && c.Range.Valid() && (n < c.Range.Low || n > c.Range.High) {
		n, status = min(max(n, c.Range.Low), c.Range.High), ua.StatusGoodClamped
	}
	switch {
	case math.IsNaN(n), math.IsInf(n, 0):
		return n, ua.StatusBadOutOfRange
	case o.limits.Valid() && (n < o.limits.Low || n > o.limits.High):
		return n, ua.StatusBadOutOfRange
	case c.Range.Valid() && (n < c.Range.Low || n > c.Range.High):
		return n, ua.StatusBadOutOfRange
	}
	return n, status
}

// integer keeps the digits of an unscaled value that a float64 would lose.
func (o *outgoing) integer(v uabinary.Variant, n float64, status ua.StatusCode) (func(verb string) string, ua.StatusCode) {
	whole := v.Any()
	if o.conversion.Linear.Active() || status != ua.StatusOK {
		if o.conversion.Linear.Active() {
			n = o.conversion.Linear.Raw(n)
		}
		n = math.Round(n)
		if low, high := o.raw.limits(); n < low || n >= high {
			return nil, ua.StatusBadOutOfRange
		}
		whole = int64(n)
		if n >= math.MaxInt64 {
			whole = uint64(n)
		}
	}
	if len(o.conversion.Enum) > 0 && !o.conversion.Lists(int64(n)) {
		return nil, ua.StatusBadOutOfRange
	}
	return func(verb string) string { return written(verb, "%d", whole) }, status
}

// limits are the least value of an integer and the first that is too large.
func (t valueType) limits() (low, high float64) {
	if t.row().signed {
		return -math.Ldexp(1, t.bits()-1), math.Ldexp(1, t.bits()-1)
	}
	return 0, math.Ldexp(1, t.bits())
}

func written(verb, plain string, value any) string {
	if verb == "" {
		verb = plain
	}
	return fmt.Sprintf(verb, value)
}
