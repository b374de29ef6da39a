package securechannel

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
)

// maxRSABlocks is how many RSA blocks one ciphertext may have. Each costs a private key operation, and an attacker who
// can ask for many turns the smallest difference in timing into an answer.
const maxRSABlocks = 8

// Sign signs the concatenation of data with key. Under None there is no signature.
func (p *Policy) Sign(key *rsa.PrivateKey, data ...[]byte) ([]byte, error) {
	if p.IsNone() {
		return nil, nil
	}
	digest := digestOf(data)
	if p.pss {
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
}

// Verify checks the signature of the concatenation of data. Under None everything is accepted.
// The error carries BadSecurityChecksFailed.
func (p *Policy) Verify(key *rsa.PublicKey, signature []byte, data ...[]byte) error {
	if p.IsNone() {
		return nil
	}
	if err := checkKey(key); err != nil {
		return err
	}
	digest := digestOf(data)
	var err error
	if p.pss {
		err = rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
	}
	if err != nil {
		return denied("signature", err)
	}
	return nil
}

// Encrypt encrypts plaintext of any length for key, block by block. Under None it returns plaintext.
func (p *Policy) Encrypt(key *rsa.PublicKey, plaintext []byte) ([]byte, error) {
	if p.IsNone() {
		return plaintext, nil
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var out []byte
	for block := p.plaintextBlock(key); len(plaintext) > 0; {
		n := min(block, len(plaintext))
		c, err := rsa.EncryptOAEP(p.oaep.New(), rand.Reader, key, plaintext[:n], nil)
		if err != nil {
			return nil, err
		}
		out, plaintext = append(out, c...), plaintext[n:]
	}
	return out, nil
}

// Decrypt decrypts a ciphertext of 1 to 8 RSA blocks. Under None it returns ciphertext.
// The error carries BadSecurityChecksFailed and is the same whatever was wrong.
func (p *Policy) Decrypt(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	if p.IsNone() {
		return ciphertext, nil
	}
	size := key.Size()
	if n := len(ciphertext); n == 0 || n%size != 0 || n/size > maxRSABlocks {
		return nil, errDecrypt
	}
	var out []byte
	for ; len(ciphertext) > 0; ciphertext = ciphertext[size:] {
		b, err := rsa.DecryptOAEP(p.oaep.New(), nil, key, ciphertext[:size], nil)
		if err != nil {
			return nil, errDecrypt
		}
		out = append(out, b...)
	}
	return out, nil
}

var errDecrypt = denied("decryption", nil)

// plaintextBlock returns how many bytes of plaintext fit one RSA-OAEP block for key.
func (p *Policy) plaintextBlock(key *rsa.PublicKey) int {
	return key.Size() - 2*p.oaep.Size() - 2
}

func digestOf(data [][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, d := range data {
		h.Write(d)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// checkKey enforces the key sizes of the policies before any arithmetic is done with a key of a stranger.
func checkKey(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < minKeyBits || bits > maxKeyBits || key.E < 3 || key.E&1 == 0 || key.N.Bit(0) == 0 {
		return denied("RSA key outside the policy's limits", nil)
	}
	return nil
}
