package securechannel

import (
	"crypto/rsa"
	"crypto/sha1"
)

// Identity is an application instance certificate with its private key.
type Identity struct {
	Chain [][]byte // own certificate in DER first, then its issuers, if any
	Key   *rsa.PrivateKey
}

// Thumbprint returns the SHA-1 digest of the own certificate. Part 6 (1.05), 6.7.2.3
func (id *Identity) Thumbprint() [sha1.Size]byte { return sha1.Sum(id.Chain[0]) }

// senderCertificate returns the certificate followed by those of its issuers that keep it within limit bytes.
// Part 6 (1.05), 6.7.2.3
func (id *Identity) senderCertificate(limit int) []byte {
	blob := append([]byte(nil), id.Chain[0]...)
	for _, issuer := range id.Chain[1:] {
		if len(blob)+len(issuer) > limit {
			break
		}
		blob = append(blob, issuer...)
	}
	return blob
}
