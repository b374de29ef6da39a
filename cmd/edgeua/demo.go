package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/reverseconnect"
)

// The configuration of the demo: ordinary files, with two places to fill in.
var (
	//go:embed demo/TcUaServerConfig.xml
	demoServerFile string
	//go:embed demo/edgeua.xml
	demoEdgeFile string
	//go:embed demo/TcUaSecurityConfig.xml
	demoUsersFile string
)

func newDemo() *cobra.Command {
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work, without files or devices",
		Long: `Runs three things in this process, on loopback: a simulated Modbus TCP device, a gateway
that reads it and opens no port at all, and the client that this gateway calls. The client
browses, subscribes and prints the values that arrive over that reverse, encrypted
connection.

Exit codes: 0 values arrived and changed, 1 they did not.`,
		Example: "  edgeua demo --duration 10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), duration, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().DurationVar(&duration, "duration", 0, "stop after this time, such as 10s (default: at Ctrl-C)")
	return cmd
}

// demo runs the three parts for that time, or until ctx ends if it is 0, and
// fails unless values changed.
func demo(ctx context.Context, duration time.Duration, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "edgeua-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stage, err := newDemoStage(ctx, dir, stderr)
	if err != nil {
		return err
	}
	defer stage.listener.Close()
	stage.explain(stdout)
	if duration > 0 { // making keys does not count: that takes a small gateway longer than the rest
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, duration)
		defer cancel()
	}

	out := newPrinter(stdout, false)
	seen := changes{last: map[string]any{}}
	out.good = seen.note
	if terminal(stdout) {
		out.table = newTable(stdout)
	}
	parts, running := errgroup.WithContext(ctx)
	parts.Go(func() error { return modbussim.Serve(running, stage.device, demoDevice()) })
	parts.Go(func() error { return stage.gateway.run(running) })
	parts.Go(func() error {
		r := &reception{listener: stage.listener, visitor: stage.visitor, tasks: stage.tasks(), out: out}
		return r.run(running)
	})
	if err := parts.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%d values arrived over the reverse connection, %d of them new ones.\n", seen.values, seen.changed)
	if seen.changed == 0 {
		return errors.New("no value changed")
	}
	return nil
}

// demoStage is what the demo needs before it begins: bound ports and certificates.
type demoStage struct {
	device   net.Listener
	gateway  *gateway
	listener *reverseconnect.Listener
	visitor  *visitor
}

func newDemoStage(ctx context.Context, dir string, stderr io.Writer) (*demoStage, error) {
	s := &demoStage{}
	var err error
	var lc net.ListenConfig
	if s.device, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if s.listener, err = reverseconnect.Listen(ctx, "opc.tcp://127.0.0.1:0", reverseconnect.ListenerConfig{}); err != nil {
		return nil, err
	}
	main, err := s.writeFiles(dir)
	if err != nil {
		return nil, err
	}
	cfg, report := config.Load(config.Options{Main: main, Kinds: driverKinds()})
	if report.HasErrors() {
		_, _ = report.WriteTo(stderr)
		return nil, errors.New("the files of the demo have errors")
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if s.gateway, err = newGateway(ctx, cfg, log); err != nil {
		return nil, err
	}
	return s, s.introduce(dir, cfg)
}

// writeFiles fills the addresses into the files and returns the main one.
func (s *demoStage) writeFiles(dir string) (string, error) {
	fill := map[string]any{
		"ClientURL":  "opc.tcp://" + s.listener.Addr().String(),
		"DevicePort": s.device.Addr().(*net.TCPAddr).Port,
	}
	main := filepath.Join(dir, "TcUaServerConfig.xml")
	for path, text := range map[string]string{
		main: demoServerFile, filepath.Join(dir, config.EdgeName): demoEdgeFile, filepath.Join(dir, config.UsersName): demoUsersFile,
	} {
		t, err := template.New("").Parse(text)
		if err != nil {
			return "", err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, fill); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			return "", err
		}
	}
	return main, nil
}

// introduce gives the client a certificate, and lets both sides trust each
// other, as an administrator would with two files.
func (s *demoStage) introduce(dir string, cfg *config.Config) error {
	at := pki.Locations{
		Certificate: filepath.Join(dir, "client", "own.der"), PrivateKey: filepath.Join(dir, "client", "own.pem"),
		TrustedCerts: filepath.Join(dir, "client", "trusted"),
	}
	own, _, err := pki.LoadOrCreate(at, pki.Request{ApplicationURI: clientURI, CommonName: "edgeua demo client"}, true)
	if err != nil {
		return err
	}
	endpoint := &cfg.Endpoints[0]
	if err := os.WriteFile(filepath.Join(endpoint.Trust.Certificates, "client.der"), own.DER, 0o600); err != nil {
		return err
	}
	gateway, err := os.ReadFile(endpoint.Certificate.File)
	if err != nil {
		return err
	}
	store, err := pki.Open(at, pki.Checks{}, own.DER, nil)
	if err != nil {
		return err
	}
	s.visitor = &visitor{
		policy: ua.SecurityPolicyURIBasic256Sha256, mode: ua.MessageSecurityModeSignAndEncrypt, own: own,
		trust: func(certificate []byte) error { return store.Validate(certificate, time.Now()) },
	}
	return os.WriteFile(filepath.Join(at.TrustedCerts, "gateway.der"), gateway, 0o600)
}

// tasks subscribes to every tag of the gateway.
func (s *demoStage) tasks() *tasks {
	t := &tasks{browse: true}
	for _, channel := range s.gateway.cfg.Channels {
		for _, device := range channel.Devices() {
			for _, tag := range device.Tags {
				t.subscribe = append(t.subscribe, uabinary.StringID(2, device.Name+"."+tag.Name))
			}
		}
	}
	return t
}

func (s *demoStage) explain(w io.Writer) {
	fmt.Fprintf(w, `This is edgeua with everything around it in one process, on loopback:

  simulated boiler  --Modbus TCP-->  gateway  --reverse connect-->  client
  %-16s                 no open port                     %s

The gateway polls the boiler and opens no port. It calls the client and says who it is
(ReverseHello); the client answers on that socket with OPC UA, Basic256Sha256, signed and
encrypted. Both trust each other's certificate. Below is what the client sees.

`, s.device.Addr(), s.listener.Addr())
}

// demoDevice is a boiler: temperatures that swing, a pump that runs now and
// then, a counter.
func demoDevice() *modbussim.Map {
	const unit = 17
	m := modbussim.NewMap()
	m.Signal(unit, modbussim.InputRegisters, 0, 1, modbussim.AsInt(modbussim.Sine(20*time.Second, 550, 780)))
	m.Signal(unit, modbussim.InputRegisters, 1, 1, modbussim.AsInt(modbussim.Sine(30*time.Second, 400, 520)))
	m.Signal(unit, modbussim.InputRegisters, 2, 2, modbussim.AsFloat32(modbussim.Ramp(60*time.Second, 1.2, 1.9)))
	m.Signal(unit, modbussim.Coils, 0, 1, modbussim.AsInt(modbussim.Square(6*time.Second, 0, 1)))
	m.Signal(unit, modbussim.HoldingRegisters, 0, 2, modbussim.AsInt(modbussim.Count(3*time.Second)))
	return m
}

// changes counts the good values that arrived and those that differ from the
// one before. Only the printer's goroutine calls note.
type changes struct {
	last            map[string]any
	values, changed int
}

func (c *changes) note(node string, value any) {
	c.values++
	if before, known := c.last[node]; known && before != value {
		c.changed++
	}
	c.last[node] = value
}
