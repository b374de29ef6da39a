package securechannel_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// openWith sends an OPN with a request changed by the test.
func openWith(t *testing.T, c *securechanneltest.Client, change func(*uabinary.OpenSecureChannelRequest)) {
	t.Helper()
	if c.ServerKey != nil {
		c.Nonce = make([]byte, 32)
		rand.Read(c.Nonce)
	}
	request := c.OpenRequest(ua.SecurityTokenRequestTypeIssue)
	if c.ChannelID != 0 {
		request.RequestType = ua.SecurityTokenRequestTypeRenew
	}
	if change != nil {
		change(request)
	}
	chunk, err := c.SealOpen(request)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, chunk)
}

// many RSA blocks in one OPN.
func TestA14_tooManyRSABlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		// 214 bytes of plaintext in a block: 9 blocks
		openWith(t, c, func(request *uabinary.OpenSecureChannelRequest) {
			request.RequestHeader.AuditEntryID = string(make([]byte, 214*7))
		})
		expectError(t, c, ua.StatusBadSecurityChecksFailed)
	})
}

func TestA14_eightRSABlocksAreFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		openWith(t, c, func(request *uabinary.OpenSecureChannelRequest) {
			request.RequestHeader.AuditEntryID = string(make([]byte, 214*6))
		})
		if err := c.ReadOpen(); err != nil {
			t.Error(err)
		}
	})
}

// nothing is decrypted for strangers.
func TestA15_orderOfChecks(t *testing.T) {
	stranger := securechanneltest.NewIdentity("client3072", "urn:stranger")
	for name, tc := range map[string]struct {
		policy      string
		allow       bool
		distrust    error
		identity    *securechannel.Identity
		thumbprint  []byte
		want        ua.StatusCode
		wantTrusted bool // Trust was asked
	}{
		"policy unknown":      {policy: "http://opcfoundation.org/UA/SecurityPolicy#Basic512", allow: true},
		"policy not offered":  {policy: encrypted.policy},
		"thumbprint":          {policy: encrypted.policy, allow: true, thumbprint: make([]byte, 20)},
		"thumbprint missing":  {policy: encrypted.policy, allow: true, thumbprint: []byte{}},
		"untrusted":           {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateUntrusted, wantTrusted: true},
		"revoked":             {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateRevoked, wantTrusted: true},
		"incomplete":          {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateChainIncomplete, wantTrusted: true},
		"some error":          {policy: encrypted.policy, allow: true, distrust: errors.New("/etc/secret unreadable"), wantTrusted: true},
		"expired":             {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateTimeInvalid, want: ua.StatusBadCertificateTimeInvalid, wantTrusted: true},
		"revocation unknown":  {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateRevocationUnknown, want: ua.StatusBadCertificateRevocationUnknown, wantTrusted: true},
		"wrong ciphertext":    {policy: encrypted.policy, allow: true, wantTrusted: true},
		"another certificate": {policy: encrypted.policy, allow: true, identity: stranger, wantTrusted: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				asked := false
				r.cfg.Allowed = func(string, ua.MessageSecurityMode) bool { return tc.allow }
				r.cfg.Trust = func([]byte) error { asked = true; return tc.distrust }
				c, result := r.start(t, encrypted)
				if tc.thumbprint != nil {
					c.Thumbprint = tc.thumbprint
				}
				c.Nonce = make([]byte, 32)
				chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case tc.policy != encrypted.policy:
					chunk = bytes.Replace(chunk, []byte("Basic256Sha256"), []byte("Basic128Rsa15X"), 1)
				case tc.identity != nil:
					chunk = replaceSender(chunk, r.client.Chain[0], tc.identity.Chain[0])
				default:
					chunk[len(chunk)-1] ^= 1
				}
				write(t, c, chunk)
				want := ua.StatusBadSecurityChecksFailed
				if tc.want != 0 {
					want = tc.want
				}
				expectError(t, c, want)
				if res := <-result; res.Err == nil || asked != tc.wantTrusted {
					t.Errorf("ended with %v, trust was asked: %v", res.Err, asked)
				}
			})
		})
	}
}

// replaceSender puts another certificate into an OPN chunk.
func replaceSender(chunk, old, with []byte) []byte {
	old, with = uabinary.AppendByteString(nil, old), uabinary.AppendByteString(nil, with)
	chunk = bytes.Replace(chunk, old, with, 1)
	binary.LittleEndian.PutUint32(chunk[4:], uint32(len(chunk)))
	return chunk
}

// the receiver is somebody else.
func TestA16_thumbprintOfAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		other := sha1.Sum(securechanneltest.NewIdentity("server4096", "urn:other").Chain[0])
		c.Thumbprint = other[:]
		openWith(t, c, nil)
		expectError(t, c, ua.StatusBadSecurityChecksFailed)
	})
}

// hostile certificates.
func TestA20_hostileCertificates(t *testing.T) {
	good := securechanneltest.NewIdentity("client2048", "urn:client").Chain[0]
	key := func(n *big.Int, e int) []byte {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
		if err != nil {
			t.Fatal(err)
		}
		return withPublicKey(t, good, der)
	}
	odd := func(bits uint) *big.Int { // an odd number of that many bits
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for name, blob := range map[string][]byte{
		"missing":         nil,
		"not DER":         bytes.Repeat([]byte("x"), 1000),
		"cut":             good[:len(good)-1],
		"trailing zero":   append(bytes.Clone(good), 0),
		"trailing text":   append(bytes.Clone(good), "rubbish behind the leaf"...),
		"six in chain":    bytes.Repeat(good, 6),
		"SAN of 7 KiB":    largeCertificate(t),
		"over 16 KiB":     append(bytes.Clone(good), append([]byte{0x30, 0x82, 0x3F, 0xFF}, make([]byte, 0x3FFF)...)...),
		"indefinite":      append([]byte{0x30, 0x80}, make([]byte, 1000)...),
		"3 bytes length":  append([]byte{0x30, 0x83, 0, 1, 0}, make([]byte, 256)...),
		"length 2^32-1":   append([]byte{0x30, 0x84, 255, 255, 255, 255}, make([]byte, 256)...),
		"2047 bits":       key(odd(2047), 65537),
		"4097 bits":       key(odd(4097), 65537),
		"16384 bits":      key(odd(16384), 65537),
		"even modulus":    key(new(big.Int).Lsh(big.NewInt(1), 2047), 65537),
		"exponent 1":      key(odd(2048), 1),
		"exponent even":   key(odd(2048), 65536),
		"elliptic curve":  withPublicKey(t, good, ecKey),
		"explicit curve":  withPublicKey(t, good, explicitECKey),
		"empty SEQUENCEs": bytes.Repeat([]byte{0x30, 0x81, 0}, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Trust = func([]byte) error { t.Error("trust was asked"); return nil }
				c, _ := r.start(t, encrypted)
				c.Nonce = make([]byte, 32)
				chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, replaceSender(chunk, r.client.Chain[0], blob))
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

// largeCertificate returns a certificate with nothing wrong but its size.
func largeCertificate(t *testing.T) []byte {
	t.Helper()
	key := securechanneltest.Key("client2048")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: slices.Repeat([]string{strings.Repeat("x", 63)}, 110)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil || len(der) < 7501 || len(der) > 16<<10 {
		t.Fatalf("%d bytes, %v", len(der), err)
	}
	return der
}

var (
	ecKey         = mustHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004" + "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	explicitECKey = mustHex("301A" + "3013" + "06072a8648ce3d0201" + "3008" + "020101" + "300306012A" + "0303" + "000400")
)

// withPublicKey replaces the SubjectPublicKeyInfo of a certificate; its signature no longer fits, which nobody gets to check.
func withPublicKey(t *testing.T, der, spki []byte) []byte {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	tbs := bytes.Replace(cert.RawTBSCertificate, cert.RawSubjectPublicKeyInfo, spki, 1)
	var inner, outer asn1.RawValue
	if _, err := asn1.Unmarshal(cert.RawTBSCertificate, &inner); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	header := len(cert.RawTBSCertificate) - len(inner.Bytes)
	newTBS, err := asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: tbs[header:]})
	if err != nil {
		t.Fatal(err)
	}
	rest := outer.Bytes[len(cert.RawTBSCertificate):]
	out, err := asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: append(newTBS, rest...)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// a renewal changes nothing but the keys.
func TestA23_renewalWithOtherProperties(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*rig, *securechanneltest.Client)
		want   ua.StatusCode
	}{
		"certificate": {func(_ *rig, c *securechanneltest.Client) {
			c.Identity = securechanneltest.NewIdentity("client3072", "urn:client")
		}, ua.StatusBadSecurityChecksFailed},
		"certificate of the same key": {func(_ *rig, c *securechanneltest.Client) {
			c.Identity = securechanneltest.NewIdentity("client2048", "urn:other")
		}, ua.StatusBadSecurityChecksFailed},
		"policy": {func(_ *rig, c *securechanneltest.Client) {
			c.PolicyURI = ua.SecurityPolicyURIAes256Sha256RsaPss
		}, ua.StatusBadSecurityChecksFailed},
		"policy None": {func(_ *rig, c *securechanneltest.Client) {
			c.PolicyURI, c.Mode, c.ServerKey = ua.SecurityPolicyURINone, ua.MessageSecurityModeNone, nil
		}, ua.StatusBadSecurityChecksFailed},
		"mode": {func(_ *rig, c *securechanneltest.Client) {
			c.Mode = ua.MessageSecurityModeSign
		}, ua.StatusBadSecurityModeRejected},
		"channel": {func(_ *rig, c *securechanneltest.Client) {
			c.ChannelID++
		}, ua.StatusBadTCPSecureChannelUnknown},
		"no longer trusted": {func(r *rig, _ *securechanneltest.Client) {
			r.cfg.Trust = nil
		}, ua.StatusBadSecurityChecksFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Trust = func([]byte) error {
					if r.cfg.Trust == nil {
						return ua.StatusBadCertificateUntrusted
					}
					return nil
				}
				c, _ := r.dial(t, encrypted)
				tc.change(r, c)
				openWith(t, c, nil)
				expectError(t, c, tc.want)
			})
		})
	}
}

func TestA23_secondIssueAndForeignRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.RequestType = ua.SecurityTokenRequestTypeIssue })
		expectError(t, c, ua.StatusBadRequestTypeInvalid)

		other, _ := newRig().start(t, encrypted) // another connection
		other.ChannelID = c.ChannelID
		openWith(t, other, nil)
		expectError(t, other, ua.StatusBadTCPSecureChannelUnknown)

		c, _ = newRig().start(t, encrypted)
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.RequestType = ua.SecurityTokenRequestTypeRenew })
		expectError(t, c, ua.StatusBadRequestTypeInvalid)
	})
}

// nonces.
func TestA24_nonces(t *testing.T) {
	for name, nonce := range map[string][]byte{"none": nil, "31 bytes": make([]byte, 31), "129 bytes": make([]byte, 129)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, encrypted)
				openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.ClientNonce = nonce })
				expectError(t, c, ua.StatusBadNonceInvalid)
			})
		})
	}
}

func TestA24_nonceRepeatedAtRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		first := c.Nonce
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.ClientNonce = first })
		expectError(t, c, ua.StatusBadNonceInvalid)
	})
}

func TestA24_serverNoncesAndChannelsDiffer(t *testing.T) {
	nonces, channels := map[string]bool{}, map[uint32]bool{}
	for range 10 {
		c, _ := newRig().dial(t, encrypted)
		nonces[string(c.Response.ServerNonce)] = len(c.Response.ServerNonce) == 32
		if err := c.Renew(); err != nil {
			t.Fatal(err)
		}
		nonces[string(c.Response.ServerNonce)] = len(c.Response.ServerNonce) == 32
		channels[c.ChannelID] = true
	}
	if len(nonces) != 20 || len(channels) != 10 {
		t.Errorf("%d nonces, %d channels", len(nonces), len(channels))
	}
}

// downgrades.
func TestA25_modes(t *testing.T) {
	for name, tc := range map[string]struct {
		suite suite
		mode  ua.MessageSecurityMode
	}{
		"invalid":                         {encrypted, ua.MessageSecurityModeInvalid},
		"7":                               {encrypted, 7},
		"None with policy":                {encrypted, ua.MessageSecurityModeNone},
		"Sign where not offered":          {encrypted, ua.MessageSecurityModeSign},
		"Sign without policy":             {suites[0], ua.MessageSecurityModeSign},
		"SignAndEncrypt without policy":   {suites[0], ua.MessageSecurityModeSignAndEncrypt},
		"invalid without policy":          {suites[0], ua.MessageSecurityModeInvalid},
		"2^32-1 where nothing is offered": {suites[0], 0xFFFFFFFF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Allowed = func(_ string, mode ua.MessageSecurityMode) bool { return mode == ua.MessageSecurityModeSignAndEncrypt }
				c, _ := r.start(t, tc.suite)
				openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.SecurityMode = tc.mode })
				expectError(t, c, ua.StatusBadSecurityModeRejected)
			})
		})
	}
}

func TestA25_nothingAllowedByDefault(t *testing.T) {
	for name, change := range map[string]func(*securechannel.Config){
		"no identity": func(c *securechannel.Config) { c.Identity = nil },
		"no policies": func(c *securechannel.Config) { c.Allowed = nil },
		"no trust":    func(c *securechannel.Config) { c.Trust = nil },
		"short own key": func(c *securechannel.Config) {
			key := *c.Identity.Key
			key.N = new(big.Int).Rsh(key.N, 1024)
			c.Identity = &securechannel.Identity{Chain: c.Identity.Chain, Key: &key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				change(&r.cfg)
				c, _ := r.start(t, encrypted)
				openWith(t, c, nil)
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

// OPN with a body that is something else, under a valid signature.
func TestOpen_bodyIsNotAnOpenRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		body []byte
		want ua.StatusCode
	}{
		"empty":        {nil, ua.StatusBadTCPMessageTypeInvalid},
		"other":        {uabinary.AppendMessage(nil, &uabinary.CloseSecureChannelRequest{}), ua.StatusBadTCPMessageTypeInvalid},
		"cut":          {uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelRequest{})[:20], ua.StatusBadDecodingError},
		"string 2^31":  {append(uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelRequest{})[:22], 0, 0, 0, 0x80), ua.StatusBadEncodingLimitsExceeded},
		"other prefix": {[]byte{3, 0, 0}, ua.StatusBadTCPMessageTypeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, encrypted)
				chunk, err := c.SealOpenBody(tc.body)
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, chunk)
				_, _, err = c.Receive()
				var peer *uatcp.Error
				if !errors.As(err, &peer) || peer.Code != tc.want {
					t.Errorf("got %v, want %v", err, uatcp.StatusName(tc.want))
				}
			})
		})
	}
}
