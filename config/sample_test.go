package config

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
)

// sample copies the shipped files to a place of their own, where users of the working tree do not interfere.
func sample(t *testing.T, users string) (Options, string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"TcUaServerConfig.xml", EdgeName} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if users != "" {
		if err := os.WriteFile(filepath.Join(dir, UsersName), []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts := options(filepath.Join(dir, "TcUaServerConfig.xml"))
	opts.Kinds = []drivers.Kind{modbus.TCP(), modbus.RTU()}
	return opts, dir
}

// TestSample_IsSecureAndLocal loads the shipped files: nothing to find fault with, nothing open, nobody else's address.
func TestSample_IsSecureAndLocal(t *testing.T) {
	opts, dir := sample(t, oneUser)
	cfg, report := Load(opts)
	if cfg == nil || len(report.Problems) > 0 {
		t.Fatalf("%v", short(report, dir))
	}
	if cfg.Tokens.Anonymous || !cfg.Tokens.UserName || len(cfg.Channels) != 1 || len(cfg.Endpoints) != 1 {
		t.Errorf("%+v", cfg)
	}
	ep := cfg.Endpoints[0]
	for _, s := range ep.Security {
		if s.PolicyURI == ua.SecurityPolicyURINone {
			t.Error("None must not be in the sample")
		}
	}
	if ep.Trust.All || ep.Overwrites != (Overwrites{}) || ep.Certificate.Settings.KeyBits != 2048 {
		t.Errorf("%+v", ep)
	}
	addresses := []string{ep.ListenAddress}
	for _, c := range ep.ReverseClients {
		addresses = append(addresses, c.Address)
	}
	for _, a := range addresses {
		if host, _, _ := net.SplitHostPort(a); !net.ParseIP(host).IsLoopback() {
			t.Errorf("%s is not a loopback address", a)
		}
	}
	if len(addresses) != 2 {
		t.Errorf("addresses %v", addresses)
	}
}

// TestSample_WithoutUsers says the one thing that is left to do.
func TestSample_WithoutUsers(t *testing.T) {
	opts, dir := sample(t, "")
	_, report := Load(opts)
	if got := short(report, dir); len(got) != 1 || !strings.HasSuffix(got[0], "nobody can open a session: there is no TcUaSecurityConfig.xml; "+usersRemedy) {
		t.Error(got)
	}
}
