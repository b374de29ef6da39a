package pki

import (
	"crypto/x509"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// userTemplate is the certificate of a person: it signs, and names no application.
func userTemplate(edit ...func(*x509.Certificate)) *x509.Certificate {
	return leafTemplate(append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.Subject.CommonName, c.URIs = "ann", nil
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, nil
	}}, edit...)...)
}

func TestValidate_UserCertificates(t *testing.T) {
	for name, tt := range map[string]struct {
		template *x509.Certificate
		want     ua.StatusCode
	}{
		"signs":          {userTemplate(), ua.StatusOK},
		"no key usage":   {userTemplate(func(c *x509.Certificate) { c.KeyUsage = 0 }), ua.StatusOK},
		"mail":           {userTemplate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }), ua.StatusOK},
		"servers":        {userTemplate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ua.StatusBadCertificateUseNotAllowed},
		"does not sign":  {userTemplate(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), ua.StatusBadCertificateUseNotAllowed},
		"an application": {leafTemplate(), ua.StatusBadCertificateUseNotAllowed},
		"an authority":   {authorityTemplate("ca"), ua.StatusBadCertificateUseNotAllowed},
		"expired":        {userTemplate(func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 0, -1) }), ua.StatusBadCertificateTimeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			store := newTestStore(t, Checks{Users: true}, nil)
			user := issue(t, tt.template, testKey(0), nil)
			store.put(store.loc.TrustedCerts, "user.der", user.cert.Raw)
			wantCode(t, store.Validate(user.cert.Raw, testNow), tt.want)
		})
	}
	store := newTestStore(t, Checks{Users: true}, nil)
	stranger := issue(t, userTemplate(), testKey(0), nil)
	wantCode(t, store.Validate(stranger.cert.Raw, testNow), ua.StatusBadCertificateUntrusted)
	if kept := store.rejectedFiles(); len(kept) != 1 {
		t.Errorf("kept %v", kept)
	}
}
