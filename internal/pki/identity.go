package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Locations says where everything lies. Paths may use either separator. The four lists of the trust list
// are directories; a CRL location may also be a single file.
type Locations struct {
	TrustedCerts, TrustedCRLs string // trusted applications and authorities
	IssuerCerts, IssuerCRLs   string // authorities needed for chains, not trusted by themselves
	Rejected                  string // where untrusted certificates wait for approval; "" keeps none
	MaxRejected               int    // files kept there; 0: DefaultMaxRejected
	Certificate               string // own certificate, DER or PEM, own issuers may follow
	PrivateKey                string // its key, PEM, PKCS#8 or PKCS#1
}

// Own is the identity of this application.
type Own struct {
	DER   []byte   // the ApplicationInstanceCertificate
	Chain [][]byte // DER first, then its issuers as far as the file holds them
	Cert  *x509.Certificate
	Key   *rsa.PrivateKey
}

// LoadOrCreate reads the identity, or creates one when generate is set and neither file exists (created is
// then true). It never replaces a file that exists: half an identity, a pair that does not match, or a key that
// others can read is an error that names the path and the remedy.
func LoadOrCreate(loc Locations, req Request, generate bool) (own *Own, created bool, err error) {
	return loadOrCreate(loc, req, generate, time.Now())
}

func loadOrCreate(loc Locations, req Request, generate bool, now time.Time) (*Own, bool, error) {
	id := identityFiles{certificate: localPath(loc.Certificate), key: localPath(loc.PrivateKey)}
	if id.certificate == "" || id.key == "" {
		return nil, false, errors.New("the locations of the own certificate and of its private key must both be given")
	}
	hasKey, err := exists(id.key)
	if err != nil {
		return nil, false, fmt.Errorf("private key %s: %w", id.key, err)
	}
	hasCertificate, err := exists(id.certificate)
	if err != nil {
		return nil, false, fmt.Errorf("certificate %s: %w", id.certificate, err)
	}
	if hasKey && !hasCertificate {
		hasCertificate = id.finish()
	}
	switch {
	case hasKey && hasCertificate:
		own, err := id.load()
		if errors.Is(err, errOtherKey) && id.finish() {
			own, err = id.load()
		}
		return own, false, err
	case hasKey || hasCertificate:
		return nil, false, id.half(hasKey)
	case !generate:
		return nil, false, fmt.Errorf("certificate %s and private key %s do not exist and GenerateCertificate is not true: "+
			"install both, or set GenerateCertificate to true", id.certificate, id.key)
	}
	own, err := id.create(req, now)
	return own, err == nil, err
}

// half says which file of the pair is missing.
func (id identityFiles) half(hasKey bool) error {
	if hasKey {
		return fmt.Errorf("certificate %s is missing although its private key %s exists: restore it, "+
			"or remove the key as well to have a new identity created (clients must then trust it anew)", id.certificate, id.key)
	}
	return fmt.Errorf("private key %s is missing although its certificate %s exists: restore it, "+
		"or remove the certificate as well to have a new identity created (clients must then trust it anew)", id.key, id.certificate)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// identityFiles are the two files of an identity.
type identityFiles struct{ certificate, key string }

var errOtherKey = errors.New("does not belong to private key")

// create makes a new identity. The key takes its name before the certificate does; a power loss between
// the two leaves the certificate pending, and the next start finishes (see finish).
func (id identityFiles) create(req Request, now time.Time) (*Own, error) {
	req, err := req.checked()
	if err != nil {
		return nil, fmt.Errorf("own certificate %s cannot be created: %w", id.certificate, err)
	}
	key, err := rsa.GenerateKey(rand.Reader, req.KeyBits)
	if err != nil {
		return nil, fmt.Errorf("private key %s cannot be created: %w", id.key, err)
	}
	own, err := sign(req, key, now)
	if err != nil {
		return nil, fmt.Errorf("own certificate %s cannot be created: %w", id.certificate, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if err := id.write(own.DER, keyPEM); err != nil {
		return nil, fmt.Errorf("own certificate cannot be stored: %w (the directories %s and %s must be writable)",
			err, filepath.Dir(id.certificate), filepath.Dir(id.key))
	}
	return own, nil
}

func (id identityFiles) write(der, keyPEM []byte) error {
	if err := os.MkdirAll(filepath.Dir(id.certificate), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(id.key), 0o700); err != nil {
		return err
	}
	if err := writePending(id.certificate, der, 0o644); err != nil {
		return err
	}
	if err := writeFile(id.key, keyPEM, 0o600); err != nil {
		if written, _ := exists(id.key); !written { // a certificate without its key is nothing
			err = errors.Join(err, os.Remove(pendingPath(id.certificate)))
		}
		return err
	}
	return commitPending(id.certificate)
}

// finish completes a creation or a renewal that was cut off between its two renames. The pending certificate takes its
// place only if it belongs to the key.
func (id identityFiles) finish() bool {
	pending := identityFiles{certificate: pendingPath(id.certificate), key: id.key}
	if _, err := pending.load(); err != nil {
		return false
	}
	return commitPending(id.certificate) == nil
}

func (id identityFiles) load() (*Own, error) {
	key, err := loadKey(id.key)
	if err != nil {
		return nil, err
	}
	data, _, err := readFile(id.certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate %s cannot be read: %w", id.certificate, err)
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("certificate %s is damaged: %w: restore it, "+
			"or remove it together with its key %s to have a new identity created", id.certificate, err, id.key)
	}
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, fmt.Errorf("certificate %s %w %s: install the matching pair", id.certificate, errOtherKey, id.key)
	}
	return newOwn(certs, key), nil
}

func loadKey(path string) (*rsa.PrivateKey, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("private key %s cannot be read: %w", path, err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && hasPermissions {
		return nil, fmt.Errorf("private key %s is open to other users (mode %04o): take it back with chmod 600, "+
			"and replace it if others may have read it", path, info.Mode().Perm())
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	if bits := key.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
		return nil, fmt.Errorf("private key %s has %d bits: the security policies allow %d to %d", path, bits, minKeyBits, maxKeyBits)
	}
	return key, nil
}

// hasPermissions is false where file modes say nothing about other users.
const hasPermissions = os.PathSeparator == '/'

func parseKey(data []byte) (*rsa.PrivateKey, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("is protected by a passphrase: store it without one (openssl pkcs8 -topk8 -nocrypt), mode 0600")
		case block.Type == "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case block.Type == "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if rsaKey, ok := key.(*rsa.PrivateKey); ok {
				return rsaKey, nil
			}
			return nil, fmt.Errorf("is a %T, only RSA is supported", key)
		}
	}
	return nil, errors.New(`holds no PEM block "PRIVATE KEY" or "RSA PRIVATE KEY": it is damaged or not a PEM file`)
}

func newOwn(certs []*x509.Certificate, key *rsa.PrivateKey) *Own {
	own := &Own{DER: certs[0].Raw, Cert: certs[0], Key: key}
	for _, c := range certs {
		own.Chain = append(own.Chain, c.Raw)
	}
	return own
}

// Warnings lists what clients may refuse in the own certificate although it can be used: an administrator
// reads them at start and once a day.
func (o *Own) Warnings(applicationURI string, now time.Time) []string {
	var list []string
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if now.Before(ClockFloor()) {
		now = ClockFloor()
	}
	switch left := o.Cert.NotAfter.Sub(now); {
	case left < 0:
		warn("own certificate expired at %s: clients may refuse it", o.Cert.NotAfter.UTC().Format(time.RFC3339))
	case left < 30*24*time.Hour:
		warn("own certificate expires in %d days, at %s", int(left.Hours()/24), o.Cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(o.Cert.NotBefore):
		warn("own certificate is not valid before %s", o.Cert.NotBefore.UTC().Format(time.RFC3339))
	}
	if uri, _ := ApplicationURI(o.Cert); uri != applicationURI {
		warn("own certificate names the application %q, the configuration %q: clients will refuse it "+
			"(run edgeua certs renew, and have them trust it anew)", uri, applicationURI)
	}
	if !strongSignature(o.Cert.SignatureAlgorithm) {
		warn("own certificate is signed with %v: clients may refuse it", o.Cert.SignatureAlgorithm)
	}
	if err := checkLeafUsage(o.Cert, x509.ExtKeyUsageServerAuth); err != nil {
		warn("own certificate: %v", err)
	}
	if len(o.Chain) == 1 && !bytes.Equal(o.Cert.RawIssuer, o.Cert.RawSubject) {
		warn("own certificate comes without its issuer %q: clients must have it already", o.Cert.Issuer.CommonName)
	}
	return list
}
