package modbus

import (
	"fmt"
	"strings"
)

// Read Device Identification (Application Protocol, 6.21): the encapsulated transport of type 14.
const (
	identityMEI     = 14
	identityBasic   = 1 // objects 0 to 2: who made it, product code, revision
	identityRegular = 2 // regular: those and objects 3 to 6
	identityHead    = 7 // function, type, code, conformity, more follows, next object, number of objects
	identityParts   = 8 // requests for one identity at most
)

// measureIdentity walks over the objects of a reply, because nothing in it tells its length.
func measureIdentity(head []byte) int {
	if len(head) < 2 {
		return -1
	}
	if head[1] != identityMEI {
		return 0
	}
	if len(head) < identityHead {
		return -1
	}
	at := identityHead
	for range head[6] {
		if len(head) < at+2 {
			return -1
		}
		at += 2 + int(head[at+1])
	}
	return at
}

// identity is what a device says about itself. Texts that it does not have are empty.
type identity [7]string

// The objects of an identity.
const (
	vendorName = iota
	productCode
	revision
	vendorURL
	productName
	modelName
	applicationName
)

// take adds the objects of a reply that was measured, and returns the next object to ask for; 0 if there is none.
func (id *identity) take(pdu []byte) byte {
	for at := identityHead; at+2 <= len(pdu); {
		object, end := int(pdu[at]), at+2+int(pdu[at+1])
		if end > len(pdu) {
			return 0
		}
		if object < len(id) {
			id[object] = plainText(pdu[at+2 : end])
		}
		at = end
	}
	if pdu[4] != 0xFF { // more follows
		return 0
	}
	return pdu[5]
}

// plainText keeps what can be printed: identities go into logs and nodes.
func plainText(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == '\uFFFD' {
			return -1
		}
		return r
	}, string(b)))
}

// identityRequest is the PDU that asks for the objects from one on.
func identityRequest(code, object byte) []byte {
	return []byte{funcEncapsulated, identityMEI, code, object}
}

// String is for logs.
func (id *identity) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", id[vendorName], id[productCode], id[revision]))
}
