package config

import (
	"strings"
	"testing"
)

// TestWriteElements_IsTheReference keeps docs/twincat-elements.md what the table says. Run with -update to write it.
func TestWriteElements_IsTheReference(t *testing.T) {
	var b strings.Builder
	if err := WriteElements(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/twincat-elements.md", b.String())
	if rows := strings.Count(b.String(), "\n| `"); rows != len(Elements()) {
		t.Errorf("%d rows for %d elements", rows, len(Elements()))
	}
}

// TestElements_AreExplained wants a reason wherever a value does not do what it says.
func TestElements_AreExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Elements() {
		reason := e.Note != "" || e.Kind == Block || e.Handling == Honour || e.Handling == Accept || strings.Contains(e.Path, "/WindowsStore/")
		if e.Meaning == "" || !reason || seen[e.Path] || (e.Kind == Word) != (len(e.Words) > 0) || strings.Contains(e.Meaning+e.Note, "|") {
			t.Errorf("%+v", e)
		}
		if e.Kind == Word && e.Absent != "" && !contains(e.Words, e.Absent) {
			t.Errorf("the default of %s is not one of its words", e.Path)
		}
		if _, ok := parseInteger(e.Absent); e.Kind == Integer && e.Absent != "" && !ok {
			t.Errorf("the default of %s does not parse", e.Path)
		}
		seen[e.Path] = true
	}
}

func TestExplain(t *testing.T) {
	for name, want := range map[string]string{
		"maxsessioncount":    "OpcServerConfig/UaServerConfig/MaxSessionCount\n  meaning        sessions of all clients; 0: no limit\n  value          whole number\n  if absent      20\n  TwinCAT ships  100\n  here           honoured\n",
		"ReverseConnect/Url": "address at which a client listens",
		"OpcServerConfig/UaServerConfig/UaEndpoint[2]/SecuritySetting[1]/SecurityPolicy": "OpcServerConfig/UaServerConfig/UaEndpoint/SecuritySetting/SecurityPolicy\n",
		"KeyLength": "OpcServerConfig/UaServerConfig/UaEndpoint/CertificateStore/CertificateSettings/KeyLength\n",
	} {
		var b strings.Builder
		if err := Explain(&b, name); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
	if err := Explain(&strings.Builder{}, "MaxSesionCount"); err == nil || !strings.Contains(err.Error(), "did you mean MaxSessionCount?") {
		t.Error(err)
	}
}
