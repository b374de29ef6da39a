package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
)

// TestJournal_Follow changes levels and file as reloads do; the lines of loggers derived before go along.
func TestJournal_Follow(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) config.LogFile {
		return config.LogFile{Path: filepath.Join(dir, name), MaxEntries: 100, MaxBackups: 1}
	}
	var said bytes.Buffer
	j, err := (&logFlags{format: "text"}).journal(&said)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	part := j.With("part", "driver")
	for _, step := range []struct {
		cfg       config.Config
		text      string
		kept, not string // files
	}{
		{config.Config{LogLevel: slog.LevelError}, "no file", "", "a"},
		{config.Config{LogLevel: slog.LevelInfo, LogFile: file("a")}, "in a", "a", "b"},
		{config.Config{LogLevel: slog.LevelError, LogFile: file("a")}, "no error", "", "a"},
		{config.Config{LogLevel: slog.LevelDebug, LogFile: file("b")}, "in b", "b", "a"},
		{config.Config{LogLevel: slog.LevelDebug, LogFile: file("b/below")}, "b is no directory", "", "b"},
		{config.Config{LogLevel: slog.LevelInfo}, "off", "", "b"},
	} {
		j.follow(&step.cfg)
		said.Reset()
		part.Info(step.text)
		if !strings.Contains(said.String(), step.text) {
			t.Errorf("%s: said %q", step.text, said.String())
		}
		for name, want := range map[string]bool{step.kept: true, step.not: false} {
			data, _ := os.ReadFile(filepath.Join(dir, name)) // it need not exist
			if name != "" && strings.Contains(string(data), step.text) != want {
				t.Errorf("%s: file %s has %q", step.text, name, data)
			}
		}
	}
}

// TestJournal_NamedLevel keeps what the command line says.
func TestJournal_NamedLevel(t *testing.T) {
	var said bytes.Buffer
	j, err := (&logFlags{level: "error", format: "json"}).journal(&said)
	if err != nil {
		t.Fatal(err)
	}
	j.follow(&config.Config{LogLevel: slog.LevelDebug})
	j.Warn("quiet")
	if j.Error("loud"); strings.Contains(said.String(), "quiet") || !strings.Contains(said.String(), `"msg":"loud"`) {
		t.Error(said.String())
	}
}
