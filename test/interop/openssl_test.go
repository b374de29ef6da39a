//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const openSSLTime = time.Minute

// TestOpenSSL_Certificate lets openssl read and verify what the first start and a renewal make of CertificateSettings.
func TestOpenSSL_Certificate(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, settings string
		days, bits     int
		want           []string
		hosts          []string // as arguments of openssl verify
	}{
		{
			"everything", `<CommonName>Crane</CommonName><DomainComponent>quay</DomainComponent><Organization>Works</Organization>
<OrganizationUnit>Quay 4</OrganizationUnit><Locality>Bergen</Locality><State>
 </State><Country>NO</Country><YearsValidFor>25</YearsValidFor><KeyLength>3072</KeyLength><CertificateType>RsaSha256</CertificateType>
<DNSName>crane</DNSName><DNSName>crane.example.net</DNSName><IPAddress>192.0.2.11</IPAddress><IPAddress>2001:db8:0:0:0:0:0:11</IPAddress>`,
			20 * 365, 3072, // 20 years are the most
			[]string{
				"Subject: C = NO, L = Bergen, O = Works, OU = Quay 4, CN = Crane, DC = quay\n",
				"\n                URI:urn:quay:crane, DNS:crane, DNS:crane.example.net, IP Address:192.0.2.11, IP Address:2001:DB8:0:0:0:0:0:11\n",
			},
			[]string{"-verify_hostname", "crane.example.net", "-verify_ip", "192.0.2.11"},
		},
		{
			"nothing", ``, 5 * 365, 2048,
			[]string{"\n                URI:urn:quay:crane, DNS:" + host + "\n", "CN = edgeua@" + host + ", DC = " + host + "\n"},
			[]string{"-verify_hostname", host},
		},
		{
			"an address only, the longest key", `<CommonName>[NodeName] at [ServerName]</CommonName><State>Vestland</State><YearsValidFor>1</YearsValidFor>
<KeyLength>4096</KeyLength><IPAddress>2001:db8::11</IPAddress>`,
			365, 4096,
			[]string{
				"\n                URI:urn:quay:crane, IP Address:2001:DB8:0:0:0:0:0:11\n", "ST = Vestland",
				"CN = " + host + " at edgeua@" + host + ", DC = " + host + "\n",
			},
			[]string{"-verify_ip", "2001:db8::11"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			run(t, openSSLTime, edgeua, "init", "--dir", dir, "--port", strconv.Itoa(freePort(t)))
			settle(t, dir, tt.settings)
			if err := os.RemoveAll(filepath.Join(dir, "PKI")); err != nil {
				t.Fatal(err)
			}
			p := start(t, edgeua, "serve", "--config", dir)
			p.waitText("server running", openSSLTime)
			p.stop(10 * time.Second)
			check := func() (key string) {
				file := filepath.Join(t.TempDir(), "gateway.pem")
				run(t, openSSLTime, edgeua, "certs", "export", "--out", file, "--config", dir)
				return checkCertificate(t, dir, file, tt.days, tt.bits, append(tt.want,
					"Subject Alternative Name:", "Signature Algorithm: sha256WithRSAEncryption", "CA:FALSE",
					"Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment", "TLS Web Server Authentication, TLS Web Client Authentication"), tt.hosts)
			}
			first := check()
			run(t, openSSLTime, edgeua, "certs", "renew", "--config", dir)
			if check() != first {
				t.Error("a renewal changed the key")
			}
			run(t, openSSLTime, edgeua, "certs", "renew", "--new-key", "--config", dir)
			if check() == first {
				t.Error("--new-key kept the key")
			}
		})
	}
}

// settle puts CertificateSettings of a test into the file that init wrote.
func settle(t *testing.T, dir, settings string) {
	t.Helper()
	main := filepath.Join(dir, "TcUaServerConfig.xml")
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	from, to := strings.Index(string(text), "<CommonName>"), strings.Index(string(text), "</CertificateSettings>")
	changed := strings.NewReplacer("urn:[NodeName]:edgeua", "urn:quay:crane").Replace(string(text[:from]) + settings + string(text[to:]))
	if err := os.WriteFile(main, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkCertificate returns the public key.
func checkCertificate(t *testing.T, dir, file string, days, bits int, want, hosts []string) string {
	t.Helper()
	verify := append([]string{"verify", "-x509_strict", "-CAfile", file}, hosts...)
	for _, purpose := range []string{"sslserver", "sslclient"} {
		if out := run(t, openSSLTime, "openssl", append(verify, "-purpose", purpose, file)...); !strings.Contains(out, ": OK") {
			t.Errorf("openssl verify: %s", out)
		}
	}
	out := run(t, openSSLTime, "openssl", "x509", "-in", file, "-noout", "-text")
	for _, w := range append(want, "Public-Key: ("+strconv.Itoa(bits)+" bit)") {
		if !strings.Contains(out, w) {
			t.Errorf("the certificate lacks %q:\n%s", w, out)
		}
	}
	dates := run(t, openSSLTime, "openssl", "x509", "-in", file, "-noout", "-dates", "-dateopt", "iso_8601")
	var from, to time.Time
	for line := range strings.Lines(dates) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		at, err := time.Parse("2006-01-02 15:04:05Z", value)
		if err != nil {
			t.Fatal(err)
		}
		if name == "notBefore" {
			from = at
		} else {
			to = at
		}
	}
	if got := to.Sub(from); got != time.Duration(days)*24*time.Hour {
		t.Errorf("valid for %v, want %d days", got, days)
	}
	key := filepath.Join(dir, "PKI/CA/own/private/edgeua.pem")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	run(t, openSSLTime, "openssl", "rsa", "-in", key, "-check", "-noout")
	pub := run(t, openSSLTime, "openssl", "pkey", "-in", key, "-pubout")
	if pub != run(t, openSSLTime, "openssl", "x509", "-in", file, "-noout", "-pubkey") {
		t.Error("key and certificate do not belong together")
	}
	return pub
}
