package securechannel

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/gopcua/opcua/ua"
)

func deprecatedPolicy(t testing.TB, uri string) *Policy {
	t.Helper()
	p, ok := DeprecatedPolicyByURI(uri)
	if !ok || p.URI() != uri {
		t.Fatalf("no policy %s", uri)
	}
	return p
}

// Who asks for a policy without saying that it may be a deprecated one does not get it.
func TestDeprecatedPolicyByURI(t *testing.T) {
	for _, uri := range []string{ua.SecurityPolicyURIBasic128Rsa15, ua.SecurityPolicyURIBasic256} {
		deprecatedPolicy(t, uri)
		if _, ok := PolicyByURI(uri); ok {
			t.Errorf("%s is like any other", uri)
		}
	}
	for _, uri := range []string{"", ua.SecurityPolicyURINone, ua.SecurityPolicyURIBasic256Sha256} {
		if _, ok := DeprecatedPolicyByURI(uri); ok {
			t.Errorf("%q is deprecated", uri)
		}
	}
}

// raw is the RSA operation without any padding of its own.
func raw(key *rsa.PublicKey, block []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(key.E)), key.N)
	return c.FillBytes(make([]byte, key.Size()))
}

// blocks that are not well-formed decrypt like those that are, to something else each time.
func TestA13_MalformedBlocksAreLikeOthers(t *testing.T) {
	p := deprecatedPolicy(t, ua.SecurityPolicyURIBasic128Rsa15)
	key, err := rsa.GenerateKey(rand.Reader, minKeyBits)
	if err != nil {
		t.Fatal(err)
	}
	full := p.plaintextBlock(&key.PublicKey)
	secret := bytes.Repeat([]byte{7}, full)
	good, err := p.Encrypt(&key.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := p.Decrypt(key, good); err != nil || !bytes.Equal(plain, secret) {
		t.Fatalf("a good block decrypts to %x, %v", plain, err)
	}
	block := func(change func(b []byte)) []byte {
		b := append([]byte{0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0}, secret...)
		change(b)
		return raw(&key.PublicKey, b)
	}
	if plain, _ := p.Decrypt(key, block(func([]byte) {})); !bytes.Equal(plain, secret) {
		t.Fatal("the blocks of this test are not well-formed")
	}
	for name, c := range map[string][]byte{
		"first byte":       block(func(b []byte) { b[0] = 1 }),
		"type 1":           block(func(b []byte) { b[1] = 1 }),
		"no separator":     block(func(b []byte) { b[10] = 1 }),
		"short padding":    block(func(b []byte) { b[5] = 0 }),
		"short plaintext":  block(func(b []byte) { b[10], b[20] = 1, 0 }),
		"another's length": block(func(b []byte) { b[10], b[len(b)-48] = 1, 0 }),
	} {
		first, err := p.Decrypt(key, c)
		if err != nil || len(first) != full || bytes.Equal(first, secret) {
			t.Errorf("%s: %d bytes, %v", name, len(first), err)
		}
		if second, _ := p.Decrypt(key, c); bytes.Equal(first, second) {
			t.Errorf("%s: the same plaintext again", name)
		}
		if _, err := p.DecryptSecret(key, c, nil); err != errSecret {
			t.Errorf("%s: as a secret: %v", name, err)
		}
	}
	if _, err := p.DecryptSecret(key, good, nil); err != errSecret {
		t.Errorf("a secret under a policy that hides none: %v", err)
	}
	if _, err := p.Decrypt(key, bytes.Repeat(good, maxRSABlocks+1)); err != errDecrypt {
		t.Errorf("too many blocks: %v", err)
	}
}
