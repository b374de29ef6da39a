package securechannel

import (
	"crypto/rsa"
	"crypto/subtle"
	"encoding/binary"

	"github.com/gopcua/opcua/ua"
)

// legacySecretHeader is the length field in front of a secret. Part 4 (1.05), 7.40.2.2 (7.36.2.2 in 1.04)
const legacySecretHeader = 4

// DecryptSecret decrypts the secret of a UserIdentityToken in the legacy format, where the plaintext is the length of what
// follows, the secret and the last nonce that the server gave out. The error carries BadIdentityTokenInvalid
// and is the same whatever was wrong. A policy that does not hide secrets decrypts none. Part 4 (1.05), 7.40.2.2
func (p *Policy) DecryptSecret(key *rsa.PrivateKey, ciphertext, nonce []byte) ([]byte, error) {
	if !p.HidesSecrets() {
		return nil, errSecret
	}
	plain, err := p.Decrypt(key, ciphertext)
	if err != nil {
		return nil, errSecret
	}
	return splitSecret(plain, nonce)
}

var errSecret = &Error{Code: ua.StatusBadIdentityTokenInvalid, Op: "secret of a user token"}

// splitSecret takes the secret out of a decrypted legacy token. Some clients fill the last block with zero bytes
// behind the nonce; the length says where the content ends.
func splitSecret(plain, nonce []byte) ([]byte, error) {
	if len(plain) < legacySecretHeader {
		return nil, errSecret
	}
	n := binary.LittleEndian.Uint32(plain)
	content := plain[legacySecretHeader:]
	if uint64(n) > uint64(len(content)) || uint64(n) < uint64(len(nonce)) {
		return nil, errSecret
	}
	secret, end := content[:int(n)-len(nonce)], content[int(n)-len(nonce):n]
	if subtle.ConstantTimeCompare(end, nonce) != 1 {
		return nil, errSecret
	}
	return secret, nil
}

// EncryptSecret encrypts the secret of a UserIdentityToken for the server with that key, in the format that DecryptSecret takes
// apart. It is not for policy None, where there is nothing to encrypt with. Part 4 (1.05), 7.40.2.2
func (p *Policy) EncryptSecret(key *rsa.PublicKey, secret, nonce []byte) ([]byte, error) {
	plain := binary.LittleEndian.AppendUint32(nil, uint32(len(secret)+len(nonce)))
	return p.Encrypt(key, append(append(plain, secret...), nonce...))
}
