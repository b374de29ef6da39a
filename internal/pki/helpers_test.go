package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// testNow is the time of all tests that need none in particular.
var testNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// testKey gives one of a few keys, generated once for all tests.
func testKey(i int) *rsa.PrivateKey { return testKeys()[i] }

var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 4)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	return keys
})

const (
	leafKey = iota
	rootKey
	middleKey
	ownKey
)

// signer is a certificate with the key that belongs to it.
type signer struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

var lastSerial int64

// issue signs a certificate; a nil issuer makes it self-signed.
func issue(t testing.TB, template *x509.Certificate, key *rsa.PrivateKey, issuer *signer) *signer {
	t.Helper()
	return &signer{issueFor(t, template, &key.PublicKey, key, issuer), key}
}

func issueFor(t testing.TB, template *x509.Certificate, public *rsa.PublicKey, key *rsa.PrivateKey, issuer *signer) *x509.Certificate {
	t.Helper()
	lastSerial++
	template.SerialNumber = big.NewInt(lastSerial)
	parent := template
	if issuer != nil {
		parent, key = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// leafTemplate is what a proper client certificate holds.
func leafTemplate(edit ...func(*x509.Certificate)) *x509.Certificate {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "client", Organization: []string{"edgeua tests"}},
		NotBefore:             testNow.AddDate(0, -1, 0),
		NotAfter:              testNow.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
		KeyUsage:              applicationUsage | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:                  []*url.URL{{Scheme: "urn", Opaque: "edgeua:test:client"}},
	}
	for _, e := range edit {
		e(template)
	}
	return template
}

func authorityTemplate(name string, edit ...func(*x509.Certificate)) *x509.Certificate {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             testNow.AddDate(-1, 0, 0),
		NotAfter:              testNow.AddDate(9, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          []byte(name),
	}
	for _, e := range edit {
		e(template)
	}
	return template
}

// revoke signs a CRL of issuer that names the given certificates.
func revoke(t testing.TB, issuer *signer, edit func(*x509.RevocationList), certs ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: testNow.AddDate(0, 0, -1), NextUpdate: testNow.AddDate(0, 1, 0)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: testNow.AddDate(0, 0, -2)})
	}
	if edit != nil {
		edit(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer.cert, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// testStore is a Store over directories of its own, with a clock that the test moves.
type testStore struct {
	*Store
	t    testing.TB
	loc  Locations
	logs *bytes.Buffer
	now  time.Time
}

// newTestStore opens a store in which every directory exists.
func newTestStore(t testing.TB, checks Checks, own []byte) *testStore {
	t.Helper()
	dir := t.TempDir()
	ts := &testStore{
		t: t, now: time.Now(), logs: new(bytes.Buffer),
		loc: Locations{
			TrustedCerts: dir + "/trusted/certs", TrustedCRLs: dir + "/trusted/crl",
			IssuerCerts: dir + "/issuers/certs", IssuerCRLs: dir + `\issuers\crl`,
			Rejected: dir + "/rejected",
		},
	}
	ts.reopen(checks, own)
	return ts
}

func (ts *testStore) reopen(checks Checks, own []byte) {
	ts.t.Helper()
	log := slog.New(slog.NewTextHandler(ts.logs, nil))
	store, err := open(ts.loc, checks, own, log, func() time.Time { return ts.now })
	if err != nil {
		ts.t.Fatal(err)
	}
	ts.Store = store
}

func (ts *testStore) put(dir, name string, data []byte) string {
	ts.t.Helper()
	path := filepath.Join(localPath(dir), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		ts.t.Fatal(err)
	}
	return path
}

// rejectedFiles are the names in the rejected directory.
func (ts *testStore) rejectedFiles() []string {
	entries, _ := os.ReadDir(ts.loc.Rejected)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantCode checks the status of a validation; 0 wants success.
func wantCode(t testing.TB, err error, want ua.StatusCode) {
	t.Helper()
	var failure *CertificateError
	switch {
	case err == nil && want == ua.StatusOK:
	case err == nil:
		t.Errorf("accepted, want %s", codeName(want))
	case !errors.As(err, &failure):
		t.Errorf("error %T %v is no CertificateError", err, err)
	case failure.Code != want:
		t.Errorf("got %v, want %s", err, codeName(want))
	case !errors.Is(err, want):
		t.Errorf("errors.Is does not find %s in %v", codeName(want), err)
	}
}
