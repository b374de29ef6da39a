package server

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// personal is a certificate without ApplicationUri for the key of identity.
func personal(t testing.TB, name string, identity *securechannel.Identity) *securechannel.Identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &identity.Key.PublicKey, identity.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &securechannel.Identity{Chain: [][]byte{der}, Key: identity.Key}
}

// certificateUsers admits ann by certificate; joe has a password only.
func certificateUsers(trusted ...*securechannel.Identity) func(*Config) {
	return func(cfg *Config) {
		cfg.Certificate = true
		cfg.Users = append(cfg.Users, User{Name: "ann", Certificate: true})
		cfg.UserTrust = func(der []byte) error {
			for _, id := range trusted {
				if bytes.Equal(der, id.Chain[0]) {
					return nil
				}
			}
			return ua.StatusBadCertificateUntrusted
		}
	}
}

// present logs in with a user certificate; change may spoil the request.
func (c *client) present(id *securechannel.Identity, change func(*uabinary.X509IdentityToken, *uabinary.ActivateSessionRequest)) ua.StatusCode {
	c.t.Helper()
	policy, _ := securechannel.PolicyByURI(c.PolicyURI)
	if policy.IsNone() {
		policy = c.rig.settings().tokenPolicy
	}
	sig, err := policy.Sign(id.Key, serverIdentity().Chain[0], c.nonce)
	if err != nil {
		c.t.Fatal(err)
	}
	token := &uabinary.X509IdentityToken{PolicyID: certificatePolicyIDPrefix + policyName(policy), CertificateData: id.Chain[0]}
	req := &uabinary.ActivateSessionRequest{
		ClientSignature:    c.signature(),
		UserTokenSignature: uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: sig},
	}
	if change != nil {
		change(token, req)
	}
	req.UserIdentityToken = uabinary.ExtensionObjectOf(token)
	var resp uabinary.ActivateSessionResponse
	code := c.do(&req.RequestHeader, req, &resp)
	if code == ua.StatusOK {
		c.nonce = resp.ServerNonce
	}
	return code
}

func TestUserTokenX509(t *testing.T) {
	ann := personal(t, "ann", otherIdentity())
	for _, mode := range []ua.MessageSecurityMode{ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt} {
		r := newRig(t, certificateUsers(ann))
		c := r.channel(mode)
		c.mustCreate()
		c.wantOK(c.present(ann, nil))
		if u := r.lookup(c.token).user; u.name != "ann" || u.anonymous || u.certificate == [32]byte{} {
			t.Errorf("the user is %+v", u)
		}
	}
}

func TestUserTokenX509_Refusals(t *testing.T) {
	ann := personal(t, "ann", otherIdentity())
	stranger := personal(t, "ann", clientIdentity())
	joe := personal(t, "joe", otherIdentity())
	reflected := personal(t, "ann", serverIdentity())
	unchanged := func(*uabinary.X509IdentityToken, *uabinary.ActivateSessionRequest) {}
	for _, tt := range []struct {
		name   string
		id     *securechannel.Identity
		change func(*uabinary.X509IdentityToken, *uabinary.ActivateSessionRequest)
		want   ua.StatusCode
	}{
		{"not trusted", stranger, unchanged, ua.StatusBadIdentityTokenRejected},
		{"user without Certificate", joe, unchanged, ua.StatusBadIdentityTokenRejected},
		{"application's", otherIdentity(), unchanged, ua.StatusBadIdentityTokenRejected},
		{"channel's", clientIdentity(), unchanged, ua.StatusBadIdentityTokenRejected},
		{"our own key", reflected, unchanged, ua.StatusBadIdentityTokenRejected},
		{"our own certificate", serverIdentity(), unchanged, ua.StatusBadIdentityTokenRejected},
		{"no certificate", ann, func(t *uabinary.X509IdentityToken, _ *uabinary.ActivateSessionRequest) { t.CertificateData = nil }, ua.StatusBadIdentityTokenInvalid},
		{"bytes behind it", ann, func(t *uabinary.X509IdentityToken, _ *uabinary.ActivateSessionRequest) {
			t.CertificateData = append(bytes.Clone(t.CertificateData), 0)
		}, ua.StatusBadIdentityTokenRejected},
		{"policy id", ann, func(t *uabinary.X509IdentityToken, _ *uabinary.ActivateSessionRequest) { t.PolicyID = "Certificate" }, ua.StatusBadIdentityTokenInvalid},
		{"no signature", ann, func(_ *uabinary.X509IdentityToken, r *uabinary.ActivateSessionRequest) {
			r.UserTokenSignature = uabinary.SignatureData{}
		}, ua.StatusBadUserSignatureInvalid},
		{"other algorithm", ann, func(_ *uabinary.X509IdentityToken, r *uabinary.ActivateSessionRequest) {
			r.UserTokenSignature.Algorithm = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
		}, ua.StatusBadUserSignatureInvalid},
		{"wrong signature", ann, func(_ *uabinary.X509IdentityToken, r *uabinary.ActivateSessionRequest) {
			r.UserTokenSignature.Signature[9] ^= 1
		}, ua.StatusBadUserSignatureInvalid},
		{"the application's signature", ann, func(_ *uabinary.X509IdentityToken, r *uabinary.ActivateSessionRequest) {
			r.UserTokenSignature = r.ClientSignature
		}, ua.StatusBadUserSignatureInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, certificateUsers(ann, joe, reflected, clientIdentity(), otherIdentity(), serverIdentity()))
				c := r.channel(ua.MessageSecurityModeSign)
				c.mustCreate()
				c.want(tt.want, c.present(tt.id, tt.change))
			})
		})
	}
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	c.want(ua.StatusBadIdentityTokenRejected, c.present(ann, nil)) // not offered
}

// A signature is good for one nonce, and guessing is slowed down like passwords.
func TestUserTokenX509_OldNonceAndLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := personal(t, "ann", otherIdentity())
		r := newRig(t, certificateUsers(ann))
		c := r.channel(ua.MessageSecurityModeSign)
		c.mustCreate()
		var old uabinary.SignatureData
		c.wantOK(c.present(ann, func(_ *uabinary.X509IdentityToken, req *uabinary.ActivateSessionRequest) {
			old = req.UserTokenSignature
		}))
		replay := func(_ *uabinary.X509IdentityToken, req *uabinary.ActivateSessionRequest) {
			req.UserTokenSignature = old
		}
		for range 5 {
			c.want(ua.StatusBadUserSignatureInvalid, c.present(ann, replay))
		}
		c.want(ua.StatusBadUserAccessDenied, c.present(ann, nil))
	})
}
