package securechannel_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

var rsaPolicies = []string{ua.SecurityPolicyURIBasic256Sha256, ua.SecurityPolicyURIAes128Sha256RsaOaep, ua.SecurityPolicyURIAes256Sha256RsaPss}

func policy(t *testing.T, uri string) *securechannel.Policy {
	t.Helper()
	p, ok := securechannel.PolicyByURI(uri)
	if !ok || p.URI() != uri {
		t.Fatalf("no policy %s", uri)
	}
	return p
}

// What we sign and encrypt gopcua verifies and decrypts, and the other way round.
func TestPolicy_againstGopcua(t *testing.T) {
	for _, uri := range rsaPolicies {
		for _, name := range []string{"server2048", "client3072", "server4096"} {
			p, key := policy(t, uri), securechanneltest.Key(name)
			other, err := uapolicy.Asymmetric(uri, key, &key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if p.SignatureAlgorithm() != other.SignatureURI() {
				t.Errorf("%s: %s, gopcua %s", uri, p.SignatureAlgorithm(), other.SignatureURI())
			}
			if p.EncryptionAlgorithm() != other.EncryptionURI() {
				t.Errorf("%s: %s, gopcua %s", uri, p.EncryptionAlgorithm(), other.EncryptionURI())
			}
			message := bytes.Repeat([]byte("message "), 100)
			signature, err := p.Sign(key, message[:300], message[300:])
			if err != nil || other.VerifySignature(message, signature) != nil {
				t.Errorf("%s %s: gopcua refuses our signature, %v", uri, name, err)
			}
			signature, err = other.Signature(message)
			if err != nil || p.Verify(&key.PublicKey, signature, message[:1], message[1:]) != nil {
				t.Errorf("%s %s: we refuse gopcua's signature, %v", uri, name, err)
			}
			if err := p.Verify(&key.PublicKey, signature, message[1:]); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
				t.Errorf("%s %s: wrong message: %v", uri, name, err)
			}
			ciphertext, err := p.Encrypt(&key.PublicKey, message)
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := other.Decrypt(ciphertext); err != nil || !bytes.Equal(plain, message) {
				t.Errorf("%s %s: gopcua does not decrypt ours: %v", uri, name, err)
			}
			if ciphertext, err = other.Encrypt(message); err != nil {
				t.Fatal(err)
			}
			if plain, err := p.Decrypt(key, ciphertext); err != nil || !bytes.Equal(plain, message) {
				t.Errorf("%s %s: we do not decrypt gopcua's: %v", uri, name, err)
			}
		}
	}
}

func TestPolicy_none(t *testing.T) {
	p := policy(t, ua.SecurityPolicyURINone)
	signature, err := p.Sign(nil, []byte("x"))
	plain, err2 := p.Decrypt(nil, []byte("x"))
	if !p.IsNone() || signature != nil || err != nil || err2 != nil || string(plain) != "x" || p.Verify(nil, nil, []byte("x")) != nil || p.SignatureAlgorithm() != "" {
		t.Errorf("%x, %v, %x, %v", signature, err, plain, err2)
	}
}

func TestPolicyByURI_unknown(t *testing.T) {
	for _, uri := range []string{"", "None", ua.SecurityPolicyURIBasic128Rsa15, ua.SecurityPolicyURIBasic256, ua.SecurityPolicyURINone + " "} {
		if p, ok := securechannel.PolicyByURI(uri); ok || p != nil {
			t.Errorf("%q exists", uri)
		}
	}
}

func TestPolicy_decryptRefuses(t *testing.T) {
	key := securechanneltest.Key("server2048")
	for _, uri := range rsaPolicies {
		p := policy(t, uri)
		block, err := p.Encrypt(&key.PublicKey, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for name, ciphertext := range map[string][]byte{
			"nothing": nil, "cut": block[:255], "one more byte": append(bytes.Clone(block), 0),
			"9 blocks": bytes.Repeat(block, 9), "changed": append(bytes.Clone(block[:255]), ^block[255]), "above modulus": bytes.Repeat([]byte{255}, 256),
		} {
			_, err := p.Decrypt(key, ciphertext)
			if !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
				t.Errorf("%s: %s: %v", uri, name, err)
				continue
			}
			texts = append(texts, err.Error())
		}
		for _, text := range texts {
			if text != texts[0] {
				t.Errorf("errors differ: %q, %q", text, texts[0])
			}
		}
		if plain, err := p.Decrypt(key, bytes.Repeat(block, 8)); err != nil || string(plain) != "xxxxxxxx" {
			t.Errorf("8 blocks: %q, %v", plain, err)
		}
	}
}

func TestPolicy_keySizes(t *testing.T) {
	p := policy(t, ua.SecurityPolicyURIBasic256Sha256)
	for _, bits := range []uint{1024, 2047, 8193} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		key := &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
		if err := p.Verify(key, make([]byte, bits/8), nil); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
			t.Errorf("verify with %d bits: %v", bits, err)
		}
		if _, err := p.Encrypt(key, []byte("x")); !errors.Is(err, ua.StatusBadSecurityChecksFailed) {
			t.Errorf("encrypt with %d bits: %v", bits, err)
		}
	}
}

func TestDecryptSecret_legacyFormat_Part4_74022(t *testing.T) {
	key, nonce := securechanneltest.Key("server2048"), bytes.Repeat([]byte("n"), 32)
	legacy := func(length uint32, content string) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, length), content...)
	}
	long := string(bytes.Repeat([]byte("long"), 150)) // several blocks
	for _, uri := range rsaPolicies {
		p := policy(t, uri)
		for name, tc := range map[string]struct {
			plain []byte
			want  string
			ok    bool
		}{
			"password":         {legacy(8+32, "password"+string(nonce)), "password", true},
			"empty":            {legacy(32, string(nonce)), "", true},
			"several blocks":   {legacy(600+32, long+string(nonce)), long, true},
			"filled with zero": {legacy(8+32, "password"+string(nonce)+"\x00\x00\x00"), "password", true},
			"old nonce":        {legacy(8+32, "password"+string(bytes.Repeat([]byte("o"), 32))), "", false},
			"length too large": {legacy(8+32+1, "password"+string(nonce)), "", false},
			"length -1":        {legacy(1<<32-1, "password"+string(nonce)), "", false},
			"length 2^31":      {legacy(1<<31, "password"+string(nonce)), "", false},
			"shorter than it":  {legacy(31, string(nonce)), "", false},
			"length 0":         {legacy(0, string(nonce)), "", false},
			"three bytes":      {[]byte{1, 0, 0}, "", false},
			"garbage":          {bytes.Repeat([]byte{0xA5}, 100), "", false},
		} {
			ciphertext, err := p.Encrypt(&key.PublicKey, tc.plain)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.DecryptSecret(key, ciphertext, nonce)
			if tc.ok && (err != nil || string(got) != tc.want) || !tc.ok && !errors.Is(err, ua.StatusBadIdentityTokenInvalid) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if _, err := p.DecryptSecret(key, make([]byte, 256), nonce); !errors.Is(err, ua.StatusBadIdentityTokenInvalid) {
			t.Errorf("no ciphertext: %v", err)
		}
	}
}
