package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
)

// validation is one run through the steps of Part 4 (1.05), 6.1.3. Their order matters: whatever comes before
// the trust list is told to the peer as one generic failure, and the trust list is consulted before anything
// that only a trusted peer may learn. The host name is checked by clients, the match of the URI by the Session.
type validation struct {
	store *Store
	list  *trustList
	sent  []*x509.Certificate // by the peer, leaf first
	chain []*x509.Certificate // leaf to root
	now   time.Time
}

func (v *validation) run() error {
	steps := []func() error{
		v.checkStructure, v.buildChain, v.checkPolicy, v.checkTrust,
		v.checkTime, v.checkURI, v.checkUsage, v.checkRevocation,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (v *validation) leaf() *x509.Certificate { return v.sent[0] }

// unless returns the failure, or reports and forgets it if the configuration overrides its check.
func (v *validation) unless(overridden bool, err error) error {
	if err != nil && overridden {
		v.store.waive(v.leaf(), err)
		return nil
	}
	return err
}

func (v *validation) checkStructure() error {
	return checkStructure(v.leaf())
}

// checkStructure refuses what crypto/x509 parses but does not enforce.
func checkStructure(c *x509.Certificate) error {
	switch {
	case c.Version != 3:
		return fail(ua.StatusBadCertificateInvalid, "%s is of X.509 version %d, not 3", describe(c), c.Version)
	case len(c.UnhandledCriticalExtensions) > 0:
		return fail(ua.StatusBadCertificateInvalid, "%s has the unknown critical extension %v", describe(c), c.UnhandledCriticalExtensions[0])
	case c.PermittedDNSDomainsCritical:
		return fail(ua.StatusBadCertificateInvalid, "%s has critical name constraints, which are not supported", describe(c))
	}
	return nil
}

// buildChain follows the issuers to a self-signed certificate and verifies each signature on the way. It
// ends after maxChain certificates and never meets one twice.
func (v *validation) buildChain() error {
	for last := v.leaf(); !selfSigned(last); last = v.chain[len(v.chain)-1] {
		if len(v.chain) == maxChain {
			return fail(ua.StatusBadCertificateChainIncomplete, "chain of %s is longer than %d", describe(v.leaf()), maxChain)
		}
		issuer, candidates := v.findIssuer(last)
		switch {
		case issuer != nil:
			v.chain = append(v.chain, issuer)
		case candidates > 0:
			return fail(ua.StatusBadCertificateInvalid, "signature of %s is wrong", describe(last))
		case bytes.Equal(last.RawSubject, last.RawIssuer):
			return fail(ua.StatusBadCertificateInvalid, "self-signature of %s is wrong", describe(last))
		case v.store.checks.AutoTrust:
			return nil
		default:
			return fail(ua.StatusBadCertificateChainIncomplete, "issuer %s of %s is not known: "+
				"put its certificate into the issuers or trusted directory", quote(last.Issuer.CommonName), describe(last))
		}
		if err := checkStructure(issuer); err != nil {
			return err
		}
	}
	return nil
}

// findIssuer looks through the own lists, then through what the peer sent. candidates counts the
// certificates of that name whose key did not fit.
func (v *validation) findIssuer(c *x509.Certificate) (issuer *x509.Certificate, candidates int) {
	const maxCandidates = 8
	pool := slices.Concat(v.list.bySubject[string(c.RawIssuer)], v.sent[1:])
	for _, candidate := range pool {
		if !bytes.Equal(candidate.RawSubject, c.RawIssuer) || candidate.Equal(c) || slices.ContainsFunc(v.chain, candidate.Equal) {
			continue
		}
		if candidates == maxCandidates {
			break
		}
		if checkKey(candidate, v.store.checks.AllowLongKeys) == nil && signedBy(c, candidate) {
			return candidate, candidates
		}
		candidates++
	}
	return nil, candidates
}

// checkPolicy refuses weak signatures; the lengths of the keys were checked before they were used.
func (v *validation) checkPolicy() error {
	for _, c := range v.chain {
		if !strongSignature(c.SignatureAlgorithm) {
			return fail(ua.StatusBadCertificatePolicyCheckFailed, "%s is signed with %v", describe(c), c.SignatureAlgorithm)
		}
	}
	return nil
}

func (v *validation) checkTrust() error {
	if v.store.isOwn(v.leaf()) {
		return fail(ua.StatusBadCertificateUntrusted, "peer shows our own certificate or key: %s", describe(v.leaf()))
	}
	if v.store.checks.AutoTrust || slices.ContainsFunc(v.chain, v.list.isTrusted) {
		return nil
	}
	return fail(ua.StatusBadCertificateUntrusted, "%s is not in the trust list", describe(v.leaf()))
}

// checkTime compares the validity periods. While the clock was never set nothing can be called "not yet
// valid"; what had expired when this release was made is refused even then.
func (v *validation) checkTime() error {
	for i, c := range v.chain {
		code, overridden := ua.StatusBadCertificateTimeInvalid, v.store.checks.IgnoreTime
		if i > 0 {
			code, overridden = ua.StatusBadCertificateIssuerTimeInvalid, v.store.checks.IgnoreIssuerTime
		}
		if err := v.unless(overridden, v.checkPeriod(c, code)); err != nil {
			return err
		}
	}
	return nil
}

func (v *validation) checkPeriod(c *x509.Certificate, code ua.StatusCode) error {
	switch now := v.knownTime(); {
	case now.After(c.NotAfter):
		return fail(code, "%s expired at %s", describe(c), c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore) && !v.timeUnknown():
		return fail(code, "%s is not valid before %s", describe(c), c.NotBefore.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		v.store.waive(v.leaf(), fail(code, "%s is not valid before %s, but the clock was never set", describe(c), c.NotBefore.UTC().Format(time.RFC3339)))
	}
	return nil
}

func (v *validation) timeUnknown() bool { return v.now.Before(v.store.floor) }

// knownTime is the earliest time that it can be.
func (v *validation) knownTime() time.Time {
	if v.timeUnknown() {
		return v.store.floor
	}
	return v.now
}

func (v *validation) checkURI() error {
	if v.store.checks.Users {
		return v.checkNoApplication()
	}
	if _, ok := ApplicationURI(v.leaf()); ok {
		return nil
	}
	return v.unless(v.store.checks.IgnoreURI,
		fail(ua.StatusBadCertificateURIInvalid, "%s has no URI in its subjectAltName", describe(v.leaf())))
}

// checkNoApplication refuses the certificate of an application where a user identifies himself: whoever can make a
// SecureChannel with it must not be somebody as well.
func (v *validation) checkNoApplication() error {
	if _, ok := ApplicationURI(v.leaf()); ok {
		return fail(ua.StatusBadCertificateUseNotAllowed, "%s is the certificate of an application, not of a user", describe(v.leaf()))
	}
	return nil
}

// checkUsage: that an authority is no application and an application no authority is never overridden.
func (v *validation) checkUsage() error {
	if isAuthority(v.leaf()) || !isApplication(v.leaf()) {
		return fail(ua.StatusBadCertificateUseNotAllowed, "%s is the certificate of an authority", describe(v.leaf()))
	}
	check := func() error { return checkLeafUsage(v.leaf(), x509.ExtKeyUsageClientAuth) }
	if v.store.checks.Users {
		check = func() error { return checkUserUsage(v.leaf()) }
	}
	if err := check(); err != nil {
		if err := v.unless(v.store.checks.IgnoreUsage, fail(ua.StatusBadCertificateUseNotAllowed, "%s: %w", describe(v.leaf()), err)); err != nil {
			return err
		}
	}
	for i, c := range v.chain[1:] {
		if !isAuthority(c) {
			return fail(ua.StatusBadCertificateIssuerUseNotAllowed, "%s may not issue certificates", describe(c))
		}
		if (c.MaxPathLen > 0 || c.MaxPathLenZero) && i > c.MaxPathLen {
			return fail(ua.StatusBadCertificateIssuerUseNotAllowed, "%s may not stand above %d further authorities", describe(c), i)
		}
	}
	return nil
}

// checkLeafUsage wants the key usages of Part 6 (1.05), 6.2.2 and, where the extension is there, the
// extended usage of the role.
func checkLeafUsage(c *x509.Certificate, role x509.ExtKeyUsage) error {
	if c.KeyUsage&applicationUsage != applicationUsage {
		return fmt.Errorf("key usage lacks one of digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment")
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, role) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	return fmt.Errorf("extended key usage does not allow this role")
}

// checkUserUsage wants a user to be able to sign; of the extended usages, if there are any, those that stand for persons.
func checkUserUsage(c *x509.Certificate) error {
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("key usage lacks digitalSignature")
	}
	if len(c.ExtKeyUsage) == 0 || len(c.UnknownExtKeyUsage) > 0 {
		return nil
	}
	for _, usage := range c.ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageEmailProtection || usage == x509.ExtKeyUsageAny {
			return nil
		}
	}
	return fmt.Errorf("extended key usage does not allow a user")
}
