package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLocation_IsFollowed has one case for each way of naming the main file.
func TestLocation_IsFollowed(t *testing.T) {
	for name, tc := range map[string]struct{ location, main, want string }{
		"directory":        {"", "moved", ""},
		"location":         {"moved", LocationName, ""},
		"in its place":     {"moved", MainName, ""},
		"in its directory": {".\\moved\\", ".", ""},
		"empty":            {" ", LocationName, "TcUaConfigLocation.xml:1: error: TcUaConfigLocation/Location: names no directory"},
		"drive":            {`C:\TwinCAT`, LocationName, "is a path of Windows"},
		"nowhere":          {"elsewhere", LocationName, `"elsewhere" is not a directory on this machine`},
		"itself":           {".", LocationName, "is not there"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "moved"), 0o755); err != nil {
			t.Fatal(err)
		}
		main := strings.NewReplacer("%SERVER%", "", "%ENDPOINT%", "", "%SETTINGS%", "", "%SECURITY%", encrypted).Replace(minimal)
		files := map[string]string{"moved/" + MainName: main, "moved/" + UsersName: oneUser, "moved/" + EdgeName: "<EdgeUa/>"}
		if tc.location != "" {
			files[LocationName] = "<TcUaConfigLocation><Location>" + tc.location + "</Location></TcUaConfigLocation>"
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, report := Load(options(filepath.Join(dir, tc.main)))
		got := strings.Join(short(report, dir), "\n")
		switch {
		case tc.want == "" && (cfg == nil || got != ""):
			t.Errorf("%s: %s", name, got)
		case tc.want == "" && cfg.Endpoints[0].Trust.Certificates != filepath.Join(dir, "moved/PKI/CA/trusted/certs"):
			t.Errorf("%s: paths start at %s", name, cfg.Endpoints[0].Trust.Certificates)
		case tc.want != "" && (cfg != nil || !strings.Contains(got, tc.want)):
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}
