package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/config"
)

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// edgeua runs one command to its end.
func edgeua(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("output lacks %q", text)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

// anonymousUsers lets everybody do everything.
const anonymousUsers = `<TcUaSecurityConfig><Users><User Name="Anonymous" Auth="None" IsRoot="true"/></Users></TcUaSecurityConfig>`

// files writes a configuration and returns the path of its main file. Whoever names no users has anonymousUsers, and the
// gateway of mainFile has a certificate already: keys take their time.
func files(t *testing.T, named map[string]string) string {
	t.Helper()
	all := map[string]string{config.UsersName: anonymousUsers}
	if text := named[config.MainName]; strings.Contains(text, mainStore) {
		_, uri, _ := strings.Cut(text, "<ServerUri>")
		uri, _, _ = strings.Cut(uri, "</ServerUri>")
		own := makeIdentity(t, uri)
		all["own.der"], all["own.pem"] = own.der, own.pem
	}
	maps.Copy(all, named)
	dir := t.TempDir()
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, config.MainName)
}

const mainStore = `<CertificateStore><OpenSSLStore><CertificateTrustListLocation>[ApplicationPath]/trusted</CertificateTrustListLocation><ServerCertificate>[ApplicationPath]/own.der</ServerCertificate><ServerPrivateKey>[ApplicationPath]/own.pem</ServerPrivateKey></OpenSSLStore><GenerateCertificate>true</GenerateCertificate></CertificateStore>`

// mainFile is a main file that only None and anonymous sessions need.
func mainFile(url, more string) string {
	return fmt.Sprintf(`<OpcServerConfig>
<UaServerConfig>
<ServerUri>urn:test:gateway</ServerUri>
<ServerName>test</ServerName>
<UaEndpoint>
<Url>%s</Url>
`+mainStore+`
<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#None</SecurityPolicy><MessageSecurityMode>None</MessageSecurityMode></SecuritySetting>
%s
</UaEndpoint>
<UserIdentityTokens><EnableAnonymous>true</EnableAnonymous><EnableUserPw>false</EnableUserPw></UserIdentityTokens>
</UaServerConfig>
</OpcServerConfig>`, url, more)
}

func TestVersion(t *testing.T) {
	edgeua(t, "version").want(t, exitOK, "edgeua ")
}

func TestHelpNamesEveryCommand(t *testing.T) {
	edgeua(t, "--help").want(t, exitOK, "serve", "check", "dial", "demo", "listen", "bridge", "version")
}

func TestWrongUsageExitsWith2(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--nonsense"}, "unknown flag"},
		{[]string{"sevre"}, "unknown command"},
		{[]string{"check", "file.xml"}, "unknown command"},
		{[]string{"listen", "--security", "Basic256Sha256,None"}, "Basic256Sha256,None"},
		{[]string{"listen", "--security", "Basic256,Sign"}, "write Policy,Mode"},
		{[]string{"listen", "--security", "None,None", "--read", "ns=x"}, "not a NodeId"},
		{[]string{"listen", "--security", "None,None", "--addr", "http://127.0.0.1:1"}, "opc.tcp"},
		{[]string{"listen", "--trust", "/nonexistent", "--trust-any"}, "trust"},
		{[]string{"serve", "--log-level", "loud"}, "loud"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			edgeua(t, tt.args...).want(t, exitConfig, tt.want)
		})
	}
}

func TestCheck_SamplesHaveNoErrors(t *testing.T) {
	edgeua(t, "check", "--config", "../../TcUaServerConfig.xml").want(t, exitOK,
		"endpoint opc.tcp://127.0.0.1:4840", "opc.tcp://127.0.0.1:48061", "device Boiler: 5 tags", "0 errors")
}

func TestCheck_ReportsEverythingWithItsLine(t *testing.T) {
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", "<ReverseConnect>\n<Url>http://127.0.0.1:1</Url>\n</ReverseConnect>"),
		"edgeua.xml":           "<EdgeUa>\n<Nonsense/>\n<Channel><Name>A</Name><Type>Modbus</Type></Channel>\n</EdgeUa>",
	})
	edgeua(t, "check", "--config", main).want(t, exitConfig,
		"TcUaServerConfig.xml:10: error:", "edgeua.xml:2: error:", "Nonsense", "edgeua.xml:3: error:", "errors")
}

func TestCheck_StartsNothing(t *testing.T) {
	main := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", "")})
	for _, own := range []string{"own.der", "own.pem"} { // it would create
		if err := os.Remove(filepath.Join(filepath.Dir(main), own)); err != nil {
			t.Fatal(err)
		}
	}
	edgeua(t, "check", "--config", main).want(t, exitOK)
	if entries, _ := os.ReadDir(filepath.Dir(main)); len(entries) != 2 {
		t.Errorf("check left %v behind", entries)
	}
}

func TestServe_RefusedConfigurationExitsWith2(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	good := mainFile("opc.tcp://127.0.0.1:4840", "<StackUrl>opc.tcp://127.0.0.1:1</StackUrl>")
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no file", nil, "TcUaServerConfig.xml"},
		{"cut short", map[string]string{"TcUaServerConfig.xml": good[:len(good)/2]}, "TcUaServerConfig.xml:"},
		{"no endpoint left", map[string]string{"TcUaServerConfig.xml": mainFile("https://127.0.0.1:4840", "")}, "https"},
		{"bad edge file", map[string]string{"TcUaServerConfig.xml": good, "edgeua.xml": "<EdgeUa>\n<Nonsense/></EdgeUa>"}, "edgeua.xml:2"},
		{"port in use", map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://"+busy.Addr().String(),
			"<StackUrl>opc.tcp://"+busy.Addr().String()+"</StackUrl>")}, "the port is in use by another program (port 4840 often by a Local Discovery Server)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edgeua(t, "serve", "--config", files(t, tt.files)).want(t, exitConfig, tt.want)
		})
	}
}

func TestServe_NamedEdgeFileMustExist(t *testing.T) {
	main := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", "")})
	edgeua(t, "serve", "--config", main, "--edge", filepath.Join(filepath.Dir(main), "other.xml")).want(t, exitConfig, "other.xml")
}

func TestListen_NobodyCalls(t *testing.T) {
	edgeua(t, "listen", "--addr", "opc.tcp://127.0.0.1:0", "--security", "None,None", "--duration", "50ms").
		want(t, exitFailure, "nobody called")
}

// watched is a writer that tells when a text has been written to it.
type watched struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	wanted map[wanted]chan struct{}
}

// wanted is a text that is waited for, so many times.
type wanted struct {
	text  string
	times int
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(b)
	for want, seen := range w.wanted {
		if strings.Count(w.buf.String(), want.text) >= want.times {
			close(seen)
			delete(w.wanted, want)
		}
	}
	return len(b), nil
}

func (w *watched) wait(t *testing.T, text string) {
	t.Helper()
	w.waitFor(t, text, 1)
}

// waitFor waits until the text has been written so many times.
func (w *watched) waitFor(t *testing.T, text string, times int) {
	t.Helper()
	seen := make(chan struct{})
	w.mu.Lock()
	if strings.Count(w.buf.String(), text) >= times {
		close(seen)
	} else {
		if w.wanted == nil {
			w.wanted = map[wanted]chan struct{}{}
		}
		w.wanted[wanted{text, times}] = seen
	}
	w.mu.Unlock()
	select {
	case <-seen:
	case <-time.After(20 * time.Second):
		t.Fatalf("no %q, %d times, in:\n%s", text, times, w)
	}
}

// count is how often a text has been written.
func (w *watched) count(text string) int { return strings.Count(w.String(), text) }

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// A gateway without any port calls a listener that comes later; both end
// cleanly.
func TestServeAndListen_ReverseOnly(t *testing.T) {
	defer goleak.VerifyNone(t)
	addr := freeAddress(t)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://gateway.invalid:4840", "<ReverseConnect><Url>opc.tcp://"+addr+"</Url></ReverseConnect>"),
		"edgeua.xml": `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect>
<Channel><Name>L</Name><Type>ModbusTcp</Type><Host>127.0.0.1</Host><TcpPort>1</TcpPort></Channel>
<Device><Name>D</Name><Channel>L</Channel><Unit>1</Unit><Addressing>protocol0</Addressing>
<Group Name="G" Period="100"><Tag Name="T" Address="h0" Type="Int16"/></Group></Device></EdgeUa>`,
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := &watched{}
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", main}, io.Discard, log) }()
	log.wait(t, "server running")
	log.wait(t, "connection refused")

	edgeua(t, "listen", "--addr", "opc.tcp://"+addr, "--security", "None,None", "--duration", "20s",
		"--server-uri", "urn:test:gateway", "--browse", "--read", "ns=2;s=D.T", "--read", "i=2259").
		want(t, exitOK, `called by "urn:test:gateway", EndpointUrl "opc.tcp://gateway.invalid:4840"`,
			`"D"`, `"T"`, "ns=2;s=D.T", "i=2259")
	stop()
	if code := <-served; code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
	log.wait(t, "server stopped")
}

// Who copies the main file and forgets the users must not get a server that is open to everybody.
func TestServe_WithoutUsersFileNobodyGetsIn(t *testing.T) {
	defer goleak.VerifyNone(t)
	addr := freeAddress(t)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://gateway.invalid:4840", "<ReverseConnect><Url>opc.tcp://"+addr+"</Url></ReverseConnect>"),
		"edgeua.xml":           `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect></EdgeUa>`,
	})
	if err := os.Remove(filepath.Join(filepath.Dir(main), config.UsersName)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	log := &watched{}
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", main}, io.Discard, log) }()
	defer func() { stop(); <-served }()
	log.wait(t, "has no effect: there is no")
	log.wait(t, "edgeua users --help")
	listenUntil(t, "the server does not accept anonymous sessions on this endpoint; name a user with --user, or have both EnableAnonymous and a user Anonymous",
		"--addr", "opc.tcp://"+addr, "--security", "None,None")
}

// listenUntil runs edgeua listen until it prints the text.
func listenUntil(t *testing.T, text string, args ...string) {
	t.Helper()
	out := &watched{}
	ctx, enough := context.WithCancel(t.Context())
	var listened sync.WaitGroup
	listened.Go(func() { run(ctx, append([]string{"listen"}, args...), out, out) })
	defer listened.Wait()
	defer enough()
	out.wait(t, text)
}

func TestListen_JSONLines(t *testing.T) {
	var out bytes.Buffer
	p := newPrinter(&out, true)
	p.listening("opc.tcp://127.0.0.1:48061")
	if got := out.String(); !strings.Contains(got, `"event":"listening"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}

func TestDemo_ValuesChangeOverTheReverseConnection(t *testing.T) {
	edgeua(t, "demo", "--duration", "4s").want(t, exitOK,
		"Basic256Sha256,SignAndEncrypt", "ns=2;s=Boiler.SupplyTemp", "Good", "new ones")
}

func TestDemo_FailsWhenNothingArrives(t *testing.T) {
	edgeua(t, "demo", "--duration", "1ms").want(t, exitFailure)
}

// freeAddress is a loopback address at which nobody listens yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
