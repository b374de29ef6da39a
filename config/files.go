package config

import (
	"path/filepath"
	"slices"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Files lists the files that [Load] looks for with these options, whether they are there or not. Those that one of them
// names are among the Sources of the Config.
func Files(opts Options) []string {
	l := &loader{opts: opts, parse: parseFile, report: &xmltree.Report{}, cfg: &Config{}}
	asked := opts.Main
	l.followMain()
	dir := filepath.Dir(l.opts.Main)
	all := []string{asked, filepath.Join(filepath.Dir(asked), LocationName), l.opts.Main, opts.Edge, opts.Users}
	if opts.Edge == "" {
		all = append(all, filepath.Join(dir, EdgeName))
	}
	if opts.Users == "" {
		all = append(all, filepath.Join(dir, UsersName))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(file string) bool { return file == "" })
}
