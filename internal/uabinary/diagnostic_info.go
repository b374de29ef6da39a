package uabinary

import "github.com/gopcua/opcua/ua"

// Which fields of a DiagnosticInfo are present (Part 6 (1.05), 5.2.2.12).
const (
	DiagnosticSymbolicID = 1 << iota
	DiagnosticNamespaceURI
	DiagnosticLocalizedText
	DiagnosticLocale
	DiagnosticAdditionalInfo
	DiagnosticInnerStatusCode
	DiagnosticInnerDiagnosticInfo
)

// DiagnosticInfo tells more about a StatusCode (Part 4 (1.05), 7.12). Fields
// has a bit for each field that is present; the zero value says nothing.
type DiagnosticInfo struct {
	Fields          uint8
	SymbolicID      int32 // index into the StringTable of the ResponseHeader, like the next three
	NamespaceURI    int32
	Locale          int32
	LocalizedText   int32
	AdditionalInfo  string
	InnerStatusCode ua.StatusCode
	Inner           *DiagnosticInfo // must be set if Fields says so
}

// Append appends d to dst.
func (d *DiagnosticInfo) Append(dst []byte) []byte {
	dst = append(dst, d.Fields)
	if d.Fields&DiagnosticSymbolicID != 0 {
		dst = AppendInt32(dst, d.SymbolicID)
	}
	if d.Fields&DiagnosticNamespaceURI != 0 {
		dst = AppendInt32(dst, d.NamespaceURI)
	}
	if d.Fields&DiagnosticLocale != 0 {
		dst = AppendInt32(dst, d.Locale)
	}
	if d.Fields&DiagnosticLocalizedText != 0 {
		dst = AppendInt32(dst, d.LocalizedText)
	}
	if d.Fields&DiagnosticAdditionalInfo != 0 {
		dst = AppendString(dst, d.AdditionalInfo)
	}
	if d.Fields&DiagnosticInnerStatusCode != 0 {
		dst = AppendStatusCode(dst, d.InnerStatusCode)
	}
	if d.Fields&DiagnosticInnerDiagnosticInfo != 0 {
		dst = d.Inner.Append(dst)
	}
	return dst
}

// Parse reads d. Unknown mask bits are dropped: nothing follows for them.
func (d *DiagnosticInfo) Parse(r *Reader) {
	*d = DiagnosticInfo{}
	if !r.enter() {
		return
	}
	defer r.leave()
	d.Fields = r.Uint8() & (DiagnosticInnerDiagnosticInfo<<1 - 1)
	if d.Fields&DiagnosticSymbolicID != 0 {
		d.SymbolicID = r.Int32()
	}
	if d.Fields&DiagnosticNamespaceURI != 0 {
		d.NamespaceURI = r.Int32()
	}
	if d.Fields&DiagnosticLocale != 0 {
		d.Locale = r.Int32()
	}
	if d.Fields&DiagnosticLocalizedText != 0 {
		d.LocalizedText = r.Int32()
	}
	if d.Fields&DiagnosticAdditionalInfo != 0 {
		d.AdditionalInfo = r.String()
	}
	if d.Fields&DiagnosticInnerStatusCode != 0 {
		d.InnerStatusCode = r.StatusCode()
	}
	if d.Fields&DiagnosticInnerDiagnosticInfo != 0 {
		inner := parseOne[DiagnosticInfo](r)
		d.Inner = &inner
	}
}
