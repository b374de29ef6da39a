package modbus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
)

// transport is one way of Modbus to a device: a row of the table of drivers, and a slave at the other end of a link in
// memory.
type transport struct {
	name    string // as people say it
	kind    string // Type of the channel
	where   string // attributes of the channel
	serve   func(ctx context.Context, conn net.Conn, m *modbussim.Map)
	encrypt bool
}

func serveRTU(ctx context.Context, conn net.Conn, m *modbussim.Map) {
	defer conn.Close()
	_ = modbussim.ServeRTU(ctx, conn, m) // ends with the pipe
}

func serveASCII(ctx context.Context, conn net.Conn, m *modbussim.Map) {
	defer conn.Close()
	_ = modbussim.ServeASCII(ctx, conn, m)
}

func transports() []transport {
	host, port := `Host="127.0.0.1" ReconnectAfterTimeouts="0"`, `Port="/dev/none"`
	return []transport{
		{"TCP", "ModbusTcp", host, modbussim.ServeConn, false},
		{"TLS", "ModbusTcp", host, modbussim.ServeConn, true},
		{"UDP", "ModbusUdp", host, modbussim.ServeConn, false},
		{"RTU", "ModbusRtu", port, serveRTU, false},
		{"ASCII", "ModbusAscii", port, serveASCII, false},
		{"RTU over TCP", "ModbusRtuOverTcp", host, serveRTU, false},
		{"ASCII over TCP", "ModbusAsciiOverTcp", host, serveASCII, false},
	}
}

func kindOf(t testing.TB, word string) drivers.Kind {
	t.Helper()
	for _, k := range Kinds() {
		if k.Type == word {
			return k
		}
	}
	t.Fatal("no kind", word)
	return drivers.Kind{}
}

// newTransportRig is a rig whose slave speaks what the transport asks for.
func newTransportRig(t *testing.T, tr transport, settings, devices string, cert *tls.Certificate) *rig {
	t.Helper()
	r := &rig{t: t, slave: modbussim.NewMap(), done: make(chan struct{})}
	c := parseGood(t, kindOf(t, tr.kind), `<Channel Name="Line1" Type="`+tr.kind+`" `+tr.where+" "+settings+`/>`+devices)
	w := c.wiring()
	w.dial = func(ctx context.Context) (drivers.Link, error) {
		if tr.encrypt {
			return r.tlsPipe(ctx, tr, cert)
		}
		return r.pipe(func(server net.Conn) { tr.serve(ctx, server, r.slave) })
	}
	r.bind(c, w)
	return r
}

func (r *rig) tlsPipe(ctx context.Context, tr transport, cert *tls.Certificate) (drivers.Link, error) {
	r.dials.Add(1)
	client, server := buffered()
	go func() {
		conn := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*cert}})
		tr.serve(ctx, conn, r.slave)
	}()
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	conn := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: "device"})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return drivers.NewNetLink(conn, linkWriteTimeout), nil
}

// deviceCertificate is a self-signed one for the name "device", valid in the year 2000, when fake time begins.
func deviceCertificate(t testing.TB) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"device"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
