package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
)

// Bounds on certificates that come from a peer (they are checked before any arithmetic).
const (
	maxCertificate = 7500     // bytes of one certificate
	maxBlob        = 16 << 10 // bytes of a certificate with its chain
	maxChain       = 5        // certificates from the leaf to the root

	minKeyBits     = 2048
	maxKeyBits     = 4096
	maxLongKeyBits = 8192 // with Checks.AllowLongKeys
)

// fingerprint identifies a certificate by all of its bytes.
type fingerprint [sha256.Size]byte

// rejectedName is the file name under which an untrusted certificate is kept.
func rejectedName(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]) + ".der"
}

// describe names a certificate in a log line: the common name is quoted and cut, for it is the peer's text.
func describe(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return fmt.Sprintf("%s (SHA-256 %x…)", quote(c.Subject.CommonName), sum[:8])
}

func quote(name string) string {
	if runes := []rune(name); len(runes) > 64 {
		name = string(runes[:64]) + "..."
	}
	return strconv.QuoteToASCII(name)
}

// splitDER cuts a ByteString of concatenated certificates (Part 6 (1.05), 6.2.6) into bounded pieces.
func splitDER(blob []byte) ([][]byte, error) {
	if len(blob) > maxBlob {
		return nil, fmt.Errorf("certificate chain of %d bytes, at most %d are read", len(blob), maxBlob)
	}
	var pieces [][]byte
	for len(blob) > 0 {
		var element asn1.RawValue
		rest, err := asn1.Unmarshal(blob, &element)
		if err != nil {
			return nil, err
		}
		if len(element.FullBytes) > maxCertificate {
			return nil, fmt.Errorf("certificate of %d bytes, at most %d are read", len(element.FullBytes), maxCertificate)
		}
		if len(pieces) == maxChain {
			return nil, fmt.Errorf("more than %d certificates", maxChain)
		}
		pieces = append(pieces, element.FullBytes)
		blob = rest
	}
	if len(pieces) == 0 {
		return nil, errors.New("no certificate")
	}
	return pieces, nil
}

// parseCertificates reads a trust list file: one or more certificates in DER or PEM.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	der, err := decodePEM(data, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(der)
	if err == nil && len(certs) == 0 {
		err = errors.New("holds no certificate")
	}
	return certs, err
}

// decodePEM joins the blocks of one type; data that is not PEM is returned as it is.
func decodePEM(data []byte, blockType string) ([]byte, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		return data, nil
	}
	var der []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == blockType {
			der = append(der, block.Bytes...)
		}
	}
	if der == nil {
		return nil, fmt.Errorf("holds no PEM block %q", blockType)
	}
	return der, nil
}

// checkKey refuses keys outside of every RSA SecurityPolicy before anything is computed with them.
func checkKey(c *x509.Certificate, allowLong bool) error {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%s has a %v key, only RSA is supported", describe(c), c.PublicKeyAlgorithm)
	}
	limit := maxKeyBits
	if allowLong {
		limit = maxLongKeyBits
	}
	bits := key.N.BitLen()
	switch {
	case bits < minKeyBits || bits > limit:
		return fmt.Errorf("%s has an RSA key of %d bits, allowed are %d to %d", describe(c), bits, minKeyBits, limit)
	case key.N.Bit(0) == 0 || key.E < 3 || key.E&1 == 0:
		return fmt.Errorf("%s has an RSA key that is no RSA key", describe(c))
	}
	return nil
}

// strongSignature tells whether a signature algorithm is allowed in a certificate or CRL.
func strongSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return true
	}
	return false
}

// signedBy verifies c with the key of issuer; whether issuer may issue is another question.
func signedBy(c, issuer *x509.Certificate) bool {
	return issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// selfSigned tells whether the certificate is its own issuer and its signature proves it.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && signedBy(c, c)
}

// enciphers tells whether the key usage is that of an application rather than of an authority.
func enciphers(c *x509.Certificate) bool {
	return c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment) != 0
}

// isApplication tells whether the certificate looks like one of an application. The cA flag alone does
// not decide: Part 6 (1.05), 6.2.2 wants it off, but stacks of 1.03 and 1.04 set it in self-signed ones.
func isApplication(c *x509.Certificate) bool {
	if !c.IsCA {
		return true
	}
	_, named := ApplicationURI(c)
	return named && enciphers(c) && bytes.Equal(c.RawSubject, c.RawIssuer)
}

// isAuthority tells whether the certificate may issue others. An application never may, even with cA set.
func isAuthority(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && !isApplication(c) &&
		(c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

const uriTag = 6 // uniformResourceIdentifier in GeneralName (RFC 5280, 4.2.1.6)

// ApplicationURI is the first URI of the subjectAltName, exactly as written: the ApplicationUri of the
// application that owns the certificate (Part 6 (1.05), 6.2.2). net/url would change its spelling.
func ApplicationURI(c *x509.Certificate) (string, bool) {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(ext.Value, &names); err != nil {
			return "", false
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == uriTag && len(name.Bytes) > 0 {
				return string(name.Bytes), true
			}
		}
	}
	return "", false
}
