package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/edgeua/edgeua/config"
)

// inOwnMounts is set in the process that TestReadOnlyDisk starts.
const inOwnMounts = "EDGEUA_TEST_IN_OWN_MOUNTS"

// TestReadOnlyDisk runs itself in a mount namespace of its own, where a file system can become read-only, which stops
// root as well.
func TestReadOnlyDisk(t *testing.T) {
	if os.Getenv(inOwnMounts) != "" {
		t.Run("first start", readOnlyFirstStart)
		t.Run("later start", readOnlyLaterStart)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReadOnlyDisk$", "-test.v")
	cmd.Env = append(os.Environ(), inOwnMounts+"=1")
	self := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	group := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER, UidMappings: self, GidMappings: group}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestReadOnlyDisk/") != 2 {
		t.Errorf("%v: this needs user namespaces\n%s", err, out)
	}
}

// readOnly makes a disk, lets fill write to it, and then nobody.
func readOnly(t *testing.T, fill func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	fill(dir)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err == nil {
		t.Fatal("the disk can be written")
	}
	return dir
}

// readOnlyFirstStart has no certificate yet, and nowhere to put one.
func readOnlyFirstStart(t *testing.T) {
	main := stageFile()
	main.Set(endpointPath+"CertificateStore/GenerateCertificate", "true")
	dir := readOnly(t, func(dir string) {
		write(t, filepath.Join(dir, config.MainName), []byte(main.String()))
		write(t, filepath.Join(dir, config.UsersName), []byte(stageUsers))
		write(t, filepath.Join(dir, config.EdgeName), []byte(deaf))
	})
	before := tree(t, dir)
	edgeua(t, "serve", "--config", dir).want(t, exitConfig, filepath.Join(dir, ".own.der.new")+": read-only file system",
		"(the directories "+dir+" and "+dir+" must be writable)")
	if after := tree(t, dir); after != before {
		t.Errorf("files were\n%sand are\n%s", before, after)
	}
}

// readOnlyLaterStart has everything it needs: the gateway runs and says what it cannot keep.
func readOnlyLaterStart(t *testing.T) {
	main := stageFile()
	main.Set("UaServerConfig/Trace/UaAppTraceFile", "trace.log")
	dir := readOnly(t, func(dir string) {
		ownFiles(t, dir)
		for _, name := range []string{"trusted", "crl", "issuers", "issuercrl", "rejected"} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		laid(map[string][]byte{"trusted/a.der": ours().Chain[0], "issuers/root.der": root().Chain[0], "issuercrl/root.crl": crl(root()),
			config.MainName: []byte(main.String()), config.UsersName: []byte(stageUsers), config.EdgeName: []byte(deaf)})(t, dir)
	})
	s, err := startStage(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if friend, stranger := enters(ours)(s), enters(lone)(s); friend != good || stranger != unsafe {
		t.Errorf("a trusted client is answered %s, a stranger %s", friend, stranger)
	}
	for _, text := range []string{
		"no log file: the log goes to standard error only", filepath.Join(dir, "trace.log") + " cannot be written: read-only file system (its directory must be writable)",
		"rejected certificate cannot be stored", filepath.Join(dir, "rejected"),
	} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, s.log)
		}
	}
}
