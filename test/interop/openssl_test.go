//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenSSL_Certificate lets openssl read and verify what edgeua makes of CertificateSettings.
func TestOpenSSL_Certificate(t *testing.T) {
	const within = time.Minute
	dir := t.TempDir()
	run(t, within, edgeua, "init", "--dir", dir)
	main := filepath.Join(dir, "TcUaServerConfig.xml")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	from, to := strings.Index(string(text), "<CommonName>"), strings.Index(string(text), "</CertificateSettings>")
	settings := `<CommonName>Crane</CommonName><DomainComponent>quay</DomainComponent><Organization>Works</Organization>
<OrganizationUnit>Quay 4</OrganizationUnit><Locality>Bergen</Locality><State>
 </State><Country>NO</Country><YearsValidFor>25</YearsValidFor><KeyLength>3072</KeyLength>
<DNSName>crane</DNSName><DNSName>crane.example.net</DNSName><IPAddress>192.0.2.11</IPAddress><IPAddress>2001:db8::11</IPAddress>`
	changed := strings.NewReplacer("urn:[NodeName]:edgeua", "urn:quay:crane").Replace(string(text[:from]) + settings + string(text[to:]))
	if err := os.WriteFile(main, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, within, edgeua, "certs", "renew", "--new-key", "--config", dir)
	file := filepath.Join(dir, "crane.pem")
	run(t, within, edgeua, "certs", "export", "--out", file, "--config", dir)

	if out := run(t, within, "openssl", "verify", "-x509_strict", "-CAfile", file, file); !strings.Contains(out, ": OK") {
		t.Errorf("openssl verify: %s", out)
	}
	out := run(t, within, "openssl", "x509", "-in", file, "-noout", "-text")
	for _, want := range []string{
		"Subject: C = NO, L = Bergen, O = Works, OU = Quay 4, CN = Crane, DC = quay",
		"Public-Key: (3072 bit)", "Signature Algorithm: sha256WithRSAEncryption", "CA:FALSE",
		"Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment", "TLS Web Server Authentication, TLS Web Client Authentication",
		"URI:urn:quay:crane, DNS:crane, DNS:crane.example.net, IP Address:192.0.2.11, IP Address:2001:DB8:0:0:0:0:0:11",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, out)
		}
	}
	run(t, within, "openssl", "x509", "-in", file, "-noout", "-checkend", "629000000") // 20 years less a few days, not 25
	if pub := run(t, within, "openssl", "pkey", "-in", filepath.Join(dir, "PKI/CA/own/private/edgeua.pem"), "-pubout"); pub != run(t, within, "openssl", "x509", "-in", file, "-noout", "-pubkey") {
		t.Error("key and certificate do not belong together")
	}
}
