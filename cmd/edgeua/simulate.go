package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/fieldsim"
)

// simulateFlags are the flags of simulate.
type simulateFlags struct {
	edge, write string
	listen      string
	port        int
	pace, trace bool
	duration    time.Duration
}

func newSimulate() *cobra.Command {
	var flags simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Answer as the Modbus devices of edgeua.xml",
		Long: `Stands in for the devices: every Modbus channel of edgeua.xml is answered, on a port of
this machine (TCP, UDP) or on a pseudo-terminal (serial lines), with the registers that its
tags describe. Values move as the <Signal> elements of a Device say, or through the range of
the tag; what is written stays; what no tag has does not exist.

It prints where each channel answers. Any Modbus master can go there. For a gateway, --write
makes a copy of the file that has every channel there:

  edgeua simulate --write sim.xml          in one terminal
  edgeua serve --edge sim.xml              in another one

A channel that the file has on this machine already answers at the very port of the file.
Serial channels need Linux.

Exit codes: 0 stopped, 1 a port or a pseudo-terminal cannot be had, 2 the file has errors.`,
		Example: `  edgeua simulate --edge /etc/edgeua/edgeua.xml --write sim.xml
  edgeua simulate --pace --trace`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return simulate(cmd.Context(), &flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.edge, "edge", config.EdgeName, "the file with channels and devices")
	f.StringVar(&flags.write, "write", "", "write a copy of it to `FILE` that leads to the stand-ins")
	f.StringVar(&flags.listen, "listen", "127.0.0.1", "IP `ADDRESS` to listen on; any other one lets others in")
	f.IntVar(&flags.port, "port", 1502, "first port to try for channels that are not on this address in the file; 0: any free ones")
	f.BoolVar(&flags.pace, "pace", false, "make serial lines as slow as their baud rate")
	f.BoolVar(&flags.trace, "trace", false, "print every request")
	f.DurationVar(&flags.duration, "duration", 0, "stop after this time, such as 10s (default: at Ctrl-C)")
	return cmd
}

func simulate(ctx context.Context, flags *simulateFlags, stdout, stderr io.Writer) error {
	ip := net.ParseIP(flags.listen)
	if ip == nil {
		return &configError{fmt.Errorf("--listen %q is not an IP address, such as 127.0.0.1", flags.listen)}
	}
	if flags.port < 0 || flags.port > 65535 {
		return &configError{fmt.Errorf("--port %d is not from 0 to 65535", flags.port)}
	}
	channels, report := config.LoadChannels(flags.edge, driverKinds())
	if _, err := report.WriteTo(stderr); err != nil {
		return err
	}
	if report.HasErrors() {
		return &configError{errors.New("the configuration has errors")}
	}
	options := fieldsim.Options{Host: flags.listen, Port: flags.port, Paced: flags.pace}
	if flags.trace {
		options.Trace = traceTo(stdout)
	}
	stands, others, err := fieldsim.Open(ctx, channels, options)
	if err != nil {
		return err
	}
	if len(stands) == 0 {
		return &configError{fmt.Errorf("%s has no Modbus channel that could be answered", flags.edge)}
	}
	if flags.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flags.duration)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = announceStands(flags, stands, others, stdout)
	if err != nil {
		stop() // Serve closes what is open
	} else if !ip.IsLoopback() {
		fmt.Fprintf(stderr, "others can reach %s: Modbus has no password, so everybody can write\n", flags.listen)
	}
	return errors.Join(err, fieldsim.Serve(ctx, stands))
}

// announceStands says where everything answers, and writes the file that leads there.
func announceStands(flags *simulateFlags, stands []*fieldsim.Stand, others []string, w io.Writer) error {
	moved := false
	for _, s := range stands {
		note := ""
		if s.AsConfigured {
			note = "  (as in the file)"
		}
		moved = moved || !s.AsConfigured
		fmt.Fprintf(w, "%s: %s at %s%s\n", s.Channel, s.Kind, s.Where(), note)
		for _, slave := range s.Slaves {
			if slave.Broadcast {
				continue
			}
			fmt.Fprintf(w, "  unit %d is %s, %d tags\n", slave.Unit, slave.Name, len(slave.Tags))
		}
	}
	for _, name := range others {
		fmt.Fprintf(w, "%s: not Modbus, not answered\n", name)
	}
	switch {
	case flags.write != "":
		return writeStands(flags, stands, w)
	case moved:
		fmt.Fprintf(w, "the file has them elsewhere: --write sim.xml makes one for edgeua serve --edge sim.xml\n")
	}
	return nil
}

func writeStands(flags *simulateFlags, stands []*fieldsim.Stand, w io.Writer) error {
	data, err := os.ReadFile(flags.edge)
	if err != nil {
		return err
	}
	if from, err := os.Stat(flags.edge); err == nil {
		if to, err := os.Stat(flags.write); err == nil && os.SameFile(from, to) {
			return &configError{fmt.Errorf("--write %s is the file itself; choose another name", flags.write)}
		}
	}
	out, err := fieldsim.Rewrite(flags.edge, data, stands)
	if err != nil {
		return err
	}
	if err := os.WriteFile(flags.write, out, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(w, "written %s: edgeua serve --edge %s\n", flags.write, flags.write)
	if a, b := filepath.Dir(flags.edge), filepath.Dir(flags.write); a != b {
		fmt.Fprintf(w, "other files that it names are looked for in %s\n", b)
	}
	return nil
}

// traceTo prints requests; stands call it from several goroutines.
func traceTo(w io.Writer) func(channel string, unit byte, pdu []byte) {
	var mu sync.Mutex
	return func(channel string, unit byte, pdu []byte) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%s %s unit %d  % x\n", time.Now().Format("15:04:05.000"), channel, unit, pdu)
	}
}
