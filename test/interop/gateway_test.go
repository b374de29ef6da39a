//go:build interop

package interop

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
)

const (
	serverURI = "urn:edgeua:interop"
	clientURI = "urn:edgeua:interop:client"

	counter  = "ns=2;s=Boiler.Counter"
	constant = "ns=2;s=Boiler.Constant"
	setPoint = "ns=2;s=Boiler.SetPoint"
	pump     = "ns=2;s=Boiler.Pump"
)

// gateway is an edgeua under test with its files.
type gateway struct {
	*process
	t      *testing.T
	dir    string
	port   int // of the listener, 0 if there is none
	client *pki.Own
	files  clientFiles

	endpoints []*ua.EndpointDescription // as GetEndpoints on the listener gave them
}

// clientFiles are the client's certificate and key, which the gateway trusts.
type clientFiles struct{ certificate, key string }

// setup is what a test wants in the configuration.
type setup struct {
	channel string   // the <Channel> with the name Line
	edge    string   // the whole edgeua.xml instead
	reverse []string // client URLs
	listen  bool
}

// newGateway writes the files and creates the certificates; serve starts it.
func newGateway(t *testing.T, s setup) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), port: freePort(t)}
	g.files = clientFiles{filepath.Join(g.dir, "client", "own.der"), filepath.Join(g.dir, "client", "own.pem")}
	var err error
	g.client, _, err = pki.LoadOrCreate(
		pki.Locations{Certificate: g.files.certificate, PrivateKey: g.files.key},
		pki.Request{ApplicationURI: clientURI, CommonName: "interop client", DNSNames: []string{"localhost"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	g.write("PKI/CA/trusted/certs/client.der", string(g.client.DER))
	g.write("TcUaServerConfig.xml", g.serverConfig(s))
	g.write("TcUaSecurityConfig.xml", `<TcUaSecurityConfig><Groups><Group Name="Everything"><DefaultAccess Namespace="*" Access="0x3FF"/></Group></Groups><Users>
		<User Name="Anonymous" Auth="None" MemberOf="Everything"/>
		<User Name="operator" Auth="Server" Password="secret" MemberOf="Everything"/>
	</Users></TcUaSecurityConfig>`)
	g.write("edgeua.xml", edgeConfig(s))
	return g
}

func (g *gateway) write(name, content string) {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) url() string { return fmt.Sprintf("opc.tcp://127.0.0.1:%d", g.port) }

func (g *gateway) serverConfig(s setup) string {
	var reverse strings.Builder
	for _, url := range s.reverse {
		fmt.Fprintf(&reverse, "<Url>%s</Url>", url)
	}
	var settings strings.Builder
	for _, setting := range []struct{ policy, mode string }{
		{"None", "None"}, {"Basic256Sha256", "SignAndEncrypt"}, {"Aes128_Sha256_RsaOaep", "SignAndEncrypt"},
		{"Aes256_Sha256_RsaPss", "Sign"}, {"Aes256_Sha256_RsaPss", "SignAndEncrypt"},
	} {
		fmt.Fprintf(&settings, "<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#%s</SecurityPolicy>"+
			"<MessageSecurityMode>%s</MessageSecurityMode></SecuritySetting>\n", setting.policy, setting.mode)
	}
	return fmt.Sprintf(`<OpcServerConfig><UaServerConfig>
	<ServerUri>%s</ServerUri> <ServerName>interop</ServerName>
	<RejectedCertificatesDirectory>[ApplicationPath]/PKI/CA/rejected</RejectedCertificatesDirectory>
	<UaEndpoint>
		<Url>%s</Url> <StackUrl>%[2]s</StackUrl>
		<CertificateStore>
			<OpenSSLStore>
				<CertificateTrustListLocation>[ApplicationPath]/PKI/CA/trusted/certs/</CertificateTrustListLocation>
				<CertificateRevocationListLocation>[ApplicationPath]/PKI/CA/trusted/crl/</CertificateRevocationListLocation>
				<ServerCertificate>[ApplicationPath]/PKI/CA/own/certs/edgeua.der</ServerCertificate>
				<ServerPrivateKey>[ApplicationPath]/PKI/CA/own/private/edgeua.pem</ServerPrivateKey>
			</OpenSSLStore>
			<GenerateCertificate>true</GenerateCertificate>
			<CertificateSettings>
				<CommonName>[ServerName]</CommonName> <KeyLength>2048</KeyLength>
				<DNSName>localhost</DNSName> <IPAddress>127.0.0.1</IPAddress>
			</CertificateSettings>
		</CertificateStore>
		%s
		<ReverseConnect>%s</ReverseConnect>
	</UaEndpoint>
	<UserIdentityTokens><EnableAnonymous>true</EnableAnonymous><EnableUserPw>true</EnableUserPw></UserIdentityTokens>
</UaServerConfig></OpcServerConfig>`, serverURI, g.url(), settings.String(), reverse.String())
}

func edgeConfig(s setup) string {
	if s.edge != "" {
		return s.edge
	}
	listeners := "0"
	if s.listen {
		listeners = "1"
	}
	return fmt.Sprintf(`<EdgeUa>
	<ReverseConnect><Defaults BackoffMin="200" BackoffMax="1000" RejectDelay="1000"/></ReverseConnect>
	<Listeners Enabled="%s"/>
	<Channel><Name>Line</Name> %s</Channel>
	<Device>
		<Name>Boiler</Name> <Channel>Line</Channel> <Unit>17</Unit> <Addressing>modicon6</Addressing>
		<Timeout>500</Timeout> <TimeSuspend>500</TimeSuspend> <MaxSuspend>1000</MaxSuspend>
		<Group Name="Fast" Period="100" PollMode="Always">
			<Tag Name="Counter" Address="300001" Type="UInt16"/>
			<Tag Name="Constant" Address="300002" Type="Int16" Scale="0.1" Offset="-50"/>
			<Tag Name="Alarm" Address="100001" Type="Bool"/>
			<Tag Name="Pump" Address="000003" Type="Bool" Access="ReadWrite"/>
			<Tag Name="SetPoint" Address="400011" Type="Float32" Access="ReadWrite"/>
		</Group>
	</Device>
</EdgeUa>`, listeners, s.channel)
}

// serve starts the gateway and waits until it runs.
func (g *gateway) serve() {
	g.t.Helper()
	g.process = start(g.t, edgeua, "serve", "--config", filepath.Join(g.dir, "TcUaServerConfig.xml"), "--edge", filepath.Join(g.dir, "edgeua.xml"))
	g.waitText("server running", 20*time.Second)
}

// listenArgs are the arguments of an edgeua client that the gateway trusts.
func (g *gateway) listenArgs(addr string, more ...string) []string {
	return append([]string{"listen", "--addr", addr, "--cert", g.files.certificate, "--key", g.files.key, "--trust-any", "--json"}, more...)
}

// visit opens a session with gopcua's client on the listener.
func (g *gateway) visit(ctx context.Context, policy string, mode ua.MessageSecurityMode, as *login) *opcua.Client {
	g.t.Helper()
	var client *opcua.Client
	// A gateway takes only so many connections per second from one address.
	eventually(g.t, "session with "+policy, 5*time.Second, func() (err error) {
		client, err = g.tryVisit(ctx, policy, mode, as)
		return err
	})
	g.t.Cleanup(func() { _ = client.Close(context.Background()) }) // the test may have closed it, or the server be gone
	return client
}

func (g *gateway) tryVisit(ctx context.Context, policy string, mode ua.MessageSecurityMode, as *login) (*opcua.Client, error) {
	g.t.Helper()
	if g.endpoints == nil {
		var err error
		if g.endpoints, err = opcua.GetEndpoints(ctx, g.url()); err != nil {
			return nil, fmt.Errorf("GetEndpoints: %w", err)
		}
	}
	client, err := opcua.NewClient(g.url(), g.clientOptions(g.endpoints, policy, mode, as)...)
	if err != nil {
		return nil, err
	}
	if err := client.Connect(ctx); err != nil {
		_ = client.Close(ctx) // the error of Connect says more
		return nil, fmt.Errorf("Connect: %w", err)
	}
	return client, nil
}

// login is a user with a password; nil is anonymous.
type login struct{ user, password string }

func (g *gateway) clientOptions(endpoints []*ua.EndpointDescription, policy string, mode ua.MessageSecurityMode, as *login) []opcua.Option {
	g.t.Helper()
	for _, e := range endpoints {
		if strings.HasSuffix(e.SecurityPolicyURI, "#"+policy) && e.SecurityMode == mode {
			options := []opcua.Option{
				opcua.AutoReconnect(false), opcua.RequestTimeout(5 * time.Second), opcua.ApplicationURI(clientURI),
			}
			if as == nil {
				options = append(options, opcua.SecurityFromEndpoint(e, ua.UserTokenTypeAnonymous))
			} else {
				options = append(options, opcua.AuthUsername(as.user, as.password), opcua.SecurityFromEndpoint(e, ua.UserTokenTypeUserName))
			}
			if mode != ua.MessageSecurityModeNone {
				options = append(options, opcua.PrivateKey(g.client.Key), opcua.Certificate(g.client.DER))
			}
			return options
		}
	}
	g.t.Fatalf("no endpoint with %s and %v among %d", policy, mode, len(endpoints))
	return nil
}

// read gives the value of a node.
func read(ctx context.Context, t *testing.T, c *opcua.Client, node string) *ua.DataValue {
	t.Helper()
	id, err := ua.ParseNodeID(node)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Read(ctx, &ua.ReadRequest{
		TimestampsToReturn: ua.TimestampsToReturnBoth,
		NodesToRead:        []*ua.ReadValueID{{NodeID: id, AttributeID: ua.AttributeIDValue}},
	})
	if err != nil {
		t.Fatalf("Read %s: %v", node, err)
	}
	return res.Results[0]
}

// write writes the value of a node and wants success.
func write(ctx context.Context, t *testing.T, c *opcua.Client, node string, value any) {
	t.Helper()
	if s := tryWrite(ctx, t, c, node, value); s != ua.StatusOK {
		t.Fatalf("Write %s: %v", node, s)
	}
}

// tryWrite writes the value of a node and returns what the gateway says.
func tryWrite(ctx context.Context, t *testing.T, c *opcua.Client, node string, value any) ua.StatusCode {
	t.Helper()
	id, err := ua.ParseNodeID(node)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Write(ctx, &ua.WriteRequest{NodesToWrite: []*ua.WriteValue{{
		NodeID: id, AttributeID: ua.AttributeIDValue,
		Value: &ua.DataValue{EncodingMask: ua.DataValueValue, Value: ua.MustVariant(value)},
	}}})
	if err != nil {
		t.Fatalf("Write %s: %v", node, err)
	}
	return res.Results[0]
}

// waitStatus waits until a value has, or has no more, the status Good.
func waitStatus(ctx context.Context, t *testing.T, c *opcua.Client, node string, good bool, within time.Duration) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s good=%v", node, good), within, func() error {
		if dv := read(ctx, t, c, node); (dv.Status == ua.StatusOK) != good {
			return dv.Status
		}
		return nil
	})
}

// clientPEM is the client's certificate in the form that node-opcua reads.
func (g *gateway) clientPEM() string {
	g.t.Helper()
	path := filepath.Join(g.dir, "client", "own-certificate.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.client.DER})
	if err := os.WriteFile(path, block, 0o644); err != nil {
		g.t.Fatal(err)
	}
	return path
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
