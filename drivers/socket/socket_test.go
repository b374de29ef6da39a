package socket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// echo serves one connection of a listener and gives back what comes.
func echo(t *testing.T, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

func roundTrip(t *testing.T, c *Settings) error {
	t.Helper()
	link, err := c.Dial(t.Context())
	if err != nil {
		return err
	}
	defer link.Close()
	if err := link.Write([]byte("hello")); err != nil {
		return err
	}
	chunk, err := link.Receive(time.Now().Add(5 * time.Second))
	if err == nil && string(chunk.Data) != "hello" {
		t.Errorf("%q", chunk.Data)
	}
	return err
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTCPAndBackup(t *testing.T) {
	l := listen(t)
	echo(t, l)
	gone := listen(t)
	gone.Close()
	c := &Settings{Network: "tcp", Addresses: []string{gone.Addr().String(), l.Addr().String()}, ConnectTimeout: time.Second}
	if err := roundTrip(t, c); err != nil {
		t.Error(err)
	}
	c.Addresses = c.Addresses[:1]
	if err := roundTrip(t, c); err == nil {
		t.Error("connected to nobody")
	}
}

func TestUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 100)
		n, from, err := conn.ReadFrom(buf)
		if err == nil {
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	if err := roundTrip(t, &Settings{Network: "udp", Addresses: []string{conn.LocalAddr().String()}, ConnectTimeout: time.Second}); err != nil {
		t.Error(err)
	}
}

// writeCertificate makes a self-signed certificate for name and returns the files.
func writeCertificate(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// A device that asks for a certificate gets ours; one whose certificate we do not know, or with another name, is refused.
func TestTLSBothWays(t *testing.T) {
	deviceCert, deviceKey := writeCertificate(t, "device")
	ownCert, ownKey := writeCertificate(t, "gateway")
	pair, err := tls.LoadX509KeyPair(deviceCert, deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	own, err := os.ReadFile(ownCert)
	if err != nil || !clients.AppendCertsFromPEM(own) {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	for name, c := range map[string]struct {
		tls  TLS
		good bool
	}{
		"right":          {TLS{ownCert, ownKey, deviceCert, "device"}, true},
		"no certificate": {TLS{"", "", deviceCert, "device"}, false},
		"other CA":       {TLS{ownCert, ownKey, ownCert, "device"}, false},
		"other name":     {TLS{ownCert, ownKey, deviceCert, "other"}, false},
		"host as name":   {TLS{ownCert, ownKey, deviceCert, ""}, false},
		"no CA file":     {TLS{ownCert, ownKey, "/does/not/exist", "device"}, false},
		"CA is no PEM":   {TLS{ownCert, ownKey, "/dev/null", "device"}, false},
		"no own file":    {TLS{"/does/not/exist", ownKey, deviceCert, "device"}, false},
	} {
		l := listen(t)
		echo(t, tls.NewListener(l, config))
		err := roundTrip(t, &Settings{Network: "tcp", Addresses: []string{l.Addr().String()}, ConnectTimeout: 5 * time.Second, TLS: &c.tls})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		l.Close()
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`<C Host="h"/>`: "h:502",
		`<C Host="h" BackupHost="i" TcpPort="5"/>`:   "h:5 or i:5",
		`<C Host="h"><Tls/></C>`:                     "h:802 with TLS",
		`<C Host="h"><Tls Enabled="0"/></C>`:         "h:502",
		`<C Host="h"><Tls CertificateFile="c"/></C>`: "C/Tls/CertificateFile: and KeyFile belong together",
		`<C Host="h"><Tls/><Tls/></C>`:               "stands twice",
		`<C Host="h" BackupHost="a/b"/>`:             `"a/b"`,
		`<C Host="h"><Tls Wrong="1"/></C>`:           "Wrong",
		`<C Host="::1"/>`:                            "[::1]:502",
	} {
		root, err := xmltree.Parse("edge.xml", []byte(text), xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r := &xmltree.Report{}
		s := r.Settings(root)
		c := Parse(r, s, "tcp", 502, 802)
		s.Done()
		got := c.String()
		if r.HasErrors() {
			got = r.Problems[0].String()
		}
		if !strings.Contains(got, want) || got != want && !r.HasErrors() {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
