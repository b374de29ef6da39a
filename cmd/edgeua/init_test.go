package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/pki"
)

// initialise runs init with a password on its standard input.
func initialise(t *testing.T, f initFlags, password string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	f.program = "edgeua"
	err := f.init(strings.NewReader(password), &out, &out)
	return out.String(), err
}

func TestInit_WritesWhatCheckAccepts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	out, err := initialise(t, initFlags{dir: dir, port: 4850, user: "operator", clients: []string{"opc.tcp://192.0.2.9:48060"}}, "secret\n")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "Nobody can log in") {
		t.Errorf("output: %s", out)
	}
	edgeua(t, "check", "--config", dir).want(t, exitOK, ":4850", "announces", "operator", "0 errors, 0 warnings")
	edgeua(t, "users", "can", "operator", "ns=2;i=1", "--config", dir).want(t, exitOK, "write values and call")
	edgeua(t, "certs", "show", "--config", dir).want(t, exitOK, `subject      "CN=edgeua@`, ",DC=")
	info, err := os.Stat(filepath.Join(dir, "TcUaSecurityConfig.xml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if own, err := pki.Read(pki.Locations{Certificate: dir + "/PKI/CA/own/certs/edgeua.der", PrivateKey: dir + "/PKI/CA/own/private/edgeua.pem"}); own == nil || err != nil {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := initialise(t, initFlags{dir: dir, port: 4840}, ""); err == nil || !strings.Contains(err.Error(), "exists already and is not overwritten") {
		t.Errorf("second time: %v", err)
	}
}

// TestInit_WhatItPrintsWorks runs the commands exactly as they are printed, on a machine where nothing else is.
func TestInit_WhatItPrintsWorks(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "gateway 'one'; 100%")
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	out, err := initialise(t, initFlags{dir: dir, port: uint16(number)}, "")
	if err != nil {
		t.Fatal(err)
	}
	var commands [][]string
	for line := range strings.Lines(out) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			commands = append(commands, shellWords(t, command))
		}
	}
	if len(commands) != 3 || !strings.Contains(out, "Nobody can log in yet: a user is missing in "+dir) {
		t.Fatalf("%q in\n%s", commands, out)
	}
	for i, want := range []string{"0 errors, 1 warnings", "", "own "} {
		if commands[i][0] != "edgeua" {
			t.Errorf("%q", commands[i])
		}
		if want != "" {
			edgeua(t, commands[i][1:]...).want(t, exitOK, want)
			continue
		}
		ctx, stop := context.WithCancel(t.Context())
		log := &watched{}
		served := make(chan int, 1)
		go func() { served <- run(ctx, commands[i][1:], io.Discard, log) }()
		log.wait(t, "server running")
		stop()
		if code := <-served; code != exitOK {
			t.Errorf("serve ended with %d", code)
		}
	}
}

// shellWords has a shell take a command apart.
func shellWords(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `printf '%s\n' `+command).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestInit_LeavesNothingHalfDone(t *testing.T) {
	for name, tc := range map[string]struct {
		flags    initFlags
		password string
		want     string
	}{
		"client":   {initFlags{port: 4840, clients: []string{"http://x"}}, "", "the configuration has errors"},
		"password": {initFlags{port: 4840, user: "op"}, "\n", "the password is empty"},
	} {
		tc.flags.dir = t.TempDir()
		if _, err := initialise(t, tc.flags, tc.password); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := os.ReadDir(tc.flags.dir); err != nil || len(all) > 0 {
			t.Errorf("%s left %v", name, all)
		}
	}
	dir := t.TempDir()
	write(t, dir+"/edgeua.xml", []byte("mine"))
	if _, err := initialise(t, initFlags{dir: dir, port: 4840}, ""); err == nil {
		t.Error("wrote around a file that exists")
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left %v", all)
	}
}
