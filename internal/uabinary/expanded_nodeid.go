package uabinary

// ExpandedNodeID is a NodeID that may name its namespace by URI and the server
// it lives on (Part 4 (1.05), 7.16; Part 6 (1.05), 5.2.2.10). If NamespaceURI
// is set, NodeID.Namespace is 0.
type ExpandedNodeID struct {
	NodeID       NodeID
	NamespaceURI string
	ServerIndex  uint32
}

// Flags beside the form in the first byte of an ExpandedNodeID.
const (
	expandedHasServerIndex  = 0x40
	expandedHasNamespaceURI = 0x80
)

// Append appends e to dst.
func (e *ExpandedNodeID) Append(dst []byte) []byte {
	form := len(dst)
	dst = e.NodeID.Append(dst)
	if e.NamespaceURI != "" {
		dst[form] |= expandedHasNamespaceURI
		dst = AppendString(dst, e.NamespaceURI)
	}
	if e.ServerIndex != 0 {
		dst[form] |= expandedHasServerIndex
		dst = AppendUint32(dst, e.ServerIndex)
	}
	return dst
}

// Parse reads e.
func (e *ExpandedNodeID) Parse(r *Reader) {
	form := r.Uint8()
	*e = ExpandedNodeID{}
	e.NodeID.parseForm(r, form&^(expandedHasServerIndex|expandedHasNamespaceURI))
	if form&expandedHasNamespaceURI != 0 {
		e.NamespaceURI = r.String()
	}
	if form&expandedHasServerIndex != 0 {
		e.ServerIndex = r.Uint32()
	}
}
