package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/pki"
)

// unknownClient puts the certificate of an unknown client among the rejected ones and returns its thumbprint.
func unknownClient(t *testing.T, dir, file string) string {
	t.Helper()
	at := t.TempDir()
	own, _, err := pki.LoadOrCreate(pki.Locations{Certificate: at + "/c.der", PrivateKey: at + "/c.pem"},
		pki.Request{ApplicationURI: "urn:client", CommonName: "client \x1b[31m"}, true)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, file), own.DER)
	return pki.Thumbprint(own.Cert)
}

func TestCerts_TrustAndReject(t *testing.T) {
	dir := plant(t)
	thumbprint := unknownClient(t, dir, "PKI/CA/rejected/x.der")
	list := edgeua(t, "certs", "list", "--config", dir)
	list.want(t, exitOK, "own ", `"urn:plant:press"`, "rejected ", `"urn:client"`, thumbprint, `\x1b[31m`)
	if strings.Contains(list.stdout, "\x1b") {
		t.Error("a stranger's name reaches the terminal")
	}
	edgeua(t, "certs", "trust", strings.ToLower(thumbprint[:12]), "--config", dir).want(t, exitOK, "trusted ", "from its next connection on")
	edgeua(t, "certs", "list", "--config", dir).want(t, exitOK, "trusted ", thumbprint)
	edgeua(t, "certs", "trust", thumbprint, "--config", dir).want(t, exitFailure, "no certificate with the thumbprint")
	edgeua(t, "certs", "show", thumbprint, "--config", dir).want(t, exitOK, "PKI/CA/trusted/certs", "RSA, 2048 bits")
	edgeua(t, "certs", "reject", thumbprint, "--config", dir).want(t, exitOK, "rejected ")
	edgeua(t, "certs", "reject", thumbprint, "--config", dir).want(t, exitFailure, "no certificate with the thumbprint")
	if all, err := pki.List(dir + "/PKI/CA/rejected"); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
	edgeua(t, "certs", "show", "--config", dir).want(t, exitOK, `subject      "CN=Press,O=Organization"`)
	edgeua(t, "certs", "list", "--users", "--config", dir).want(t, exitOK, "there is no store")
	edgeua(t, "certs", "trust", "--config", dir).want(t, exitConfig, "accepts 1 arg(s)")
	edgeua(t, "certs", "list", "--endpoint", "opc.tcp://other:1", "--config", dir).want(t, exitConfig, "there is no endpoint")
}

// TestCerts_SharedRejected trusts one certificate in two stores that share the rejected ones.
func TestCerts_SharedRejected(t *testing.T) {
	dir := plant(t)
	main, err := os.ReadFile(dir + "/TcUaServerConfig.xml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(main)
	from, to := strings.Index(text, "<UaEndpoint>"), strings.Index(text, "<UserIdentityTokens>")
	second := strings.NewReplacer(":4840", ":4841", "trusted/certs", "trusted2/certs", "192.0.2.17", "192.0.2.18").Replace(text[from:to])
	write(t, dir+"/TcUaServerConfig.xml", []byte(text[:to]+second+text[to:]))
	thumbprint := unknownClient(t, dir, "PKI/CA/rejected/x.der")
	edgeua(t, "certs", "trust", thumbprint, "--config", dir).want(t, exitOK, "trusted/certs", "trusted2/certs")
	edgeua(t, "certs", "reject", thumbprint, "--config", dir).want(t, exitOK, "rejected ")
	for _, list := range []string{"trusted", "trusted2"} {
		if all, err := pki.List(dir + "/PKI/CA/" + list + "/certs"); err != nil || len(all) != 0 {
			t.Errorf("%s: %v %v", list, all, err)
		}
	}
}

func TestCerts_RenewAndExport(t *testing.T) {
	dir := plant(t)
	edit(t, dir+"/TcUaServerConfig.xml", "<DNSName>press</DNSName>", "<DNSName>press</DNSName><IPAddress>192.0.2.3</IPAddress>")
	edgeua(t, "check", "--config", dir).want(t, exitOK, "contradicts CertificateSettings")
	edgeua(t, "certs", "renew", "--config", dir).want(t, exitOK, "renewed ", "edgeua certs export")
	r := edgeua(t, "check", "--config", dir)
	r.want(t, exitOK, "0 errors, 0 warnings")
	out := filepath.Join(t.TempDir(), "gateway.pem")
	edgeua(t, "certs", "export", "--out", out, "--config", dir).want(t, exitOK, "wrote "+out)
	edgeua(t, "certs", "export", "--out", out, "--config", dir).want(t, exitFailure, "file exists")
	file, err := os.ReadFile(out)
	if err != nil || edgeua(t, "certs", "export", "--config", dir).stdout != string(file) {
		t.Errorf("%v %s", err, file)
	}
	edit(t, dir+"/TcUaServerConfig.xml", "<GenerateCertificate>true", "<GenerateCertificate>false")
	edgeua(t, "certs", "renew", "--config", dir).want(t, exitConfig, "GenerateCertificate is not true")
	edgeua(t, "certs", "renew", "--users", "--config", dir).want(t, exitConfig, "users have certificates of their own")
}
