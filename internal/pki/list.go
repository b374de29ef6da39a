package pki

import (
	"bytes"
	"crypto/sha1" // a thumbprint of Part 4 (1.05), 7.2 is SHA-1; it names a certificate and proves nothing
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Entry is one certificate or revocation list as it lies in a directory.
type Entry struct {
	Path    string
	Cert    *x509.Certificate    // nil if the file holds none or is a CRL
	CRL     *x509.RevocationList // nil if the file holds none or is a certificate
	Problem error                // why the file is not used
}

// List gives what lies in a directory of the trust list, or in the one file that a location names, the way a [Store]
// reads it, and writes nothing. A directory that does not exist is empty. The error says that it, or part of it, is not used.
func List(location string) ([]Entry, error) {
	return entries(localPath(location), parseEntry)
}

// entries reads the files at path; parse may find several things in one of them.
func entries(path string, parse func(data []byte) ([]Entry, error)) ([]Entry, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cause(err)
	case info.Mode().IsRegular():
		return readEntries(path, parse), nil
	case !info.IsDir():
		return nil, errors.New("is neither a directory nor a file")
	}
	d := directory[Entry]{path: path}
	files, trouble, err := d.list()
	if err != nil {
		return nil, cause(err)
	}
	var all []Entry
	for _, file := range files {
		if file.IsDir() {
			all = append(all, Entry{Path: filepath.Join(path, file.Name()), Problem: errors.New("is a directory: nothing below it is looked at")})
			continue
		}
		if !file.Mode().IsRegular() {
			all = append(all, Entry{Path: filepath.Join(path, file.Name()), Problem: errNotRegular})
			continue
		}
		all = append(all, readEntries(filepath.Join(path, file.Name()), parse)...)
	}
	if trouble != "" {
		return all, errors.New(trouble)
	}
	return all, nil
}

func readEntries(path string, parse func(data []byte) ([]Entry, error)) []Entry {
	data, _, err := readFile(path)
	var found []Entry
	if err == nil {
		found, err = parse(data)
	}
	if err != nil {
		return []Entry{{Path: path, Problem: cause(err)}}
	}
	for i := range found {
		found[i].Path = path
	}
	return found
}

// parseEntry takes a file for what it is.
func parseEntry(data []byte) ([]Entry, error) {
	var found []Entry
	if certs, err := parseCertificates(data); err == nil {
		for _, c := range certs {
			found = append(found, Entry{Cert: c})
		}
		return found, nil
	}
	if crls, err := parseCRLs(data); err == nil {
		for _, crl := range crls {
			found = append(found, Entry{CRL: crl})
		}
		return found, nil
	}
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		return nil, errors.New("holds a private key, which does not belong here")
	}
	return nil, errors.New("holds neither a certificate nor a revocation list in DER or PEM: it is damaged or something else")
}

// cause takes the path out of an error of the file system: messages name it already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// CommonName is the name of the owner, quoted and cut: in a rejected certificate it is a stranger's text.
func CommonName(c *x509.Certificate) string { return quote(c.Subject.CommonName) }

// Thumbprint is how OPC UA names a certificate: SHA-1, in capital hexadecimal digits.
func Thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// shortest thumbprint that is taken for one.
const shortestThumbprint = 8

// matches tells whether text is the beginning of the certificate's SHA-1 or SHA-256 in hexadecimal. Colons and blanks
// between the digits do not matter.
func matches(c *x509.Certificate, text string) bool {
	text = digits(text)
	sum := sha256.Sum256(c.Raw)
	return len(text) >= shortestThumbprint &&
		(strings.HasPrefix(Thumbprint(c), strings.ToUpper(text)) || strings.HasPrefix(hex.EncodeToString(sum[:]), strings.ToLower(text)))
}

func digits(text string) string { return strings.NewReplacer(":", "", " ", "").Replace(text) }

func isThumbprint(text string) bool {
	text = digits(text)
	return len(text) >= shortestThumbprint && strings.Trim(strings.ToLower(text), "0123456789abcdef") == ""
}

// Find gives the certificates at the locations that a thumbprint, or the beginning of one, names.
func Find(thumbprint string, locations ...string) ([]Entry, error) {
	if !isThumbprint(thumbprint) {
		return nil, fmt.Errorf("%s is neither a file nor a thumbprint of at least %d hexadecimal digits", quote(thumbprint), shortestThumbprint)
	}
	var found []Entry
	for _, location := range locations {
		all, err := List(location)
		if err != nil && len(all) == 0 {
			return nil, fmt.Errorf("%s: %w", localPath(location), err)
		}
		for _, e := range all {
			if e.Cert != nil && matches(e.Cert, thumbprint) {
				found = append(found, e)
			}
		}
	}
	return found, nil
}
