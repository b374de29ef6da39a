package uabinary

// Structure is a Structured DataType that knows its encoding. Every generated
// type is one, by pointer.
type Structure interface {
	// Append appends the fields to dst.
	Append(dst []byte) []byte
	// Parse reads the fields. It overwrites every one and reuses the memory
	// of slices that are large enough. After an error the content is
	// undefined.
	Parse(r *Reader)
	// EncodingID returns the numeric identifier, in namespace 0, of the
	// Default Binary encoding; 0 if there is none.
	EncodingID() uint32
}

// AppendMessage appends the body of a message: the NodeID of its encoding and
// its fields (Part 6 (1.05), 6.7.2.1).
func AppendMessage(dst []byte, m Structure) []byte {
	dst = NumericID(0, m.EncodingID()).Append(dst)
	return m.Append(dst)
}

// MessageType reads the NodeID that begins the body of a message. It returns
// 0 for what is not a numeric identifier in namespace 0.
func (r *Reader) MessageType() uint32 {
	var n NodeID
	n.Parse(r)
	if n.Namespace != 0 || n.Type != IDTypeNumeric {
		return 0
	}
	return n.Numeric
}
