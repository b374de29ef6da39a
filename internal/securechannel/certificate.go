package securechannel

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
)

// Caps on what a stranger may present as its certificate.
const (
	maxCertificateSize = 7500     // bytes of one certificate
	maxChainSize       = 16 << 10 // bytes of a certificate with its issuers
	maxChainLength     = 5        // certificates
)

// parseSenderCertificate checks the form of a certificate with optional issuers behind it, and returns the first
// certificate and its key. Nothing is verified yet. Part 6 (1.05), 6.7.2.3
func parseSenderCertificate(blob []byte, longestKey int) (leaf []byte, key *rsa.PublicKey, err error) {
	leaf, err = splitChain(blob)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, nil, denied("certificate unreadable", err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, nil, denied("certificate without RSA key", nil)
	}
	return leaf, key, checkKey(key, longestKey)
}

// splitChain returns the first of the concatenated DER certificates in blob and checks that there is nothing but
// certificates of permitted size and number.
func splitChain(blob []byte) ([]byte, error) {
	if len(blob) == 0 || len(blob) > maxChainSize {
		return nil, denied("certificate missing or too large", nil)
	}
	var leaf []byte
	for n := 0; len(blob) > 0; n++ {
		size := derSize(blob)
		if size == 0 || n == maxChainLength {
			return nil, denied("malformed certificate chain", nil)
		}
		if n == 0 {
			leaf = blob[:size:size]
		}
		blob = blob[size:]
	}
	return leaf, nil
}

// derSize returns the length in bytes of the SEQUENCE at the start of b with its header, 0 if there is none or if it is larger
// than a certificate may be. Two bytes of length reach up to 64 KiB; certificates shorter than 128 bytes do not exist.
func derSize(b []byte) int {
	const sequence, oneByte, twoBytes = 0x30, 0x81, 0x82
	size := 0
	switch {
	case len(b) < 4 || b[0] != sequence:
		return 0
	case b[1] == oneByte:
		size = 3 + int(b[2])
	case b[1] == twoBytes:
		size = 4 + int(binary.BigEndian.Uint16(b[2:]))
	}
	if size > len(b) || size > maxCertificateSize {
		return 0
	}
	return size
}
