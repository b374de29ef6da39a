package uabinary

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// IDType says how the identifier of a NodeID is written (Part 3 (1.05), 8.2.3).
type IDType uint8

// The identifier types.
const (
	IDTypeNumeric IDType = iota
	IDTypeString
	IDTypeGUID
	IDTypeOpaque
)

// NodeID identifies a node (Part 3 (1.05), 8.2). It is comparable and made to
// be a map key; the zero NodeID is the null NodeID. Make one with the
// constructors: the field of the other kind of identifier is zero.
type NodeID struct {
	Namespace uint16
	Type      IDType
	Numeric   uint32
	Text      string // the string, the 16 bytes of the GUID or the opaque bytes
}

// NumericID returns the NodeID ns=ns;i=id.
func NumericID(ns uint16, id uint32) NodeID {
	return NodeID{Namespace: ns, Numeric: id}
}

// StringID returns the NodeID ns=ns;s=s.
func StringID(ns uint16, s string) NodeID {
	return NodeID{Namespace: ns, Type: IDTypeString, Text: s}
}

// OpaqueID returns the NodeID ns=ns;b=b.
func OpaqueID(ns uint16, b []byte) NodeID {
	return NodeID{Namespace: ns, Type: IDTypeOpaque, Text: string(b)}
}

// GUIDID returns the NodeID ns=ns;g=g.
func GUIDID(ns uint16, g GUID) NodeID {
	return NodeID{Namespace: ns, Type: IDTypeGUID, Text: string(g[:])}
}

// IsNull reports whether n identifies nothing: namespace 0 and an identifier
// that is zero or empty (Part 3 (1.05), 8.2.4).
func (n NodeID) IsNull() bool {
	if n.Namespace != 0 || n.Numeric != 0 {
		return false
	}
	return n.Text == "" || n.Type == IDTypeGUID && n.Text == string(make([]byte, 16))
}

// Clone returns n with text of its own, for keeping what a Reader that borrows
// has parsed.
func (n NodeID) Clone() NodeID {
	n.Text = strings.Clone(n.Text)
	return n
}

// ParseNodeID reads the form ns=2;s=Boiler.Temp of Part 6 (1.05), 5.3.1.10;
// without ns= the namespace is 0.
func ParseNodeID(s string) (NodeID, error) {
	n, err := parseNodeID(s)
	if err != nil {
		return NodeID{}, fmt.Errorf("uabinary: NodeId %q: %w", s, err)
	}
	return n, nil
}

var errNodeIDForm = errors.New("want i=, s=, g= or b= and a value, after an optional ns=<0..65535>;")

func parseNodeID(s string) (NodeID, error) {
	var ns uint64
	if rest, ok := strings.CutPrefix(s, "ns="); ok {
		number, after, _ := strings.Cut(rest, ";")
		var err error
		if ns, err = strconv.ParseUint(number, 10, 16); err != nil {
			return NodeID{}, errNodeIDForm
		}
		s = after
	}
	if len(s) < 2 || s[1] != '=' {
		return NodeID{}, errNodeIDForm
	}
	return parseIdentifier(uint16(ns), s[0], s[2:])
}

func parseIdentifier(ns uint16, kind byte, value string) (NodeID, error) {
	switch kind {
	case 'i':
		id, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return NodeID{}, errors.New("the number is not in 0..4294967295")
		}
		return NumericID(ns, uint32(id)), nil
	case 's':
		return StringID(ns, value), nil
	case 'g':
		g, err := ParseGUID(value)
		return GUIDID(ns, g), err
	case 'b':
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return NodeID{}, errors.New("the opaque value is not base64")
		}
		return OpaqueID(ns, b), nil
	}
	return NodeID{}, errNodeIDForm
}

// String returns the form that ParseNodeID reads.
func (n NodeID) String() string {
	var b strings.Builder
	if n.Namespace != 0 {
		fmt.Fprintf(&b, "ns=%d;", n.Namespace)
	}
	switch n.Type {
	case IDTypeString:
		b.WriteString("s=" + n.Text)
	case IDTypeGUID:
		var g GUID
		copy(g[:], n.Text)
		b.WriteString("g=" + g.String())
	case IDTypeOpaque:
		b.WriteString("b=" + base64.StdEncoding.EncodeToString([]byte(n.Text)))
	default:
		fmt.Fprintf(&b, "i=%d", n.Numeric)
	}
	return b.String()
}

// The forms of a NodeID on the wire (Part 6 (1.05), 5.2.2.9).
const (
	formTwoByte = iota
	formFourByte
	formNumeric
	formString
	formGUID
	formByteString
)

// Append appends n to dst in the shortest form that holds it.
func (n NodeID) Append(dst []byte) []byte {
	switch n.Type {
	case IDTypeString:
		dst = AppendUint16(append(dst, formString), n.Namespace)
		return AppendString(dst, n.Text)
	case IDTypeGUID:
		dst = AppendUint16(append(dst, formGUID), n.Namespace)
		var g GUID
		copy(g[:], n.Text)
		return g.Append(dst)
	case IDTypeOpaque:
		dst = AppendUint16(append(dst, formByteString), n.Namespace)
		return AppendString(dst, n.Text)
	}
	switch {
	case n.Namespace == 0 && n.Numeric <= 0xff:
		return append(dst, formTwoByte, byte(n.Numeric))
	case n.Namespace <= 0xff && n.Numeric <= 0xffff:
		return append(dst, formFourByte, byte(n.Namespace), byte(n.Numeric), byte(n.Numeric>>8))
	}
	dst = AppendUint16(append(dst, formNumeric), n.Namespace)
	return AppendUint32(dst, n.Numeric)
}

// Parse reads n.
func (n *NodeID) Parse(r *Reader) { n.parseForm(r, r.Uint8()) }

func (n *NodeID) parseForm(r *Reader, form byte) {
	*n = NodeID{}
	switch form {
	case formTwoByte:
		n.Numeric = uint32(r.Uint8())
	case formFourByte:
		n.Namespace = uint16(r.Uint8())
		n.Numeric = uint32(r.Uint16())
	case formNumeric:
		n.Namespace = r.Uint16()
		n.Numeric = r.Uint32()
	case formString:
		n.Namespace, n.Type = r.Uint16(), IDTypeString
		n.Text = r.String()
	case formGUID:
		n.Namespace, n.Type = r.Uint16(), IDTypeGUID
		n.Text = r.text(r.take(16))
	case formByteString:
		n.Namespace, n.Type = r.Uint16(), IDTypeOpaque
		n.Text = r.text(r.bytes(r.limits.MaxByteStringLength))
	default:
		r.failValue("unknown form of NodeId")
	}
}
