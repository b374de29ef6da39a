//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// build compiles the stripped binary for one GOARCH and returns its path.
func build(ctx context.Context, dir, goarch, goarm string) (string, error) {
	path := filepath.Join(dir, "edgeua-"+goarch+goarm)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", path, "./cmd/edgeua")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOARM="+goarm)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s%s: %w\n%s", goarch, goarm, err, out)
	}
	return path, nil
}

// process is a child whose output is watched for the line that says it is up.
type process struct {
	cmd  *exec.Cmd
	line string
}

// start runs a command and waits for the first line of its output that contains
// ready.
func start(ctx context.Context, ready, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	found := make(chan string, 1)
	go watch(out, ready, found)
	select {
	case line, ok := <-found:
		if ok {
			p.line = line
			return p, nil
		}
		p.stop()
		return nil, fmt.Errorf("%s ended before it was ready", filepath.Base(name))
	case <-time.After(30 * time.Second):
		p.stop()
		return nil, fmt.Errorf("%s was not ready within 30 s", filepath.Base(name))
	}
}

// watch passes on the line that says ready, and reads the rest so that the
// child never blocks on a full pipe.
func watch(out io.Reader, ready string, found chan<- string) {
	defer close(found)
	var heard []string
	lines := bufio.NewScanner(out)
	said := false
	for lines.Scan() {
		if !said && strings.Contains(lines.Text(), ready) {
			found <- lines.Text()
			said = true
		}
		if !said {
			heard = append(heard, lines.Text())
		}
	}
	if !said {
		fmt.Fprintln(os.Stderr, strings.Join(heard, "\n"))
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu is the processor time that the threads of the process have used.
func (p *process) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("no schedstat for process %d: %w", p.cmd.Process.Pid, err)
	}
	var sum time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// rss is the resident memory of the process in KiB.
func (p *process) rss() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(kib)[0])
		}
	}
	return 0, fmt.Errorf("no VmRSS for process %d", p.cmd.Process.Pid)
}
