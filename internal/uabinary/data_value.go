package uabinary

import "github.com/gopcua/opcua/ua"

// DataValue is a value with its quality and times (Part 4 (1.05), 7.11). A
// zero field is not sent; absent ones are read as zero: no value, Good, no
// time.
type DataValue struct {
	Value             Variant
	Status            ua.StatusCode
	SourcePicoseconds uint16 // in units of 10 ps
	ServerPicoseconds uint16
	SourceTimestamp   DateTime
	ServerTimestamp   DateTime
}

// Which fields of a DataValue follow (Part 6 (1.05), 5.2.2.17).
const (
	dataValueValue = 1 << iota
	dataValueStatus
	dataValueSourceTimestamp
	dataValueServerTimestamp
	dataValueSourcePicoseconds
	dataValueServerPicoseconds
)

// Append appends d to dst.
func (d *DataValue) Append(dst []byte) []byte {
	mask := len(dst)
	dst = append(dst, 0)
	if !d.Value.IsNull() {
		dst[mask] |= dataValueValue
		dst = d.Value.Append(dst)
	}
	if d.Status != 0 {
		dst[mask] |= dataValueStatus
		dst = AppendStatusCode(dst, d.Status)
	}
	if d.SourceTimestamp != 0 {
		dst[mask] |= dataValueSourceTimestamp
		dst = AppendDateTime(dst, d.SourceTimestamp)
	}
	if d.SourcePicoseconds != 0 {
		dst[mask] |= dataValueSourcePicoseconds
		dst = AppendUint16(dst, d.SourcePicoseconds)
	}
	if d.ServerTimestamp != 0 {
		dst[mask] |= dataValueServerTimestamp
		dst = AppendDateTime(dst, d.ServerTimestamp)
	}
	if d.ServerPicoseconds != 0 {
		dst[mask] |= dataValueServerPicoseconds
		dst = AppendUint16(dst, d.ServerPicoseconds)
	}
	return dst
}

// Parse reads d. Unknown mask bits are ignored: nothing follows for them.
func (d *DataValue) Parse(r *Reader) {
	*d = DataValue{}
	if !r.enter() {
		return
	}
	defer r.leave()
	mask := r.Uint8()
	if mask&dataValueValue != 0 {
		d.Value.Parse(r)
	}
	if mask&dataValueStatus != 0 {
		d.Status = r.StatusCode()
	}
	if mask&dataValueSourceTimestamp != 0 {
		d.SourceTimestamp = r.DateTime()
	}
	if mask&dataValueSourcePicoseconds != 0 {
		d.SourcePicoseconds = r.Uint16()
	}
	if mask&dataValueServerTimestamp != 0 {
		d.ServerTimestamp = r.DateTime()
	}
	if mask&dataValueServerPicoseconds != 0 {
		d.ServerPicoseconds = r.Uint16()
	}
}

// Clone returns d with memory of its own, for keeping what a Reader that
// borrows has parsed.
func (d DataValue) Clone() DataValue {
	d.Value = d.Value.Clone()
	return d
}
