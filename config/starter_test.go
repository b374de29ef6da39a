package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// TestStarter_IsSecureAndWithoutFault loads what a new gateway starts from.
func TestStarter_IsSecureAndWithoutFault(t *testing.T) {
	dir := t.TempDir()
	s := Starter{URL: "opc.tcp://[NodeName]:4840", Addresses: []string{"192.0.2.3", "2001:db8::3"}, Clients: []string{"opc.tcp://c.example.net:48060"},
		User: `a"<&b`, PasswordHash: hash(t, "x")}
	files, err := s.Files()
	if err != nil || len(files) != 3 {
		t.Fatal(err, files)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, report := Load(options(dir))
	if cfg == nil || len(report.Problems) > 0 {
		t.Fatalf("%v", short(report, dir))
	}
	ep := cfg.Endpoints[0]
	for _, setting := range ep.Security {
		if setting.PolicyURI == ua.SecurityPolicyURINone || len(setting.Modes) != 1 || setting.Modes[0] != ua.MessageSecurityModeSignAndEncrypt {
			t.Errorf("%+v", setting)
		}
	}
	if cfg.Tokens.Anonymous || ep.Trust.All || ep.Overwrites != (Overwrites{}) || len(ep.ReverseClients) != 1 || len(ep.Certificate.Settings.IPAddresses) != 2 {
		t.Errorf("%+v", cfg)
	}
	if got := cfg.Rights(`a"<&b`, cfg.Application.DevicesURI()); got != 0x10F {
		t.Errorf("the first user may %s", got)
	}
	if got := cfg.Rights(`a"<&b`, cfg.Application.URI); got != 0x10B {
		t.Errorf("the first user may %s with the server", got)
	}
}
