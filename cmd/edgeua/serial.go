package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/sniff"
)

func newSerial() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serial",
		Short:   "Listen to a serial line",
		Example: "  edgeua serial sniff /dev/ttyUSB0 9600 8N1",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSerialSniff())
	return cmd
}

// sniffFlags are the flags of serial sniff.
type sniffFlags struct {
	duration, gap time.Duration
	detect        bool
	open          sniff.Open // tests put a line of their own here
}

const (
	detectEach = 3 * time.Second       // of a setting, unless told otherwise
	leastGap   = 10 * time.Millisecond // adapters and the scheduler tear apart what came together
)

func newSerialSniff() *cobra.Command { return sniffCommand(serial.Open) }

func sniffCommand(open sniff.Open) *cobra.Command {
	flags := sniffFlags{open: open}
	cmd := &cobra.Command{
		Use:   "sniff PORT [RATE] [FORMAT]",
		Short: "Show what comes on a serial line, and guess what it is",
		Long: `Opens the port exclusively and only listens: nothing is ever sent. Shows every burst with
its time, the silence before it, hexadecimal and text; at the end, or on Ctrl-C, says
what it looks like (line ends, start and end marks, fixed length, Modbus, NMEA 0183,
DSMR P1, checksums) and what to write into edgeua.xml.

PORT is a path or usb:VID:PID[:SERIAL], RATE is 9600 and FORMAT 8N1 if they are left out.
With --detect those that are left out are tried one after the other.`,
		Example: `  edgeua serial sniff /dev/ttyUSB0 9600 8N1
  edgeua serial sniff usb:0403:6001 --detect
  edgeua serial sniff /dev/ttyS1 19200 8E1 --duration 30s`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := flags.settings(args)
			if err != nil {
				return &configError{err}
			}
			if flags.detect {
				return flags.detectLine(cmd.Context(), cmd.OutOrStdout(), settings)
			}
			return flags.listen(cmd.Context(), cmd.OutOrStdout(), settings[0])
		},
	}
	cmd.Flags().DurationVar(&flags.duration, "duration", 0, "how long to listen, with --detect at each setting (default: until Ctrl-C; 3s)")
	cmd.Flags().DurationVar(&flags.gap, "gap", 0, "silence that ends a burst (default: 3.5 characters, at least 10ms)")
	cmd.Flags().BoolVar(&flags.detect, "detect", false, "try the usual rates and formats")
	return cmd
}

// settings are those of the line; several if they are to be found.
func (f *sniffFlags) settings(args []string) ([]serial.Config, error) {
	c := serial.Config{Port: args[0], BaudRate: sniff.Rates()[0], DataBits: 8, Parity: 'N', StopBits: 1, LowLatency: true}
	rates, formats := sniff.Rates(), sniff.Formats()
	if len(args) > 1 {
		if err := sniff.ParseRate(args[1], &c); err != nil {
			return nil, err
		}
		rates = []int{c.BaudRate}
	}
	if len(args) > 2 {
		if err := sniff.ParseFormat(args[2], &c); err != nil {
			return nil, err
		}
		formats = []string{args[2]}
	}
	if !f.detect {
		return []serial.Config{c}, nil
	}
	var all []serial.Config
	for _, format := range formats {
		if err := sniff.ParseFormat(format, &c); err != nil {
			return nil, err
		}
		for _, c.BaudRate = range rates {
			all = append(all, c)
		}
	}
	return all, nil
}

// silence is what ends a burst.
func (f *sniffFlags) silence(c serial.Config) time.Duration {
	if f.gap > 0 {
		return f.gap
	}
	return max(leastGap, c.Character()*7/2)
}

// forever is longer than anybody listens.
const forever = 100 * 365 * 24 * time.Hour

func (f *sniffFlags) listen(ctx context.Context, out io.Writer, c serial.Config) error {
	long := f.duration
	if long == 0 {
		long = forever
	}
	start := time.Now()
	t := sniff.Trial{Config: c, Recorder: sniff.NewRecorder(f.silence(c), start)}
	t.Recorder.Show = func(b *sniff.Burst) { _, _ = b.WriteTo(out) } // a reader that has gone is no reason to lose the report
	fmt.Fprintf(out, "listening to %s, nothing is sent\n", c.String())
	var err error
	t.LineErrors, err = sniff.Line(ctx, f.open, c, t.Recorder, start.Add(long), nil)
	if err != nil && t.Recorder.Bytes == 0 {
		return err
	}
	t.Guesses = sniff.Guesses(t.Recorder)
	fmt.Fprintln(out)
	if _, writeErr := t.WriteTo(out); writeErr != nil {
		return writeErr
	}
	return err
}

func (f *sniffFlags) detectLine(ctx context.Context, out io.Writer, settings []serial.Config) error {
	each := f.duration
	if each == 0 {
		each = detectEach
	}
	fmt.Fprintf(out, "listening to %s at %d settings, up to %v at each, nothing is sent\n", settings[0].Port, len(settings), each)
	best, err := sniff.Detect(ctx, f.open, settings, f.silence, each, func(t *sniff.Trial) {
		fmt.Fprintf(out, "%7d %d%c%d  %s\n", t.Config.BaudRate, t.Config.DataBits, t.Config.Parity, t.Config.StopBits, t.Verdict())
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	if best == nil {
		best = &sniff.Trial{Config: settings[0], Recorder: sniff.NewRecorder(0, time.Now())}
	}
	if best.Score() >= sniff.Likely {
		fmt.Fprintf(out, "%d %d%c%d looks right\n", best.Config.BaudRate, best.Config.DataBits, best.Config.Parity, best.Config.StopBits)
	}
	_, err = best.WriteTo(out)
	return err
}
