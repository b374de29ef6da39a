package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inspect runs Inspect over a fresh identity and returns its findings as text.
func inspect(t *testing.T, loc Locations, want Wanted, now time.Time) string {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(filepath.Dir(localPath(loc.Certificate))))
	var b strings.Builder
	for _, f := range Inspect(loc, want, now) {
		fmt.Fprintf(&b, "%t %s: %s\n", f.Fatal, strings.TrimPrefix(f.Path, dir+"/"), strings.ReplaceAll(f.Message, dir+"/", ""))
	}
	return b.String()
}

// TestInspect_FindsWhatAdministratorsForget has one case for each mistake that files can show.
func TestInspect_FindsWhatAdministratorsForget(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, loc *Locations, want *Wanted)
		want  string // in the only finding; empty: none
	}{
		"nothing":         {func(*testing.T, *Locations, *Wanted) {}, ""},
		"will be created": {func(t *testing.T, l *Locations, _ *Wanted) { os.RemoveAll(filepath.Dir(filepath.Dir(l.Certificate))) }, ""},
		"nor created": {func(t *testing.T, l *Locations, w *Wanted) {
			os.RemoveAll(filepath.Dir(filepath.Dir(l.Certificate)))
			w.Generate = false
		}, "true own/certs/own.der: the own certificate and its key do not exist"},
		"connect by IP":    {func(_ *testing.T, _ *Locations, w *Wanted) { w.Hosts = append(w.Hosts, "192.0.2.8") }, "false own/certs/own.der: own certificate does not name 192.0.2.8, by which clients reach the server, but gateway, gateway.local, 192.0.2.7, 2001:db8::7"},
		"settings changed": {func(_ *testing.T, _ *Locations, w *Wanted) { w.Request.Organization = "New" }, `contradicts CertificateSettings, which count only when one is created: Organization is "Organization", not "New"; run edgeua certs renew`},
		"renamed":          {func(_ *testing.T, _ *Locations, w *Wanted) { w.Request.ApplicationURI = "urn:renamed" }, `names the application "urn:gateway:edgeua:1", the configuration "urn:renamed"`},
		"no certificate":   {func(t *testing.T, l *Locations, _ *Wanted) { os.Remove(l.Certificate) }, "true own/certs/own.der: certificate own/certs/own.der is missing although its private key"},
		"no key":           {func(t *testing.T, l *Locations, _ *Wanted) { os.Remove(l.PrivateKey) }, "true own/certs/own.der: private key own/private/own.pem is missing although its certificate"},
		"wrong pair": {func(t *testing.T, l *Locations, _ *Wanted) {
			put(t, l.Certificate, issue(t, leafTemplate(), testKey(rootKey), nil).cert.Raw)
		}, "true own/certs/own.der: certificate own/certs/own.der does not belong to private key"},
		"readable key": {func(t *testing.T, l *Locations, _ *Wanted) { os.Chmod(l.PrivateKey, 0o644) }, "is open to other users (mode 0644)"},
		"too high": {func(t *testing.T, l *Locations, _ *Wanted) {
			put(t, filepath.Dir(l.TrustedCerts)+"/client.der", issue(t, leafTemplate(), testKey(leafKey), nil).cert.Raw)
		}, `false trusted/client.der: certificate of "client" has no effect here: trusted certificates belong into trusted/certs`},
		"expired client": {func(t *testing.T, l *Locations, _ *Wanted) {
			put(t, l.TrustedCerts+"/c.der", issue(t, leafTemplate(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }), testKey(leafKey), nil).cert.Raw)
		}, `false trusted/certs/c.der: certificate of "client" expired at`},
		"junk": {func(t *testing.T, l *Locations, _ *Wanted) { put(t, l.TrustedCerts+"/readme.txt", []byte("hi")) }, "false trusted/certs/readme.txt: is left out: holds neither"},
		"link": {func(t *testing.T, l *Locations, _ *Wanted) {
			os.MkdirAll(l.TrustedCerts, 0o755)
			os.Symlink("loop.der", l.TrustedCerts+"/loop.der")
		}, "false trusted/certs/loop.der: is left out: is not a regular file"},
		"links in a circle": {func(t *testing.T, l *Locations, _ *Wanted) {
			os.Remove(l.TrustedCerts)
			os.Symlink("certs", l.TrustedCerts)
		}, "true trusted/certs: cannot be used: too many levels of symbolic links"},
		"old CRL": {func(t *testing.T, l *Locations, _ *Wanted) {
			ca := issue(t, authorityTemplate("CA"), testKey(rootKey), nil)
			put(t, l.TrustedCRLs+"/c.crl", revoke(t, ca, func(r *x509.RevocationList) { r.ThisUpdate = now.AddDate(-1, 0, 0); r.NextUpdate = now.Add(-time.Hour) }))
		}, `revocation list of "CA" should have been replaced by`},
		"CRL astray": {func(t *testing.T, l *Locations, _ *Wanted) {
			ca := issue(t, authorityTemplate("CA"), testKey(rootKey), nil)
			put(t, l.TrustedCerts+"/c.crl", revoke(t, ca, nil))
		}, "is a revocation list among certificates"},
		"case": {func(t *testing.T, l *Locations, _ *Wanted) {
			l.TrustedCerts = strings.Replace(l.TrustedCerts, "certs", "Certs", 1)
		}, "names differ by case here, unlike on Windows"},
		"file":    {func(t *testing.T, l *Locations, _ *Wanted) { put(t, l.Rejected, nil) }, "false rejected: is not a directory"},
		"crowded": {func(t *testing.T, l *Locations, _ *Wanted) { crowd(t, l.TrustedCerts, 600) }, "holds more than 500 files"},
	} {
		t.Run(name, func(t *testing.T) {
			loc, req := identityOf(t)
			want := Wanted{Request: req, Generate: true, Hosts: []string{"gateway", "192.0.2.7"}}
			tc.spoil(t, &loc, &want)
			before := tree(t, filepath.Dir(loc.Rejected))
			got := inspect(t, loc, want, now)
			if n := strings.Count(got, "\n"); tc.want == "" && n > 0 || tc.want != "" && (!strings.Contains(got, tc.want) || n != 1) {
				t.Errorf("got\n%s want %s", got, tc.want)
			}
			if after := tree(t, filepath.Dir(loc.Rejected)); after != before {
				t.Errorf("something was written: %s", after)
			}
		})
	}
}

// identityOf gives a test files of its own for one and the same key.
func identityOf(t *testing.T) (Locations, Request) {
	t.Helper()
	dir := t.TempDir()
	loc := Locations{TrustedCerts: dir + "/trusted/certs", TrustedCRLs: dir + "/trusted/crl", IssuerCerts: dir + "/issuers/certs",
		Rejected: dir + "/rejected", Certificate: dir + "/own/certs/own.der", PrivateKey: dir + "/own/private/own.pem"}
	req := testRequest()
	req.KeyBits = DefaultKeyBits
	own, err := sign(req, testKey(ownKey), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	put(t, loc.Certificate, own.DER)
	put(t, loc.PrivateKey, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(own.Key)}))
	if err := os.MkdirAll(loc.TrustedCerts, 0o755); err != nil {
		t.Fatal(err)
	}
	return loc, req
}

// crowd fills a directory with links to one valid certificate file.
func crowd(t *testing.T, dir string, n int) {
	t.Helper()
	cert := issue(t, leafTemplate(func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(1, 0, 0) }), testKey(leafKey), nil).cert
	put(t, dir+"/0.der", cert.Raw)
	for i := 1; i < n; i++ {
		if err := os.Link(dir+"/0.der", fmt.Sprintf("%s/%d.der", dir, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// tree lists everything below a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintf(&b, "%s %v %d\n", path, info.Mode(), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
