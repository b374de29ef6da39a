package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgeua/edgeua/config"
)

// checkDiff prints what is different between two configurations.
func checkDiff(out io.Writer, flags *checkFlags, before, after string) error {
	old, oldReport := config.Load(config.Options{Main: before, Kinds: driverKinds()})
	if err := refused(old, oldReport); err != nil {
		return &configError{fmt.Errorf("%s: %w", before, err)}
	}
	cfg, report := config.Load(standIn(before, after))
	var changes []changeJSON
	if cfg != nil {
		changes = effects(config.Diff(old, cfg))
	}
	if flags.json {
		if err := writeJSON(out, verdict(cfg, report, changes)); err != nil {
			return err
		}
		return judge(report)
	}
	if _, err := report.WriteTo(out); err != nil {
		return err
	}
	for _, c := range changes {
		fmt.Fprintf(out, "%s: %s\n", config.Change{Path: c.Path, Before: c.Before, After: c.After}, c.Effect)
	}
	switch {
	case report.HasErrors():
		fmt.Fprintln(out, "a reload would change nothing: the new configuration has errors")
	case len(changes) == 0:
		fmt.Fprintln(out, "nothing is different")
	default:
		fmt.Fprintf(out, "%d differences; %s\n", len(changes), findings(report))
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

// effects says of each change what a reload does about it: the reverse-connect part of an endpoint is applied, unless
// something else about that endpoint changes as well.
func effects(all []config.Change) []changeJSON {
	waiting := map[string]bool{}
	for _, c := range all {
		waiting[endpointOf(c.Path)] = waiting[endpointOf(c.Path)] || !reversePart(c.Path)
	}
	var changes []changeJSON
	for _, c := range all {
		effect := "applied by a reload, other reverse connections stay"
		if waiting[endpointOf(c.Path)] && !strings.HasPrefix(c.Path, "MaxSockets") {
			effect = "needs a restart"
		}
		changes = append(changes, changeJSON{Path: c.Path, Before: c.Before, After: c.After, Effect: effect})
	}
	return changes
}

func reversePart(path string) bool {
	return strings.Contains(path, "].ReverseClients") || strings.Contains(path, "].DirectoryClients")
}

// endpointOf is the part of a path that names an endpoint.
func endpointOf(path string) string {
	i := strings.Index(path, "]")
	if !strings.HasPrefix(path, "Endpoints[") || i < 0 {
		return ""
	}
	return path[:i]
}
