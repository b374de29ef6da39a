package socket

import (
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Parse reads Host, BackupHost, TcpPort (UdpPort), ConnectTimeout and Tls of a channel. The port is what holds if none
// is given, tlsPort the same with TLS.
func Parse(r *xmltree.Report, s *xmltree.Settings, network string, port, tlsPort int) *Settings {
	c := &Settings{Network: network}
	if network == "tcp" {
		if c.TLS = parseTLS(r, s); c.TLS != nil {
			port = tlsPort
		}
	}
	word := map[string]string{"tcp": "TcpPort", "udp": "UdpPort"}[network]
	digits := strconv.Itoa(s.Int(word, port, 1, math.MaxUint16))
	c.Addresses = append(c.Addresses, net.JoinHostPort(parseHost(s, "Host", s.Required("Host")), digits))
	if backup := s.String("BackupHost", ""); backup != "" {
		c.Addresses = append(c.Addresses, net.JoinHostPort(parseHost(s, "BackupHost", backup), digits))
	}
	c.ConnectTimeout = s.Millis("ConnectTimeout", 3*time.Second, time.Millisecond, time.Minute)
	return c
}

func parseHost(s *xmltree.Settings, word, host string) string {
	if strings.ContainsAny(host, "/ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		s.Error(word, "%s is not a host name or an address; the port goes into TcpPort", xmltree.Quote(host))
	}
	return host
}

func parseTLS(r *xmltree.Report, s *xmltree.Settings) *TLS {
	elements := s.Children("Tls")
	if len(elements) == 0 {
		return nil
	}
	if len(elements) > 1 {
		s.Error("Tls", "stands twice")
	}
	e := r.Settings(elements[0])
	defer e.Done()
	enabled := e.Bool("Enabled", true)
	t := &TLS{
		CertificateFile: e.String("CertificateFile", ""), KeyFile: e.String("KeyFile", ""),
		CAFile: e.String("CaFile", ""), ServerName: e.String("ServerName", ""),
	}
	if (t.CertificateFile == "") != (t.KeyFile == "") {
		e.Error("CertificateFile", "and KeyFile belong together; one is missing")
	}
	if !enabled {
		return nil
	}
	return t
}
