package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/edgeua/edgeua/config"
)

// checkDiff prints what is different between two configurations.
func checkDiff(out io.Writer, flags *checkFlags, before, after string) error {
	old, oldReport := config.Load(config.Options{Main: before, Kinds: driverKinds()})
	if err := refused(old, oldReport); err != nil {
		return &configError{fmt.Errorf("%s: %w", before, err)}
	}
	cfg, report := config.Load(standIn(before, after))
	p := &plan{}
	if cfg != nil {
		p = newPlan(old, cfg)
	}
	if flags.json {
		if err := writeJSON(out, verdict(cfg, report, p)); err != nil {
			return err
		}
		return judge(report)
	}
	if _, err := report.WriteTo(out); err != nil {
		return err
	}
	for _, c := range p.changes {
		fmt.Fprintln(out, c)
	}
	switch {
	case report.HasErrors():
		fmt.Fprintln(out, "a reload would change nothing: the new configuration has errors")
	case len(p.changes) == 0:
		fmt.Fprintln(out, "nothing is different")
	default:
		fmt.Fprintf(out, "%d differences; %s\n", len(p.changes), findings(report))
	}
	return judge(report)
}

// standIn reads a configuration as if it stood in the place of another one: paths in it mean what they mean there.
func standIn(before, after string) config.Options {
	opts := config.Options{Main: after, Kinds: driverKinds()}
	old, next := directoryOf(before), directoryOf(after)
	if abs, err := filepath.Abs(old); err == nil {
		opts.Dir = abs
	}
	pick := func(name string) string {
		if _, err := os.Stat(filepath.Join(next, name)); errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(old, name)
		}
		return ""
	}
	opts.Edge, opts.Users = pick(config.EdgeName), pick(config.UsersName)
	return opts
}

func directoryOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}
