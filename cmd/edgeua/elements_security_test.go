package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/config/configtest"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// enters opens an anonymous session with a certificate under Basic256Sha256, encrypted.
func enters(who func() *securechannel.Identity) func(*stage) string {
	return entersBy("Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, who)
}

func entersBy(policy string, mode ua.MessageSecurityMode, who func() *securechannel.Identity) func(*stage) string {
	return func(s *stage) string {
		p, err := s.channel(0, policy, mode, who())
		if err != nil {
			return outcome(err)
		}
		defer p.Close()
		if code := p.create(p.createRequest()); code != ua.StatusOK {
			return uatcp.StatusName(code)
		}
		return uatcp.StatusName(p.activate(anonymously(), nil))
	}
}

const good, unsafe = "Good", "BadSecurityChecksFailed"

// trustEffects are those of the four locations of a trust list, for clients.
func trustEffects(given func(*configtest.Node)) map[string]influence {
	return map[string]influence{
		"CertificateTrustListLocation": {value: "place/trusted", plain: "trusted", without: unsafe, given: given, probe: enters(lone), want: good,
			files: laid(map[string][]byte{"place/trusted/a.der": lone().Chain[0]})},
		"CertificateRevocationListLocation": {value: "place/crl", plain: "crl", without: good, given: given, probe: enters(ours), want: unsafe,
			files: laid(map[string][]byte{"trusted/root.der": root().Chain[0], "crl/root.crl": crl(root()), "place/crl/root.crl": crl(root(), ours())})},
		"IssuersCertificatesLocation": {value: "place/issuers", plain: "issuers", without: unsafe, given: given, probe: enters(short(ours)), want: good,
			files: laid(map[string][]byte{"trusted/a.der": ours().Chain[0], "place/issuers/root.der": root().Chain[0], "issuercrl/root.crl": crl(root())})},
		"IssuersRevocationListLocation": {value: "place/issuercrl", plain: "issuercrl", without: "BadCertificateRevocationUnknown", given: given, probe: enters(short(ours)), want: good,
			files: laid(map[string][]byte{"trusted/a.der": ours().Chain[0], "issuers/root.der": root().Chain[0], "place/issuercrl/root.crl": crl(root())})},
	}
}

// short is an identity that does not send its issuers.
func short(who func() *securechannel.Identity) func() *securechannel.Identity {
	return func() *securechannel.Identity { return &securechannel.Identity{Chain: who().Chain[:1], Key: who().Key} }
}

// ownEffects are those of the own certificate of a store.
func ownEffects(given func(*configtest.Node), at string) map[string]influence {
	all := map[string]influence{
		"OpenSSLStore/ServerCertificate": {value: "other.der", plain: "own.der", given: given, probe: commonName, want: "Other",
			files: laid(map[string][]byte{"other.der": issued("server2048", nil, application, func(c *x509.Certificate) { c.Subject.CommonName = "Other" }).Chain[0]})},
		"OpenSSLStore/ServerPrivateKey": {value: "other.pem", plain: "own.pem", given: given, refused: true,
			want: "does not belong to private key", files: laid(map[string][]byte{"other.pem": keyPEM(securechanneltest.Key("client3072"))})},
		"GenerateCertificate": {value: "true", given: given, probe: commonName, want: "Plant", files: without("own.der", "own.pem")},
	}
	generate := func(n *configtest.Node) {
		if given != nil {
			given(n)
		}
		n.Set(at+"GenerateCertificate", "true")
	}
	for name, e := range map[string]influence{
		"CommonName":       {value: "[ServerName] Nine", probe: subject, want: "CN=Plant Nine"},
		"DomainComponent":  {value: "plant", probe: subject, want: "DC=plant"},
		"Organization":     {value: "Works", probe: subject, want: "O=Works"},
		"OrganizationUnit": {value: "Quay", probe: subject, want: "OU=Quay"},
		"Locality":         {value: "Bergen", probe: subject, want: "L=Bergen"},
		"State":            {value: "Vestland", probe: subject, want: "ST=Vestland"},
		"Country":          {value: "NO", probe: subject, want: "C=NO"},
		"YearsValidFor":    {value: "3", probe: years, want: "3 years"},
		"KeyLength":        {value: "3072", probe: keyLength, want: "3072 bits"},
		"CertificateType":  {value: "RsaMin", probe: signature, want: "SHA256-RSA although RsaMin means a SHA-1 signature"},
		"DNSName":          {value: "press.example.com", probe: hostsOf, want: "press.example.com"},
		"IPAddress":        {value: "192.0.2.9", probe: hostsOf, want: "192.0.2.9"},
	} {
		e.given, e.files, e.batch = generate, without("own.der", "own.pem"), at
		all["CertificateSettings/"+name] = e
	}
	return all
}

func without(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, name := range names {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shownCertificate is the certificate that clients are given.
func (s *stage) shownCertificate() *x509.Certificate {
	s.t.Helper()
	all, err := x509.ParseCertificates(s.endpoints("")[0].ServerCertificate)
	if err != nil {
		s.t.Fatal(err)
	}
	return all[0]
}

func commonName(s *stage) string { return s.shownCertificate().Subject.CommonName }

func subject(s *stage) string {
	name := s.shownCertificate().Subject
	text := name.String()
	for _, n := range name.Names { // String has the number in place of the letters
		if n.Type.String() == "0.9.2342.19200300.100.1.25" {
			text += fmt.Sprintf(",DC=%v", n.Value)
		}
	}
	return text
}

func years(s *stage) string {
	c := s.shownCertificate()
	return fmt.Sprintf("%.0f years", c.NotAfter.Sub(c.NotBefore).Hours()/24/365)
}

func keyLength(s *stage) string {
	return fmt.Sprintf("%d bits", s.shownCertificate().PublicKey.(*rsa.PublicKey).N.BitLen())
}

// signature is the algorithm, and what the administrator is told about it.
func signature(s *stage) string {
	said := ""
	if at := strings.Index(s.said, "RsaMin means a SHA-1 signature"); at >= 0 {
		said = " although " + s.said[at:]
	}
	return s.shownCertificate().SignatureAlgorithm.String() + said
}

func hostsOf(s *stage) string {
	c := s.shownCertificate()
	return fmt.Sprint(c.DNSNames, c.IPAddresses)
}

// storeEffects are those of the certificates of a single endpoint and of all others, and of what was refused.
func storeEffects() map[string]influence {
	const own, other = "UaServerConfig/UaEndpoint/CertificateStore/", "UaServerConfig/DefaultApplicationCertificateStore/"
	all := map[string]influence{
		"UaServerConfig/RejectedCertificatesDirectory": {value: "place/rejected", plain: "rejected", probe: and(enters(lone), rejected("place/rejected")), want: unsafe + ", 1"},
		"UaServerConfig/RejectedCertificatesCount":     {value: "1", probe: and(enters(lone), enters(ours), rejected("rejected")), want: unsafe + ", " + unsafe + ", 1"},
		"UaServerConfig/AllowDeprecatedSecurityPolicies": {value: "true", given: func(n *configtest.Node) {
			setting := n.Add("UaServerConfig/UaEndpoint/SecuritySetting", "")
			setting.Set("SecurityPolicy", policyURI+"Basic256")
			setting.Set("MessageSecurityMode", "SignAndEncrypt")
		}, files: laid(map[string][]byte{"trusted/a.der": lone().Chain[0]}), probe: entersBy("Basic256", ua.MessageSecurityModeSignAndEncrypt, lone), want: good},
	}
	shared := func(n *configtest.Node) {
		n.Remove("UaServerConfig/UaEndpoint/CertificateStore")
		stageStore(n, other, "ServerCertificate/")
	}
	add := func(below string, more map[string]influence) {
		for path, e := range more {
			all[below+path] = e
		}
	}
	add(own+"OpenSSLStore/", trustEffects(nil))
	add(own, ownEffects(nil, own))
	add(other+"OpenSSLStore/", trustEffects(shared))
	add(other+"ServerCertificate/", ownEffects(shared, other+"ServerCertificate/"))
	chain := issued("server2048", root(), application)
	all[other+"SendCertificateChain"] = influence{value: "true", given: shared, probe: sentCertificates, want: "2",
		files: laid(map[string][]byte{"own.der": append(chain.Chain[0][:len(chain.Chain[0]):len(chain.Chain[0])], chain.Chain[1]...)})}
	return all
}

// rejected counts the certificates in a directory.
func rejected(dir string) func(*stage) string {
	return func(s *stage) string {
		entries, _ := os.ReadDir(filepath.Join(s.dir, dir)) // none, if it is not there
		return fmt.Sprint(len(entries))
	}
}

// sentCertificates counts what clients are given.
func sentCertificates(s *stage) string {
	all, err := x509.ParseCertificates(s.endpoints("")[0].ServerCertificate)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(len(all))
}

// overwriteEffects switch one check off each: a client with exactly that fault gets in, or gets further; otherwise it is
// told its fault.
func overwriteEffects() map[string]influence {
	trusted := func(who *securechannel.Identity, more ...[]byte) func(*testing.T, string) {
		files := map[string][]byte{"trusted/a.der": who.Chain[0]}
		for i, der := range more { // authorities and their lists
			if _, err := x509.ParseRevocationList(der); err == nil {
				files[fmt.Sprintf("crl/%d.crl", i)] = der
			} else {
				files[fmt.Sprintf("issuers/%d.der", i)] = der
			}
		}
		return laid(files)
	}
	is := func(who *securechannel.Identity) func() *securechannel.Identity {
		return func() *securechannel.Identity { return who }
	}
	late := issued("client2048", nil, application, outdated)
	lateRoot := issued("client3072", nil, authority("late"), outdated)
	ofLateRoot := issued("client2048", lateRoot, application)
	long := issued("client5120", nil, application)
	coder := issued("client2048", nil, application, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	stolen := issued("client2048", nil, application, func(c *x509.Certificate) { c.URIs[0].Opaque = "test:somebody" })
	return map[string]influence{
		"DisableErrorCertificateTimeInvalid":       {value: "true", without: "BadCertificateTimeInvalid", probe: enters(is(late)), want: good, files: trusted(late)},
		"DisableErrorCertificateIssuerTimeInvalid": {value: "true", without: "BadCertificateIssuerTimeInvalid", probe: enters(is(ofLateRoot)), want: good, files: trusted(ofLateRoot, lateRoot.Chain[0], crl(lateRoot))},
		"DisableErrorCertificateRevocationUnknown": {value: "true", without: "BadCertificateRevocationUnknown", probe: enters(ours), want: good, files: trusted(ours(), root().Chain[0])},
		"DisableErrorCertificateIssuerRevocationUnknown": {value: "true", without: "BadCertificateIssuerRevocationUnknown", probe: enters(farmed), want: good,
			files: trusted(farmed(), root().Chain[0], middle().Chain[0], crl(middle()))},
		"DisableErrorCertificateKeyTooLong": {value: "true", without: unsafe, probe: opens(long), want: "OPN", files: trusted(long)},
		"DisableApplicationUriCheck":        {value: "true", without: "BadCertificateURIInvalid", probe: enters(is(stolen)), want: good, files: trusted(stolen)},
		"DisableNonceLengthCheck":           {value: "true", without: "BadNonceInvalid", probe: shortNonce, want: good, files: trusted(lone())},
		"DisableUserTokenPolicyIdCheck":     {value: "true", without: "BadIdentityTokenInvalid", probe: wrongPolicyID, want: good},
		"DisableCertificateUsageCheck":      {value: "true", without: "BadCertificateUseNotAllowed", probe: enters(is(coder)), want: good, files: trusted(coder)},
	}
}

// opens opens a SecureChannel with a key that is too long for clients, ours and those of the tests, and gives the answer.
func opens(who *securechannel.Identity) func(*stage) string {
	return func(s *stage) string {
		own := stageIdentity()
		c, err := securechanneltest.New(s.pipe(0), policyURI+"Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, who, own.Chain[0])
		if err != nil {
			return outcome(err)
		}
		c.Nonce = make([]byte, 32)
		request := uabinary.AppendMessage(nil, c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
		policy, _ := securechannel.PolicyByURI(c.PolicyURI)
		const block, overhead = 256, 42 // of the server's key; RSA-OAEP with SHA-1 takes that much of it
		plain := uabinary.AppendUint32(uabinary.AppendUint32(nil, 1), 1)
		plain = append(plain, request...)
		padding := (block - overhead - (len(plain)+1+who.Key.Size())%(block-overhead)) % (block - overhead)
		plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding+1)...)

		chunk := uatcp.Header{Type: uatcp.TypeOpenSecureChannel, IsFinal: uatcp.Final}.Append(nil)
		chunk = uabinary.AppendString(uabinary.AppendUint32(chunk, 0), c.PolicyURI)
		chunk = uabinary.AppendByteString(uabinary.AppendByteString(chunk, who.Chain[0]), c.Thumbprint)
		size := len(chunk) + (len(plain)+who.Key.Size())/(block-overhead)*block
		binary.LittleEndian.PutUint32(chunk[4:], uint32(size))
		signed, err := policy.Sign(who.Key, chunk, plain)
		if err != nil {
			s.t.Fatal(err)
		}
		sealed, err := policy.Encrypt(&own.Key.PublicKey, append(plain, signed...))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := c.Net.Write(append(chunk, sealed...)); err != nil {
			s.t.Fatal(err)
		}
		answer, err := c.Conn.ReadChunk()
		defer c.Net.Close()
		if err != nil {
			return outcome(err)
		}
		return answer.Type.String()
	}
}

// TestElements_WeakCertificates keeps refusing the two faults that no switch excuses.
func TestElements_WeakCertificates(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := issued("client2048", nil, application, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	main := stageFile()
	for _, name := range []string{"DisableErrorCertificateKeyTooShort", "DisableCertificateSignatureAlgorithmCheck"} {
		main.Set(endpointPath+"SecurityCheckOverwrites/"+name, "true")
	}
	short := issuedFor(key, nil, application)
	dir := t.TempDir()
	ownFiles(t, dir)
	laid(map[string][]byte{"trusted/short.der": short.Chain[0], "trusted/weak.der": weak.Chain[0], "trusted/good.der": lone().Chain[0]})(t, dir)
	s, err := openStage(t, dir, main.String(), deaf)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		who  *securechannel.Identity
		want string
	}{"a good one": {lone(), "OPN"}, "a short key": {short, unsafe}, "a SHA-1 signature": {weak, unsafe}} {
		if got := opens(c.who)(s); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// shortNonce creates a session with a nonce of 8 bytes.
func shortNonce(s *stage) string {
	p, err := s.channel(0, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, lone())
	if err != nil {
		return outcome(err)
	}
	defer p.Close()
	req := p.createRequest()
	req.ClientNonce = req.ClientNonce[:8]
	return uatcp.StatusName(p.create(req))
}

// wrongPolicyID logs in under a policy of another name.
func wrongPolicyID(s *stage) string {
	p := s.stranger()
	defer p.leave()
	p.ok(p.create(p.createRequest()))
	return uatcp.StatusName(p.activate(uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: "0"}), nil))
}

// tokenEffects are those of UserIdentityTokens.
func tokenEffects() map[string]influence {
	const store, at = "DefaultUserCertificateStore/", "UaServerConfig/UserIdentityTokens/"
	enabled := func(n *configtest.Node) {
		n.Set(at+"EnableCertificate", "true")
		n.Set(at+store+"CertificateTrustListLocation", "users/trusted")
		n.Set(at+store+"CertificateRevocationListLocation", "users/crl")
		n.Set(at+store+"IssuersCertificatesLocation", "users/issuers")
		n.Set(at+store+"IssuersRevocationListLocation", "users/issuercrl")
		n.Set(at+"RejectedUserCertificatesDirectory", "users/rejected")
	}
	const refused = "BadIdentityTokenRejected"
	return map[string]influence{
		"EnableAnonymous":   {value: "true", without: refused, plain: "false", probe: withoutName, want: good},
		"EnableUserPw":      {value: "false", without: good, probe: byPassword, want: refused},
		"EnableCertificate": {value: "true", without: refused, given: enabled, probe: byCertificate(person), want: good, files: laid(map[string][]byte{"users/trusted/a.der": person().Chain[0]})},
		"SecurityPolicy":    {value: policyURI + "Aes256_Sha256_RsaPss", probe: passwordPolicy, want: "Aes256_Sha256_RsaPss"},
		store + "CertificateTrustListLocation": {value: "place/trusted", plain: "users/trusted", given: enabled, probe: byCertificate(person), want: good,
			files: laid(map[string][]byte{"place/trusted/a.der": person().Chain[0]})},
		store + "CertificateRevocationListLocation": {value: "place/crl", plain: "users/crl", given: enabled, probe: byCertificate(member), want: refused,
			files: laid(map[string][]byte{"users/trusted/root.der": root().Chain[0], "users/crl/root.crl": crl(root()), "place/crl/root.crl": crl(root(), member())})},
		store + "IssuersCertificatesLocation": {value: "place/issuers", plain: "users/issuers", given: enabled, probe: byCertificate(member), want: good,
			files: laid(map[string][]byte{"users/trusted/a.der": member().Chain[0], "place/issuers/root.der": root().Chain[0], "users/issuercrl/root.crl": crl(root())})},
		store + "IssuersRevocationListLocation": {value: "place/issuercrl", plain: "users/issuercrl", given: enabled, probe: byCertificate(member), want: good,
			files: laid(map[string][]byte{"users/trusted/a.der": member().Chain[0], "users/issuers/root.der": root().Chain[0], "place/issuercrl/root.crl": crl(root())})},
		"RejectedUserCertificatesDirectory": {value: "place/rejected", plain: "users/rejected", given: enabled, want: refused + ", 1",
			probe: and(byCertificate(person), rejected("place/rejected"))},
		"RejectedUserCertificatesCount": {value: "1", given: enabled, want: refused + ", " + refused + ", 1",
			probe: and(byCertificate(person), byCertificate(member), rejected("users/rejected"))},
	}
}

// withoutName opens an anonymous session.
func withoutName(s *stage) string {
	p := s.stranger()
	defer p.leave()
	p.ok(p.create(p.createRequest()))
	return uatcp.StatusName(p.activate(anonymously(), nil))
}

// byPassword logs the operator in.
func byPassword(s *stage) string {
	p := s.stranger()
	defer p.leave()
	p.ok(p.create(p.createRequest()))
	policy, _ := securechannel.PolicyByURI(ua.SecurityPolicyURIBasic256Sha256)
	plain := append(uabinary.AppendUint32(nil, uint32(len(secret)+len(p.nonce))), append([]byte(secret), p.nonce...)...)
	hidden, err := policy.Encrypt(&stageIdentity().Key.PublicKey, plain)
	if err != nil {
		s.t.Fatal(err)
	}
	return uatcp.StatusName(p.activate(uabinary.ExtensionObjectOf(&uabinary.UserNameIdentityToken{
		PolicyID: "UserName_Basic256Sha256", UserName: operator, Password: hidden, EncryptionAlgorithm: policy.EncryptionAlgorithm(),
	}), nil))
}

// byCertificate logs a user in, who does not send his issuers.
func byCertificate(who func() *securechannel.Identity) func(*stage) string {
	return func(s *stage) string {
		p := s.stranger()
		defer p.leave()
		p.ok(p.create(p.createRequest()))
		token := uabinary.ExtensionObjectOf(&uabinary.X509IdentityToken{PolicyID: "Certificate_Basic256Sha256", CertificateData: who().Chain[0]})
		return uatcp.StatusName(p.activate(token, func(server, nonce []byte) uabinary.SignatureData {
			return p.sign(ua.SecurityPolicyURIBasic256Sha256, who())
		}))
	}
}

// passwordPolicy is what protects passwords on the endpoint without security.
func passwordPolicy(s *stage) string {
	for _, e := range s.endpoints("") {
		for _, token := range e.UserIdentityTokens {
			if e.SecurityMode == ua.MessageSecurityModeNone && token.TokenType == ua.UserTokenTypeUserName {
				return strings.TrimPrefix(token.SecurityPolicyURI, policyURI)
			}
		}
	}
	return "none"
}
