package uabinary

// Limits bounds what a Reader accepts. A zero field means the value of
// [DefaultLimits].
type Limits struct {
	MaxStringLength     int // bytes in a String, XmlElement or string identifier
	MaxByteStringLength int // bytes in a ByteString or opaque identifier
	MaxArrayLength      int // elements in an array, all dimensions together
	// MaxAlloc is how many bytes of memory the elements of all arrays and
	// the structured values of all Variants of one message may take
	// together. Strings and ByteStrings take no more than the message.
	MaxAlloc int
}

// DefaultLimits returns the limits that apply where nothing else is said:
// 65535 bytes in a String, 1 MiB in a ByteString, 65535 array elements, 16 MiB
// of memory.
func DefaultLimits() Limits {
	return Limits{MaxStringLength: 65535, MaxByteStringLength: 1 << 20, MaxArrayLength: 65535, MaxAlloc: 16 << 20}
}

// maxNesting is how deep Variants, DataValues, ExtensionObjects and
// DiagnosticInfos may nest in each other. Decoders shall support at least
// 100 levels (Part 6 (1.05), 5.2.2.12, 5.2.2.16).
const maxNesting = 100

// resolved returns the limits with every zero field replaced. A nil lim is
// all defaults.
func (lim *Limits) resolved() Limits {
	out := DefaultLimits()
	if lim == nil {
		return out
	}
	if lim.MaxStringLength > 0 {
		out.MaxStringLength = lim.MaxStringLength
	}
	if lim.MaxByteStringLength > 0 {
		out.MaxByteStringLength = lim.MaxByteStringLength
	}
	if lim.MaxArrayLength > 0 {
		out.MaxArrayLength = lim.MaxArrayLength
	}
	if lim.MaxAlloc > 0 {
		out.MaxAlloc = lim.MaxAlloc
	}
	return out
}
