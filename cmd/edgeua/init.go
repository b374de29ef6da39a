package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
)

// initFlags are the flags of init.
type initFlags struct {
	dir     string
	port    uint16
	clients []string
	user    string
	program string // how this program is called
}

func newInit() *cobra.Command {
	f := initFlags{program: callable(os.Args[0])}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write the files of a new gateway for this host",
		Long: `Writes ` + config.MainName + ` and ` + config.EdgeName + ` with comments: signed and encrypted
connections only, no anonymous sessions, no client trusted yet. ` + config.UsersName + `
gets the user --user, whose password it asks for or reads from standard input. Then it
creates the certificate and says what to do next.

No file is overwritten.`,
		Example: `  edgeua init --dir /etc/edgeua --user operator
  edgeua init --client opc.tcp://historian.example.net:48060`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.init(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.dir, "dir", ".", "the `DIRECTORY` to write to, created if missing")
	cmd.Flags().Uint16Var(&f.port, "port", 4840, "the port to listen on")
	cmd.Flags().StringArrayVar(&f.clients, "client", nil, "`URL` at which a client listens for reverse connections (repeatable)")
	cmd.Flags().StringVar(&f.user, "user", "", "`NAME` of a first user")
	return cmd
}

func (f *initFlags) init(in io.Reader, out, prompt io.Writer) error {
	starter := config.Starter{URL: "opc.tcp://[NodeName]:" + strconv.Itoa(int(f.port)), Addresses: ownAddresses(), Clients: f.clients, User: f.user}
	if f.user != "" {
		password, err := newPassword(in, prompt)
		if err == nil {
			starter.PasswordHash, err = hashPassword(password)
		}
		if err != nil {
			return &configError{err}
		}
	}
	files, err := starter.Files()
	if err != nil {
		return err
	}
	written, err := f.write(files)
	if err == nil {
		err = f.certificates(out)
	}
	if err != nil { // nothing half-done stays
		for _, path := range written {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	f.next(out, written)
	return nil
}

// write creates all files, or says which one is in the way before any is written.
func (f *initFlags) write(files []config.StarterFile) (written []string, err error) {
	for _, file := range files {
		path := filepath.Join(f.dir, file.Name)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil, &configError{fmt.Errorf("%s exists already and is not overwritten: choose another --dir, or change it by hand", path)}
		}
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, err
	}
	for _, file := range files {
		mode := fs.FileMode(0o644)
		if file.Private {
			mode = 0o600
		}
		path := filepath.Join(f.dir, file.Name)
		if err := createFile(path, file.Data, mode); err != nil {
			return written, err
		}
		written = append(written, path)
	}
	return written, nil
}

// certificates creates what the new files ask for. They are ours, so that a finding in them comes from a flag.
func (f *initFlags) certificates(out io.Writer) error {
	cfg, report := config.Load(config.Options{Main: f.dir, Kinds: driverKinds()})
	if cfg == nil || report.HasErrors() {
		if _, err := report.WriteTo(out); err != nil {
			return err
		}
		return &configError{errors.New("with these flags the configuration has errors; nothing was written")}
	}
	_, err := identities(cfg, nil, slog.New(slog.DiscardHandler))
	return err
}

func (f *initFlags) next(out io.Writer, written []string) {
	for _, path := range written {
		fmt.Fprintf(out, "wrote %s\n", path)
	}
	fmt.Fprintf(out, "created certificate and key below %s\n", filepath.Join(f.dir, "PKI"))
	for _, step := range [][2]string{
		{"Next, see what is still missing:", "check"},
		{"Run the gateway:", "serve"},
		{"After a client's first attempt, see its thumbprint, for edgeua certs trust:", "certs list"},
	} {
		fmt.Fprintf(out, "\n%s\n  %s %s --config %s\n", step[0], shellWord(f.program), step[1], shellWord(f.dir))
	}
	if f.user == "" {
		fmt.Fprintf(out, "\nNobody can log in yet: a user is missing in %s.\n", filepath.Join(f.dir, config.UsersName))
	}
}

// callable is how this program can be called again: by the name by which it was called, unless the shell finds it.
func callable(called string) string {
	if _, err := exec.LookPath("edgeua"); err == nil {
		return "edgeua"
	}
	return called
}

// shellWord quotes text that a shell would take apart.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// ownAddresses are those by which other machines may reach this one.
func ownAddresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the host name remains
	}
	var list []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}
