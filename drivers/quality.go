package drivers

import (
	"math"
	"slices"

	"github.com/gopcua/opcua/ua"
)

// Limit bits of a StatusCode about a value (Part 4 (1.05), 7.38.1).
const (
	infoDataValue = 0x400
	limitLow      = 0x100
	limitHigh     = 0x200
)

// Quality is the status of a number in engineering units: Good, or what was asked for when it is none or is outside of its
// range.
func (c *Conversion) Quality(n float64) ua.StatusCode {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return c.NaNStatus
	case c.RangeStatus == ua.StatusOK:
		return ua.StatusOK
	case n < c.Range.Low:
		return c.RangeStatus | infoDataValue | limitLow
	case n > c.Range.High:
		return c.RangeStatus | infoDataValue | limitHigh
	}
	return ua.StatusOK
}

// Lists tells whether a value is one of those with a name.
func (c *Conversion) Lists(v int64) bool {
	return slices.ContainsFunc(c.Enum, func(e EnumValue) bool { return e.Value == v })
}
