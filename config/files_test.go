package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	elsewhere := filepath.Join(dir, "elsewhere")
	at := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		slices.Sort(names)
		return names
	}
	for name, tt := range map[string]struct {
		opts Options
		want []string
	}{
		"beside": {Options{Main: filepath.Join(dir, MainName)}, at(MainName, LocationName, EdgeName, UsersName)},
		"named":  {Options{Main: filepath.Join(dir, MainName), Edge: at("e.xml")[0], Users: at("u.xml")[0]}, at(MainName, LocationName, "e.xml", "u.xml")},
	} {
		if got := Files(tt.opts); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, LocationName), []byte("<TcUaConfigLocation><Location>elsewhere</Location></TcUaConfigLocation>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Files(Options{Main: filepath.Join(dir, MainName)}); !slices.Equal(got, at(MainName, LocationName, "elsewhere/"+MainName, "elsewhere/"+EdgeName, "elsewhere/"+UsersName)) {
		t.Errorf("followed: %v", got)
	}
}
