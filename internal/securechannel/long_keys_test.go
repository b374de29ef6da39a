package securechannel

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// The policies end at keys of 4096 bits; an administrator may look at it in another way, up to 8192.
func TestAllowLongKeys(t *testing.T) {
	leaf := longKeyCertificate(t)
	for _, tt := range []struct {
		allow bool
		want  bool
	}{{false, false}, {true, true}} {
		cfg := Config{AllowLongKeys: tt.allow}
		_, key, err := parseSenderCertificate(leaf, cfg.longestKey())
		if (err == nil) != tt.want {
			t.Errorf("allowed %v: %v", tt.allow, err)
		}
		if err != nil {
			continue
		}
		p, _ := PolicyByURI(ua.SecurityPolicyURIBasic256Sha256)
		if sealed, err := p.Encrypt(key, make([]byte, 700)); err != nil || len(sealed) != 2*key.Size() {
			t.Errorf("%d bytes, %v", len(sealed), err)
		}
	}
}

func longKeyCertificate(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("securechanneltest/testdata/client5120.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("the test key is not RSA")
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
