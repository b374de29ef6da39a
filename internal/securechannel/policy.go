package securechannel

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha1"   // OAEP of Basic256Sha256 and Aes128_Sha256_RsaOaep; all of the deprecated policies
	_ "crypto/sha256" // everything else

	"github.com/gopcua/opcua/ua"
)

// Limits of all RSA policies. Part 7 (1.05), 6.6 (SecurityPolicy facets)
const (
	minKeyBits     = 2048
	maxKeyBits     = 4096
	maxLongKeyBits = 8192 // with Config.AllowLongKeys
)

// Policy is a security policy: a fixed choice of algorithms. There is one value for each, never changed.
type Policy struct {
	uri           string
	signatureURI  string      // AsymmetricSignatureAlgorithm
	encryptionURI string      // AsymmetricEncryptionAlgorithm
	hash          crypto.Hash // of signatures, message authentication codes and key derivation
	oaep          crypto.Hash // hash of RSA-OAEP; 0: RSA encryption is PKCS #1 v1.5
	pss           bool        // RSA-PSS signatures instead of PKCS #1 v1.5
	nonce         int         // SecureChannelNonceLength in bytes
	signingKey    int         // DerivedSignatureKeyLength in bytes
	aesKey        int         // bytes of the AES-CBC key; 0 in policy None
}

const (
	rsaSHA1URI       = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
	rsa15URI         = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
	rsaSHA256URI     = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	rsaPSSSHA256URI  = "http://opcfoundation.org/UA/security/rsa-pss-sha2-256"
	rsaOAEPURI       = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
	rsaOAEPSHA256URI = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
)

// policies is the table of the security policies that are good today; constant.
var policies = [...]Policy{
	{uri: ua.SecurityPolicyURINone},
	{uri: ua.SecurityPolicyURIBasic256Sha256, signatureURI: rsaSHA256URI, encryptionURI: rsaOAEPURI, hash: crypto.SHA256, oaep: crypto.SHA1, nonce: 32, signingKey: 32, aesKey: 32},
	{uri: ua.SecurityPolicyURIAes128Sha256RsaOaep, signatureURI: rsaSHA256URI, encryptionURI: rsaOAEPURI, hash: crypto.SHA256, oaep: crypto.SHA1, nonce: 32, signingKey: 32, aesKey: 16},
	{uri: ua.SecurityPolicyURIAes256Sha256RsaPss, signatureURI: rsaPSSSHA256URI, encryptionURI: rsaOAEPSHA256URI, hash: crypto.SHA256, oaep: crypto.SHA256, pss: true, nonce: 32, signingKey: 32, aesKey: 32},
}

// deprecated is the table of those that an administrator may ask for all the same; constant. Keys below 2048 bits, which they
// know, are refused here too. Part 7 (1.05), 6.6.161 and 6.6.163
var deprecated = [...]Policy{
	{uri: ua.SecurityPolicyURIBasic128Rsa15, signatureURI: rsaSHA1URI, encryptionURI: rsa15URI, hash: crypto.SHA1, nonce: 16, signingKey: 16, aesKey: 16},
	{uri: ua.SecurityPolicyURIBasic256, signatureURI: rsaSHA1URI, encryptionURI: rsaOAEPURI, hash: crypto.SHA1, oaep: crypto.SHA1, nonce: 32, signingKey: 24, aesKey: 32},
}

// PolicyByURI returns the security policy of that URI, false if there is none here or it is a deprecated one.
func PolicyByURI(uri string) (*Policy, bool) { return find(policies[:], uri) }

// DeprecatedPolicyByURI returns Basic128Rsa15 or Basic256. Both stand on SHA-1, and the first one on an encryption that has
// given its secrets away time and again: only for who was told so and wants it.
func DeprecatedPolicyByURI(uri string) (*Policy, bool) { return find(deprecated[:], uri) }

func find(table []Policy, uri string) (*Policy, bool) {
	for i := range table {
		if table[i].uri == uri {
			return &table[i], true
		}
	}
	return nil, false
}

// URI returns the SecurityPolicyUri.
func (p *Policy) URI() string { return p.uri }

// IsNone reports whether p is the policy without any security.
func (p *Policy) IsNone() bool { return p.aesKey == 0 }

// HidesSecrets reports whether p may encrypt passwords. Those of PKCS #1 v1.5 have any length, so that nobody could keep to himself
// whether one was well-formed.
func (p *Policy) HidesSecrets() bool { return p.oaep != 0 }

// SignatureAlgorithm returns the URI of the asymmetric signature algorithm, "" for None.
func (p *Policy) SignatureAlgorithm() string { return p.signatureURI }

// EncryptionAlgorithm returns the URI of the asymmetric encryption algorithm, "" for None.
func (p *Policy) EncryptionAlgorithm() string { return p.encryptionURI }

// newNonce returns random bytes to derive keys from, nil under None.
func (p *Policy) newNonce() []byte {
	if p.IsNone() {
		return nil
	}
	nonce := make([]byte, p.nonce)
	rand.Read(nonce)
	return nonce
}
