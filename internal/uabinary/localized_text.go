package uabinary

// LocalizedText is text for people with the language it is in (Part 3 (1.05),
// 8.5). An empty field is not sent.
type LocalizedText struct {
	Locale, Text string
}

// Which fields of a LocalizedText follow (Part 6 (1.05), 5.2.2.14).
const (
	localizedTextLocale = 1 << iota
	localizedTextText
)

// Append appends t to dst.
func (t *LocalizedText) Append(dst []byte) []byte {
	mask := len(dst)
	dst = append(dst, 0)
	if t.Locale != "" {
		dst[mask] |= localizedTextLocale
		dst = AppendString(dst, t.Locale)
	}
	if t.Text != "" {
		dst[mask] |= localizedTextText
		dst = AppendString(dst, t.Text)
	}
	return dst
}

// Parse reads t. Unknown mask bits are ignored: nothing follows for them.
func (t *LocalizedText) Parse(r *Reader) {
	*t = LocalizedText{}
	mask := r.Uint8()
	if mask&localizedTextLocale != 0 {
		t.Locale = r.String()
	}
	if mask&localizedTextText != 0 {
		t.Text = r.String()
	}
}
