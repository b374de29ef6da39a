package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edgeua/edgeua/internal/pki"
)

// plantFile is a hardened main file of TwinCAT with a place for more inside the endpoint.
const plantFile = `<OpcServerConfig>
<UaServerConfig>
<ServerUri>urn:plant:press</ServerUri>
<ServerName>Press</ServerName>
<RejectedCertificatesDirectory>[ApplicationPath]/PKI/CA/rejected</RejectedCertificatesDirectory>
<UaEndpoint>
<Url>opc.tcp://press:4840</Url>
<CertificateStore>
<OpenSSLStore>
<CertificateTrustListLocation>[ApplicationPath]/PKI/CA/trusted/certs/</CertificateTrustListLocation>
<ServerCertificate>[ApplicationPath]/PKI/CA/own/certs/press.der</ServerCertificate>
<ServerPrivateKey>[ApplicationPath]/PKI/CA/own/private/press.pem</ServerPrivateKey>
</OpenSSLStore>
<GenerateCertificate>true</GenerateCertificate>
<CertificateSettings><CommonName>Press</CommonName><Organization>Organization</Organization><DNSName>press</DNSName></CertificateSettings>
</CertificateStore>
<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256</SecurityPolicy><MessageSecurityMode>SignAndEncrypt</MessageSecurityMode></SecuritySetting>
<ReverseConnect><Url>opc.tcp://192.0.2.17:48060</Url></ReverseConnect>
</UaEndpoint>
<UserIdentityTokens><EnableAnonymous>false</EnableAnonymous></UserIdentityTokens>
</UaServerConfig>
</OpcServerConfig>`

const plantUsers = `<TcUaSecurityConfig>
<Groups><Group Name="All"><DefaultAccess Namespace="*" Access="0x3FF"/></Group></Groups>
<Users><User Name="op" Auth="Server" Password="$2a$04$PmW.2EW5h4RNNpmnZsaSnu8uOmHH9t2Ay5FaQDBW1IxUJqbxHRVJe" MemberOf="All"/></Users>
</TcUaSecurityConfig>`

// pressIdentity is one certificate with its key for all tests.
var pressIdentity = sync.OnceValue(func() *pki.Own {
	dir, err := os.MkdirTemp("", "edgeua")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	own, _, err := pki.LoadOrCreate(pki.Locations{Certificate: dir + "/press.der", PrivateKey: dir + "/press.pem"},
		pki.Request{ApplicationURI: "urn:plant:press", CommonName: "Press", Organization: "Organization", DNSNames: []string{"press"}}, true)
	if err != nil {
		panic(err)
	}
	return own
})

// plant writes the files and an own certificate that suits them, and returns the directory.
func plant(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(files(t, map[string]string{"TcUaServerConfig.xml": plantFile, "TcUaSecurityConfig.xml": plantUsers, "edgeua.xml": "<EdgeUa/>"}))
	own := pressIdentity()
	write(t, dir+"/PKI/CA/own/certs/press.der", own.DER)
	write(t, dir+"/PKI/CA/own/private/press.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(own.Key)}))
	return dir
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in a file of the plant.
func edit(t *testing.T, file, old, now string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q: %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCheck_MistakesOfAdministrators has every one of the usual mistakes that files can show, by its number in the list of
// them. The others need a running server: 3, 4 and 17 stand in its log (what is announced, what the client answers,
// timeout or refusal), 16 in the error of a port that is taken; 22, sample words in a certificate, is none here.
func TestCheck_MistakesOfAdministrators(t *testing.T) {
	const own = "/PKI/CA/own/"
	inMain := func(old, now string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, dir+"/TcUaServerConfig.xml", old, now) }
	}
	inUsers := func(old, now string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, dir+"/TcUaSecurityConfig.xml", old, now) }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(dir + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		mistake func(t *testing.T, dir string)
		want    string
	}{
		"1 misplaced ReverseConnect": {inMain("<UserIdent", "<ReverseConnect/><UserIdent"), "is misplaced and has no effect; it belongs directly inside <UaServerConfig/UaEndpoint>"},
		"2 own Url as client":        {inMain("192.0.2.17:48060", "press:4840"), "so the server would call itself; write the address at which the client listens"},
		"3 what is announced":        {func(*testing.T, string) {}, "announces ServerUri urn:plant:press, EndpointUrl opc.tcp://press:4840"},
		"5 connecting by IP":         {inMain("opc.tcp://press:4840", "opc.tcp://192.0.2.3:4840"), "own certificate does not name 192.0.2.3, by which clients reach the server, but press"},
		"6 settings changed":         {inMain("<Organization>Organization", "<Organization>Works"), `contradicts CertificateSettings, which count only when one is created: Organization is "Organization", not "Works"`},
		"7 renamed":                  {inMain("urn:plant:press", "urn:plant:press2"), `own certificate names the application "urn:plant:press", the configuration "urn:plant:press2"`},
		"8 der without pem":          {remove(own + "private/press.pem"), "press.pem is missing although its certificate"},
		"8 pem without der":          {remove(own + "certs/press.der"), "press.der is missing although its private key"},
		"9 trusted too high": {func(t *testing.T, dir string) {
			write(t, dir+"/PKI/CA/trusted/client.der", pressIdentity().DER)
		}, "has no effect here: trusted certificates belong into"},
		"10 nothing in rejected":      {inMain("<CertificateStore>", "<AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates><CertificateStore>"), "and none is kept among the rejected ones"},
		"11 no user Anonymous":        {inMain("<EnableAnonymous>false", "<EnableAnonymous>true"), `has no user Anonymous with Auth="None"`},
		"11 no EnableAnonymous":       {inUsers("</Users>", `<User Name="Anonymous" Auth="None" MemberOf="All"/></Users>`), "has no effect: EnableAnonymous is not true"},
		"12 no users":                 {remove("/TcUaSecurityConfig.xml"), "nobody can open a session: there is no"},
		"13 which file":               {func(*testing.T, string) {}, "TcUaServerConfig.xml, last changed 20"},
		"14 True":                     {inMain("<UserIdent", "<IsAuditActivated> True</IsAuditActivated><UserIdent"), `" True" is not exactly true or false and counts as false`},
		"15 both spellings":           {inMain("<UserIdent", "<MaxRetransmitionQueueSize>3</MaxRetransmitionQueueSize><MaxRetransmissionQueueSize>4</MaxRetransmissionQueueSize><UserIdent"), "differs from MaxRetransmissionQueueSize in line"},
		"18 everybody trusted":        {inMain("<CertificateStore>", "<AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates><CertificateStore>"), "the certificate of any client is accepted"},
		"19 ServerUri without rights": {inUsers(`Namespace="*"`, `Namespace="urn:old:press"`), "no rights are granted in the namespace of this server"},
		"20 clear text":               {inUsers("$2a$04$PmW.2EW5h4RNNpmnZsaSnu8uOmHH9t2Ay5FaQDBW1IxUJqbxHRVJe", "secret"), "the Password is in clear text"},
		"20 readable by everybody":    {func(t *testing.T, dir string) { os.Chmod(dir+"/TcUaSecurityConfig.xml", 0o644) }, "can be read by everybody; run chmod o-rwx"},
		"21 account of the system":    {inUsers(`Auth="Server"`, `Auth="OS"`), `accounts of the operating system (Auth="OS") are not used`},
		"23 unknown placeholder":      {inMain("<Organization>Organization", "<Organization>[BootDir]"), "placeholder [BootDir] is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t)
			tc.mistake(t, dir)
			r := edgeua(t, "check", "--config", dir)
			if out := r.stdout + r.stderr; !strings.Contains(out, tc.want) {
				t.Errorf("check lacks %q:\n%s", tc.want, out)
			}
		})
	}
	if r := edgeua(t, "check", "--config", plant(t)); !strings.Contains(r.stdout, "\n0 errors, 0 warnings\n") {
		t.Errorf("a plant without a mistake: %s", r.stdout)
	}
}

func TestCheck_JSON(t *testing.T) {
	dir := plant(t)
	edit(t, dir+"/TcUaServerConfig.xml", "<Url>opc.tcp://press:4840", "<Url>http://press:4840")
	r := edgeua(t, "check", "--json", "--config", dir)
	var v struct {
		Starts   bool
		Errors   int
		Problems []struct {
			File, Severity, Path, Message string
			Line                          int
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatal(err, r.stdout)
	}
	last := v.Problems[len(v.Problems)-1]
	if r.code != exitConfig || v.Starts || v.Errors != 2 || len(v.Problems) < 2 || last.Line != 7 || last.Severity != "error" {
		t.Errorf("exit code %d, %+v", r.code, v)
	}
}

func TestCheck_Explain(t *testing.T) {
	edgeua(t, "check", "--explain", "ReverseConnect/Url").want(t, exitOK, "OpcServerConfig/UaServerConfig/UaEndpoint/ReverseConnect/Url", "honoured")
	edgeua(t, "check", "--explain", "ReverseConect").want(t, exitConfig, "did you mean ReverseConnect?")
}

func TestCheck_Diff(t *testing.T) {
	before, dir := plant(t), t.TempDir()
	after := filepath.Join(dir, "new.xml")
	data, err := os.ReadFile(before + "/TcUaServerConfig.xml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, after, data)
	edgeua(t, "check", "--diff", before, after).want(t, exitOK, "nothing is different")
	edit(t, after, "192.0.2.17:48060", "192.0.2.18:48060")
	edgeua(t, "check", "--diff", before, after).want(t, exitOK,
		"- Endpoints[opc.tcp://press:4840].ReverseClients[opc.tcp://192.0.2.17:48060] (whole entry): its sockets are closed",
		"+ Endpoints[opc.tcp://press:4840].ReverseClients[opc.tcp://192.0.2.18:48060] (whole entry): it is called", "2 differences")
	edit(t, after, "<ServerUri>", "<MaxSessionCount>7</MaxSessionCount><ServerUri>")
	edgeua(t, "check", "--diff", before, after, "--json").want(t, exitOK, `"before": "20"`, `"after": "7"`, `"effect": "holds for what comes; nothing that exists is taken away"`, `"nextStart": false`)
	edit(t, after, "</UaEndpoint>", "")
	edgeua(t, "check", "--diff", before, after).want(t, exitConfig, "a reload would change nothing")
	edgeua(t, "check", "--diff", before).want(t, exitConfig, "accepts 2 arg(s)")
}
