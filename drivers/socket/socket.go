// Package socket is a TCP or UDP socket as a [drivers.Link], with or without TLS, for field protocols that pass through
// Ethernet: Modbus TCP itself, and serial lines behind a device server.
//
// A peer that vanishes is noticed without traffic by keep-alive, and with traffic by TCP_USER_TIMEOUT (Linux). TLS is
// version 1.2 or later with both sides authenticated by certificate, as MODBUS/TCP Security (MB-TCP-Security-v21) asks.
// Left out: devices that dial in, RFC 2217.
package socket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
)

// Keep-alive finds a peer that vanished, even when nothing is polled.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	userTimeout       = 10 * time.Second
	writeTimeout      = 2 * time.Second
)

// Settings say where a socket goes to: plain data.
type Settings struct {
	Network        string   // tcp or udp
	Addresses      []string // host:port; the next one is tried where the one before does not answer
	ConnectTimeout time.Duration
	TLS            *TLS // nil: plain
}

// TLS says who we are and whom we believe. The files are read at each connection, so that a renewed certificate counts
// from the next one on.
type TLS struct {
	CertificateFile, KeyFile string // ours; empty: none
	CAFile                   string // that signed the peer's; empty: those of the system
	ServerName               string // in the peer's certificate; empty: the host of the address
}

// String is the address for people.
func (c *Settings) String() string {
	text := strings.Join(c.Addresses, " or ")
	if c.TLS != nil {
		text += " with TLS"
	}
	return text
}

// Dial connects to the first address that answers.
func (c *Settings) Dial(ctx context.Context) (drivers.Link, error) {
	var failed error
	for _, address := range c.Addresses {
		conn, err := c.connect(ctx, address)
		if err == nil {
			return drivers.NewNetLink(conn, writeTimeout), nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func (c *Settings) connect(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
	}
	if c.Network == "tcp" {
		dialer.Control = setUserTimeout
	}
	if c.TLS == nil {
		return dialer.DialContext(ctx, c.Network, address)
	}
	config, err := c.TLS.config(address)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, c.Network, address)
}

func (t *TLS) config(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.ServerName != "" {
		c.ServerName = t.ServerName
	}
	if t.CertificateFile != "" {
		own, err := tls.LoadX509KeyPair(t.CertificateFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("own certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	if t.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("certificates to believe: %w", err)
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates to believe: %s holds none in PEM", t.CAFile)
	}
	return c, nil
}
