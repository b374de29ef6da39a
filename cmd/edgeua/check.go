package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// configFlags are --config and --edge.
type configFlags struct{ main, edge string }

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.main, "config", config.MainName, "the TwinCAT configuration file, its directory, or a "+config.LocationName)
	cmd.Flags().StringVar(&f.edge, "edge", "", "our own configuration file (default: edgeua.xml beside the TwinCAT file, where it may be missing)")
}

func (f *configFlags) load() (*config.Config, *xmltree.Report) { return config.Load(f.options()) }

func (f *configFlags) options() config.Options {
	return config.Options{Main: f.main, Edge: f.edge, EdgeRequired: f.edge != "", Kinds: driverKinds()}
}

// usable loads the configuration for a command that acts on it.
func (f *configFlags) usable() (*config.Config, error) {
	cfg, report := f.load()
	if err := refused(cfg, report); err != nil {
		return nil, &configError{err}
	}
	return cfg, nil
}

// checkFlags are the flags of check.
type checkFlags struct {
	configFlags
	json, diff bool
	explain    string
}

func newCheck() *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check [--diff OLD NEW]",
		Short: "Say what is wrong with the configuration, and what would run",
		Long: `Reads the configuration and the certificates as serve would, prints everything it finds
as file:line: error|warning: path: message, and then a summary of what would run. Nothing
is started, dialled or written.

With --diff it prints what is different between two configurations instead, and what a
reload of the first as the second would do. Of a file that NEW has not beside it, the one
beside OLD is taken.

Exit codes: 0 no errors (there may be warnings), 2 errors.`,
		Example: `  edgeua check --config /etc/edgeua/TcUaServerConfig.xml
  edgeua check --explain YearsValidFor
  edgeua check --json
  edgeua check --diff /etc/edgeua/TcUaServerConfig.xml new.xml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if flags.diff {
				return cobra.ExactArgs(2)(cmd, args)
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch out := cmd.OutOrStdout(); {
			case flags.explain != "":
				if err := config.Explain(out, flags.explain); err != nil {
					return &configError{err}
				}
				return nil
			case flags.diff:
				return checkDiff(out, &flags, args[0], args[1])
			default:
				return check(out, &flags)
			}
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.json, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&flags.explain, "explain", "", "say what `ELEMENT` of the TwinCAT file does, and what becomes of it here")
	cmd.Flags().BoolVar(&flags.diff, "diff", false, "compare two configurations")
	cmd.MarkFlagsMutuallyExclusive("diff", "explain")
	return cmd
}

func check(out io.Writer, flags *checkFlags) error {
	cfg, report := flags.load()
	if cfg != nil {
		inspect(cfg, report, time.Now())
	}
	if flags.json {
		if err := writeJSON(out, verdict(cfg, report, &plan{})); err != nil {
			return err
		}
		return judge(report)
	}
	if _, err := report.WriteTo(out); err != nil {
		return err
	}
	if cfg != nil {
		for _, source := range cfg.Sources {
			fmt.Fprintf(out, "read %s, last changed %s\n", source.Path, source.Modified.Format(time.DateTime))
		}
		if err := cfg.Summary(out); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, findings(report))
	return judge(report)
}

// judge is the result of a check.
func judge(report *xmltree.Report) error {
	if report.HasErrors() {
		return &configError{errors.New("the configuration has errors")}
	}
	return nil
}

// result of check as JSON.
type checkJSON struct {
	Starts   bool              `json:"starts"` // serve would start with it
	Errors   int               `json:"errors"`
	Warnings int               `json:"warnings"`
	Omitted  int               `json:"omitted,omitempty"` // further problems
	Problems []xmltree.Problem `json:"problems"`
	Changes  []changeJSON      `json:"changes,omitempty"`
}

type changeJSON struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Effect string `json:"effect"`
	Waits  bool   `json:"nextStart"` // the effect does not come before
}

func verdict(cfg *config.Config, report *xmltree.Report, p *plan) checkJSON {
	v := checkJSON{Starts: cfg != nil, Omitted: report.Omitted, Problems: report.Problems}
	for _, c := range p.changes {
		v.Changes = append(v.Changes, changeJSON{c.Path, c.Before, c.After, c.effect, c.waits})
	}
	v.Errors, v.Warnings = count(report)
	if v.Problems == nil {
		v.Problems = []xmltree.Problem{}
	}
	return v
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// inspect adds to the report what the certificates and trust lists on this machine show.
func inspect(cfg *config.Config, report *xmltree.Report, now time.Time) {
	add := func(all []pki.Finding) {
		for _, f := range all {
			severity := xmltree.Warning
			if f.Fatal {
				severity = xmltree.Error
			}
			report.Add(xmltree.Problem{File: f.Path, Severity: severity, Message: f.Message})
		}
	}
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		add(pki.Inspect(locations(e), pki.Wanted{
			Request:  certificateRequest(&e.Certificate.Settings, cfg.Application.URI),
			Generate: e.Certificate.Generate,
			Hosts:    hosts(e),
		}, now))
	}
	add(pki.InspectTrust(userLocations(cfg), now))
	report.Sort()
}

// hosts are the names under which clients reach an endpoint.
func hosts(e *config.Endpoint) []string {
	var all []string
	for _, text := range append([]string{e.URL}, e.AlternativeURLs...) {
		if u, err := url.Parse(text); err == nil && u.Hostname() != "" {
			all = append(all, u.Hostname())
		}
	}
	return all
}

// count gives the errors and warnings of a report.
func count(report *xmltree.Report) (errorCount, warnings int) {
	for _, p := range report.Problems {
		if p.Severity == xmltree.Error {
			errorCount++
		} else {
			warnings++
		}
	}
	return errorCount, warnings
}

// findings counts the problems of a report, in words.
func findings(report *xmltree.Report) string {
	errorCount, warnings := count(report)
	return fmt.Sprintf("%d errors, %d warnings", errorCount, warnings)
}
