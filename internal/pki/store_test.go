package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Moving a file from rejected to trusted, and back out, counts at the next validation.
func TestStore_FollowsDirectories(t *testing.T) {
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	for range 3 {
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted)
		waiting := filepath.Join(ts.loc.Rejected, rejectedName(leaf.Raw))
		trusted := filepath.Join(ts.loc.TrustedCerts, "client.der")
		if err := os.Rename(waiting, trusted); err != nil {
			t.Fatal(err)
		}
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
		if err := os.Remove(trusted); err != nil {
			t.Fatal(err)
		}
	}
}

// A CRL that is written over an older one, in place, counts after at most a second.
func TestStore_FollowsFiles(t *testing.T) {
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), root).cert
	ts := newTestStore(t, Checks{}, nil)
	ts.put(ts.loc.TrustedCerts, "root.der", root.cert.Raw)
	path := ts.put(ts.loc.TrustedCRLs, "root.crl", revoke(t, root, nil))
	ts.now = ts.now.Add(time.Minute) // the directories have settled
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
	if err := os.WriteFile(path, revoke(t, root, nil, leaf), 0o644); err != nil {
		t.Fatal(err)
	}
	ts.now = ts.now.Add(lookEvery)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateRevoked)

	// F-20: a CRL that is damaged later keeps its force.
	if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	ts.now = ts.now.Add(lookEvery)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateRevoked)
	if !strings.Contains(ts.logs.String(), "kept_previous=true") {
		t.Errorf("not reported:\n%s", ts.logs)
	}
}

// A settled directory costs one stat per validation: files are not even looked at.
func TestStore_CheapWhenUnchanged(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	path := ts.put(ts.loc.TrustedCerts, "client.der", leaf.Raw)
	ts.now = ts.now.Add(time.Minute)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
	list := ts.Store.list
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ts.now = ts.now.Add(lookEvery - 1)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
	if ts.Store.list != list {
		t.Error("the list was compiled anew although nothing changed")
	}
}

// links, pipes, directories, huge, foreign and thousands of files are left out, each said once.
func TestStore_OddFiles(t *testing.T) {
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	linked := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	huge := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	dir := ts.loc.TrustedCerts
	outside := ts.put(t.TempDir(), "linked.der", linked.Raw)
	if err := os.Symlink(outside, filepath.Join(dir, "link.der")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop.der", filepath.Join(dir, "loop.der")); err != nil {
		t.Fatal(err)
	}
	makePipe(t, filepath.Join(dir, "pipe.der"))
	os.Mkdir(filepath.Join(dir, "directory.der"), 0o755)
	ts.put(dir, "huge.der", append(bytes.Clone(huge.Raw), make([]byte, maxFile)...))
	ts.put(dir, "readme.txt", []byte("put certificates here"))
	ts.put(dir, ".client.der.swp", []byte("an editor"))
	ts.put(dir, "client.der", leaf.Raw)
	for range 3 {
		ts.now = ts.now.Add(time.Minute)
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
		wantCode(t, ts.Validate(linked.Raw, testNow), ua.StatusBadCertificateUntrusted)
		wantCode(t, ts.Validate(huge.Raw, testNow), ua.StatusBadCertificateUntrusted)
	}
	for name, want := range map[string]int{"link.der": 1, "loop.der": 1, "pipe.der": 1, "directory.der": 1, "huge.der": 1, "readme.txt": 1, "swp": 0} {
		if got := strings.Count(ts.logs.String(), name); got != want {
			t.Errorf("%s reported %d times, want %d", name, got, want)
		}
	}
}

func TestStore_TooManyFiles(t *testing.T) {
	first := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	last := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	for i := range 6000 {
		ts.put(ts.loc.TrustedCerts, fmt.Sprintf("b%04d.der", i), first.Raw)
	}
	ts.put(ts.loc.TrustedCerts, "a.der", first.Raw)
	ts.put(ts.loc.TrustedCerts, "c.der", last.Raw)
	for range 3 {
		ts.now = ts.now.Add(time.Minute)
		wantCode(t, ts.Validate(first.Raw, testNow), ua.StatusOK)
		wantCode(t, ts.Validate(last.Raw, testNow), ua.StatusBadCertificateUntrusted)
	}
	if n := len(ts.Store.trusted.files); n != maxFiles {
		t.Errorf("%d files held, want %d", n, maxFiles)
	}
	if n := strings.Count(ts.logs.String(), "holds more than 500 files"); n != 1 {
		t.Errorf("reported %d times, want once", n)
	}
}

func TestStore_TooManyBytes(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	padded := append(bytes.Repeat([]byte("#\n"), 30<<10), pemOf(leaf)...)
	for i := range 100 {
		ts.put(ts.loc.TrustedCerts, fmt.Sprintf("%03d.pem", i), padded)
	}
	for range 2 {
		ts.now = ts.now.Add(time.Minute)
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
	}
	if n := len(ts.Store.trusted.files); n > maxBytes/len(padded) {
		t.Errorf("%d files of %d bytes held", n, len(padded))
	}
	if n := strings.Count(ts.logs.String(), "holds more than 4 MiB"); n != 1 {
		t.Errorf("reported %d times, want once", n)
	}
}

// Old configurations name one CRL file instead of a directory.
func TestStore_CRLFile(t *testing.T) {
	root := issue(t, authorityTemplate("root"), testKey(rootKey), nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), root).cert
	ts := newTestStore(t, Checks{}, nil)
	ts.put(ts.loc.TrustedCerts, "root.der", root.cert.Raw)
	ts.loc.TrustedCRLs = filepath.Join(t.TempDir(), "all.crl")
	ts.reopen(Checks{}, nil)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateRevocationUnknown)
	ts.put(filepath.Dir(ts.loc.TrustedCRLs), "all.crl", revoke(t, root, nil, leaf))
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateRevoked)
}

func TestStore_DirectoryGoneAndUnusable(t *testing.T) {
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	ts.put(ts.loc.TrustedCerts, "client.der", leaf.Raw)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
	if err := os.RemoveAll(ts.loc.TrustedCerts); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted)
	makePipe(t, ts.loc.TrustedCerts)
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted) // and does not hang

	file := ts.put(t.TempDir(), "file", nil)
	loc := Locations{TrustedCerts: file + "/certs"}
	if _, err := Open(loc, Checks{}, nil, nil); err == nil || !strings.Contains(err.Error(), loc.TrustedCerts) {
		t.Errorf("unusable directory: %v", err)
	}
}

func TestStore_Concurrent(t *testing.T) {
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(t, Checks{}, nil)
	path := ts.put(ts.loc.TrustedCerts, "client.der", leaf.Raw)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				ts.Validate(leaf.Raw, testNow)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			os.Rename(path, path+".pem")
			os.Rename(path+".pem", path)
		}
	})
	wg.Wait()
	wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusOK)
}

// a stranger with ever new certificates fills neither the directory nor the flash.
func TestRejected_BoundedInNumberAndRate(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	ts.loc.MaxRejected = 3
	ts.reopen(Checks{}, nil)
	strange := func() *x509.Certificate { return issue(t, leafTemplate(), testKey(leafKey), nil).cert }
	foreign := ts.put(mkdir(t, ts.loc.Rejected), "notes.txt", []byte("mine"))
	var kept []string
	write := func() bool {
		cert := strange()
		wantCode(t, ts.Validate(cert.Raw, testNow), ua.StatusBadCertificateUntrusted)
		path := filepath.Join(ts.loc.Rejected, rejectedName(cert.Raw))
		if _, err := os.Lstat(path); err != nil {
			return false
		}
		age := time.Now().Add(-time.Hour).Add(time.Duration(len(kept)) * time.Second)
		os.Chtimes(path, age, age)
		kept = append(kept, rejectedName(cert.Raw))
		return true
	}
	for i := range 20 {
		if got := write(); got != (i < rejectedBurst) {
			t.Fatalf("write %d: %v", i, got)
		}
	}
	ts.now = ts.now.Add(rejectedPause - 1)
	if write() {
		t.Error("written before the pause was over")
	}
	ts.now = ts.now.Add(1)
	if !write() || write() {
		t.Error("after the pause exactly one is written")
	}
	ts.now = ts.now.Add(time.Hour)
	for i := range 20 {
		if got := write(); got != (i < rejectedBurst) {
			t.Fatalf("after an hour, write %d: %v", i, got)
		}
	}
	want := append(slices.Clone(kept[len(kept)-3:]), filepath.Base(foreign))
	slices.Sort(want)
	if got := ts.rejectedFiles(); !slices.Equal(got, want) {
		t.Errorf("got %v, want the newest three and the foreign file: %v", got, want)
	}
}

// The same stranger again costs neither a write nor a token.
func TestRejected_SameAgain(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
	for range 3 * rejectedBurst {
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted)
	}
	if used := ts.Store.rejected.writes.used; used != 1 {
		t.Errorf("%d writes", used)
	}
}

// Links under the names that the store uses are neither followed nor overwritten through.
func TestRejected_Links(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	victim := ts.put(t.TempDir(), "victim", []byte("untouched"))
	mkdir(t, ts.loc.Rejected)
	for i := range 2 {
		leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
		path := filepath.Join(ts.loc.Rejected, rejectedName(leaf.Raw))
		if i == 1 {
			path = pendingPath(path)
		}
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted)
	}
	if data, _ := os.ReadFile(victim); string(data) != "untouched" {
		t.Errorf("victim now holds %d bytes", len(data))
	}
}

// A directory that cannot be written is a warning per minute and nothing else.
func TestRejected_Unwritable(t *testing.T) {
	ts := newTestStore(t, Checks{}, nil)
	ts.put(filepath.Dir(ts.loc.Rejected), "rejected", []byte("a file where the directory should be"))
	for range 12 {
		ts.now = ts.now.Add(rejectedPause)
		leaf := issue(t, leafTemplate(), testKey(leafKey), nil).cert
		wantCode(t, ts.Validate(leaf.Raw, testNow), ua.StatusBadCertificateUntrusted)
	}
	if n := strings.Count(ts.logs.String(), "cannot be stored"); n != 2 {
		t.Errorf("reported %d times in two minutes, want 2", n)
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// BenchmarkValidate is a validation with nothing changed on the disk.
func BenchmarkValidate(b *testing.B) {
	leaf := issue(b, leafTemplate(), testKey(leafKey), nil).cert
	ts := newTestStore(b, Checks{}, nil)
	ts.put(ts.loc.TrustedCerts, "client.der", leaf.Raw)
	ts.now = ts.now.Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		if err := ts.Validate(leaf.Raw, testNow); err != nil {
			b.Fatal(err)
		}
	}
}
