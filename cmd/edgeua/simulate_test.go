package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const simulatedPlant = `<EdgeUa>
  <!-- kept -->
  <Channel> <Name>Line1</Name> <Type>ModbusTcp</Type> <Host>192.0.2.7</Host> </Channel>
  <Device> <Name>Meter</Name> <Channel>Line1</Channel> <Unit>7</Unit> <Addressing>protocol0</Addressing>
    <Group Name="Fast"> <Tag Name="Voltage" Address="i0" Type="Float32" EULow="220" EUHigh="240"/> </Group>
  </Device>
</EdgeUa>
`

// writeEdge writes an edgeua.xml and returns its path.
func writeEdge(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edgeua.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSimulate(t *testing.T) {
	file := writeEdge(t, simulatedPlant)
	out := filepath.Join(filepath.Dir(file), "sim.xml")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"simulate", "--edge", file, "--write", out, "--port", "0", "--duration", "1ms"}, &stdout, &stderr); code != exitOK {
		t.Fatal(code, stderr.String())
	}
	want := regexp.MustCompile(`^Line1: Modbus TCP at 127\.0\.0\.1:(\d+)
  unit 7 is Meter, 1 tags
written .*sim\.xml: edgeua serve --edge .*sim\.xml
$`)
	found := want.FindStringSubmatch(stdout.String())
	if found == nil {
		t.Fatal(stdout.String())
	}
	text, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(text), "<TcpPort>"+found[1]+"</TcpPort>") || !strings.Contains(string(text), "<!-- kept -->") {
		t.Error(string(text), err)
	}
}

func TestSimulate_Refusals(t *testing.T) {
	good := writeEdge(t, simulatedPlant)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		args string
		want string
	}{
		{"--edge " + good + " --write " + good, "is the file itself"},
		{"--edge " + good + " --listen example.com", `"example.com" is not an IP address`},
		{"--edge " + good + " --port -1", "is not from 0 to 65535"},
		{"--edge " + good + "x", "cannot be read"},
		{"--edge " + writeEdge(t, "<EdgeUa/>"), "has no Modbus channel"},
		{"--edge " + writeEdge(t, strings.Replace(simulatedPlant, `"i0"`, `"x0"`, 1)), "edgeua.xml:5: error:"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(ctx, append([]string{"simulate"}, strings.Fields(c.args)...), &stdout, &stderr); code != exitConfig || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: %d %s", c.args, code, stderr.String())
		}
	}
}
