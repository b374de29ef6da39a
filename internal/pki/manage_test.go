package pki

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shelf is a set of directories with one rejected certificate.
func shelf(t *testing.T) (Locations, *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	loc := Locations{TrustedCerts: dir + "/trusted/certs", TrustedCRLs: dir + "/trusted/crl", Rejected: dir + "/rejected",
		Certificate: dir + "/own/certs/own.der", PrivateKey: dir + "/own/private/own.pem"}
	cert := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	put(t, filepath.Join(loc.Rejected, rejectedName(cert.Raw)), cert.Raw)
	return loc, cert
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range all {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// TestTrust_And_Reject moves a certificate there and back, by every name that it has, and a Store follows at once.
func TestTrust_And_Reject(t *testing.T) {
	loc, cert := shelf(t)
	store, err := Open(loc, Checks{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Validate(cert.Raw, testNow); err == nil {
		t.Fatal("must not be trusted yet")
	}
	e, err := Trust(loc, Thumbprint(cert)[:10])
	if err != nil || !bytes.Equal(e.Cert.Raw, cert.Raw) || names(t, loc.Rejected) != "" {
		t.Fatalf("%v, left %q", err, names(t, loc.Rejected))
	}
	if err := store.Validate(cert.Raw, testNow); err != nil {
		t.Errorf("after Trust: %v", err)
	}
	put(t, loc.TrustedCerts+"/twin.pem", PEM(cert.Raw))
	sum := rejectedName(cert.Raw)
	if _, err := Reject(loc, strings.TrimSuffix(sum, ".der")); err != nil || names(t, loc.TrustedCerts) != "" || names(t, loc.Rejected) != sum {
		t.Fatalf("%v: trusted %q, rejected %q", err, names(t, loc.TrustedCerts), names(t, loc.Rejected))
	}
	if err := store.Validate(cert.Raw, testNow); err == nil {
		t.Error("is still trusted after Reject")
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	put(t, file, PEM(cert.Raw))
	if _, err := Trust(loc, file); err != nil || names(t, loc.TrustedCerts) != sum || names(t, loc.Rejected) != "" {
		t.Errorf("by file: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("a file from elsewhere must stay")
	}
}

func TestTrust_Refuses(t *testing.T) {
	loc, cert := shelf(t)
	own := issue(t, leafTemplate(), testKey(ownKey), nil).cert
	put(t, loc.Certificate, own.Raw)
	dir := t.TempDir()
	before := leafTemplate()
	before.SerialNumber = big.NewInt(77)
	put(t, dir+"/before.der", issue(t, before, testKey(ownKey), nil).cert.Raw)
	put(t, dir+"/junk.der", []byte("junk"))
	put(t, dir+"/key.pem", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	put(t, dir+"/two.pem", append(PEM(cert.Raw), PEM(own.Raw)...))
	for which, want := range map[string]string{
		"1234567":           "neither a file nor a thumbprint",
		"no such file":      "neither a file nor a thumbprint",
		"0123456789abcde":   "no certificate with the thumbprint",
		loc.Certificate:     "own certificate",
		dir + "/before.der": "with the same key",
		dir + "/junk.der":   "holds neither a certificate nor a revocation list",
		dir + "/key.pem":    "holds a private key",
		dir + "/two.pem":    "names 2 certificates",
	} {
		if _, err := Trust(loc, which); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", which, err, want)
		}
	}
	if _, err := Reject(loc, Thumbprint(cert)); err == nil {
		t.Error("rejected what was not trusted")
	}
	put(t, loc.TrustedCerts+"/two.pem", append(PEM(cert.Raw), PEM(own.Raw)...))
	if _, err := Reject(loc, Thumbprint(cert)); err == nil || !strings.Contains(err.Error(), "holds other certificates as well") {
		t.Errorf("a bundle: %v", err)
	}
}

func TestRenew(t *testing.T) {
	loc, _ := shelf(t)
	req := testRequest()
	req.Validity = 24 * time.Hour * 40
	if _, err := Renew(loc, req, false); err == nil {
		t.Error("renewed what does not exist")
	}
	before, _, err := LoadOrCreate(loc, req, true)
	if err != nil {
		t.Fatal(err)
	}
	req.Validity, req.Organization, req.KeyBits = 24*time.Hour*400, "Other", 4096
	after, err := Renew(loc, req, false)
	if err != nil || !after.Key.Equal(before.Key) || bytes.Equal(after.DER, before.DER) || after.Cert.Subject.Organization[0] != "Other" {
		t.Fatalf("%v %v", after, err)
	}
	req.KeyBits = 2048
	fresh, err := Renew(loc, req, true)
	if err != nil || fresh.Key.Equal(before.Key) {
		t.Fatalf("%v %v", fresh, err)
	}
	if own, err := Read(loc); err != nil || !bytes.Equal(own.DER, fresh.DER) {
		t.Errorf("read %v", err)
	}
	ca := issue(t, authorityTemplate("Works CA"), testKey(rootKey), nil)
	put(t, loc.Certificate, issueFor(t, leafTemplate(), &fresh.Key.PublicKey, nil, ca).Raw)
	if _, err := Renew(loc, req, false); err == nil || !strings.Contains(err.Error(), `was issued by "Works CA"`) {
		t.Errorf("issued by an authority: %v", err)
	}
}

// TestRenew_CutOff loses power between the two renames of a renewal with a new key.
func TestRenew_CutOff(t *testing.T) {
	loc, _ := shelf(t)
	if _, _, err := LoadOrCreate(loc, testRequest(), true); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(loc.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Renew(loc, testRequest(), true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, pendingPath(loc.Certificate), fresh.DER)
	put(t, loc.Certificate, old)
	own, created, err := LoadOrCreate(loc, testRequest(), true)
	if err != nil || created || !bytes.Equal(own.DER, fresh.DER) {
		t.Errorf("created %v, %v", created, err)
	}
}

func TestRead_WritesNothing(t *testing.T) {
	dir := t.TempDir()
	loc := Locations{Certificate: dir + "/own.der", PrivateKey: dir + "/own.pem"}
	if own, err := Read(loc); own != nil || err != nil {
		t.Errorf("%v %v", own, err)
	}
	put(t, loc.PrivateKey, []byte("x"))
	if _, err := Read(loc); err == nil || !strings.Contains(err.Error(), "is missing although its private key") {
		t.Error(err)
	}
	if got := names(t, dir); got != "own.pem" {
		t.Errorf("left %q", got)
	}
}

func TestIntroduce(t *testing.T) {
	own := issue(t, leafTemplate(), testKey(ownKey), nil).cert
	dir := filepath.Join(t.TempDir(), "lds/trusted/certs")
	for range 2 {
		if err := Introduce(own, dir); err != nil || names(t, dir) != rejectedName(own.Raw) {
			t.Errorf("%v %q", err, names(t, dir))
		}
	}
	other := filepath.Join(t.TempDir(), "certs")
	put(t, other+"/gateway.pem", PEM(own.Raw))
	if err := Introduce(own, other); err != nil || names(t, other) != "gateway.pem" {
		t.Errorf("known already: %v %q", err, names(t, other))
	}
}
