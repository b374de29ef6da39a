package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/internal/pki"
)

// initialise runs init with a password on its standard input.
func initialise(t *testing.T, f initFlags, password string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := f.init(strings.NewReader(password), &out, &out)
	return out.String(), err
}

func TestInit_WritesWhatCheckAccepts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	out, err := initialise(t, initFlags{dir: dir, port: 4850, user: "operator", clients: []string{"opc.tcp://192.0.2.9:48060"}}, "secret\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"edgeua check --config " + dir, "edgeua serve --config " + dir, "edgeua certs list --config " + dir} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	edgeua(t, "check", "--config", dir).want(t, exitOK, ":4850", "announces", "operator", "0 errors, 0 warnings")
	edgeua(t, "users", "can", "operator", "ns=2;i=1", "--config", dir).want(t, exitOK, "write values and call")
	info, err := os.Stat(filepath.Join(dir, "TcUaSecurityConfig.xml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if own, err := pki.Read(pki.Locations{Certificate: dir + "/PKI/CA/own/certs/edgeua.der", PrivateKey: dir + "/PKI/CA/own/private/edgeua.pem"}); own == nil || err != nil {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := initialise(t, initFlags{dir: dir, port: 4840}, ""); err == nil || !strings.Contains(err.Error(), "exists already and is not overwritten") {
		t.Errorf("second time: %v", err)
	}
}

func TestInit_LeavesNothingHalfDone(t *testing.T) {
	for name, tc := range map[string]struct {
		flags    initFlags
		password string
		want     string
	}{
		"client":   {initFlags{port: 4840, clients: []string{"http://x"}}, "", "the configuration has errors"},
		"password": {initFlags{port: 4840, user: "op"}, "\n", "the password is empty"},
	} {
		tc.flags.dir = t.TempDir()
		if _, err := initialise(t, tc.flags, tc.password); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := os.ReadDir(tc.flags.dir); err != nil || len(all) > 0 {
			t.Errorf("%s left %v", name, all)
		}
	}
	dir := t.TempDir()
	write(t, dir+"/edgeua.xml", []byte("mine"))
	if _, err := initialise(t, initFlags{dir: dir, port: 4840}, ""); err == nil {
		t.Error("wrote around a file that exists")
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left %v", all)
	}
}
