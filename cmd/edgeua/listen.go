package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/reverseconnect"
)

// clientURI is the ApplicationUri of edgeua's own client.
const clientURI = "urn:edgeua:listen"

// passwordVariable names the environment variable with the password: on the
// command line every other user of the machine could read it.
const passwordVariable = "EDGEUA_PASSWORD"

// listenFlags are the flags of listen.
type listenFlags struct {
	addr, endpoint, serverURI string
	security                  string
	cert, key                 string
	trustDir                  string
	trustAny                  bool
	user                      string
	browse                    bool
	read, subscribe           []string
	duration                  time.Duration
	json                      bool
	allow                     []string
	servers                   int
	watch                     bool
	saveDir                   string
}

func newListen() *cobra.Command {
	var f listenFlags
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Be the client that a gateway calls",
		Long: `Waits for a gateway's ReverseHello, prints who called (ServerUri, EndpointUrl, remote
address), connects through that socket and does what was asked: browse, read, subscribe.
With --subscribe it goes on until --duration or Ctrl-C, and waits for the next call
whenever the connection is lost. Any number of gateways may call; each is asked the same.

With --watch it talks to nobody and shows who calls.

The ServerUri of a caller is only a claim. Its certificate decides: it must be in the
directory --trust, unless --trust-any accepts every certificate. A certificate that is not
trusted can be kept with --save-cert: this client cannot fetch it any other way.

This client has a certificate of its own, created when it is first needed. The gateway
has to trust it. The password for --user is taken from ` + passwordVariable + `, or asked for, and
only sent to a gateway whose certificate is trusted, also with --security None,None.

Exit codes: 0 done, 1 failed or nobody called, 2 wrong usage.`,
		Example: `  edgeua listen --trust-any
  edgeua listen --addr opc.tcp://127.0.0.1:48061 --trust gateways/ --browse
  edgeua listen --trust-any --user operator --subscribe 'ns=2;s=Boiler.SupplyTemp' --duration 1m --json
  edgeua listen --addr opc.tcp://0.0.0.0:48061 --watch --allow urn:plant:gateway1 --allow urn:plant:gateway2
  edgeua listen --trust gateways/ --save-cert unknown/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listen(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "opc.tcp://127.0.0.1:48061", "where to listen for gateways")
	flags.StringVar(&f.endpoint, "endpoint", "", "take only calls that announce this EndpointUrl")
	flags.StringVar(&f.serverURI, "server-uri", "", "take only calls of this ServerUri")
	flags.StringVar(&f.security, "security", "Basic256Sha256,SignAndEncrypt", "Policy,Mode of the session, or None,None")
	flags.StringVar(&f.cert, "cert", "", "own certificate (default: "+ownFile("own.der")+", created if missing)")
	flags.StringVar(&f.key, "key", "", "its private key (default: "+ownFile("own.pem")+")")
	flags.StringVar(&f.trustDir, "trust", "", "directory with the certificates of trusted gateways")
	flags.BoolVar(&f.trustAny, "trust-any", false, "accept any gateway's certificate")
	flags.StringVar(&f.user, "user", "", "user name of the session (default: anonymous)")
	flags.BoolVar(&f.browse, "browse", false, "print the nodes below Objects")
	flags.StringArrayVar(&f.read, "read", nil, "read the value of this node, such as 'ns=2;s=Boiler.SupplyTemp' (repeatable)")
	flags.StringArrayVar(&f.subscribe, "subscribe", nil, "print every change of this node (repeatable)")
	flags.DurationVar(&f.duration, "duration", 0, "stop after this time, such as 30s (default: when done, or at Ctrl-C)")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per line")
	flags.StringArrayVar(&f.allow, "allow", nil, "turn away everybody but this ServerUri (repeatable)")
	flags.IntVar(&f.servers, "servers", 1, "end when so many gateways were asked")
	flags.BoolVar(&f.watch, "watch", false, "only show who calls, as a table on a terminal")
	flags.StringVar(&f.saveDir, "save-cert", "", "save the certificates of gateways that are not trusted into this directory")
	cmd.MarkFlagsMutuallyExclusive("trust", "trust-any")
	for _, other := range []string{"browse", "read", "subscribe", "save-cert"} {
		cmd.MarkFlagsMutuallyExclusive("watch", other)
	}
	return cmd
}

// ownFile is where the client's own identity lies unless flags say otherwise.
func ownFile(name string) string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "."
	}
	return filepath.Join(dir, "edgeua", "client", name)
}

func listen(ctx context.Context, stdout, stderr io.Writer, f *listenFlags) error {
	t, err := f.tasks()
	if err != nil {
		return &configError{err}
	}
	v, err := f.visitor(stderr)
	if err != nil {
		return &configError{err}
	}
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	out := newPrinter(stdout, f.json)
	if f.watch {
		return f.watchCalls(ctx, out, terminal(stdout))
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	listener, err := reverseconnect.Listen(ctx, f.addr, reverseconnect.ListenerConfig{Allow: f.allow, Log: log})
	if err != nil {
		return &configError{err}
	}
	defer listener.Close()
	out.listening(f.addr)
	r := &reception{listener: listener, filter: f.filter(), visitor: v, tasks: t, out: out, servers: f.servers}
	return r.run(ctx)
}

// watchCalls shows who calls until ctx ends.
func (f *listenFlags) watchCalls(ctx context.Context, out *printer, inPlace bool) error {
	if inPlace && !f.json {
		out.table = newTable(out.w)
	}
	board := newCallBoard(out)
	listener, err := reverseconnect.Listen(ctx, f.addr, reverseconnect.ListenerConfig{
		Allow: f.allow, HoldTimeout: watchHold, Events: board.event,
	})
	if err != nil {
		return &configError{err}
	}
	<-ctx.Done()
	return listener.Close()
}

func (f *listenFlags) filter() reverseconnect.Filter {
	return reverseconnect.Filter{ServerURI: f.serverURI, EndpointURL: f.endpoint}
}

func (f *listenFlags) visitor(stderr io.Writer) (*visitor, error) {
	policy, mode, err := parseSecurity(f.security)
	if err != nil {
		return nil, err
	}
	if f.servers < 1 {
		return nil, fmt.Errorf("--servers %d: at least one gateway has to be asked", f.servers)
	}
	v := &visitor{policy: policy, mode: mode, user: f.user, saveDir: f.saveDir}
	if f.watch {
		return v, nil
	}
	if f.user != "" {
		if v.password, err = password(f.user, stderr); err != nil {
			return nil, err
		}
	}
	if mode != ua.MessageSecurityModeNone {
		if v.own, err = f.identity(stderr); err != nil {
			return nil, err
		}
	}
	if v.needsTrust() {
		v.trust, err = f.trust(v.own)
	}
	return v, err
}

// identity loads the client's certificate, creating the default one if need be.
func (f *listenFlags) identity(stderr io.Writer) (*pki.Own, error) {
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("--cert and --key belong together")
	}
	at := pki.Locations{Certificate: cmp.Or(f.cert, ownFile("own.der")), PrivateKey: cmp.Or(f.key, ownFile("own.pem"))}
	request := pki.Request{ApplicationURI: clientURI, CommonName: "edgeua listen", Organization: "edgeua"}
	own, created, err := pki.LoadOrCreate(at, request, true)
	if err != nil {
		return nil, err
	}
	if created {
		fmt.Fprintf(stderr, "created this client's certificate %s; the gateway has to trust it\n", at.Certificate)
	}
	return own, nil
}

func (f *listenFlags) trust(own *pki.Own) (func([]byte) error, error) {
	if f.trustAny {
		return func([]byte) error { return nil }, nil
	}
	if f.trustDir == "" {
		return func([]byte) error { return &finalError{errors.New("no --trust directory was given")} }, nil
	}
	if info, err := os.Stat(f.trustDir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--trust %s is not a directory", f.trustDir)
	}
	var ownCertificate []byte
	if own != nil {
		ownCertificate = own.DER
	}
	store, err := pki.Open(pki.Locations{TrustedCerts: f.trustDir}, pki.Checks{}, ownCertificate, nil)
	if err != nil {
		return nil, fmt.Errorf("--trust: %w", err)
	}
	return func(certificate []byte) error { return store.Validate(certificate, time.Now()) }, nil
}

// password comes from the environment or, at a terminal, from the user.
func password(user string, stderr io.Writer) (string, error) {
	if p, ok := os.LookupEnv(passwordVariable); ok {
		return p, nil
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return "", fmt.Errorf("no password for %s: set %s", user, passwordVariable)
	}
	fmt.Fprintf(stderr, "password of %s: ", user)
	p, err := term.ReadPassword(stdin)
	fmt.Fprintln(stderr)
	return string(p), err
}
