package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
	"github.com/edgeua/edgeua/internal/commissioning"
)

func newModbus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modbus",
		Short: "Ask Modbus devices directly: read, write, scan, identify",
		Long: `Asks Modbus devices without any configuration, with the code that the gateway asks them with.

TARGET is a host (192.0.2.7 or 192.0.2.7:502) or a serial port (/dev/ttyUSB0 or usb:VID:PID).
A host is asked by Modbus TCP unless --framing or --udp say otherwise, a port by Modbus RTU
at 19200 8E1 unless --framing, --baud, --parity and the others do. With --edge FILE, TARGET is
the name of a channel in that file; TLS is set up there.

ADDRESS is a letter and a number from 0: h holding register, i input register, c coil,
d discrete input, as in h100, h0x64, h100.3 (a bit), h100H (a byte), h100[4] (an array).
With --addressing it is as a manual writes it that counts otherwise.

A serial port must not be in use by a running gateway.`,
		Example: `  edgeua modbus scan 192.0.2.7
  edgeua modbus read /dev/ttyUSB0 i0 --baud 9600 --parity N --unit 5
  edgeua modbus write 192.0.2.7 h100 21.5 --type Float32 --order CDAB
  edgeua modbus identify Line1 --edge /etc/edgeua/edgeua.xml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newModbusRead(), newModbusWrite(), newModbusScan(), newModbusIdentify())
	return cmd
}

// targetFlags say where and how to ask.
type targetFlags struct {
	target  commissioning.Target
	edge    string
	unit    uint8
	timeout time.Duration
	trace   bool
}

func (f *targetFlags) add(cmd *cobra.Command, oneUnit bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.edge, "edge", "", "take TARGET as the name of a channel in `FILE`")
	flags.StringVar(&f.target.Framing, "framing", "", "tcp, rtu or ascii (default: tcp to a host, rtu on a port)")
	flags.BoolVar(&f.target.UDP, "udp", false, "ask by UDP")
	flags.IntVar(&f.target.Baud, "baud", 0, "rate of the line (default 19200)")
	flags.StringVar(&f.target.Parity, "parity", "", "N, E or O (default E)")
	flags.IntVar(&f.target.DataBits, "data-bits", 0, "(default 8, ASCII 7)")
	flags.IntVar(&f.target.StopBits, "stop-bits", 0, "(default 1)")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long to wait for the first byte (default 500ms on a line, 1s to a host)")
	flags.BoolVar(&f.trace, "trace", false, "print what passes the wire")
	if oneUnit {
		f.unit = 1
		flags.Var((*unitFlag)(&f.unit), "unit", "address of the device on its line")
	}
}

// unitFlag is the address of a device on the command line.
type unitFlag uint8

func (u *unitFlag) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return errors.New("a unit is a number from 0 to 255")
	}
	*u = unitFlag(n)
	return nil
}

func (u *unitFlag) String() string { return strconv.Itoa(int(*u)) }

// Type is what the help calls the value.
func (*unitFlag) Type() string { return "number" }

// open makes a master. What is wrong with the target is the command line's fault.
func (f *targetFlags) open(place string, stderr io.Writer) (*modbus.Master, error) {
	m, err := f.master(place)
	if err != nil {
		return nil, &configError{err}
	}
	if f.timeout > 0 {
		m.Timeout = f.timeout
	}
	if f.trace {
		m.Trace(func(direction string, b []byte) {
			fmt.Fprintf(stderr, "%s %-8s % X\n", time.Now().Format("15:04:05.000"), direction, b)
		})
	}
	return m, nil
}

func (f *targetFlags) master(place string) (*modbus.Master, error) {
	if f.edge == "" {
		f.target.Place = place
		return f.target.Open()
	}
	if f.target != (commissioning.Target{}) {
		return nil, errors.New("with --edge the file says how the channel is asked; leave out --framing, --udp, --baud and the like")
	}
	channels, report := config.LoadChannels(f.edge, driverKinds())
	if report.HasErrors() {
		return nil, errors.New(report.Problems[0].String())
	}
	for _, c := range channels {
		if c.Name() == place {
			inner, _ := simulated.Signals(c)
			return modbus.NewMaster(inner, nil)
		}
	}
	return nil, fmt.Errorf("there is no channel %q in %s", place, f.edge)
}

// columns prints rows in columns.
func columns(w io.Writer, indent string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprint(t, indent)
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// itemFlags say what stands at an address.
type itemFlags struct{ item commissioning.Item }

func (f *itemFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.item.Type, "type", "", "what stands there: Int16, Float32, Bcd32, String, ... as in edgeua.xml")
	flags.StringVar(&f.item.Order, "order", "", "of bytes: ABCD, BADC, CDAB, DCBA, CDABGHEF, EFGHABCD")
	flags.StringVar(&f.item.Addressing, "addressing", "", "how ADDRESS is written: protocol0, protocol1, modicon5, modicon6")
	flags.IntVar(&f.item.Length, "length", 0, "registers of a String or of Bytes")
	flags.StringVar(&f.item.Encoding, "encoding", "", "of a String: utf8, ascii, latin1, utf16")
	flags.StringVar(&f.item.StringOrder, "string-order", "", "AB, BA, A0 or 0A")
}

func newModbusRead() *cobra.Command {
	var target targetFlags
	var item itemFlags
	var count int
	var orders bool
	cmd := &cobra.Command{
		Use:   "read TARGET ADDRESS",
		Short: "Show registers in every way that they can be meant",
		Long: `Reads registers or bits and the one before and behind them, because manuals count from 0 or
from 1. Every register is shown by itself, the neighbours in brackets; below, the registers are
read as larger values that begin at the address, one lower and one higher, side by side.
The column with a sensible number tells the address, its row the type and the order.`,
		Example: `  edgeua modbus read 192.0.2.7 h100
  edgeua modbus read 192.0.2.7 h100 --orders --count 4
  edgeua modbus read /dev/ttyUSB0 40101 --addressing modicon5 --type Float32 --baud 9600`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			item.item.Address = args[1]
			area, first, span, err := item.item.Place()
			if err != nil {
				return &configError{err}
			}
			m, err := target.open(args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer m.Close()
			n := max(count, span)
			v, err := commissioning.Look(cmd.Context(), m, target.unit, area, first, n)
			if err != nil {
				return commissioning.Explain(m, target.unit, err)
			}
			return showView(cmd.OutOrStdout(), v, item.item, orders)
		},
	}
	target.add(cmd, true)
	item.add(cmd)
	cmd.Flags().IntVar(&count, "count", 0, "registers or bits (default: what the type needs, 2 without one)")
	cmd.Flags().BoolVar(&orders, "orders", false, "show all orders of bytes")
	return cmd
}

func showView(w io.Writer, v *commissioning.View, item commissioning.Item, orders bool) error {
	if err := columns(w, "", v.Registers()); err != nil || v.Bits() {
		return err
	}
	fmt.Fprintln(w)
	return columns(w, "", v.Values(item, orders))
}

func newModbusWrite() *cobra.Command {
	var target targetFlags
	var item itemFlags
	cmd := &cobra.Command{
		Use:   "write TARGET ADDRESS VALUE",
		Short: "Write a value and read it back",
		Long: `Reads the value, writes the new one with the function that suits it (5, 6, 15, 16 or 22), and
reads it back. Other bits of a register stay as they are. The write is sent once: where no
reply comes it may have been carried out all the same.

Exit codes: 0 the device has the value, 1 it has not or cannot be asked, 2 the command line
is wrong; then nothing was sent.`,
		Example: `  edgeua modbus write 192.0.2.7 h100 21.5 --type Float32 --order CDAB
  edgeua modbus write 192.0.2.7 c3 on
  edgeua modbus write /dev/ttyUSB0 h20.4 1 --unit 5
  edgeua modbus write 192.0.2.7 h100 -5 --type Int16`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			item.item.Address = args[1]
			t, wire, err := commissioning.Prepare(item.item, args[2])
			if err != nil {
				return &configError{err}
			}
			m, err := target.open(args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer m.Close()
			w, err := commissioning.Put(cmd.Context(), m, target.unit, t, wire)
			if !w.Confirmed {
				return notWritten(m, target.unit, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "unit %d, %s: was %s, written %s, is %s\n", target.unit, args[1], w.Before, w.Asked, w.After)
			switch {
			case err != nil:
				return commissioning.Explain(m, target.unit, err)
			case !w.Kept():
				return errors.New("the device has confirmed the write and has another value: it may be out of range, locked, or changed by the device itself")
			}
			return nil
		},
	}
	target.add(cmd, true)
	item.add(cmd)
	return cmd
}

// notWritten explains a write that was not confirmed.
func notWritten(m *modbus.Master, unit byte, err error) error {
	explained := commissioning.Explain(m, unit, err)
	if commissioning.Unclear(err) {
		return fmt.Errorf("%w; the write was sent, and may have been carried out", explained)
	}
	return explained
}

// negativeLast puts the negative number that modbus write is to write behind a --, because it would be taken for flags.
func negativeLast(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || cmd.CommandPath() != "edgeua modbus write" || slices.Contains(args, "--") {
		return args
	}
	for i, a := range args {
		if len(a) < 2 || a[0] != '-' || !strings.ContainsRune("0123456789.", rune(a[1])) {
			continue
		}
		if f := cmd.Flags().Lookup(strings.TrimPrefix(args[i-1], "--")); f != nil && f.NoOptDefVal == "" {
			continue // the value of a flag
		}
		return append(slices.Delete(slices.Clone(args), i, i+1), "--", a)
	}
	return args
}

func newModbusIdentify() *cobra.Command {
	var target targetFlags
	cmd := &cobra.Command{
		Use:   "identify TARGET",
		Short: "Ask a device who it is",
		Long: `Asks for what a device may say about itself: its name plate (function 43/14), server id (17),
exception status (7), event counter (11), an echo (8/0), and on a serial line its counters of
the line (8/11 to 8/18). Most devices know only some of it.`,
		Example: `  edgeua modbus identify 192.0.2.7
  edgeua modbus identify /dev/ttyUSB0 --unit 5 --baud 9600 --parity N`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := target.open(args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer m.Close()
			return identifyUnit(cmd.Context(), m, target.unit, cmd.OutOrStdout())
		},
	}
	target.add(cmd, true)
	return cmd
}

func identifyUnit(ctx context.Context, m *modbus.Master, unit uint8, w io.Writer) error {
	facts, err := commissioning.Identify(ctx, m, unit)
	if err != nil {
		return commissioning.Explain(m, unit, err)
	}
	rows := make([][]string, len(facts))
	for i, f := range facts {
		rows[i] = []string{f.Name, printable(f.Text)}
	}
	return columns(w, "", rows)
}
