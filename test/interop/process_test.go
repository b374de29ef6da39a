//go:build interop

package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// edgeua is the binary that all tests run, built once.
var edgeua string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "edgeua-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	edgeua = filepath.Join(dir, "edgeua")
	build := exec.Command("go", "build", "-o", edgeua, "github.com/edgeua/edgeua/cmd/edgeua")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "edgeua does not build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a child whose output is kept and can be waited for.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended

	mu     sync.Mutex
	lines  []string
	grown  chan struct{} // closed and replaced with every line
	result error
}

// start runs a program until the end of the test. A program that is not installed fails the test.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: .ci/run installs what these tests need", err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), done: make(chan struct{}), grown: make(chan struct{})}
	// A group of its own, so that no grandchild survives the test.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(out) })
	go func() {
		err := p.cmd.Wait()
		in.Close()
		reading.Wait()
		p.mu.Lock()
		p.result = err
		p.mu.Unlock()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s %s:\n%s", filepath.Base(name), strings.Join(args, " "), p.tail(60))
		}
	})
	return p
}

func (p *process) read(out io.Reader) {
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

// mark is a place in the output: what came before it does not count any more.
func (p *process) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// wait returns the first line after the mark that fits, or fails the test.
func (p *process) wait(what string, mark int, within time.Duration, fits func(line string) bool) string {
	p.t.Helper()
	limit := time.After(within)
	for {
		p.mu.Lock()
		for ; mark < len(p.lines); mark++ {
			if fits(p.lines[mark]) {
				p.mu.Unlock()
				return p.lines[mark]
			}
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-p.done:
			if p.mark() == mark {
				p.t.Fatalf("%s ended (%v) before %s", filepath.Base(p.cmd.Path), p.ended(), what)
			}
		case <-limit:
			p.t.Fatalf("no %s within %v", what, within)
		}
	}
}

func (p *process) waitText(text string, within time.Duration) string {
	p.t.Helper()
	return p.wait(fmt.Sprintf("line with %q", text), 0, within, func(line string) bool { return strings.Contains(line, text) })
}

func (p *process) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result
}

// kill ends the process at once, as a power loss would.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended already
	<-p.done
}

// stop asks the process to end and wants a clean exit in time.
func (p *process) stop(within time.Duration) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("SIGTERM: %v", err)
	}
	select {
	case <-p.done:
		if err := p.ended(); err != nil {
			p.t.Errorf("%s after SIGTERM: %v", filepath.Base(p.cmd.Path), err)
		}
	case <-time.After(within):
		p.t.Errorf("%s still runs %v after SIGTERM", filepath.Base(p.cmd.Path), within)
	}
}

// run runs a program to its end and returns its output.
func run(t *testing.T, within time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("%v: .ci/run installs what these tests need", err)
		}
		t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.String())
	}
	return string(out)
}

// freePort is a TCP port of the loopback interface that nobody used a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually tries until it works or the time is over.
func eventually(t *testing.T, what string, within time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(50 * time.Millisecond) // another process cannot tell us
	}
}
