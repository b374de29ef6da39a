package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadChannels(t *testing.T) {
	file := filepath.Join(t.TempDir(), EdgeName)
	for text, message := range map[string]string{
		`<EdgeUa><ReverseConnect><Client Url="opc.tcp://unknown.example:1"/></ReverseConnect>
			<Channel Name="A" Type="Test"/><Device Name="D" Channel="A"/></EdgeUa>`: "",
		`<EdgeUa><Channel Name="A" Type="Tset"/></EdgeUa>`: ":1: error: EdgeUa/Channel[A]/Type: \"Tset\" is not one of Test",
		`<Other/>`:  "the root element of this file must be <EdgeUa>",
		`<EdgeUa>`:  "error",
		"not there": "cannot be read",
	} {
		if text == "not there" {
			file += "2"
		} else if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		channels, report := LoadChannels(file, testKinds())
		var b strings.Builder
		if _, err := report.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if message == "" && (report.HasErrors() || len(channels) != 1) || message != "" && channels != nil || !strings.Contains(b.String(), message) {
			t.Errorf("%s: %d channels, %s", text, len(channels), b.String())
		}
	}
}
