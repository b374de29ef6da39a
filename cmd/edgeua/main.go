// Command edgeua is an OPC UA edge server for gateways behind firewalls and
// NAT. It reads field devices, shows their values as an OPC UA address space,
// and dials out to each configured client by reverse connect (Part 6 (1.05),
// 7.1.3).
//
// This package holds flags, wiring and exit codes only; whatever is worth a
// decision lives in the packages it puts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1 // something failed at run time
	exitConfig  = 2 // the configuration or the command line was refused
)

// configError is an error that ends the process with exitConfig.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly stop; from then on the default action
	// is back in force, so a second one kills.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(negativeLast(root, args))
	started := false
	watch(root, &started)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "edgeua:", err)
	if !started {
		fmt.Fprintf(stderr, "see '%s --help'\n", cmd.CommandPath())
		return exitConfig
	}
	var refused *configError
	if errors.As(err, &refused) {
		return exitConfig
	}
	return exitFailure
}

// watch notes in started that a command got as far as running: what goes wrong
// before is the command line's fault.
func watch(cmd *cobra.Command, started *bool) {
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return do(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		watch(sub, started)
	}
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "edgeua",
		Short: "OPC UA edge server that calls out to its clients",
		Long: `edgeua reads field devices (Modbus, serial instruments), shows their values as an OPC UA
address space, and dials out to every client of its configuration by reverse
connect, so that a gateway behind a firewall or NAT can be reached.

It is configured with a TwinCAT TcUaServerConfig.xml; what only edgeua knows
(devices, tuning) stands beside it in edgeua.xml.`,
		Example: `  edgeua demo --duration 10s      see it work, without files or devices
  edgeua check                    say what is wrong with the files, and what would run
  edgeua serve                    run the gateway
  edgeua dial URL                 have it call a client now
  edgeua listen --trust-any       be the client that a gateway calls`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newCheck(), newDial(), newDemo(), newListen(), newBridge(), newVersion())
	root.AddCommand(newTags(), newSerial(), newCerts(), newUsers(), newInit())
	root.AddCommand(newModbus(), newSimulate())
	return root
}
