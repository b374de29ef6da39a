package attack

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

// refusedCodes may answer who is not authenticated.
var refusedCodes = append(securityCodes, overloadCodes...)

// openAs sends an OpenSecureChannel request after change has spoiled the client.
func (s *siege) openAs(what string, identity *securechannel.Identity, change func(c *securechanneltest.Client), allowed ...ua.StatusCode) {
	s.t.Helper()
	nc := s.attacker()
	c, err := securechanneltest.New(nc, policy, ua.MessageSecurityModeSignAndEncrypt, identity, gatewayIdentity().Chain[0])
	if err != nil {
		return // refused before: the address is known by now
	}
	if change != nil {
		change(c)
	}
	c.Nonce = random(32)
	chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
	if err != nil {
		s.t.Fatal(err)
	}
	nc.Write(chunk)
	s.ended(what, nc, closing, allowed...)
}

func pretending(der []byte) *securechannel.Identity {
	return &securechannel.Identity{Chain: [][]byte{der}, Key: strangerIdentity().Key}
}

// openWith sends an OPN with any header and ciphertext.
func (s *siege) openWith(what, policyURI string, sender, thumbprint, rest []byte, allowed ...ua.StatusCode) {
	s.t.Helper()
	nc := s.attacker()
	body := uabinary.AppendUint32(nil, 0)
	body = uabinary.AppendString(body, policyURI)
	body = uabinary.AppendByteString(body, sender)
	body = uabinary.AppendByteString(body, thumbprint)
	nc.Write(append(hello(nil), honest("OPNF", append(body, rest...))...))
	s.ended(what, nc, closing, allowed...)
}

func thumbprint(der []byte) []byte {
	sum := sha1.Sum(der)
	return sum[:]
}

// bad ones by the dozen, and good ones that were overheard.
func TestA06_OpenFlood(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.Handshakes = securechannel.HandshakeConfig{} })
	own := thumbprint(gatewayIdentity().Chain[0])
	for i := range 30 {
		if i%2 == 0 {
			s.openAs("untrusted", strangerIdentity(), nil, refusedCodes...)
		} else {
			s.openWith("overheard certificate", policy, insiderIdentity().Chain[0], own, random(512), refusedCodes...)
		}
	}
	s.enter(entryDuring)
	s.over()
}

// what may not cost a private key operation.
func TestA14_A15_A16_BeforeTheKey(t *testing.T) {
	s := besiege(t, nil)
	own, trusted := thumbprint(gatewayIdentity().Chain[0]), insiderIdentity().Chain[0]
	s.openWith("100 blocks", policy, trusted, own, random(100*256), append(refusedCodes, transportCodes...)...)
	s.openWith("9 blocks", policy, trusted, own, random(9*256), refusedCodes...)
	s.openWith("no block", policy, trusted, own, nil, refusedCodes...)
	s.openWith("half a block", policy, trusted, own, random(128), refusedCodes...)
	for _, uri := range []string{
		"http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15", "http://opcfoundation.org/UA/SecurityPolicy#Basic256",
		ua.SecurityPolicyURIAes256Sha256RsaPss, "", "http://opcfoundation.org/UA/SecurityPolicy#", strings.Repeat("A", 255), strings.Repeat("A", 5000),
	} {
		s.openWith("policy "+uri, uri, trusted, own, random(512), append(refusedCodes, transportCodes...)...)
	}
	s.openWith("no thumbprint", policy, trusted, nil, random(512), append(refusedCodes, ua.StatusBadCertificateInvalid)...)
	s.openWith("wrong thumbprint", policy, trusted, make([]byte, 20), random(512), append(refusedCodes, ua.StatusBadCertificateInvalid)...)
	s.over()
}

// our own certificate is nobody's.
func TestA17_Reflection(t *testing.T) {
	s := besiege(t, nil)
	s.openAs("own certificate, wrong key", pretending(gatewayIdentity().Chain[0]), nil, refusedCodes...)
	s.openAs("own certificate and key", gatewayIdentity(), nil, refusedCodes...)
	s.over()
}

func TestA18_Certificates(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.Handshakes.Failures = 1000 })
	key := strangerIdentity().Key
	for name, change := range map[string]func(*x509.Certificate){
		"stranger": nil,
		"expired":  func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"future":   func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
		"CA": func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		},
		"no usage":     func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil },
		"no URI":       func(c *x509.Certificate) { c.URIs = nil },
		"witness's CN": func(c *x509.Certificate) { c.Subject.CommonName = witnessURI },
	} {
		s.openAs(name, pretending(selfSigned(key, strangerURI, change)), nil, refusedCodes...)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der := selfSigned(short, strangerURI, nil)
	s.openWith("1024 bits", policy, der, thumbprint(gatewayIdentity().Chain[0]), random(512), refusedCodes...)
	s.openAs("trusted certificate, wrong key", pretending(insiderIdentity().Chain[0]), nil, refusedCodes...)
	// The URI of a trusted certificate is held against the ClientDescription.
	c := s.open(attackAddress, insiderIdentity())
	req := c.createRequest()
	req.ClientDescription.ApplicationURI = witnessURI
	code, err := c.create(req)
	wantCode(t, "another's ApplicationUri", code, err, ua.StatusBadCertificateURIInvalid)
	s.leave()
	s.over()
}

// chains in circles and DER that nobody should parse.
func TestA19_A20_HostileDER(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.Handshakes.Failures = 1000 })
	own := thumbprint(gatewayIdentity().Chain[0])
	a, b := strangerIdentity().Chain[0], insiderIdentity().Chain[0]
	for name, sender := range map[string][]byte{
		"the same five times": bytes.Repeat(a, 5),
		"circle":              bytes.Join([][]byte{a, b, a, b, a}, nil),
		"six":                 bytes.Repeat(a, 6),
		"long":                bytes.Repeat(a, 20),
		"trusted behind it":   append(bytes.Clone(a), b...),
		"rubbish behind it":   append(bytes.Clone(b), random(64)...),
		"endless length":      {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"indefinite length":   append([]byte{0x30, 0x80}, random(100)...),
		"nested":              bytes.Repeat([]byte{0x30, 0x82, 0x1d, 0x00}, 1800),
		"1 MB SAN announced":  append([]byte{0x30, 0x83, 0x10, 0, 0}, random(1000)...),
		"negative":            {},
	} {
		s.openWith(name, policy, sender, own, random(512), append(refusedCodes, transportCodes...)...)
	}
	step := len(a)/20 + 1
	for at := 0; at < len(a); at += step {
		der := bytes.Clone(a)
		der[at] ^= 0x5a
		s.openWith(fmt.Sprintf("byte %d spoilt", at), policy, der, own, random(512), refusedCodes...)
	}
	s.over()
}

// rejected certificates neither fill the disk nor choose their names.
func TestA21_RejectedStore(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.Handshakes.Failures = 1000 })
	key := strangerIdentity().Key
	for i := range 30 {
		der := selfSigned(key, strangerURI, func(c *x509.Certificate) {
			c.Subject.CommonName = "../../trusted/evil\x1b[2J\nlevel=ERROR" + strings.Repeat("x", i*100)
		})
		s.openAs("unknown", pretending(der), nil, refusedCodes...)
	}
	named := regexp.MustCompile(`^[0-9A-Fa-f]{64}\.der$`)
	rejected := 0
	err := filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		switch filepath.Base(filepath.Dir(path)) {
		case "rejected":
			if rejected++; !named.MatchString(e.Name()) {
				t.Errorf("I8: file %q", path)
			}
		case "trusted":
			if e.Name() != "witness.pem" && e.Name() != "insider.pem" {
				t.Errorf("I8: file %q", path)
			}
		}
		return nil
	})
	if err != nil || rejected > 20 {
		t.Errorf("I8: %d rejected certificates kept, %v", rejected, err)
	}
	s.over()
}

// replay, gaps, and renewals that change something.
func TestA22_A23_A24_ReplayAndRenewal(t *testing.T) {
	s := besiege(t, nil)
	codes := append(append(refusedCodes, transportCodes...), ua.StatusBadSecureChannelTokenUnknown, ua.StatusBadNonceInvalid,
		ua.StatusBadSecurityModeRejected, ua.StatusBadRequestTypeInvalid, ua.StatusBadSequenceNumberInvalid)
	browse := uabinary.AppendMessage(nil, &uabinary.GetEndpointsRequest{EndpointURL: securechanneltest.EndpointURL})
	for name, attack := range map[string]func(c *client){
		"replay": func(c *client) {
			chunk, _ := c.Seal(uatcp.TypeMessage, uatcp.Final, 9, browse)
			c.Net.Write(append(chunk, chunk...))
		},
		"gap":            func(c *client) { c.Sequence++; c.Send(uatcp.TypeMessage, uatcp.Final, 9, browse) },
		"token unknown":  func(c *client) { c.TokenID += 7; c.Send(uatcp.TypeMessage, uatcp.Final, 9, browse) },
		"another mode":   func(c *client) { c.Mode = ua.MessageSecurityModeSign; c.Renew() },
		"mode invalid":   func(c *client) { c.Mode = 7; c.Renew() },
		"another client": func(c *client) { c.Identity = witnessIdentity(); c.Renew() },
		"second issue":   func(c *client) { c.Open(ua.SecurityTokenRequestTypeIssue) },
		"nonce again": func(c *client) {
			chunk, _ := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeRenew))
			c.Net.Write(chunk)
		},
		"no nonce": func(c *client) {
			c.Nonce = nil
			chunk, _ := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeRenew))
			c.Net.Write(chunk)
		},
	} {
		c := s.open(attackAddress, insiderIdentity())
		c.Net.SetDeadline(time.Now().Add(patience))
		attack(c)
		s.ended(name, c.Net, closing, codes...)
	}
	s.over()
}

// the list of endpoints is the only truth.
func TestA25_Downgrade(t *testing.T) {
	s := besiege(t, func(c *server.Config) {
		c.Endpoints[0].Security = c.Endpoints[0].Security[1:] // no None
		c.Endpoints[0].Security[0].Modes = []ua.MessageSecurityMode{ua.MessageSecurityModeSignAndEncrypt}
	})
	for _, mode := range []ua.MessageSecurityMode{0, ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, 7} {
		s.openAs(fmt.Sprintf("mode %d", mode), insiderIdentity(), func(c *securechanneltest.Client) { c.Mode = mode },
			append(refusedCodes, ua.StatusBadSecurityModeRejected, ua.StatusBadSecurityPolicyRejected)...)
	}
	c := s.open(attackAddress, nil) // discovery works, and no more
	code, err := c.create(c.createRequest())
	wantCode(t, "Session under None", code, err, ua.StatusBadSecurityPolicyRejected, ua.StatusBadSecurityModeRejected)
	_, code, err = c.read(valueOf("Counter"))
	wantCode(t, "Read without Session", code, err, ua.StatusBadSessionIDInvalid)
	s.leave()
	s.over()
}

// CreateSession signs the leaf that was proven, and nothing else.
func TestA26_SigningOracle(t *testing.T) {
	s := besiege(t, nil)
	leaf := insiderIdentity().Chain[0]
	for name, sent := range map[string][]byte{
		"rubbish behind it": append(bytes.Clone(leaf), random(64)...),
		"another's":         witnessIdentity().Chain[0],
		"none":              nil,
		"half":              leaf[:len(leaf)/2],
	} {
		c := s.open(attackAddress, insiderIdentity())
		req := c.createRequest()
		req.ClientCertificate = sent
		code, err := c.create(req)
		wantCode(t, name, code, err, ua.StatusBadCertificateInvalid)
		c.Close()
	}
	s.leave()
	s.over()
}
