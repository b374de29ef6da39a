package securechannel

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha1"   // OAEP of Basic256Sha256 and Aes128_Sha256_RsaOaep
	_ "crypto/sha256" // everything else

	"github.com/gopcua/opcua/ua"
)

// Limits of all RSA policies. Part 7 (1.05), 6.6 (SecurityPolicy facets)
const (
	minKeyBits  = 2048
	maxKeyBits  = 4096
	nonceLength = 32 // SecureChannelNonceLength in bytes
)

// Policy is a security policy: a fixed choice of algorithms. There is one value for each, never changed.
type Policy struct {
	uri           string
	signatureURI  string      // AsymmetricSignatureAlgorithm
	encryptionURI string      // AsymmetricEncryptionAlgorithm
	oaep          crypto.Hash // hash of RSA-OAEP
	pss           bool        // RSA-PSS signatures instead of PKCS #1 v1.5
	aesKey        int         // bytes of the AES-CBC key; 0 in policy None
}

const (
	rsaSHA256URI     = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	rsaPSSSHA256URI  = "http://opcfoundation.org/UA/security/rsa-pss-sha2-256"
	rsaOAEPURI       = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
	rsaOAEPSHA256URI = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
)

// policies is the table of all security policies that exist here; constant.
var policies = [...]Policy{
	{uri: ua.SecurityPolicyURINone},
	{uri: ua.SecurityPolicyURIBasic256Sha256, signatureURI: rsaSHA256URI, encryptionURI: rsaOAEPURI, oaep: crypto.SHA1, aesKey: 32},
	{uri: ua.SecurityPolicyURIAes128Sha256RsaOaep, signatureURI: rsaSHA256URI, encryptionURI: rsaOAEPURI, oaep: crypto.SHA1, aesKey: 16},
	{uri: ua.SecurityPolicyURIAes256Sha256RsaPss, signatureURI: rsaPSSSHA256URI, encryptionURI: rsaOAEPSHA256URI, oaep: crypto.SHA256, pss: true, aesKey: 32},
}

// PolicyByURI returns the security policy of that URI, false if there is none here.
func PolicyByURI(uri string) (*Policy, bool) {
	for i := range policies {
		if policies[i].uri == uri {
			return &policies[i], true
		}
	}
	return nil, false
}

// URI returns the SecurityPolicyUri.
func (p *Policy) URI() string { return p.uri }

// IsNone reports whether p is the policy without any security.
func (p *Policy) IsNone() bool { return p.aesKey == 0 }

// SignatureAlgorithm returns the URI of the asymmetric signature algorithm, "" for None.
func (p *Policy) SignatureAlgorithm() string { return p.signatureURI }

// EncryptionAlgorithm returns the URI of the asymmetric encryption algorithm, "" for None.
func (p *Policy) EncryptionAlgorithm() string { return p.encryptionURI }

// newNonce returns random bytes to derive keys from, nil under None.
func (p *Policy) newNonce() []byte {
	if p.IsNone() {
		return nil
	}
	nonce := make([]byte, nonceLength)
	rand.Read(nonce)
	return nonce
}
