package main

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/edgeua/edgeua/internal/pki"
)

// list prints one table of everything in a store.
func (s *certStore) list(out io.Writer, named bool, now time.Time) error {
	if named {
		fmt.Fprintf(out, "%s\n", s.name)
	}
	if s.TrustedCerts == "" && s.Certificate == "" {
		_, err := fmt.Fprintln(out, "there is no store: the configuration does not say where certificates lie")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "STATUS\tNAME\tAPPLICATION\tVALID UNTIL\tTHUMBPRINT\tFILE")
	for _, part := range []struct{ status, location string }{
		{"own", s.Certificate}, {"trusted", s.TrustedCerts}, {"issuer", s.IssuerCerts}, {"rejected", s.Rejected},
		{"revocations", s.TrustedCRLs}, {"revocations", s.IssuerCRLs},
	} {
		all, err := pki.List(part.location)
		for _, e := range all {
			fmt.Fprintln(w, strings.Join(row(part.status, e, now), "\t"))
		}
		if err != nil {
			fmt.Fprintf(w, "%s\t(%v)\t\t\t\t%s\n", part.status, err, part.location)
		}
	}
	return w.Flush()
}

// row is one line of the table. Names from certificates come quoted: strangers choose them.
func row(status string, e pki.Entry, now time.Time) []string {
	switch {
	case e.Problem != nil:
		return []string{status, "(" + e.Problem.Error() + ")", "", "", "", e.Path}
	case e.CRL != nil:
		until := e.CRL.NextUpdate.UTC().Format(time.DateOnly) + expired(e.CRL.NextUpdate, now)
		if e.CRL.NextUpdate.IsZero() {
			until = "for ever"
		}
		return []string{status, strconv.QuoteToASCII(e.CRL.Issuer.CommonName), fmt.Sprintf("%d revoked", len(e.CRL.RevokedCertificateEntries)), until, "", e.Path}
	}
	uri, _ := pki.ApplicationURI(e.Cert)
	return []string{status, pki.CommonName(e.Cert), strconv.QuoteToASCII(uri),
		e.Cert.NotAfter.UTC().Format(time.DateOnly) + expired(e.Cert.NotAfter, now), pki.Thumbprint(e.Cert), e.Path}
}

func expired(until, now time.Time) string {
	switch left := until.Sub(now); {
	case left < 0:
		return " (expired)"
	case left < 30*24*time.Hour:
		return fmt.Sprintf(" (%d days)", int(left.Hours()/24))
	}
	return ""
}

// showCertificate prints what a certificate says, one thing per line.
func showCertificate(out io.Writer, e pki.Entry) error {
	c := e.Cert
	uri, _ := pki.ApplicationURI(c)
	sum := sha256.Sum256(c.Raw)
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, strconv.QuoteToASCII(name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, line := range [][2]string{
		{"file", e.Path},
		{"subject", strconv.QuoteToASCII(distinguished(c.Subject))},
		{"issuer", strconv.QuoteToASCII(distinguished(c.Issuer))},
		{"application", strconv.QuoteToASCII(uri)},
		{"hosts", strings.Join(names, ", ")},
		{"valid from", c.NotBefore.UTC().Format(time.DateTime)},
		{"valid until", c.NotAfter.UTC().Format(time.DateTime)},
		{"key", publicKey(c)},
		{"signature", c.SignatureAlgorithm.String()},
		{"authority", strconv.FormatBool(c.IsCA)},
		{"serial", c.SerialNumber.Text(16)},
		{"SHA-1", pki.Thumbprint(c)},
		{"SHA-256", fmt.Sprintf("%x", sum)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	return w.Flush()
}

// distinguished is a name as RFC 4514 writes it, with the domain component, which crypto/x509 shows as bytes.
func distinguished(n pkix.Name) string {
	standard, domainComponent := asn1.ObjectIdentifier{2, 5, 4}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	var dc string
	n.ExtraNames = []pkix.AttributeTypeAndValue{} // what String adds to the standard ones
	for _, a := range n.Names {
		switch {
		case a.Type.Equal(domainComponent):
			dc += fmt.Sprintf(",DC=%v", a.Value)
		case len(a.Type) < 3 || !a.Type[:3].Equal(standard):
			n.ExtraNames = append(n.ExtraNames, a)
		}
	}
	return strings.TrimPrefix(n.String()+dc, ",")
}

func publicKey(c *x509.Certificate) string {
	if key, ok := c.PublicKey.(interface{ Size() int }); ok {
		return fmt.Sprintf("%v, %d bits", c.PublicKeyAlgorithm, key.Size()*8)
	}
	return c.PublicKeyAlgorithm.String()
}
