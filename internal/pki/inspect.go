package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Finding is one thing an administrator should know about a file or directory.
type Finding struct {
	Path    string
	Fatal   bool // a server with these locations does not start
	Message string
}

// Wanted is what a configuration expects of the own certificate.
type Wanted struct {
	Request  Request
	Generate bool     // it is created when it is missing
	Hosts    []string // names and addresses under which clients reach the server
}

// Inspect looks at everything the locations name as a server would meet it, and writes nothing.
func Inspect(loc Locations, want Wanted, now time.Time) []Finding {
	if now.Before(ClockFloor()) {
		now = ClockFloor()
	}
	in := inspection{now: now}
	in.identity(loc, want)
	in.trusted(loc)
	return in.findings
}

// InspectTrust is [Inspect] for locations without an own certificate, such as those of users.
func InspectTrust(loc Locations, now time.Time) []Finding {
	in := inspection{now: now}
	in.trusted(loc)
	return in.findings
}

type inspection struct {
	now      time.Time
	findings []Finding
}

func (in *inspection) warn(path, format string, args ...any) {
	in.findings = append(in.findings, Finding{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (in *inspection) identity(loc Locations, want Wanted) {
	file := localPath(loc.Certificate)
	own, err := Read(loc)
	switch {
	case err != nil:
		in.findings = append(in.findings, Finding{Path: file, Fatal: true, Message: err.Error()})
		return
	case own == nil && !want.Generate:
		in.findings = append(in.findings, Finding{Path: file, Fatal: true,
			Message: "the own certificate and its key do not exist and GenerateCertificate is not true: install both, or write true"})
		return
	case own == nil:
		for _, path := range []string{file, localPath(loc.PrivateKey)} {
			in.creatable(path)
		}
		return
	}
	for _, w := range own.Warnings(want.Request.ApplicationURI, in.now) {
		in.warn(file, "%s", w)
	}
	in.hosts(file, own.Cert, want.Hosts)
	if want.Generate && selfSigned(own.Cert) {
		in.settings(file, own, want.Request)
	}
}

// hosts compares the names by which clients come with those in the certificate.
func (in *inspection) hosts(file string, c *x509.Certificate, hosts []string) {
	for _, host := range hosts {
		element := "DNSName"
		if net.ParseIP(host) != nil {
			element = "IPAddress"
		}
		if !namesHost(c, host) {
			in.warn(file, "own certificate does not name %s, by which clients reach the server, but %s: they will refuse it "+
				"(BadCertificateHostNameInvalid); add <%s>%s</%s> to CertificateSettings and run edgeua certs renew", host, strings.Join(hostNames(c), ", "), element, host, element)
		}
	}
}

// namesHost tells whether the certificate is valid for a host.
func namesHost(c *x509.Certificate, host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return slices.ContainsFunc(c.IPAddresses, ip.Equal)
	}
	return slices.ContainsFunc(c.DNSNames, func(name string) bool { return strings.EqualFold(name, host) })
}

// hostNames lists every name and address of a certificate.
func hostNames(c *x509.Certificate) []string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return []string{"no host at all"}
	}
	return list
}

// settings says where the certificate contradicts what a new one would hold: editing the settings changes nothing.
func (in *inspection) settings(file string, own *Own, req Request) {
	req, err := req.checked()
	if err != nil {
		return // reported where the settings stand
	}
	is, should := own.Cert.Subject, req.subject()
	one := func(list []string) string { return strings.Join(list, ", ") }
	var differences []string
	for _, d := range [][3]string{
		{"CommonName", is.CommonName, should.CommonName},
		{"Organization", one(is.Organization), one(should.Organization)},
		{"OrganizationUnit", one(is.OrganizationalUnit), one(should.OrganizationalUnit)},
		{"Locality", one(is.Locality), one(should.Locality)},
		{"State", strings.TrimSpace(one(is.Province)), one(should.Province)},
		{"Country", one(is.Country), one(should.Country)},
		{"DNSName", one(own.Cert.DNSNames), one(req.DNSNames)},
		{"IPAddress", one(addresses(own.Cert.IPAddresses)), one(addresses(req.IPs))},
		{"KeyLength", fmt.Sprint(own.Key.N.BitLen()), fmt.Sprint(req.KeyBits)},
	} {
		if d[1] != d[2] {
			differences = append(differences, fmt.Sprintf("%s is %q, not %q", d[0], d[1], d[2]))
		}
	}
	if len(differences) > 0 {
		in.warn(file, "own certificate contradicts CertificateSettings, which count only when one is created: %s; run edgeua certs renew"+
			" (--new-key for another KeyLength), or put the settings back", strings.Join(differences, "; "))
	}
}

func addresses(ips []net.IP) []string {
	var list []string
	for _, ip := range ips {
		list = append(list, ip.String())
	}
	return list
}

// creatable warns if the deepest directory that exists is none.
func (in *inspection) creatable(path string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			in.findings = append(in.findings, Finding{Path: path, Fatal: true, Message: "cannot be created: " + dir + " is not a directory"})
			return
		case err == nil || dir == filepath.Dir(dir):
			in.spelling(path, dir)
			return
		}
	}
}

// spelling warns when what is missing below dir exists in another case: configurations come from Windows.
func (in *inspection) spelling(path, dir string) {
	rest, err := filepath.Rel(dir, path)
	if err != nil {
		return
	}
	missing, _, _ := strings.Cut(rest, string(filepath.Separator))
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	all, _ := f.ReadDir(maxEntries) // at the end of a short directory this is io.EOF
	for _, e := range all {
		if strings.EqualFold(e.Name(), missing) && e.Name() != missing {
			in.warn(path, "does not exist, but %s does: names differ by case here, unlike on Windows", filepath.Join(dir, e.Name()))
			return
		}
	}
}

// trusted looks at the four lists and at what lies beside them by mistake.
func (in *inspection) trusted(loc Locations) {
	in.list(localPath(loc.TrustedCerts), true)
	in.list(localPath(loc.IssuerCerts), true)
	in.list(localPath(loc.TrustedCRLs), false)
	in.list(localPath(loc.IssuerCRLs), false)
	known := []string{localPath(loc.TrustedCerts), localPath(loc.IssuerCerts), localPath(loc.TrustedCRLs), localPath(loc.IssuerCRLs), localPath(loc.Rejected), localPath(loc.Certificate)}
	in.stray(localPath(loc.TrustedCerts), "trusted", known)
	in.stray(localPath(loc.IssuerCerts), "issuer", known)
	if r := localPath(loc.Rejected); r != "" {
		if info, err := os.Stat(r); err == nil && !info.IsDir() {
			in.warn(r, "is not a directory: refused certificates cannot be kept there")
		}
	}
}

// list reports every file of a list that has no effect.
func (in *inspection) list(path string, certificates bool) {
	if path == "" {
		return
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		in.creatable(path)
		return
	case err != nil:
		in.findings = append(in.findings, Finding{Path: path, Fatal: true, Message: fmt.Sprintf("cannot be used: %v", cause(err))})
		return
	}
	all, err := List(path)
	if err != nil {
		in.warn(path, "%v", err)
	}
	for _, e := range all {
		switch {
		case e.Problem != nil:
			in.warn(e.Path, "is left out: %v", e.Problem)
		case certificates && e.Cert == nil:
			in.warn(e.Path, "is a revocation list among certificates, where it has no effect: move it to the directory of revocation lists")
		case !certificates && e.CRL == nil:
			in.warn(e.Path, "is a certificate among revocation lists, where it has no effect")
		case certificates && in.now.After(e.Cert.NotAfter):
			in.warn(e.Path, "certificate of %s expired at %s", quote(e.Cert.Subject.CommonName), e.Cert.NotAfter.UTC().Format(time.RFC3339))
		case !certificates && !e.CRL.NextUpdate.IsZero() && in.now.After(e.CRL.NextUpdate):
			in.warn(e.Path, "revocation list of %s should have been replaced by %s", quote(e.CRL.Issuer.CommonName), e.CRL.NextUpdate.UTC().Format(time.RFC3339))
		}
	}
}

// stray finds certificates that somebody put one directory too high, where nobody looks.
func (in *inspection) stray(dir, kind string, known []string) {
	parent := filepath.Dir(dir)
	if dir == "" || slices.Contains(known, parent) {
		return
	}
	f, err := os.Open(parent)
	if err != nil {
		return
	}
	defer f.Close()
	all, _ := f.ReadDir(maxEntries) // at the end of a short directory this is io.EOF
	for _, e := range all {
		path := filepath.Join(parent, e.Name())
		if !e.Type().IsRegular() || slices.Contains(known, path) {
			continue
		}
		if data, _, err := readFile(path); err == nil {
			if certs, err := parseCertificates(data); err == nil {
				in.warn(path, "certificate of %s has no effect here: %s certificates belong into %s", quote(certs[0].Subject.CommonName), kind, dir)
			}
		}
	}
}
