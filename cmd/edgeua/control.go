package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgeua/edgeua/reverseconnect"
)

// The control socket is for who may read and write the gateway's files: it
// lies in a directory of mode 0700, has mode 0600, and asks for nothing else.
// A request and its answer are one line each:
//
//	dial opc.tcp://127.0.0.1:48061
//	ok opc.tcp://127.0.0.1:48061 is called now
//
// An answer that begins with error says why not.
const (
	controlName    = "control.sock"
	controlTimeout = 5 * time.Second
	maxControlLine = 8 << 10 // bytes of a request or an answer
)

func controlPath(stateDir string) string { return filepath.Join(stateDir, controlName) }

// bindControl opens the control socket. One that a gateway has left behind is
// replaced, one behind which a gateway answers is not.
func bindControl(ctx context.Context, stateDir string) (net.Listener, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(stateDir, 0o700); err != nil {
		return nil, err
	}
	path := controlPath(stateDir)
	var d net.Dialer
	if nc, err := d.DialContext(ctx, "unix", path); err == nil {
		nc.Close()
		return nil, fmt.Errorf("another gateway runs with %s", stateDir)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s is not a socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// serveControl answers on the control socket, one caller at a time, until ctx ends.
func (g *gateway) serveControl(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			g.log.Warn("control socket", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		nc.SetDeadline(time.Now().Add(controlTimeout))
		hurry := context.AfterFunc(ctx, func() { nc.Close() })
		if line, err := readLine(nc); err == nil {
			fmt.Fprintln(nc, g.obey(line))
		}
		hurry()
		nc.Close()
	}
}

// readLine reads a line of bounded length.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxControlLine)).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// obey carries out one request and returns the answer.
func (g *gateway) obey(line string) string {
	command, argument, _ := strings.Cut(line, " ")
	if command != "dial" {
		return fmt.Sprintf("error %.20q is not a request", command)
	}
	g.log.Info("reverse connect asked for", "url", argument, "user", "control socket")
	var known []string
	for _, s := range g.callers.manager.Snapshot() {
		known = append(known, s.URL)
		if s.URL != strings.TrimPrefix(argument, "rcp+") {
			continue
		}
		switch {
		case g.callers.manager.ConnectNow(s.URL):
			return fmt.Sprintf("ok %s is called now", s.URL)
		case s.State == reverseconnect.Disabled:
			return fmt.Sprintf("error %s is disabled", s.URL)
		}
		return fmt.Sprintf("ok %s is not waiting: %s since %s", s.URL, s.State, s.StateSince.UTC().Format(time.RFC3339))
	}
	if len(known) == 0 {
		return "error there are no clients"
	}
	answer := fmt.Sprintf("error %.100q is not a client; there are %s", argument, strings.Join(known, ", "))
	return strings.ToValidUTF8(answer[:min(len(answer), maxControlLine-1)], "")
}
