package securechanneltest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"math/big"
	"net/url"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
)

// keys holds private keys that are good for nothing but tests: making them takes long.
//
//go:embed testdata/*.pem
var keys embed.FS

// Key returns one of the test keys: server2048, client2048, client3072, client5120 or
// server4096.
func Key(name string) *rsa.PrivateKey {
	text, err := keys.ReadFile("testdata/" + name + ".pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(*rsa.PrivateKey)
}

// NewIdentity returns a self-signed application instance certificate for the test key of that name.
func NewIdentity(keyName, applicationURI string) *securechannel.Identity {
	uri, err := url.Parse(applicationURI)
	if err != nil {
		panic(err)
	}
	key := Key(keyName)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: keyName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &securechannel.Identity{Chain: [][]byte{der}, Key: key}
}
