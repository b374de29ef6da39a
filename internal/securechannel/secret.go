package securechannel

import (
	"crypto/subtle"
	"encoding/binary"
)

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
