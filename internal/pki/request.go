package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // the key identifier of RFC 5280, 4.2.1.2 is a name, not a safeguard
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidDomainComponent = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
)

// Defaults of a Request.
const (
	DefaultKeyBits  = 2048
	DefaultValidity = 5 * 365 * 24 * time.Hour
)

// Request describes the certificate to create on first start. Empty names are left out.
type Request struct {
	ApplicationURI   string // becomes the URI of the subjectAltName; required
	CommonName       string // required; cut to 64 characters (RFC 5280, upper bounds)
	Organization     string
	OrganizationUnit string
	Locality         string
	State            string
	Country          string
	DomainComponent  string
	DNSNames         []string // with no name and no address at all: the host name
	IPs              []net.IP
	KeyBits          int           // 2048 to 4096; 0: DefaultKeyBits
	Validity         time.Duration // 0: DefaultValidity
}

// ClockFloor is the earliest time that can be true: when this release was made. A clock behind it was
// never set; gateways without a battery start in 1970.
func ClockFloor() time.Time { return time.Unix(1_767_225_600, 0).UTC() } // 2026-01-01

// checked fills the defaults and refuses what no certificate can hold.
func (req Request) checked() (Request, error) {
	if req.KeyBits == 0 {
		req.KeyBits = DefaultKeyBits
	}
	if req.Validity <= 0 {
		req.Validity = DefaultValidity
	}
	if len(req.DNSNames)+len(req.IPs) == 0 {
		host, err := os.Hostname()
		if err != nil {
			return req, fmt.Errorf("no DNS name given and the host name is unknown: %w", err)
		}
		req.DNSNames = []string{host}
	}
	if name := []rune(strings.TrimSpace(req.CommonName)); len(name) > 64 {
		req.CommonName = string(name[:64])
	}
	switch {
	case strings.TrimSpace(req.CommonName) == "":
		return req, errors.New("CommonName is empty")
	case req.KeyBits < minKeyBits || req.KeyBits > maxKeyBits:
		return req, fmt.Errorf("KeyLength %d: allowed are %d to %d", req.KeyBits, minKeyBits, maxKeyBits)
	case req.ApplicationURI == "" || !isIA5(req.ApplicationURI):
		return req, fmt.Errorf("ApplicationUri %q: must be present and ASCII", req.ApplicationURI)
	case !isIA5(req.DomainComponent):
		return req, fmt.Errorf("DomainComponent %q: must be ASCII", req.DomainComponent)
	}
	for _, name := range req.DNSNames {
		if name == "" || !isIA5(name) {
			return req, fmt.Errorf("DNSName %q: must be present and ASCII", name)
		}
	}
	return req, nil
}

func isIA5(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// subject is the distinguished name, blanks trimmed.
func (req Request) subject() pkix.Name {
	one := func(s string) []string {
		if s = strings.TrimSpace(s); s == "" {
			return nil
		}
		return []string{s}
	}
	name := pkix.Name{
		CommonName:         strings.TrimSpace(req.CommonName),
		Organization:       one(req.Organization),
		OrganizationalUnit: one(req.OrganizationUnit),
		Locality:           one(req.Locality),
		Province:           one(req.State),
		Country:            one(req.Country),
	}
	for _, dc := range one(req.DomainComponent) {
		value := asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(dc)}
		name.ExtraNames = append(name.ExtraNames, pkix.AttributeTypeAndValue{Type: oidDomainComponent, Value: value})
	}
	return name
}

// subjectAltName is written here and not by crypto/x509 because the ApplicationUri comes first and keeps
// its spelling, whatever net/url makes of it.
func (req Request) subjectAltName() (pkix.Extension, error) {
	general := func(tag int, value []byte) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value}
	}
	names := []asn1.RawValue{general(uriTag, []byte(req.ApplicationURI))}
	for _, name := range req.DNSNames {
		names = append(names, general(2, []byte(name)))
	}
	for _, ip := range req.IPs {
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		names = append(names, general(7, ip))
	}
	value, err := asn1.Marshal(names)
	return pkix.Extension{Id: oidSubjectAltName, Value: value}, err
}

// selfSign creates the certificate (Part 6 (1.05), 6.2.2): an end entity, and keyCertSign nevertheless, which
// the standard demands of self-signed ones.
func (req Request) selfSign(key *rsa.PrivateKey, now time.Time) ([]byte, error) {
	if now.Before(ClockFloor()) {
		now = ClockFloor()
	}
	altName, err := req.subjectAltName()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	keyID := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	notBefore := now.Add(-24 * time.Hour).UTC().Truncate(time.Second) // clients' clocks may be behind
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               req.subject(),
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(req.Validity),
		SignatureAlgorithm:    x509.SHA256WithRSA,
		BasicConstraintsValid: true,
		KeyUsage:              applicationUsage | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		SubjectKeyId:          keyID[:],
		AuthorityKeyId:        keyID[:],
		ExtraExtensions:       []pkix.Extension{altName},
	}
	return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
}

// applicationUsage is what the key of an application with RSA must be good for (Part 6 (1.05), 6.2.2).
const applicationUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment |
	x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
