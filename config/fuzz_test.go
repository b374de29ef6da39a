package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad feeds the three files: whatever stands in them, Load ends without a panic, and a Config it returns is whole.
func FuzzLoad(f *testing.F) {
	edge := `<EdgeUa><ReverseConnect MaxSockets="1"><Defaults KeepAlive="2000"/><Client Url="opc.tcp://127.0.0.1:48060"/></ReverseConnect><Listeners Enabled="0"/>
<Conversions><Conversion Name="a" Scale="0.1"/></Conversions><Channel><Name>C</Name><Type>Test</Type></Channel><Device Name="D" Channel="C"><Tag Name="T"/></Device></EdgeUa>`
	for _, dir := range []string{"plant", "full", "legacy"} {
		main, err := os.ReadFile(filepath.Join("testdata", dir, "TcUaServerConfig.xml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(main, []byte(edge), []byte(oneUser))
	}
	users, err := os.ReadFile("testdata/plant/TcUaSecurityConfig.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(plain()), []byte(edge), users)
	f.Fuzz(func(t *testing.T, main, edge, users []byte) {
		files := map[string]string{"TcUaServerConfig.xml": string(main), EdgeName: string(edge), UsersName: string(users)}
		cfg, report := load(options("TcUaServerConfig.xml"), memory(files))
		if cfg == nil {
			if !report.HasErrors() {
				t.Fatal("refused without an error")
			}
			return
		}
		whole(t, cfg)
	})
}

// whole checks what everybody who uses a Config relies on.
func whole(t *testing.T, c *Config) {
	if len(c.Endpoints) == 0 || c.Application.URI == "" || c.Tokens.PolicyURI == "" || c.Limits.MaxSessions < 1 || c.Limits.MaxMessageSize < 8192 {
		t.Fatalf("%+v", c)
	}
	for _, ep := range c.Endpoints {
		if _, err := parseAddress(ep.URL); err != nil || len(ep.Security) == 0 || !filepath.IsAbs(ep.Certificate.File) || !filepath.IsAbs(ep.Certificate.KeyFile) {
			t.Fatalf("%+v: %v", ep, err)
		}
		for _, r := range ep.ReverseClients {
			if _, err := parseAddress(r.URL); err != nil || r.Address == "" || r.Tuning.BackoffMax < r.Tuning.BackoffMin {
				t.Fatalf("%+v: %v", r, err)
			}
		}
	}
}
