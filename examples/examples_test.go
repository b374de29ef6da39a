// Package examples runs the examples.
package examples

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The embedded server calls the listener, which reads its time.
func TestExamples(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", dir, "./listener", "./embedded").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listener := exec.CommandContext(ctx, filepath.Join(dir, "listener"), "opc.tcp://127.0.0.1:0")
	out, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	addr, found := strings.CutPrefix(lines.Text(), "listening on ")
	if !found {
		t.Fatalf("listener says %q", lines.Text())
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	embedded := exec.CommandContext(running, filepath.Join(dir, "embedded"), "opc.tcp://"+addr)
	if err := embedded.Start(); err != nil {
		t.Fatal(err)
	}
	var heard strings.Builder
	for lines.Scan() {
		heard.WriteString(lines.Text() + "\n")
	}
	if err := listener.Wait(); err != nil {
		t.Errorf("listener: %v", err)
	}
	for _, want := range []string{`"urn:example:embedded" calls from 127.0.0.1:`, "its time is 20"} {
		if !strings.Contains(heard.String(), want) {
			t.Errorf("listener says %q, want %q", heard.String(), want)
		}
	}
	stop()
	_ = embedded.Wait() // killed
}
