package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/fieldsim"
)

var updateDocs = flag.Bool("update", false, "write what the examples of the documentation print into it")

// The place of the examples; the test runs elsewhere.
const examplePlace = "127.0.0.1:1502"

// serveEdge serves the devices of a file and returns where the first channel answers.
func serveEdge(t *testing.T, text string) string {
	t.Helper()
	channels, report := config.LoadChannels(writeEdge(t, text), driverKinds())
	if report.HasErrors() {
		t.Fatal(report.Problems)
	}
	stands, _, err := fieldsim.Open(t.Context(), channels, fieldsim.Options{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fieldsim.Serve(ctx, stands) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return stands[0].Where()
}

// modbusCommand runs edgeua modbus and returns all that a person sees but for the progress.
func modbusCommand(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"modbus"}, args...), &stdout, &stderr)
	text := regexp.MustCompile(`(?m)^ *\d+ %  .*\n`).ReplaceAllString(stderr.String(), "")
	return stdout.String() + text, code
}

// TestDocs_Commissioning runs the examples of docs/commissioning.md in their order and compares what they print.
// go test ./cmd/edgeua -run Docs_Commissioning -update writes it.
func TestDocs_Commissioning(t *testing.T) {
	const file = "../../docs/commissioning.md"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```(xml|console)\n(.*?)```")
	place := ""
	fresh := block.ReplaceAllStringFunc(string(old), func(b string) string {
		part := block.FindStringSubmatch(b)
		if part[1] == "xml" {
			place = serveEdge(t, part[2])
			return b
		}
		var out strings.Builder
		for line := range strings.Lines(part[2]) {
			args, is := strings.CutPrefix(line, "$ edgeua modbus ")
			if !is {
				continue
			}
			words := strings.Fields(strings.ReplaceAll(args, examplePlace, place))
			if words[0] == "scan" { // a busy machine must not hide a unit
				words = append(words, "--silence", "30s", "--gap", "0s")
			}
			text, _ := modbusCommand(t, append(words, "--timeout", "30s")...)
			text = strings.ReplaceAll(text, place, examplePlace)
			out.WriteString(line + regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, ""))
		}
		return "```console\n" + out.String() + "```"
	})
	if fresh == string(old) {
		return
	}
	if !*updateDocs {
		t.Errorf("%s is not what edgeua prints; run with -update and look at the difference. It prints\n%s", file, fresh)
		return
	}
	if err := os.WriteFile(file, []byte(fresh), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestModbus_Refusals(t *testing.T) {
	edge := writeEdge(t, simulatedPlant)
	for args, want := range map[string]string{
		"read 192.0.2.7 40001":                      "40001 alone does not say which register is meant",
		"read 192.0.2.7 h0 --type Flaot32":          "did you mean Float32",
		"read 192.0.2.7 h0 --baud 9600":             "is a host; rate, parity and bits belong to a serial port",
		"read /dev/ttyNone h0 --udp":                "is a serial port",
		"read Line2 h0 --edge " + edge:              `there is no channel "Line2"`,
		"read Line1 h0 --baud 9600 --edge " + edge:  "with --edge the file says how",
		"read Line1 h0 --edge " + edge + "x":        "cannot be read",
		"write 192.0.2.7 i0 1 --type Int16":         "can only be read",
		"write 192.0.2.7 h0 1":                      "what stands at h0? say it with --type",
		"write 192.0.2.7 h0 --unit -5 7":            `invalid argument "-5" for "--unit" flag: a unit is a number from 0 to 255`,
		"write 192.0.2.7 h0 --type Int16 -- -99999": `"-99999" is not a whole number that fits into 16 bits`,
		"scan 192.0.2.7 --units 0-300":              "units: ",
		"scan 192.0.2.7 --registers 9-1":            "registers: ",
		"scan 192.0.2.7 --areas xyz":                "areas: ",
		"identify":                                  "accepts 1 arg",
	} {
		if text, code := modbusCommand(t, strings.Fields(args)...); code != exitConfig || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", args, code, text)
		}
	}
}

// A negative value is a value wherever it stands, and no flag.
func TestModbusWrite_Negative(t *testing.T) {
	place := serveEdge(t, strings.Replace(simulatedPlant, `Address="i0" Type="Float32" EULow="220" EUHigh="240"`, `Address="h0" Type="Float32" Access="ReadWrite"`, 1))
	for args, want := range map[string]string{
		"h0 -5 --type Float32 --unit 7":               "written -5, is -5",
		"h0 -6.5 --udp=false --unit 7 --type Float32": "written -6.5, is -6.5",
		"--unit 7 --type Float32 h0 -.25":             "written -0.25, is -0.25",
		"--unit 7 --type Float32 h0 -- -1e3":          "written -1000, is -1000",
	} {
		text, code := modbusCommand(t, append([]string{"write", place, "--timeout", "30s"}, strings.Fields(args)...)...)
		if code != exitOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", args, code, text)
		}
	}
}

// What was not confirmed is not said to be written; where it is not known, that is said.
func TestModbusWrite_NotConfirmed(t *testing.T) {
	place := serveEdge(t, simulatedPlant)
	if text, code := modbusCommand(t, "write", place, "h0", "1", "--type", "Int16", "--unit", "7"); code != exitFailure ||
		strings.Contains(text, "written") || !strings.Contains(text, "illegal data address") || strings.Contains(text, "carried out") {
		t.Error(code, text)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if text, code := modbusCommand(t, "write", silent.Addr().String(), "h0", "1", "--type", "Int16", "--timeout", "50ms"); code != exitFailure ||
		strings.Contains(text, "written") || !strings.Contains(text, "the write was sent, and may have been carried out") {
		t.Error(code, text)
	}
	if text, code := modbusCommand(t, "write", "./ttyNone", "h0", "1", "--type", "Int16"); code != exitFailure ||
		!strings.Contains(text, "no such file") || strings.Contains(text, "carried out") {
		t.Error(code, text)
	}
}

// Proposals go into files that the gateway takes, one for each unit, or to the standard output alone.
func TestModbusScan_Files(t *testing.T) {
	second := strings.NewReplacer("Name>Meter", "Name>Other", "<Unit>7", "<Unit>9").Replace(simulatedPlant)
	second = second[strings.Index(second, "  <Device>"):]
	place := serveEdge(t, strings.Replace(simulatedPlant, "</EdgeUa>\n", second, 1))
	dir := t.TempDir()
	csv, xml := filepath.Join(dir, "tags.csv"), filepath.Join(dir, "edgeua.xml")
	scan := []string{"scan", place, "--units", "7-9", "--areas", "i", "--registers", "0-3", "--silence", "30s", "--gap", "0s"}
	if text, code := modbusCommand(t, append(scan, "--csv", csv, "--xml", xml)...); code != exitOK || !strings.Contains(text, "2 of 3 units answered") {
		t.Fatal(text, code)
	}
	for _, unit := range []int{7, 9} {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("tags-%d.csv", unit)))
		if err != nil || !strings.Contains(string(text), "\ni0,i0,,Float32,") {
			t.Error(string(text), err)
		}
	}
	if channels, report := config.LoadChannels(xml, driverKinds()); len(report.Problems) > 0 || len(channels[0].Devices()) != 2 {
		t.Error(report.Problems)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"modbus"}, append(scan, "--xml", "-")...), &stdout, &stderr); code != exitOK ||
		!strings.HasPrefix(stdout.String(), "<EdgeUa>") || !strings.Contains(stderr.String(), "units answered") {
		t.Error(stdout.String(), stderr.String())
	}
	if text, code := modbusCommand(t, "scan", place, "--units", "1-3", "--registers", "0"); code != exitFailure || !strings.Contains(text, "nobody answers at") {
		t.Error(text, code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stdout.Reset()
	if code := run(ctx, append([]string{"modbus"}, scan...), &stdout, &stderr); code == exitOK {
		t.Error("a scan that was interrupted before it began found something: ", stdout.String())
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b)
	for i := range 101 {
		p.show(i, 100, fmt.Sprint("step ", i))
	}
	p.show(1, 0, "nothing to do")
	p.end()
	if lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"); len(lines) != 11 || lines[1] != " 10 %  step 10" {
		t.Errorf("%q", lines)
	}
	b.Reset()
	p.terminal = true
	p.show(15, 60, "step 15")
	p.end()
	if want := "\r\x1b[2K[#######.......................]  25 %  step 15\r\x1b[2K"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}
