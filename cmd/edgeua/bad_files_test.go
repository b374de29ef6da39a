package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"

	"github.com/edgeua/edgeua/config"
)

// badFile is damage that no gateway starts with; the message about it has all the texts.
type badFile struct {
	damage func(t *testing.T, dir string)
	want   []string
	later  bool // a gateway that runs goes on with what it has read
}

// replaced makes damage by putting another text in the place of a file.
func replaced(name, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { write(t, filepath.Join(dir, name), []byte(text)) }
}

// changed makes damage by doing something with the file of a name, after removing it.
func changed(name string, do func(path string) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := do(path); err != nil {
			t.Fatal(err)
		}
	}
}

func makeDirectory(path string) error { return os.Mkdir(path, 0o700) }

// makeLoop is a link to itself, which not even root can read.
func makeLoop(path string) error { return os.Symlink(filepath.Base(path), path) }

// makeHuge is a file of 100 MB that takes no room.
func makeHuge(path string) error {
	if err := os.WriteFile(path, []byte("<OpcServerConfig>"), 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 100<<20)
}

func badFiles() map[string]badFile {
	const main, users, edge = config.MainName, config.UsersName, config.EdgeName
	text := stageFile().String()
	var bomb strings.Builder
	bomb.WriteString("<!DOCTYPE a [\n<!ENTITY a \"aaaaaaaaaa\">\n")
	for c := 'b'; c < 'k'; c++ {
		fmt.Fprintf(&bomb, "<!ENTITY %c \"%s\">\n", c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	bomb.WriteString("]>\n<OpcServerConfig>&j;</OpcServerConfig>")
	return map[string]badFile{
		"truncated":           {damage: replaced(main, text[:len(text)/2]), want: []string{main + ":", "the file ends inside <", "it is incomplete"}},
		"users truncated":     {damage: replaced(users, stageUsers[:40]), want: []string{users + ":1", "the file ends inside <", "it is incomplete"}},
		"edgeua truncated":    {damage: replaced(edge, "<EdgeUa>\n<Listeners"), want: []string{edge + ":2", "it is incomplete"}},
		"empty":               {damage: replaced(main, ""), want: []string{main + ":1", "there is no XML element"}},
		"100 MB":              {damage: changed(main, makeHuge), want: []string{main, "has 104857600 bytes, more than the 4194304 that are accepted"}},
		"users 100 MB":        {damage: changed(users, makeHuge), want: []string{users, "has 104857600 bytes, more than the 4194304 that are accepted"}},
		"entity bomb":         {damage: replaced(main, bomb.String()), want: []string{main + ":1", "entity declarations are refused; remove <!DOCTYPE"}},
		"users entity bomb":   {damage: replaced(users, bomb.String()), want: []string{users + ":1", "entity declarations are refused; remove <!DOCTYPE"}},
		"UTF-16":              {damage: replaced(main, "\xFF\xFE<\x00a\x00/\x00>\x00"), want: []string{main + ":1", "the file is UTF-16; save it as UTF-8"}},
		"encoding unknown":    {damage: replaced(main, `<?xml version="1.0" encoding="Shift_JIS"?>`+text), want: []string{main + ":1", "save the file as UTF-8"}},
		"encoding not so":     {damage: replaced(main, strings.Replace(text, "Plant", "Pl\xE4nt", 1)), want: []string{main + ":", "the text is not UTF-8; save the file as UTF-8"}},
		"two roots":           {damage: replaced(main, text+text), want: []string{main + ":", "a second root element <OpcServerConfig> follows"}},
		"wrong root":          {damage: replaced(main, "<NodesetConfig/>"), want: []string{main + ":1", "the root element of this file must be <OpcServerConfig>"}},
		"users wrong root":    {damage: replaced(users, text), want: []string{users + ":1", "the root element of this file must be <TcUaSecurityConfig>"}},
		"a directory":         {damage: changed(main, makeDirectory), want: []string{main, "is a directory"}},
		"users a directory":   {damage: changed(users, makeDirectory), want: []string{users, "is a directory"}},
		"unreadable":          {damage: changed(main, makeLoop), want: []string{main, "cannot be read: too many levels of symbolic links"}},
		"key unreadable":      {damage: changed("own.pem", makeLoop), want: []string{"own.pem", "too many levels of symbolic links"}},
		"key a directory":     {damage: changed("own.pem", makeDirectory), want: []string{"own.pem", "is not a regular file"}},
		"key for everybody":   {damage: func(t *testing.T, dir string) { os.Chmod(dir+"/own.pem", 0o644) }, want: []string{"own.pem", "is open to other users (mode 0644): take it back with chmod 600"}},
		"key of another":      {damage: replaced("own.pem", string(keyPEM(root().Key))), want: []string{"own.der", "does not belong to private key", "own.pem: install the matching pair"}},
		"key damaged":         {damage: replaced("own.pem", "-----BEGIN"), want: []string{"own.pem", "damaged or not a PEM file"}},
		"key gone":            {damage: func(t *testing.T, dir string) { os.Remove(dir + "/own.pem") }, want: []string{"own.pem is missing although its certificate", "restore it"}},
		"certificate gone":    {damage: func(t *testing.T, dir string) { os.Remove(dir + "/own.der") }, want: []string{"own.der is missing although its private key", "restore it"}},
		"certificate dir":     {damage: changed("own.der", makeDirectory), want: []string{"own.der", "is not a regular file"}},
		"trusted not a dir":   {damage: changed("trusted", makeLoop), want: []string{"trusted", "too many levels of symbolic links"}, later: true},
		"certificate damaged": {damage: replaced("own.der", "0\x82"), want: []string{"own.der is damaged", "restore it, or remove it together with its key"}},
	}
}

// TestBadFiles damages one file after the other under a running gateway. A reload says what is wrong and changes nothing:
// sessions go on, new ones are opened. Check and serve say the same and refuse, with file, line and remedy. Nobody
// writes anything.
func TestBadFiles(t *testing.T) {
	for name, c := range badFiles() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ownFiles(t, dir)
			s, err := openStage(t, dir, stageFile().String(), deaf)
			if err != nil {
				t.Fatal(err)
			}
			here := s.visitor()
			defer here.leave()
			c.damage(t, dir)
			before := tree(t, dir)
			files := &configFlags{main: filepath.Join(dir, config.MainName)}
			s.g.reload(t.Context(), files)
			if !c.later {
				s.log.wait(t, "nothing has changed")
				c.in(t, "the log of a reload", s.log.String())
			}
			here.value(id.Server_ServerStatus_State)
			s.visitor().leave()
			check := edgeua(t, "check", "--config", files.main)
			c.in(t, "check", check.stdout)
			serve := edgeua(t, "serve", "--config", files.main)
			c.in(t, "serve", serve.stderr)
			if check.code != exitConfig || serve.code != exitConfig {
				t.Errorf("exit codes %d and %d", check.code, serve.code)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("files were\n%sand are\n%s", before, after)
			}
		})
	}
}

// in wants one line to say all that is wanted.
func (c badFile) in(t *testing.T, who, said string) {
	t.Helper()
	said = strings.ReplaceAll(said, `\"`, `"`)
line:
	for line := range strings.Lines(said) {
		for _, text := range c.want {
			if !strings.Contains(line, text) {
				continue line
			}
		}
		return
	}
	t.Errorf("%s lacks %q:\n%s", who, c.want, said)
}

// tree lists what is below a directory, with the content of files, but not what a gateway keeps for itself.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() == config.StateName {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %v", strings.TrimPrefix(path, dir), info.Mode())
		if info.Mode().IsRegular() && info.Size() < 1<<20 {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " %x", data)
		}
		all.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestOddFiles starts with what is odd but bearable: check warns of it, the gateway runs, and those who are trusted get in.
func TestOddFiles(t *testing.T) {
	for name, c := range map[string]badFile{
		"byte order mark": {damage: func(t *testing.T, dir string) {
			replaced(config.MainName, "\xEF\xBB\xBF"+stageFile().String())(t, dir)
		}, want: []string{"endpoint opc.tcp://gw-7:4840"}},
		"links in circles": {damage: func(t *testing.T, dir string) {
			for _, name := range []string{"trusted/loop.der", "trusted/0"} {
				changed(name, makeLoop)(t, dir)
			}
			changed("trusted/up", func(path string) error { return os.Symlink("..", path) })(t, dir)
		}, want: []string{"trusted/loop.der", "is left out", "not a regular file"}},
		"10,000 files": {damage: func(t *testing.T, dir string) {
			for i := range 10_000 {
				write(t, filepath.Join(dir, "trusted", fmt.Sprintf("%05d.txt", i)), nil)
			}
		}, want: []string{"/trusted", "more than 500 files", "left out"}},
		"expired": {damage: func(t *testing.T, dir string) {
			own := issued("server2048", nil, outdated, application)
			write(t, filepath.Join(dir, "own.der"), own.Chain[0])
		}, want: []string{"own.der", "own certificate expired at 20", "clients may refuse it"}},
		"users for everybody": {damage: func(t *testing.T, dir string) {
			os.Chmod(filepath.Join(dir, config.UsersName), 0o644)
		}, want: []string{config.UsersName, "can be read by everybody; run chmod o-rwx"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ownFiles(t, dir)
			laid(map[string][]byte{"trusted/!first.der": lone().Chain[0]})(t, dir)
			for file, text := range map[string]string{config.MainName: stageFile().String(), config.UsersName: stageUsers, config.EdgeName: deaf} {
				write(t, filepath.Join(dir, file), []byte(text))
			}
			c.damage(t, dir)
			r := edgeua(t, "check", "--config", dir)
			c.in(t, "check", r.stdout)
			if r.code != exitOK {
				t.Errorf("exit code %d", r.code)
			}
			data, err := os.ReadFile(filepath.Join(dir, config.MainName))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			s, err := openStage(t, dir, string(data), deaf)
			if err != nil {
				t.Fatal(err)
			}
			if got := enters(lone)(s); got != good {
				t.Errorf("a trusted client is answered %s", got)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
