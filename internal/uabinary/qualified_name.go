package uabinary

// QualifiedName is a name with the index of its namespace (Part 3 (1.05),
// 8.3; Part 6 (1.05), 5.2.2.13).
type QualifiedName struct {
	NamespaceIndex uint16
	Name           string
}

// Append appends q to dst.
func (q *QualifiedName) Append(dst []byte) []byte {
	dst = AppendUint16(dst, q.NamespaceIndex)
	return AppendString(dst, q.Name)
}

// Parse reads q.
func (q *QualifiedName) Parse(r *Reader) {
	q.NamespaceIndex = r.Uint16()
	q.Name = r.String()
}
