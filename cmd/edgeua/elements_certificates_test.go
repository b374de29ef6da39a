package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
)

const (
	visitorURI = "urn:test:visitor"
	personName = "person"
	applies    = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
)

var (
	stageIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("server2048", stageURI) })
	// lone has a certificate that it signed itself, ours one of the authority root, and farmed one of the authority below.
	lone   = sync.OnceValue(func() *securechannel.Identity { return issued("client2048", nil, application) })
	root   = sync.OnceValue(func() *securechannel.Identity { return issued("client3072", nil, authority("root")) })
	ours   = sync.OnceValue(func() *securechannel.Identity { return issued("client2048", root(), application) })
	middle = sync.OnceValue(func() *securechannel.Identity { return issued("server4096", root(), authority("middle")) })
	farmed = sync.OnceValue(func() *securechannel.Identity { return issued("client2048", middle(), application) })
	// person and member are users, the second one by the authority root.
	person = sync.OnceValue(func() *securechannel.Identity { return issued("client2048", nil, user) })
	member = sync.OnceValue(func() *securechannel.Identity { return issued("client2048", root(), user) })
)

// issued makes a certificate for one of the test keys; without an issuer it signs itself. The chain is complete.
func issued(key string, issuer *securechannel.Identity, edits ...func(*x509.Certificate)) *securechannel.Identity {
	return issuedFor(securechanneltest.Key(key), issuer, edits...)
}

func issuedFor(key *rsa.PrivateKey, issuer *securechannel.Identity, edits ...func(*x509.Certificate)) *securechannel.Identity {
	own := &securechannel.Identity{Key: key}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	for _, edit := range edits {
		edit(template)
	}
	parent, signer := template, own.Key
	if issuer != nil {
		parent, signer = leafOf(issuer), issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.Key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	own.Chain = [][]byte{der}
	if issuer != nil {
		own.Chain = append(own.Chain, issuer.Chain...)
	}
	return own
}

func application(c *x509.Certificate) {
	c.Subject = pkix.Name{CommonName: "visitor"}
	c.KeyUsage = applies
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.URIs = []*url.URL{{Scheme: "urn", Opaque: "test:visitor"}}
}

func user(c *x509.Certificate) {
	c.Subject = pkix.Name{CommonName: personName}
	c.KeyUsage = x509.KeyUsageDigitalSignature
}

func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.IsCA, c.BasicConstraintsValid = true, true
	}
}

func outdated(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

// crl is the revocation list of an authority.
func crl(issuer *securechannel.Identity, revoked ...*securechannel.Identity) []byte {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: leafOf(r).SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, leafOf(issuer), issuer.Key)
	if err != nil {
		panic(err)
	}
	return der
}

func leafOf(i *securechannel.Identity) *x509.Certificate {
	c, err := x509.ParseCertificate(i.Chain[0])
	if err != nil {
		panic(err)
	}
	return c
}

// firstOf cuts the leaf from a chain.
func firstOf(chain []byte) ([]byte, error) {
	all, err := x509.ParseCertificates(chain)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0].Raw, nil
}

// ownFiles lays down the own certificate and key.
func ownFiles(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "own.der"), stageIdentity().Chain[0])
	write(t, filepath.Join(dir, "own.pem"), keyPEM(stageIdentity().Key))
}

func keyPEM(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// laid makes a function that lays files down, by their paths.
func laid(files map[string][]byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for name, data := range files {
			write(t, filepath.Join(dir, name), data)
		}
	}
}
