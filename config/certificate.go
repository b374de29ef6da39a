package config

import (
	"net"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// certificates reads the CertificateStore of the endpoint or, without one, the default store.
func (r *endpointReader) certificates(main section) {
	trust, own := r.block("CertificateStore"), r.block("CertificateStore")
	if trust.element == nil {
		trust = main.block("DefaultApplicationCertificateStore")
		if trust.element == nil {
			r.fail(r.element, "there is no <CertificateStore>, and no <DefaultApplicationCertificateStore> to use instead")
			return
		}
		r.endpoint.Certificate.SendChain = trust.flag("SendCertificateChain")
		own = r.defaultOwn(trust)
		if own.element == nil {
			return
		}
	}
	for _, s := range []section{trust, own} {
		if w := s.child("WindowsStore"); w != nil && s.child("OpenSSLStore") == nil {
			r.fail(w, "there is no certificate store of Windows here; use <OpenSSLStore> with files below [ApplicationPath]")
			return
		}
	}
	r.trust(main, trust.block("OpenSSLStore"))
	r.ownCertificate(own)
}

// defaultOwn returns the block of the default store that holds the own certificate.
func (r *endpointReader) defaultOwn(store section) section {
	all := store.blocks("ServerCertificate")
	if len(all) == 0 {
		r.fail(store.element, "there is no <ServerCertificate> inside")
		return section{}
	}
	for _, more := range all[1:] {
		r.report.Warn(more.element, "only the first <ServerCertificate> is used, the one in line %d", all[0].element.Line)
	}
	return all[0]
}

func (r *endpointReader) trust(main, store section) {
	t := &r.endpoint.Trust
	*t = Trust{
		All:                r.flag("AutomaticallyTrustAllClientCertificates"),
		Certificates:       store.file("CertificateTrustListLocation"),
		CRLs:               store.file("CertificateRevocationListLocation"),
		IssuerCertificates: store.file("IssuersCertificatesLocation"),
		IssuerCRLs:         store.file("IssuersRevocationListLocation"),
		Rejected:           main.file("RejectedCertificatesDirectory"),
		MaxRejected:        main.orDefault("RejectedCertificatesCount"),
	}
	switch {
	case t.All:
		r.report.Warn(r.at("AutomaticallyTrustAllClientCertificates"),
			"weakens the server: the certificate of any client is accepted, and none is kept among the rejected ones; write false and trust clients one by one")
	case t.Certificates == "" && r.secured():
		r.fail(r.orSelf(store), "there is no <CertificateTrustListLocation>; name a directory for trusted client certificates")
	}
	if t.Rejected != "" && (t.Rejected == t.Certificates || t.Rejected == t.IssuerCertificates) {
		r.fail(main.at("RejectedCertificatesDirectory"), "is also the directory of trusted certificates: every refused client would be trusted from then on")
	}
}

func (r *endpointReader) ownCertificate(s section) {
	c, store := &r.endpoint.Certificate, s.block("OpenSSLStore")
	c.File, c.KeyFile = store.file("ServerCertificate"), store.file("ServerPrivateKey")
	c.Generate = s.flag("GenerateCertificate")
	switch {
	case c.File == "" || c.KeyFile == "":
		r.fail(s.at("OpenSSLStore"), "<ServerCertificate> and <ServerPrivateKey> must both name a file inside <OpenSSLStore>")
	case c.File == c.KeyFile:
		r.fail(store.at("ServerPrivateKey"), "is the same file as ServerCertificate; the key needs its own")
	}
	if c.Generate {
		r.certificateSettings(s.block("CertificateSettings"))
	}
}

func (r *endpointReader) certificateSettings(s section) {
	const day, year, mostYears = 24 * time.Hour, 365, 20
	years := s.number("YearsValidFor")
	switch {
	case years > mostYears:
		r.report.Warn(s.at("YearsValidFor"), "%d years are too long; the certificate is made for %d", years, mostYears)
		years = mostYears
	case years == 0:
		years = s.orDefault("YearsValidFor")
		r.report.Warn(s.at("YearsValidFor"), "0 years make no certificate; it is made for %d", years)
	}
	r.endpoint.Certificate.Settings = CertificateSettings{
		CommonName:       s.text("CommonName"),
		DomainComponent:  s.text("DomainComponent"),
		Organization:     s.text("Organization"),
		OrganizationUnit: s.text("OrganizationUnit"),
		Locality:         s.text("Locality"),
		State:            s.text("State"),
		Country:          s.text("Country"),
		Validity:         time.Duration(years) * year * day,
		KeyBits:          s.number("KeyLength"),
		DNSNames:         s.list("DNSName"),
	}
	r.certificateNames(s)
	r.certificateAlgorithm(s)
}

// certificateNames completes the names under which clients reach the server and compares them with the Url.
func (r *endpointReader) certificateNames(s section) {
	c := &r.endpoint.Certificate.Settings
	for _, e := range s.all("IPAddress") {
		text := strings.TrimSpace(e.Text)
		if net.ParseIP(text) == nil {
			r.report.Warn(e, "%s is not an IP address and is left out of the certificate; names belong into <DNSName>", xmltree.Quote(text))
			continue
		}
		c.IPAddresses = append(c.IPAddresses, text)
	}
	if len(c.DNSNames)+len(c.IPAddresses) == 0 {
		c.DNSNames = []string{r.opts.Hostname}
	}
	if c.Country != "" && len(c.Country) != 2 {
		r.report.Warn(s.at("Country"), "%s is not a country code of two letters, such as DE", xmltree.Quote(c.Country))
	}
	if host := r.own.host; host != "" && !c.names(host) {
		element := "DNSName"
		if net.ParseIP(host) != nil {
			element = "IPAddress"
		}
		r.report.Warn(r.orSelf(s), "the created certificate does not name %s, the host of the <Url>; clients will refuse it: add <%s>%s</%s>",
			xmltree.Quote(host), element, host, element)
	}
}

// names tells whether the certificate is valid for a host.
func (c *CertificateSettings) names(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		for _, own := range c.IPAddresses {
			if ip.Equal(net.ParseIP(own)) {
				return true
			}
		}
		return false
	}
	for _, own := range c.DNSNames {
		if strings.EqualFold(own, host) {
			return true
		}
	}
	return false
}

func (r *endpointReader) certificateAlgorithm(s section) {
	switch r.endpoint.Certificate.Settings.KeyBits {
	case 2048, 3072, 4096:
	default:
		r.fail(s.at("KeyLength"), "%d is not one of 2048, 3072, 4096", r.endpoint.Certificate.Settings.KeyBits)
	}
	if s.word("CertificateType") == "RsaMin" {
		r.report.Warn(s.at("CertificateType"), "RsaMin means a SHA-1 signature, which no current policy accepts; the certificate is signed with SHA-256 as with RsaSha256")
	}
}

// secured tells whether any setting needs the certificate of the client.
func (r *endpointReader) secured() bool {
	for _, s := range r.endpoint.Security {
		if s.PolicyURI != ua.SecurityPolicyURINone {
			return true
		}
	}
	return false
}

// orSelf is where to point to about a block that may be missing.
func (r *endpointReader) orSelf(s section) *xmltree.Element {
	if s.element != nil {
		return s.element
	}
	return r.element
}
