//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgeua/edgeua/internal/modbussim"
)

// gateway is one edgeua process with a simulated Modbus device behind it.
type gateway struct {
	*process
	url string
	dir string
}

const configTemplate = `<OpcServerConfig><UaServerConfig>
  <MaxSessionCount>20</MaxSessionCount>
  <ServerUri>urn:edgeua:bench</ServerUri>
  <ServerName>bench</ServerName>
  <UaEndpoint>
    <Url>%s</Url>
    <AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates>
    <CertificateStore>
      <OpenSSLStore>
        <CertificateTrustListLocation>[ApplicationPath]/trusted</CertificateTrustListLocation>
        <CertificateRevocationListLocation>[ApplicationPath]/crl</CertificateRevocationListLocation>
        <ServerCertificate>[ApplicationPath]/own.der</ServerCertificate>
        <ServerPrivateKey>[ApplicationPath]/own.pem</ServerPrivateKey>
      </OpenSSLStore>
      <GenerateCertificate>true</GenerateCertificate>
      <CertificateSettings><CommonName>bench</CommonName><KeyLength>2048</KeyLength><YearsValidFor>1</YearsValidFor></CertificateSettings>
    </CertificateStore>
    <SecuritySetting>
      <SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#None</SecurityPolicy>
      <MessageSecurityMode>None</MessageSecurityMode>
    </SecuritySetting>
    <SecuritySetting>
      <SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256</SecurityPolicy>
      <MessageSecurityMode>SignAndEncrypt</MessageSecurityMode>
    </SecuritySetting>
  </UaEndpoint>
  <UserIdentityTokens><EnableAnonymous>true</EnableAnonymous></UserIdentityTokens>
</UaServerConfig></OpcServerConfig>
`

// users may do everything without a name.
const users = `<TcUaSecurityConfig><Users><User Name="Anonymous" Auth="None" IsRoot="true"/></Users></TcUaSecurityConfig>
`

// startGateway runs binary with so many Int16 tags, all of which the simulated
// device answers, and waits until it is up.
func startGateway(ctx context.Context, binary, dir string, tags int) (*gateway, error) {
	device, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = modbussim.Serve(ctx, device, registers(tags)) }()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	g := &gateway{url: fmt.Sprintf("opc.tcp://127.0.0.1:%d", port), dir: dir}
	main, edge := filepath.Join(dir, "TcUaServerConfig.xml"), filepath.Join(dir, "edgeua.xml")
	if err := os.WriteFile(main, fmt.Appendf(nil, configTemplate, g.url), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "TcUaSecurityConfig.xml"), []byte(users), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(edge, []byte(edgeFile(device.Addr().(*net.TCPAddr).Port, tags)), 0o600); err != nil {
		return nil, err
	}
	g.process, err = start(ctx, "server running", binary, "serve", "--config", main, "--log-level", "info")
	return g, err
}

// edgeFile spreads the tags over devices of 1,000, polled every second.
func edgeFile(port, tags int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<EdgeUa>\n<Channel><Name>Line</Name><Type>ModbusTcp</Type><Host>127.0.0.1</Host><TcpPort>%d</TcpPort></Channel>\n", port)
	for first := 0; first < tags; first += 1000 {
		fmt.Fprintf(&b, "<Device><Name>D%d</Name><Channel>Line</Channel><Unit>%d</Unit><Addressing>protocol0</Addressing>\n<Group Name=\"All\" Period=\"1000\" PollMode=\"Always\">\n",
			first/1000, first/1000+1)
		for i := range min(1000, tags-first) {
			fmt.Fprintf(&b, "<Tag Name=\"T%d\" Address=\"h%d\" Type=\"Int16\"/>\n", i, i)
		}
		b.WriteString("</Group>\n</Device>\n")
	}
	b.WriteString("</EdgeUa>\n")
	return b.String()
}

// freePort asks the system for a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// registers gives every tag a register of its own.
func registers(tags int) *modbussim.Map {
	m := modbussim.NewMap()
	for i := range tags {
		m.Set(byte(i/1000+1), modbussim.HoldingRegisters, uint16(i%1000), uint16(i))
	}
	return m
}
