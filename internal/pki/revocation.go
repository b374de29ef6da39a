package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"
)

// reasonRemoveFromCRL takes an entry back (RFC 5280, 5.3.1).
const reasonRemoveFromCRL = 8

// parseCRLs reads a file with one CRL in DER, or any number in PEM.
func parseCRLs(data []byte) ([]*x509.RevocationList, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		crl, err := parseCRL(data)
		return []*x509.RevocationList{crl}, err
	}
	var crls []*x509.RevocationList
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		crl, err := parseCRL(block.Bytes)
		if err != nil {
			return nil, err
		}
		crls = append(crls, crl)
	}
	if crls == nil {
		return nil, errors.New(`holds no PEM block "X509 CRL"`)
	}
	return crls, nil
}

// parseCRL refuses lists that say less than they seem to: a critical extension makes a list partial or a
// delta (RFC 5280, 5.2), and nothing may be concluded from what such a list does not name.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	// x509.ParseRevocationList accepts bytes behind the list.
	var element asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &element); err != nil {
		return nil, err
	} else if len(rest) > 0 {
		return nil, errors.New("has bytes behind the revocation list")
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	for _, ext := range crl.Extensions {
		if ext.Critical {
			return nil, fmt.Errorf("revocation list has the critical extension %v, which is not supported", ext.Id)
		}
	}
	if !strongSignature(crl.SignatureAlgorithm) {
		return nil, fmt.Errorf("revocation list is signed with %v", crl.SignatureAlgorithm)
	}
	return crl, nil
}

// checkRevocation asks the CRLs about every certificate that an authority issued. A self-signed one cannot
// be revoked, only removed from the trust list.
func (v *validation) checkRevocation() error {
	for i := 0; i+1 < len(v.chain); i++ {
		unknown, revoked := ua.StatusBadCertificateRevocationUnknown, ua.StatusBadCertificateRevoked
		overridden := v.store.checks.IgnoreRevocationUnknown
		if i > 0 {
			unknown, revoked = ua.StatusBadCertificateIssuerRevocationUnknown, ua.StatusBadCertificateIssuerRevoked
			overridden = v.store.checks.IgnoreIssuerRevocationUnknown
		}
		c, issuer := v.chain[i], v.chain[i+1]
		isRevoked, err := v.revocation(c, issuer)
		if isRevoked {
			return fail(revoked, "%s was revoked by %s", describe(c), describe(issuer))
		}
		if err != nil {
			if err := v.unless(overridden, fail(unknown, "%s: %w", describe(c), err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// revocation looks c up in every CRL of its issuer. An old list still revokes, but only a current one clears.
func (v *validation) revocation(c, issuer *x509.Certificate) (revoked bool, err error) {
	err = fmt.Errorf("no revocation list of %s is there: put its current CRL into the crl directory", describe(issuer))
	for _, crl := range v.list.crls[string(issuer.RawSubject)] {
		if crl.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if lists(crl, c) {
			return true, nil
		}
		switch now := v.knownTime(); {
		case !crl.NextUpdate.IsZero() && now.After(crl.NextUpdate):
			if err != nil {
				err = fmt.Errorf("the revocation list of %s expired at %s", describe(issuer), crl.NextUpdate.UTC().Format(time.RFC3339))
			}
		case now.Before(crl.ThisUpdate) && !v.timeUnknown():
			if err != nil {
				err = fmt.Errorf("the revocation list of %s is not valid before %s", describe(issuer), crl.ThisUpdate.UTC().Format(time.RFC3339))
			}
		default:
			err = nil
		}
	}
	return false, err
}

func lists(crl *x509.RevocationList, c *x509.Certificate) bool {
	for _, entry := range crl.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return entry.ReasonCode != reasonRemoveFromCRL
		}
	}
	return false
}
