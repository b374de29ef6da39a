package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// batteryCase is one row of the certificate battery (Part 4 (1.05), 6.1.3).
type batteryCase struct {
	name     string
	trusted  []*x509.Certificate
	issuers  []*x509.Certificate
	crls     [][]byte
	checks   Checks
	send     []byte
	at       time.Time
	want     ua.StatusCode
	rejected bool // the leaf is kept for approval
}

func (c batteryCase) run(t *testing.T) {
	ts := newTestStore(t, c.checks, nil)
	for i, cert := range c.trusted {
		ts.put(ts.loc.TrustedCerts, string(rune('a'+i))+".der", cert.Raw)
	}
	for i, cert := range c.issuers {
		ts.put(ts.loc.IssuerCerts, string(rune('a'+i))+".der", cert.Raw)
	}
	for i, crl := range c.crls {
		ts.put(ts.loc.IssuerCRLs, string(rune('a'+i))+".crl", crl)
	}
	at := testNow
	if !c.at.IsZero() {
		at = c.at
	}
	wantCode(t, ts.Validate(c.send, at), c.want)
	if got := len(ts.rejectedFiles()) == 1; got != c.rejected {
		t.Errorf("kept for approval: %v, want %v", got, c.rejected)
	}
}

func certs(list ...*x509.Certificate) []*x509.Certificate { return list }

func TestValidate_SelfSigned(t *testing.T) {
	key := testKey(leafKey)
	self := func(edit ...func(*x509.Certificate)) *x509.Certificate {
		return issue(t, leafTemplate(edit...), key, nil).cert
	}
	good := self()
	broken := bytes.Clone(good.Raw)
	broken[len(broken)-1] ^= 1
	expired := self(func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) })
	early := self(func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) })
	nameless := self(func(c *x509.Certificate) { c.URIs = nil })
	unusable := self(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	codeSigner := self(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	sha1 := self(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	oldStack := self(func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = true, true })
	noExtUsage := self(func(c *x509.Certificate) { c.ExtKeyUsage = nil })
	critical := self(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	for _, c := range []batteryCase{
		{name: "trusted by exact match", trusted: certs(good), send: good.Raw},
		{name: "unknown", send: good.Raw, want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "other certificate of the same name and key is trusted", trusted: certs(self()), send: good.Raw, want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "in the issuers only", issuers: certs(good), send: good.Raw, want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "broken signature", trusted: certs(good), send: broken, want: ua.StatusBadCertificateInvalid},
		{name: "bytes behind", trusted: certs(good), send: append(bytes.Clone(good.Raw), 0), want: ua.StatusBadCertificateInvalid},
		{name: "empty", send: nil, want: ua.StatusBadCertificateInvalid},
		{name: "expired", trusted: certs(expired), send: expired.Raw, want: ua.StatusBadCertificateTimeInvalid},
		{name: "expired and unknown: says only untrusted", send: expired.Raw, want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "expired, overridden", trusted: certs(expired), checks: Checks{IgnoreTime: true}, send: expired.Raw},
		{name: "not yet valid", trusted: certs(early), send: early.Raw, want: ua.StatusBadCertificateTimeInvalid},
		{name: "not yet valid, clock never set", trusted: certs(early), send: early.Raw, at: time.Unix(60, 0)},
		{name: "no URI", trusted: certs(nameless), send: nameless.Raw, want: ua.StatusBadCertificateURIInvalid},
		{name: "no URI, overridden", trusted: certs(nameless), checks: Checks{IgnoreURI: true}, send: nameless.Raw},
		{name: "wrong key usage", trusted: certs(unusable), send: unusable.Raw, want: ua.StatusBadCertificateUseNotAllowed},
		{name: "wrong key usage, overridden", trusted: certs(unusable), checks: Checks{IgnoreUsage: true}, send: unusable.Raw},
		{name: "wrong extended usage", trusted: certs(codeSigner), send: codeSigner.Raw, want: ua.StatusBadCertificateUseNotAllowed},
		{name: "no extended usage", trusted: certs(noExtUsage), send: noExtUsage.Raw},
		{name: "SHA-1", trusted: certs(sha1), send: sha1.Raw, want: ua.StatusBadCertificatePolicyCheckFailed},
		{name: "cA set by a stack of 1.04", trusted: certs(oldStack), send: oldStack.Raw},
		{name: "unknown critical extension", trusted: certs(critical), send: critical.Raw, want: ua.StatusBadCertificateInvalid},
		{name: "automatic trust", checks: Checks{AutoTrust: true}, send: good.Raw},
		{name: "automatic trust checks signatures", checks: Checks{AutoTrust: true}, send: broken, want: ua.StatusBadCertificateInvalid},
		{name: "automatic trust checks the time", checks: Checks{AutoTrust: true}, send: expired.Raw, want: ua.StatusBadCertificateTimeInvalid},
	} {
		t.Run(c.name, c.run)
	}
}

func TestValidate_Issued(t *testing.T) {
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	otherRoot := issue(t, authorityTemplate("root"), testKey(ownKey), nil)
	middle := issue(t, authorityTemplate("middle"), testKey(middleKey), root)
	oldMiddle := issue(t, authorityTemplate("middle", func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), testKey(middleKey), root)
	leaf := issue(t, leafTemplate(), testKey(leafKey), root).cert
	deep := issue(t, leafTemplate(), testKey(leafKey), middle).cert
	oldDeep := issue(t, leafTemplate(), testKey(leafKey), oldMiddle).cert
	flatRoot := issue(t, authorityTemplate("flat", func(c *x509.Certificate) { c.MaxPathLenZero = true }), testKey(rootKey), nil)
	underFlat := issue(t, authorityTemplate("under flat"), testKey(middleKey), flatRoot)
	tooDeep := issue(t, leafTemplate(), testKey(leafKey), underFlat).cert
	client := issue(t, leafTemplate(), testKey(middleKey), nil)
	byClient := issue(t, leafTemplate(func(c *x509.Certificate) { c.Subject.CommonName = "made by a client" }), testKey(leafKey), client).cert

	rootCRL, middleCRL := revoke(t, root, nil), revoke(t, middle, nil)
	expiredCRL := revoke(t, root, func(l *x509.RevocationList) { l.NextUpdate = testNow.Add(-time.Hour) })
	futureCRL := revoke(t, root, func(l *x509.RevocationList) { l.ThisUpdate = testNow.Add(time.Hour) })
	expiredRevoking := revoke(t, root, func(l *x509.RevocationList) { l.NextUpdate = testNow.Add(-time.Hour) }, leaf)
	forgedCRL := revoke(t, otherRoot, nil)
	deltaCRL := revoke(t, root, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	})
	unrevoked := revoke(t, root, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = reasonRemoveFromCRL }, leaf)
	pemCRL := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: rootCRL})
	withChain := slices.Concat(deep.Raw, middle.cert.Raw)

	for _, c := range []batteryCase{
		{name: "by a trusted authority", trusted: certs(root.cert), crls: [][]byte{rootCRL}, send: leaf.Raw},
		{name: "CRL in PEM", trusted: certs(root.cert), crls: [][]byte{pemCRL}, send: leaf.Raw},
		{name: "trusted itself, authority among the issuers", trusted: certs(leaf), issuers: certs(root.cert), crls: [][]byte{rootCRL}, send: leaf.Raw},
		{name: "trusted itself, authority unknown", trusted: certs(leaf), send: leaf.Raw, want: ua.StatusBadCertificateChainIncomplete, rejected: true},
		{name: "unknown authority", send: leaf.Raw, want: ua.StatusBadCertificateChainIncomplete, rejected: true},
		{name: "unknown authority, sent along", send: slices.Concat(leaf.Raw, root.cert.Raw), want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "unknown authority, automatic trust", checks: Checks{AutoTrust: true}, send: leaf.Raw},
		{name: "authority not trusted, only an issuer", issuers: certs(root.cert), crls: [][]byte{rootCRL}, send: leaf.Raw, want: ua.StatusBadCertificateUntrusted, rejected: true},
		{name: "authority of the same name with another key", trusted: certs(otherRoot.cert), send: leaf.Raw, want: ua.StatusBadCertificateInvalid},
		{name: "two authorities of one name", trusted: certs(otherRoot.cert, root.cert), crls: [][]byte{rootCRL}, send: leaf.Raw},
		{name: "chain sent by the peer", trusted: certs(root.cert), crls: [][]byte{rootCRL, middleCRL}, send: withChain},
		{name: "chain of own lists", trusted: certs(middle.cert), issuers: certs(root.cert), crls: [][]byte{rootCRL, middleCRL}, send: deep.Raw},
		{name: "trusted middle, root unknown", trusted: certs(middle.cert), crls: [][]byte{middleCRL}, send: deep.Raw, want: ua.StatusBadCertificateChainIncomplete, rejected: true},
		{name: "issuer expired", trusted: certs(root.cert), issuers: certs(oldMiddle.cert), crls: [][]byte{rootCRL, middleCRL}, send: oldDeep.Raw, want: ua.StatusBadCertificateIssuerTimeInvalid},
		{name: "issuer expired, overridden", trusted: certs(root.cert), issuers: certs(oldMiddle.cert), crls: [][]byte{rootCRL, middleCRL}, checks: Checks{IgnoreIssuerTime: true}, send: oldDeep.Raw},
		{name: "authority as application", trusted: certs(root.cert), crls: [][]byte{rootCRL}, checks: Checks{IgnoreUsage: true, IgnoreURI: true}, send: root.cert.Raw, want: ua.StatusBadCertificateUseNotAllowed},
		{name: "middle authority as application", trusted: certs(root.cert), crls: [][]byte{rootCRL}, checks: Checks{IgnoreUsage: true, IgnoreURI: true}, send: middle.cert.Raw, want: ua.StatusBadCertificateUseNotAllowed},
		{name: "application as issuer", trusted: certs(client.cert), checks: Checks{IgnoreUsage: true, IgnoreRevocationUnknown: true}, send: byClient.Raw, want: ua.StatusBadCertificateIssuerUseNotAllowed},
		{name: "path length", trusted: certs(flatRoot.cert), issuers: certs(underFlat.cert), checks: Checks{IgnoreRevocationUnknown: true, IgnoreIssuerRevocationUnknown: true}, send: tooDeep.Raw, want: ua.StatusBadCertificateIssuerUseNotAllowed},
		{name: "revoked", trusted: certs(root.cert), crls: [][]byte{revoke(t, root, nil, leaf)}, send: leaf.Raw, want: ua.StatusBadCertificateRevoked},
		{name: "revoked though trusted itself", trusted: certs(leaf), issuers: certs(root.cert), crls: [][]byte{revoke(t, root, nil, leaf)}, send: leaf.Raw, want: ua.StatusBadCertificateRevoked},
		{name: "revoked is never overridden", trusted: certs(root.cert), crls: [][]byte{rootCRL, expiredRevoking}, checks: Checks{IgnoreRevocationUnknown: true}, send: leaf.Raw, want: ua.StatusBadCertificateRevoked},
		{name: "entry taken back", trusted: certs(root.cert), crls: [][]byte{unrevoked}, send: leaf.Raw},
		{name: "issuer revoked", trusted: certs(root.cert), crls: [][]byte{revoke(t, root, nil, middle.cert), middleCRL}, send: withChain, want: ua.StatusBadCertificateIssuerRevoked},
		{name: "no CRL", trusted: certs(root.cert), send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "no CRL, overridden", trusted: certs(root.cert), checks: Checks{IgnoreRevocationUnknown: true}, send: leaf.Raw},
		{name: "no CRL of the root", trusted: certs(root.cert), crls: [][]byte{middleCRL}, send: withChain, want: ua.StatusBadCertificateIssuerRevocationUnknown},
		{name: "no CRL of the root, overridden", trusted: certs(root.cert), crls: [][]byte{middleCRL}, checks: Checks{IgnoreIssuerRevocationUnknown: true}, send: withChain},
		{name: "expired CRL", trusted: certs(root.cert), crls: [][]byte{expiredCRL}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "expired and current CRL", trusted: certs(root.cert), crls: [][]byte{expiredCRL, rootCRL}, send: leaf.Raw},
		{name: "CRL of the future", trusted: certs(root.cert), crls: [][]byte{futureCRL}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "CRL of the future, clock never set", trusted: certs(root.cert), crls: [][]byte{futureCRL}, send: leaf.Raw, at: time.Unix(0, 0)},
		{name: "forged CRL", trusted: certs(root.cert), crls: [][]byte{forgedCRL}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "delta CRL", trusted: certs(root.cert), crls: [][]byte{deltaCRL}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "broken CRL", trusted: certs(root.cert), crls: [][]byte{rootCRL[:len(rootCRL)-3]}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
		{name: "CRL with bytes behind", trusted: certs(root.cert), crls: [][]byte{append(bytes.Clone(rootCRL), 1)}, send: leaf.Raw, want: ua.StatusBadCertificateRevocationUnknown},
	} {
		t.Run(c.name, c.run)
	}
}

// Keys are refused before anything is computed with them, trusted or not.
func TestValidate_Keys(t *testing.T) {
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	bits := func(n uint) *big.Int {
		return new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), int(n-1), 1), 0, 1)
	}
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	for _, c := range []struct {
		name string
		key  rsa.PublicKey
		long bool
		want ua.StatusCode
	}{
		{"1024 bits", rsa.PublicKey{N: bits(1024), E: 65537}, false, ua.StatusBadCertificatePolicyCheckFailed},
		{"2047 bits", rsa.PublicKey{N: bits(2047), E: 65537}, false, ua.StatusBadCertificatePolicyCheckFailed},
		{"2048 bits", rsa.PublicKey{N: bits(2048), E: 65537}, false, ua.StatusOK},
		{"4096 bits", rsa.PublicKey{N: bits(4096), E: 3}, false, ua.StatusOK},
		{"4097 bits", rsa.PublicKey{N: bits(4097), E: 65537}, false, ua.StatusBadCertificatePolicyCheckFailed},
		{"8192 bits, long keys allowed", rsa.PublicKey{N: bits(8192), E: 65537}, true, ua.StatusOK},
		{"16384 bits, long keys allowed", rsa.PublicKey{N: bits(16384), E: 65537}, true, ua.StatusBadCertificatePolicyCheckFailed},
		{"exponent 1", rsa.PublicKey{N: bits(2048), E: 1}, false, ua.StatusBadCertificatePolicyCheckFailed},
		{"even exponent", rsa.PublicKey{N: bits(2048), E: 65536}, false, ua.StatusBadCertificatePolicyCheckFailed},
		{"even modulus", rsa.PublicKey{N: even, E: 65537}, false, ua.StatusBadCertificatePolicyCheckFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := issueFor(t, leafTemplate(), &c.key, nil, root)
			batteryCase{
				trusted: certs(root.cert), crls: [][]byte{revoke(t, root, nil)},
				checks: Checks{AllowLongKeys: c.long}, send: leaf.Raw, want: c.want,
			}.run(t)
		})
	}
}

// The own certificate, or another one for the same key, is refused even if it lies in the trust list.
func TestValidate_OwnCertificate(t *testing.T) {
	own := issue(t, leafTemplate(), testKey(ownKey), nil).cert
	renewed := issue(t, leafTemplate(), testKey(ownKey), nil).cert
	for _, checks := range []Checks{{}, {AutoTrust: true}} {
		ts := newTestStore(t, checks, own.Raw)
		ts.put(ts.loc.TrustedCerts, "own.der", own.Raw)
		ts.put(ts.loc.TrustedCerts, "renewed.der", renewed.Raw)
		wantCode(t, ts.Validate(own.Raw, testNow), ua.StatusBadCertificateUntrusted)
		wantCode(t, ts.Validate(renewed.Raw, testNow), ua.StatusBadCertificateUntrusted)
		if files := ts.rejectedFiles(); len(files) != 0 {
			t.Errorf("own certificate offered for approval: %v", files)
		}
	}
}

// Two authorities that issued each other, and a chain without end: both are told in bounded time.
func TestValidate_ChainsWithoutEnd(t *testing.T) {
	a := issue(t, authorityTemplate("A"), testKey(rootKey), nil)
	b := issue(t, authorityTemplate("B"), testKey(middleKey), a)
	aByB := issue(t, authorityTemplate("A"), testKey(rootKey), b)
	leaf := issue(t, leafTemplate(), testKey(leafKey), b).cert
	batteryCase{issuers: certs(aByB.cert, b.cert), send: leaf.Raw, want: ua.StatusBadCertificateChainIncomplete, rejected: true}.run(t)

	last := a
	var middles []*x509.Certificate
	for i := range maxChain {
		last = issue(t, authorityTemplate(string(rune('a'+i))), testKey(middleKey), last)
		middles = append(middles, last.cert)
	}
	long := issue(t, leafTemplate(), testKey(leafKey), last).cert
	batteryCase{trusted: certs(a.cert), issuers: middles, send: long.Raw, want: ua.StatusBadCertificateChainIncomplete, rejected: true}.run(t)
}

func TestValidate_Sizes(t *testing.T) {
	big := issue(t, leafTemplate(func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x", 8000)} }), testKey(leafKey), nil).cert
	good := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	batteryCase{trusted: certs(big), send: big.Raw, want: ua.StatusBadCertificateInvalid}.run(t)
	batteryCase{trusted: certs(good), send: bytes.Repeat(good.Raw, maxChain), want: ua.StatusOK}.run(t)
	batteryCase{trusted: certs(good), send: bytes.Repeat(good.Raw, maxChain+1), want: ua.StatusBadCertificateInvalid}.run(t)
	batteryCase{trusted: certs(good), send: bytes.Repeat(good.Raw, 40), want: ua.StatusBadCertificateInvalid}.run(t)
}

// Every prefix of a certificate, of a chain and of a CRL is refused and harms nobody.
func TestValidate_Truncated(t *testing.T) {
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), root).cert
	ts := newTestStore(t, Checks{AutoTrust: true}, nil)
	chain := slices.Concat(leaf.Raw, root.cert.Raw)
	for n := range chain {
		if n == len(leaf.Raw) {
			continue // a whole certificate
		}
		wantCode(t, ts.Validate(chain[:n], testNow), ua.StatusBadCertificateInvalid)
	}
	crl := revoke(t, root, nil, leaf)
	for n := range crl {
		if _, err := parseCRLs(crl[:n]); err == nil {
			t.Fatalf("CRL of %d bytes out of %d parsed", n, len(crl))
		}
	}
}

// What an override lets pass is reported, once.
func TestValidate_OverridesAreReported(t *testing.T) {
	expired := issue(t, leafTemplate(func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{AutoTrust: true, IgnoreTime: true}, nil)
	for range 3 {
		wantCode(t, ts.Validate(expired.Raw, testNow), ua.StatusOK)
	}
	if n := strings.Count(ts.logs.String(), "BadCertificateTimeInvalid"); n != 1 {
		t.Errorf("reported %d times, want once:\n%s", n, ts.logs)
	}
}

// A hostile name reaches the log escaped and cut.
func TestValidate_HostileName(t *testing.T) {
	name := "../../etc/passwd\x1b[2J\n" + strings.Repeat("A", 1500)
	leaf := issue(t, leafTemplate(func(c *x509.Certificate) { c.Subject.CommonName = name }), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	err := ts.Validate(leaf.Raw, testNow)
	wantCode(t, err, ua.StatusBadCertificateUntrusted)
	text := err.Error() + ts.logs.String()
	if strings.ContainsAny(err.Error(), "\x1b\n") || len(text) > 1500 {
		t.Errorf("name not tamed (%d bytes): %s", len(text), text)
	}
	if files := ts.rejectedFiles(); len(files) != 1 || files[0] != rejectedName(leaf.Raw) {
		t.Errorf("rejected: %v", files)
	}
}

// net/url would write these differently; the comparison with the ApplicationDescription needs the bytes.
func TestApplicationURI_AsWritten(t *testing.T) {
	for _, uri := range []string{"urn:My PC:Vendor:App", "URN:Host:x", "http://host/a%20b?c#d"} {
		der, err := Request{ApplicationURI: uri, CommonName: "x", DNSNames: []string{"x"}, Validity: time.Hour}.selfSign(testKey(ownKey), testNow)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := ApplicationURI(cert); !ok || got != uri {
			t.Errorf("got %q, want %q", got, uri)
		}
	}
}

func FuzzValidate(f *testing.F) {
	root := issue(f, authorityTemplate("root"), testKey(rootKey), nil)
	leaf := issue(f, leafTemplate(), testKey(leafKey), root).cert
	f.Add(leaf.Raw)
	f.Add(slices.Concat(leaf.Raw, root.cert.Raw))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	ts := newTestStore(f, Checks{}, nil)
	ts.put(ts.loc.TrustedCerts, "root.der", root.cert.Raw)
	ts.put(ts.loc.TrustedCRLs, "root.crl", revoke(f, root, nil))
	ts.Store.rejected.dir = ""
	f.Fuzz(func(t *testing.T, der []byte) {
		err := ts.Validate(der, testNow)
		if err == nil && !bytes.HasPrefix(der, leaf.Raw) {
			t.Fatalf("accepted %x", der)
		}
	})
}

func FuzzTrustFile(f *testing.F) {
	root := issue(f, authorityTemplate("root"), testKey(rootKey), nil)
	f.Add(root.cert.Raw)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseCertificates(data)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d certificates and error %v", len(list), err)
		}
	})
}

func FuzzRevocationList(f *testing.F) {
	root := issue(f, authorityTemplate("root"), testKey(rootKey), nil)
	crl := revoke(f, root, nil, root.cert)
	f.Add(crl)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseCRLs(data)
		if err == nil && (len(list) == 0 || list[0] == nil) {
			t.Fatal("no list and no error")
		}
	})
}
