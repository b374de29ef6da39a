package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// configFlags are --config and --edge.
type configFlags struct{ main, edge string }

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.main, "config", "TcUaServerConfig.xml", "the TwinCAT configuration file")
	cmd.Flags().StringVar(&f.edge, "edge", "", "our own configuration file (default: edgeua.xml beside the TwinCAT file, where it may be missing)")
}

func (f *configFlags) load() (*config.Config, *xmltree.Report) {
	return config.Load(config.Options{
		Main: f.main, Edge: f.edge, EdgeRequired: f.edge != "", Kinds: driverKinds(),
	})
}

func newCheck() *cobra.Command {
	var files configFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration, and what would run",
		Long: `Reads the configuration as serve would, prints everything it finds as
file:line: error|warning: path: message, and then a summary of what would run. Nothing
is started, dialled or written.

Exit codes: 0 no errors (there may be warnings), 2 errors.`,
		Example: "  edgeua check --config /etc/edgeua/TcUaServerConfig.xml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd.OutOrStdout(), &files)
		},
	}
	files.add(cmd)
	return cmd
}

func check(out io.Writer, files *configFlags) error {
	cfg, report := files.load()
	if _, err := report.WriteTo(out); err != nil {
		return err
	}
	if cfg != nil {
		if err := cfg.Summary(out); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, findings(report))
	if report.HasErrors() {
		return &configError{errors.New("the configuration has errors")}
	}
	return nil
}

// findings counts the problems of a report, in words.
func findings(report *xmltree.Report) string {
	errorCount, warnings := 0, 0
	for _, p := range report.Problems {
		if p.Severity == xmltree.Error {
			errorCount++
		} else {
			warnings++
		}
	}
	return fmt.Sprintf("%d errors, %d warnings", errorCount, warnings)
}
