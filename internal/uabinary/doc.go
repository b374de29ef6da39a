// Package uabinary holds the OPC UA data types and their OPC UA Binary
// DataEncoding (Part 6 (1.05), 5.1 and 5.2): the built-in types by hand, the
// structures and the requests and responses of Part 4 generated.
//
// Every type is a plain value. Append methods write into the caller's buffer
// and never fail; Parse methods read from a [Reader], which keeps the first
// error, so a message is parsed in one go and checked once. Bytes come from
// strangers: the remaining length is checked before each read, every count
// against the bytes left and the [Limits] before memory is taken, and one
// counter bounds the nesting of Variant, DataValue, ExtensionObject and
// DiagnosticInfo (Part 6, 5.2.2.12 and 5.2.2.16).
//
// Left out: the XML and JSON encodings, structures with optional fields and
// unions, and the configuration types of PubSub. The bodies of
// ExtensionObjects stay raw bytes until somebody asks for them. Text is not
// checked for valid UTF-8 here but where it is used.
package uabinary

//go:generate go run ./gen
