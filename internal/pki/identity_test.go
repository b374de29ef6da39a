package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func testRequest() Request {
	return Request{
		ApplicationURI: "urn:gateway:edgeua:1", CommonName: "edgeua@gateway", Organization: "Organization",
		OrganizationUnit: "Unit", Locality: "LocationName", State: "\n   ", Country: "DE", DomainComponent: "gateway",
		DNSNames: []string{"gateway", "gateway.local"}, IPs: []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")},
		Validity: 20 * 365 * 24 * time.Hour,
	}
}

// testLocations uses the shipped layout, one path with the other separator.
func testLocations(t *testing.T) Locations {
	dir := t.TempDir()
	return Locations{Certificate: dir + "/own/certs/server.der", PrivateKey: dir + `\own\private\server.pem`}
}

func TestLoadOrCreate_FirstStart(t *testing.T) {
	loc := testLocations(t)
	if _, _, err := LoadOrCreate(loc, testRequest(), false); err == nil || !strings.Contains(err.Error(), "GenerateCertificate") {
		t.Fatalf("without GenerateCertificate: %v", err)
	}
	own, created, err := LoadOrCreate(loc, testRequest(), true)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(localPath(loc.PrivateKey))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
	again, created, err := LoadOrCreate(loc, Request{}, true)
	if err != nil || created || !bytes.Equal(again.DER, own.DER) || !again.Key.Equal(own.Key) {
		t.Errorf("second start: created %v, %v", created, err)
	}
	if w := again.Warnings("urn:gateway:edgeua:1", time.Now()); len(w) != 0 {
		t.Errorf("warnings about a fresh certificate: %q", w)
	}
	left, err := filepath.Glob(filepath.Dir(loc.Certificate) + "/.*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What Part 6 (1.05), 6.2.2 wants in the certificate, and the shape of a real TwinCAT one.
func TestRequest_Part6_622_Certificate(t *testing.T) {
	der, err := testRequest().selfSign(testKey(ownKey), testNow)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Subject.String(); got != "CN=edgeua@gateway,OU=Unit,O=Organization,L=LocationName,C=DE,0.9.2342.19200300.100.1.25=#130767617465776179" {
		t.Errorf("subject %s", got)
	}
	if !bytes.Contains(c.RawSubject, []byte("\x16\x07gateway")) {
		t.Errorf("DomainComponent is no IA5String in % x", c.RawSubject)
	}
	if uri, _ := ApplicationURI(c); uri != "urn:gateway:edgeua:1" || len(c.URIs) != 1 {
		t.Errorf("URI %q", uri)
	}
	if !slices.Equal(c.DNSNames, []string{"gateway", "gateway.local"}) || len(c.IPAddresses) != 2 ||
		!c.IPAddresses[0].Equal(net.ParseIP("192.0.2.7")) || !c.IPAddresses[1].Equal(net.ParseIP("2001:db8::7")) {
		t.Errorf("names %v, addresses %v", c.DNSNames, c.IPAddresses)
	}
	if c.Version != 3 || c.IsCA || !c.BasicConstraintsValid || c.SignatureAlgorithm != x509.SHA256WithRSA || !selfSigned(c) {
		t.Errorf("version %d, CA %v, %v", c.Version, c.IsCA, c.SignatureAlgorithm)
	}
	if c.KeyUsage != applicationUsage|x509.KeyUsageCertSign ||
		!slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}) {
		t.Errorf("usage %b, %v", c.KeyUsage, c.ExtKeyUsage)
	}
	if c.NotAfter.Sub(c.NotBefore) != 7300*24*time.Hour || !c.NotBefore.Equal(testNow.Add(-24*time.Hour)) {
		t.Errorf("validity %v to %v", c.NotBefore, c.NotAfter)
	}
	if !bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId) || len(c.SubjectKeyId) == 0 || c.SerialNumber.Sign() <= 0 {
		t.Errorf("key ids %x %x, serial %v", c.SubjectKeyId, c.AuthorityKeyId, c.SerialNumber)
	}
	// Another gateway that trusts it accepts it.
	batteryCase{trusted: certs(c), send: der}.run(t)
}

// A gateway that starts in 1970 makes a certificate that is valid when its clock is right.
func TestRequest_ClockNeverSet(t *testing.T) {
	der, err := testRequest().selfSign(testKey(ownKey), time.Unix(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := x509.ParseCertificate(der)
	if want := ClockFloor().Add(-24 * time.Hour); !c.NotBefore.Equal(want) {
		t.Errorf("not before %v, want %v", c.NotBefore, want)
	}
}

func TestRequest_Refused(t *testing.T) {
	for want, edit := range map[string]func(*Request){
		"ApplicationUri":  func(r *Request) { r.ApplicationURI = "" },
		"ASCII":           func(r *Request) { r.ApplicationURI = "urn:Gerät" },
		"CommonName":      func(r *Request) { r.CommonName = " " },
		"KeyLength 1024":  func(r *Request) { r.KeyBits = 1024 },
		"KeyLength 8192":  func(r *Request) { r.KeyBits = 8192 },
		"DNSName":         func(r *Request) { r.DNSNames = []string{"ok", ""} },
		"DomainComponent": func(r *Request) { r.DomainComponent = "ü" },
	} {
		req, loc := testRequest(), testLocations(t)
		edit(&req)
		_, _, err := LoadOrCreate(loc, req, true)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), loc.Certificate) {
			t.Errorf("%s: got %v", want, err)
		}
		if found, _ := exists(localPath(loc.PrivateKey)); found {
			t.Errorf("%s: a key was left behind", want)
		}
	}
	req := testRequest()
	req.CommonName, req.DNSNames, req.IPs = strings.Repeat("n", 80), nil, nil
	req, err := req.checked()
	if host, _ := os.Hostname(); err != nil || len(req.CommonName) != 64 || !slices.Equal(req.DNSNames, []string{host}) {
		t.Errorf("long name, no host name: %+v, %v", req, err)
	}
}

// installed puts a good identity on the disk.
func installed(t *testing.T) (Locations, []byte) {
	loc := testLocations(t)
	der, err := testRequest().selfSign(testKey(ownKey), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := (identityFiles{loc.Certificate, localPath(loc.PrivateKey)}).write(der, pkcs8(t, ownKey)); err != nil {
		t.Fatal(err)
	}
	return loc, der
}

func pkcs8(t *testing.T, key int) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(testKey(key))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Whatever is wrong with an identity, the message names file and remedy and no file changes.
func TestLoadOrCreate_Damaged(t *testing.T) {
	overwrite := func(path string, data []byte) {
		if err := os.WriteFile(localPath(path), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(path string) {
		if err := os.Remove(localPath(path)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(loc Locations)
		want   []string
	}{
		"no key":             {func(l Locations) { remove(l.PrivateKey) }, []string{"server.pem is missing", "restore"}},
		"no certificate":     {func(l Locations) { remove(l.Certificate) }, []string{"server.der is missing", "restore"}},
		"certificate cut":    {func(l Locations) { overwrite(l.Certificate, []byte{0x30, 0x82}) }, []string{"server.der is damaged", "restore"}},
		"certificate empty":  {func(l Locations) { overwrite(l.Certificate, nil) }, []string{"server.der is damaged"}},
		"key empty":          {func(l Locations) { overwrite(l.PrivateKey, nil) }, []string{"server.pem", "PRIVATE KEY"}},
		"key of another":     {func(l Locations) { overwrite(l.PrivateKey, pkcs8(t, leafKey)) }, []string{"does not belong", "matching pair"}},
		"key open to others": {func(l Locations) { os.Chmod(localPath(l.PrivateKey), 0o644) }, []string{"server.pem", "chmod 600"}},
		"key open to group":  {func(l Locations) { os.Chmod(localPath(l.PrivateKey), 0o640) }, []string{"server.pem", "chmod 600"}},
		"key with passphrase": {func(l Locations) {
			overwrite(l.PrivateKey, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
		}, []string{"server.pem", "passphrase"}},
		"key huge":                   {func(l Locations) { overwrite(l.PrivateKey, make([]byte, maxFile+1)) }, []string{"server.pem", "larger than"}},
		"certificate is a directory": {func(l Locations) { remove(l.Certificate); os.Mkdir(l.Certificate, 0o755) }, []string{"server.der", "regular file"}},
	} {
		t.Run(name, func(t *testing.T) {
			loc, _ := installed(t)
			c.damage(loc)
			before := snapshot(t, loc)
			_, created, err := LoadOrCreate(loc, testRequest(), true)
			if err == nil || created {
				t.Fatalf("created %v, error %v", created, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %q: %v", want, err)
				}
			}
			if after := snapshot(t, loc); after != before {
				t.Errorf("files changed from %s to %s", before, after)
			}
		})
	}
}

// A key that cannot be written leaves no certificate behind.
func TestLoadOrCreate_NowhereForTheKey(t *testing.T) {
	loc := testLocations(t)
	if err := os.MkdirAll(pendingPath(localPath(loc.PrivateKey))+"/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOrCreate(loc, testRequest(), true); err == nil || !strings.Contains(err.Error(), "must be writable") {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(localPath(loc.Certificate)))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func snapshot(t *testing.T, loc Locations) string {
	var s strings.Builder
	for _, path := range []string{loc.Certificate, localPath(loc.PrivateKey)} {
		data, err := os.ReadFile(path)
		s.WriteString(path)
		s.Write(data)
		if err != nil {
			s.WriteString(" unreadable")
		}
	}
	return s.String()
}

// Certificates in PEM with their issuers, and keys in PKCS#1, come from other tools.
func TestLoadOrCreate_ForeignForms(t *testing.T) {
	loc, _ := installed(t)
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	leaf := issue(t, leafTemplate(), testKey(ownKey), root)
	var chain bytes.Buffer
	for _, c := range []*x509.Certificate{leaf.cert, root.cert} {
		pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey(ownKey))})
	os.WriteFile(loc.Certificate, chain.Bytes(), 0o644)
	os.WriteFile(localPath(loc.PrivateKey), pkcs1, 0o600)
	own, _, err := LoadOrCreate(loc, testRequest(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(own.Chain) != 2 || !bytes.Equal(own.Chain[0], leaf.cert.Raw) || !bytes.Equal(own.Chain[1], root.cert.Raw) {
		t.Errorf("chain of %d", len(own.Chain))
	}
	warnings := strings.Join(own.Warnings("urn:gateway:edgeua:1", testNow.AddDate(0, 0, 350)), "\n")
	for _, want := range []string{"expires in", "urn:edgeua:test:client", "extended key usage"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warnings lack %q: %s", want, warnings)
		}
	}
}

// A power loss at any step of the first start leaves nothing, or something the next start finishes; the key
// that was named once is never replaced.
func TestLoadOrCreate_PowerLoss(t *testing.T) {
	for step := range 4 {
		loc := testLocations(t)
		id := identityFiles{loc.Certificate, localPath(loc.PrivateKey)}
		os.MkdirAll(filepath.Dir(id.certificate), 0o755)
		os.MkdirAll(filepath.Dir(id.key), 0o755)
		der, err := testRequest().selfSign(testKey(ownKey), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		steps := []func() error{
			func() error { return os.WriteFile(pendingPath(id.certificate), der[:100], 0o644) }, // cut in the middle
			func() error { return writePending(id.certificate, der, 0o644) },
			func() error { return writePending(id.key, pkcs8(t, ownKey), 0o600) },
			func() error { return commitPending(id.key) },
		}
		for _, do := range steps[:step+1] {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		own, created, err := LoadOrCreate(loc, testRequest(), true)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if finished := bytes.Equal(own.DER, der); finished != (step == 3) || created == finished {
			t.Errorf("step %d: finished %v, created %v", step, finished, created)
		}
	}
}

// A pipe or a device in place of a file is an error at once, not a start that hangs.
func TestLoadOrCreate_Pipe(t *testing.T) {
	loc, _ := installed(t)
	os.Remove(localPath(loc.PrivateKey))
	makePipe(t, localPath(loc.PrivateKey))
	if _, _, err := LoadOrCreate(loc, testRequest(), true); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("got %v", err)
	}
}
