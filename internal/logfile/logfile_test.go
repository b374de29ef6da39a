package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func say(t *testing.T, f *File, words ...string) {
	t.Helper()
	for _, w := range words {
		if _, err := f.Write([]byte(w + "\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// holds lists the files of a directory with their content.
func holds(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+"="+strings.ReplaceAll(string(data), "\n", ""))
	}
	return strings.Join(all, " ")
}

func TestFile_TurnsAfterMaxEntries(t *testing.T) {
	for _, tc := range []struct {
		backups int
		want    string
	}{{0, "log=g"}, {1, "log=g log.1=def"}, {2, "log=g log.1=def log.2=abc"}, {5, "log=g log.1=def log.2=abc"}} {
		dir := filepath.Join(t.TempDir(), "made")
		f, err := Open(filepath.Join(dir, "log"), Options{MaxEntries: 3, MaxBackups: tc.backups})
		if err != nil {
			t.Fatal(err)
		}
		say(t, f, strings.Split("abcdefg", "")...)
		if err := f.Close(); err != nil || holds(t, dir) != tc.want {
			t.Errorf("%d backups: %s, %v", tc.backups, holds(t, dir), err)
		}
	}
}

// TestOpen_GoesOn counts the lines of the last run, too, also very long ones.
func TestOpen_GoesOn(t *testing.T) {
	dir := t.TempDir()
	path, long := filepath.Join(dir, "log"), strings.Repeat("x", 10_000)
	for _, word := range []string{"a", long, "c", "d"} {
		f, err := Open(path, Options{MaxEntries: 3, MaxBackups: 1})
		if err != nil {
			t.Fatal(err)
		}
		say(t, f, word)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := holds(t, dir); got != "log=d log.1=a"+long+"c" {
		t.Error(got)
	}
}

func TestOpen_Unusable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":         "it is not a regular file",
		"file/log": "not a directory (its directory must be writable)",
	} {
		path := filepath.Join(dir, name)
		if _, err := Open(path, Options{MaxEntries: 1}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWrite_AfterTrouble keeps writing when the older files cannot be moved.
func TestWrite_AfterTrouble(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "log.1", "full"), 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(dir, "log"), Options{MaxEntries: 1, MaxBackups: 1})
	if err != nil {
		t.Fatal(err)
	}
	say(t, f, "a", "b", "c")
	data, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || string(data) != "a\nb\nc\n" {
		t.Errorf("%q, %v", data, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrite_ManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(filepath.Join(dir, "log"), Options{MaxEntries: 10, MaxBackups: 60})
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for i := range 10 {
		writers.Go(func() {
			for j := range 50 {
				say(t, f, fmt.Sprint(i*50+j))
			}
		})
	}
	writers.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 50 {
		t.Errorf("%d files", len(entries))
	}
}
