package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/commissioning"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	targetFlags
	units, areas, registers string
	csv, xml                string
	silence                 time.Duration
	scan                    commissioning.Scan
}

func newModbusScan() *cobra.Command {
	var flags scanFlags
	cmd := &cobra.Command{
		Use:   "scan TARGET",
		Short: "Find units and their registers, and propose tags",
		Long: `Asks every unit for one register: whoever answers, or refuses, is there. Then it finds out which
registers each of them has, in blocks that are halved where the device refuses them, and
proposes tags for what it found. It only reads, waits between requests, and can be
stopped with Ctrl-C: what was found so far is shown.

The proposals are guesses from the values of one moment: two registers that make a sensible
number are a Float32, letters are a String, all else is a UInt16. --csv writes them as the
TagFile of a device (one file for each unit), --xml as a complete edgeua.xml.

Some devices do not like to be asked for registers that they do not have. Ask for less with
--registers and --areas.

Exit codes: 0 something was found, 1 nothing was, 2 the command line is wrong.`,
		Example: `  edgeua modbus scan 192.0.2.7
  edgeua modbus scan /dev/ttyUSB0 --baud 9600 --parity N --units 1-32
  edgeua modbus scan 192.0.2.7 --units 17 --areas hi --registers 0-999 --csv meter.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.parse(); err != nil {
				return &configError{err}
			}
			m, err := flags.open(args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer m.Close()
			return flags.run(cmd, m)
		},
	}
	flags.add(cmd, false)
	f := cmd.Flags()
	f.StringVar(&flags.units, "units", "1-247", "which to ask, as in 1-32,100")
	f.StringVar(&flags.areas, "areas", "cdhi", "coils, discrete inputs, holding registers, input registers")
	f.StringVar(&flags.registers, "registers", "0-199", "which to ask for in each area, counted from 0")
	f.DurationVar(&flags.silence, "silence", 300*time.Millisecond, "how long to wait for a unit that may not be there")
	f.DurationVar(&flags.scan.Gap, "gap", 10*time.Millisecond, "pause between requests")
	f.IntVar(&flags.scan.MaxRequests, "max-requests", 20000, "end after so many requests; 0: never")
	f.StringVar(&flags.csv, "csv", "", "write the proposed tags to `FILE` as CSV; - is the standard output")
	f.StringVar(&flags.xml, "xml", "", "write them to `FILE` as edgeua.xml; - is the standard output")
	return cmd
}

func (f *scanFlags) parse() (err error) {
	if f.scan.Units, err = commissioning.ParseUnits(f.units); err != nil {
		return err
	}
	if f.scan.Areas, err = commissioning.ParseAreas(f.areas); err != nil {
		return err
	}
	if f.scan.From, f.scan.To, err = commissioning.ParseRange(f.registers, 65535); err != nil {
		return fmt.Errorf("registers: %w", err)
	}
	f.scan.Timeout = f.silence
	return nil
}

func (f *scanFlags) run(cmd *cobra.Command, m *modbus.Master) error {
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	bar := newProgress(stderr)
	f.scan.Progress = bar.show
	found, err := f.scan.Run(cmd.Context(), m)
	bar.end()
	if err != nil {
		return commissioning.Explain(m, 0, err)
	}
	text := out
	if f.csv == "-" || f.xml == "-" { // the standard output is for a program
		text = stderr
	}
	if err := showFound(text, found); err != nil {
		return err
	}
	if err := f.save(out, found); err != nil {
		return err
	}
	if len(found.Units) == 0 {
		return fmt.Errorf("nobody answers at %s: %s", m.Where(), commissioning.SilentScan(m))
	}
	return nil
}

// showFound prints what a scan has found.
func showFound(w io.Writer, found *commissioning.Found) error {
	for _, u := range found.Units {
		var plate []string
		for _, row := range u.Plate {
			plate = append(plate, row[1])
		}
		fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("unit %d  %s", u.ID, printable(strings.Join(plate, " ")))))
		if u.Note != "" {
			fmt.Fprintln(w, "  "+u.Note)
		}
		var rows [][]string
		for _, a := range u.Areas {
			rows = append(rows, []string{a.Area.String() + "s", a.Text()})
		}
		if err := columns(w, "  ", rows); err != nil {
			return err
		}
		tags := [][]string{{"tag", "type", "value now"}}
		for _, p := range u.Propose() {
			tags = append(tags, []string{p.Name, p.Kind(), p.Value})
		}
		if len(tags) > 1 {
			fmt.Fprintln(w)
			if err := columns(w, "  ", tags); err != nil {
				return err
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d of %d units answered, %d requests\n", len(found.Units), found.Asked, found.Requests)
	if found.Note != "" {
		fmt.Fprintln(w, found.Note+"; this is what was found so far")
	}
	return nil
}

// save writes the proposals.
func (f *scanFlags) save(stdout io.Writer, found *commissioning.Found) error {
	var units []*commissioning.Unit
	for _, u := range found.Units {
		if len(u.Propose()) > 0 {
			units = append(units, u)
		}
	}
	if len(units) == 0 {
		return nil
	}
	if f.xml != "" {
		channel, err := f.target.Channel()
		if err != nil || f.edge != "" {
			return &configError{fmt.Errorf("--xml writes a file of its own, and with --edge there is one; use --csv and <TagFile>")}
		}
		if err := writeTo(f.xml, stdout, func(w io.Writer) error { return commissioning.WriteXML(w, channel, units) }); err != nil {
			return err
		}
	}
	for _, u := range units {
		if f.csv == "" {
			break
		}
		name := f.csv
		if len(units) > 1 && name != "-" {
			ext := filepath.Ext(name)
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ext), u.ID, ext)
		}
		if err := writeTo(name, stdout, func(w io.Writer) error { return commissioning.WriteCSV(w, u.Propose()) }); err != nil {
			return err
		}
	}
	return nil
}

// writeTo writes a file, or to the standard output.
func writeTo(name string, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" {
		return write(stdout)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
