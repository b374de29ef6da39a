package securechannel

import (
	"crypto/rand"
	"crypto/rsa"
)

// maxRSABlocks is how many RSA blocks one ciphertext may have. Each costs a private key operation, and an attacker who
// can ask for many turns the smallest difference in timing into an answer.
const maxRSABlocks = 8

// Sign signs the concatenation of data with key. Under None there is no signature.
func (p *Policy) Sign(key *rsa.PrivateKey, data ...[]byte) ([]byte, error) {
	if p.IsNone() {
		return nil, nil
	}
	digest := p.digestOf(data)
	if p.pss {
		return rsa.SignPSS(rand.Reader, key, p.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(nil, key, p.hash, digest)
}

// Verify checks the signature of the concatenation of data. Under None everything is accepted.
// The error carries BadSecurityChecksFailed.
func (p *Policy) Verify(key *rsa.PublicKey, signature []byte, data ...[]byte) error {
	if p.IsNone() {
		return nil
	}
	if err := checkKey(key, maxLongKeyBits); err != nil {
		return err
	}
	digest := p.digestOf(data)
	var err error
	if p.pss {
		err = rsa.VerifyPSS(key, p.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		err = rsa.VerifyPKCS1v15(key, p.hash, digest, signature)
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
	if err := checkKey(key, maxLongKeyBits); err != nil {
		return nil, err
	}
	var out []byte
	for block := p.plaintextBlock(key); len(plaintext) > 0; {
		n := min(block, len(plaintext))
		c, err := p.encryptBlock(key, plaintext[:n])
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
		b, err := p.decryptBlock(key, ciphertext[:size])
		if err != nil {
			return nil, errDecrypt
		}
		out = append(out, b...)
	}
	return out, nil
}

func (p *Policy) encryptBlock(key *rsa.PublicKey, plaintext []byte) ([]byte, error) {
	if p.oaep == 0 {
		return rsa.EncryptPKCS1v15(rand.Reader, key, plaintext) //nolint:staticcheck // what Basic128Rsa15 is
	}
	return rsa.EncryptOAEP(p.oaep.New(), rand.Reader, key, plaintext, nil)
}

// decryptBlock decrypts one block. With PKCS #1 v1.5 only blocks that are full are any good, which those of OpenSecureChannel
// always are: whatever else an attacker sends decrypts to random bytes in the same time, and the signature over all blocks
// will not fit, as it does not for blocks that are well-formed. There is nothing to tell them apart.
func (p *Policy) decryptBlock(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	if p.oaep != 0 {
		return rsa.DecryptOAEP(p.oaep.New(), nil, key, ciphertext, nil)
	}
	plain := make([]byte, p.plaintextBlock(&key.PublicKey))
	rand.Read(plain)
	err := rsa.DecryptPKCS1v15SessionKey(nil, key, ciphertext, plain) //nolint:staticcheck // what Basic128Rsa15 is
	return plain, err                                                 // fails by what is public only: a number above the modulus
}

var errDecrypt = denied("decryption", nil)

// plaintextBlock returns how many bytes of plaintext fit one RSA block for key.
func (p *Policy) plaintextBlock(key *rsa.PublicKey) int {
	const pkcs1Overhead = 11 // RFC 8017, 7.2.1
	if p.oaep == 0 {
		return key.Size() - pkcs1Overhead
	}
	return key.Size() - 2*p.oaep.Size() - 2
}

func (p *Policy) digestOf(data [][]byte) []byte {
	h := p.hash.New()
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// checkKey enforces the key sizes of the policies before any arithmetic is done with a key of a stranger. Which of the two upper
// limits holds is decided where its certificate is read.
func checkKey(key *rsa.PublicKey, longest int) error {
	if bits := key.N.BitLen(); bits < minKeyBits || bits > longest || key.E < 3 || key.E&1 == 0 || key.N.Bit(0) == 0 {
		return denied("RSA key outside the policy's limits", nil)
	}
	return nil
}
