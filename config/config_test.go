package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/xmltree"
)

var update = flag.Bool("update", false, "write the golden files")

// options are those of all tests: no test may depend on the machine's name.
func options(main string) Options {
	return Options{Main: main, Hostname: "gw-7", Kinds: testKinds()}
}

// TestLoad_Examples compares everything that is found in whole files, and what would run, with golden files.
func TestLoad_Examples(t *testing.T) {
	for _, name := range []string{"plant", "full", "legacy"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			cfg, report := Load(options(filepath.Join(dir, "TcUaServerConfig.xml")))
			var b strings.Builder
			if _, err := report.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			b.WriteString("---\n")
			if cfg == nil {
				b.WriteString("refused\n")
			} else if err := cfg.Summary(&b); err != nil {
				t.Fatal(err)
			}
			abs, err := filepath.Abs(dir)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "check.golden"), strings.ReplaceAll(b.String(), abs, "/DIR"))
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

// minimal is a main file without any finding; %s are places to add to: server, endpoint.
const minimal = `<OpcServerConfig>
<UaServerConfig>
<ServerUri>urn:gw-7:plant</ServerUri>
%SERVER%
<UaEndpoint>
%ENDPOINT%
<Url>opc.tcp://gw-7:4840</Url>
<CertificateStore><OpenSSLStore>
<CertificateTrustListLocation>[ApplicationPath]/PKI/CA/trusted/certs/</CertificateTrustListLocation>
<ServerCertificate>PKI/CA/own/certs/gw.der</ServerCertificate>
<ServerPrivateKey>PKI/CA/own/private/gw.pem</ServerPrivateKey>
</OpenSSLStore>
<GenerateCertificate>true</GenerateCertificate>
%SETTINGS%
</CertificateStore>
%SECURITY%
</UaEndpoint>
</UaServerConfig>
</OpcServerConfig>
`

const encrypted = `<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256</SecurityPolicy><MessageSecurityMode>SignAndEncrypt</MessageSecurityMode></SecuritySetting>`

const oneUser = `<TcUaSecurityConfig><Users><User Name="op" IsRoot="true" Auth="Server" Password="$2a$04$PmW.2EW5h4RNNpmnZsaSnu8uOmHH9t2Ay5FaQDBW1IxUJqbxHRVJe"/></Users></TcUaSecurityConfig>`

// setup is a set of files; places not named stay as in the minimal file.
type setup struct {
	server, endpoint, settings string // added to the minimal file
	security                   string // instead of the encrypted setting
	main, edge, users          string // instead of the whole file
	dir                        string // of the files; empty: a new one
}

// load writes the files to a directory of their own and reads them. The problems come without file names.
func (s setup) load(t *testing.T) (*Config, []string) {
	t.Helper()
	dir := s.dir
	if dir == "" {
		dir = t.TempDir()
	}
	security := s.security
	if security == "" {
		security = encrypted
	}
	text := strings.NewReplacer("%SERVER%", s.server, "%ENDPOINT%", s.endpoint, "%SETTINGS%", s.settings, "%SECURITY%", security).Replace(minimal)
	if s.main != "" {
		text = s.main
	}
	files := map[string]string{"TcUaServerConfig.xml": text, EdgeName: "<EdgeUa/>", UsersName: oneUser}
	if s.edge != "" {
		files[EdgeName] = s.edge
	}
	if s.users != "" {
		files[UsersName] = s.users
	}
	for name, content := range files {
		if content == "-" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, report := Load(options(filepath.Join(dir, "TcUaServerConfig.xml")))
	return cfg, short(report, dir)
}

// short writes the problems without the directory and the part of the path that is always the same.
func short(report *xmltree.Report, dir string) []string {
	var all []string
	for _, p := range report.Problems {
		text := strings.ReplaceAll(p.String(), dir+"/", "")
		text = strings.TrimPrefix(text, "TcUaServerConfig.xml:")
		all = append(all, strings.Replace(text, "OpcServerConfig/UaServerConfig/", "", 1))
	}
	return all
}

// expect loads and compares the problems exactly.
func (s setup) expect(t *testing.T, want ...string) *Config {
	t.Helper()
	cfg, got := s.load(t)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return cfg
}

func TestLoad_Minimal(t *testing.T) {
	cfg := setup{}.expect(t)
	if cfg == nil || len(cfg.Endpoints) != 1 {
		t.Fatal("refused")
	}
	ep := cfg.Endpoints[0]
	dir := filepath.Dir(cfg.Sources[0].Path)
	for _, tc := range [][2]string{
		{ep.URL, "opc.tcp://gw-7:4840"},
		{ep.ListenAddress, ":4840"},
		{ep.Trust.Certificates, filepath.Join(dir, "PKI/CA/trusted/certs")},
		{ep.Certificate.File, filepath.Join(dir, "PKI/CA/own/certs/gw.der")},
		{ep.Certificate.Settings.CommonName, "edgeua@gw-7"},
		{strings.Join(ep.Certificate.Settings.DNSNames, ","), "gw-7"},
		{cfg.Tokens.PolicyURI, basic256Sha256},
	} {
		if tc[0] != tc[1] {
			t.Errorf("got %q, want %q", tc[0], tc[1])
		}
	}
	if !ep.Visible || !ep.Discovery || ep.Trust.All || cfg.Tokens.Anonymous || !cfg.Tokens.UserName {
		t.Errorf("what is absent must be safe: %+v %+v", ep, cfg.Tokens)
	}
}
