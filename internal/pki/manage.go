package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Trust puts a certificate among the trusted ones: which is a file, or the thumbprint of a rejected one. It is written
// there before it leaves the rejected ones, so that a power loss leaves it in both and never in none. A running server
// sees it at the next validation. The error is an fs.ErrNotExist if there is no such certificate.
func Trust(loc Locations, which string) (Entry, error) {
	from, err := locate(which, loc.Rejected)
	switch {
	case err != nil:
		return Entry{}, err
	case loc.TrustedCerts == "":
		return Entry{}, errors.New("the configuration names no directory of trusted certificates")
	case hasOwnKey(from.Cert, loc.Certificate):
		return Entry{}, errors.New("this is the own certificate, or one with the same key: it is never accepted from a client, and trusting it has no effect")
	}
	if err := checkKey(from.Cert, true); err != nil {
		return Entry{}, fmt.Errorf("%w: it would be refused all the same", err)
	}
	files, err := holding(from.Cert, loc.Rejected)
	if err != nil {
		return Entry{}, err
	}
	to, err := store(from.Cert, loc.TrustedCerts)
	if err != nil {
		return Entry{}, err
	}
	return to, remove(files)
}

// Reject takes a certificate out of the trusted ones, from every file that holds it: which is its thumbprint or any file
// with it. It is kept among the rejected ones, if the configuration keeps any. The error is an fs.ErrNotExist if it was not trusted.
func Reject(loc Locations, which string) (Entry, error) {
	from, err := locate(which, loc.TrustedCerts)
	if err != nil {
		return Entry{}, err
	}
	files, err := holding(from.Cert, loc.TrustedCerts)
	switch {
	case err != nil:
		return Entry{}, err
	case len(files) == 0:
		return Entry{}, &notFoundError{fmt.Sprintf("the certificate %s is not in %s, where the trusted ones are", Thumbprint(from.Cert), localPath(loc.TrustedCerts))}
	case loc.Rejected != "":
		if from, err = store(from.Cert, loc.Rejected); err != nil {
			return Entry{}, err
		}
	}
	return from, remove(files)
}

// holding lists the files in a directory that hold a certificate. One that holds others as well cannot be removed with it.
func holding(c *x509.Certificate, dir string) ([]string, error) {
	all, err := List(dir)
	if err != nil && len(all) == 0 {
		return nil, fmt.Errorf("%s %w", localPath(dir), err)
	}
	var files []string
	for _, e := range all {
		if e.Cert != nil && bytes.Equal(e.Cert.Raw, c.Raw) && !slices.Contains(files, e.Path) {
			files = append(files, e.Path)
		}
	}
	for _, e := range all {
		if slices.Contains(files, e.Path) && !bytes.Equal(e.Cert.Raw, c.Raw) {
			return nil, fmt.Errorf("%s holds other certificates as well: split it into one file each", e.Path)
		}
	}
	return files, nil
}

func remove(files []string) error {
	for _, file := range files {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s cannot be removed: %w", file, cause(err))
		}
	}
	return nil
}

// store writes a certificate into a directory, under the name of its hash.
func store(c *x509.Certificate, dir string) (Entry, error) {
	path := filepath.Join(localPath(dir), rejectedName(c.Raw))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Entry{}, fmt.Errorf("directory %s cannot be created: %w", filepath.Dir(path), cause(err))
	}
	if err := writeFile(path, c.Raw, 0o644); err != nil {
		return Entry{}, fmt.Errorf("%s cannot be written: %w", path, cause(err))
	}
	return Entry{Path: path, Cert: c}, nil
}

// notFoundError is an fs.ErrNotExist with a reason of its own.
type notFoundError struct{ reason string }

func (e *notFoundError) Error() string        { return e.reason }
func (e *notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// locate finds exactly one certificate: in the file of that name, or by its thumbprint in a directory.
func locate(which, dir string) (Entry, error) {
	var found []Entry
	path, err := filepath.Abs(which)
	if err != nil {
		return Entry{}, err
	}
	if info, statErr := os.Stat(path); statErr == nil && !info.IsDir() {
		found, err = entries(path, parseEntry)
	} else if found, err = Find(which, dir); err == nil && len(found) == 0 {
		err = &notFoundError{fmt.Sprintf("no certificate with the thumbprint %s in %s", digits(which), localPath(dir))}
	}
	switch {
	case err != nil:
		return Entry{}, err
	case len(found) > 1 && !sameCertificate(found):
		return Entry{}, fmt.Errorf("%s names %d certificates: split the file, or give more digits", quote(which), len(found))
	case found[0].Problem != nil:
		return Entry{}, fmt.Errorf("%s %w", found[0].Path, found[0].Problem)
	case found[0].Cert == nil:
		return Entry{}, fmt.Errorf("%s is a revocation list, not a certificate: copy it to the directory of revocation lists", found[0].Path)
	}
	return found[0], nil
}

func sameCertificate(all []Entry) bool {
	return !slices.ContainsFunc(all, func(e Entry) bool {
		return e.Cert == nil || all[0].Cert == nil || !bytes.Equal(e.Cert.Raw, all[0].Cert.Raw)
	})
}

// Introduce puts a certificate into the trust list of another application on this machine, unless it is there already.
func Introduce(own *x509.Certificate, dir string) error {
	files, err := holding(own, dir)
	if err != nil || len(files) > 0 {
		return err
	}
	_, err = store(own, dir)
	return err
}

// hasOwnKey compares the key: a renewal keeps it, and a Store refuses what has it.
func hasOwnKey(c *x509.Certificate, path string) bool {
	own, err := entries(localPath(path), parseEntry)
	return err == nil && len(own) > 0 && own[0].Cert != nil && bytes.Equal(own[0].Cert.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
}

// Renew replaces the own certificate by a new one made from req. The key stays unless newKey is set: those who trust
// the public key keep doing so, and everybody who trusts the certificate must be given the new one in either case.
// A certificate that an authority issued is not replaced by a self-signed one.
func Renew(loc Locations, req Request, newKey bool) (*Own, error) {
	return renew(loc, req, newKey, time.Now())
}

func renew(loc Locations, req Request, newKey bool, now time.Time) (*Own, error) {
	id := identityFiles{certificate: localPath(loc.Certificate), key: localPath(loc.PrivateKey)}
	old, err := id.load()
	switch {
	case err != nil:
		return nil, err
	case !selfSigned(old.Cert):
		return nil, fmt.Errorf("certificate %s was issued by %s: have it renewed there and install it in its place",
			id.certificate, quote(old.Cert.Issuer.CommonName))
	case newKey:
		return id.create(req, now)
	}
	req.KeyBits = old.Key.N.BitLen()
	if req, err = req.checked(); err != nil {
		return nil, fmt.Errorf("own certificate %s cannot be created: %w", id.certificate, err)
	}
	own, err := sign(req, old.Key, now)
	if err != nil {
		return nil, fmt.Errorf("own certificate %s cannot be created: %w", id.certificate, err)
	}
	if err := writeFile(id.certificate, own.DER, 0o644); err != nil {
		return nil, fmt.Errorf("own certificate %s cannot be stored: %w", id.certificate, cause(err))
	}
	return own, nil
}

// sign makes a self-signed certificate for a key.
func sign(req Request, key *rsa.PrivateKey, now time.Time) (*Own, error) {
	der, err := req.selfSign(key, now)
	if err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, err
	}
	return newOwn(certs, key), nil
}

// PEM encodes a certificate as text.
func PEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Read gives the own identity without creating or finishing anything. It is nil, without an error, when neither file
// exists.
func Read(loc Locations) (*Own, error) {
	id := identityFiles{certificate: localPath(loc.Certificate), key: localPath(loc.PrivateKey)}
	hasKey, err := exists(id.key)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", id.key, cause(err))
	}
	hasCertificate, err := exists(id.certificate)
	switch {
	case err != nil:
		return nil, fmt.Errorf("certificate %s: %w", id.certificate, cause(err))
	case hasKey && hasCertificate:
		return id.load()
	case hasKey || hasCertificate:
		return nil, id.half(hasKey)
	}
	return nil, nil
}
