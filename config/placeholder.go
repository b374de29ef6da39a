package config

import (
	"regexp"
	"slices"
	"strings"
)

// placeholders are the bracketed words that are replaced, wherever text or a path stands. Case matters.
func placeholders() []string {
	return []string{"[NodeName]", "[ServerName]", "[ApplicationPath]", "[ConfigPath]", "[TracePath]", "[BkTracePath]"}
}

// expander replaces them. The application, its configuration and its traces all live in the directory of the main file.
func (l *loader) expander(serverName string) *strings.Replacer {
	return strings.NewReplacer(
		"[NodeName]", l.opts.Hostname,
		"[ServerName]", serverName,
		"[ApplicationPath]", l.dir,
		"[ConfigPath]", l.dir,
		"[TracePath]", l.dir,
		"[BkTracePath]", l.dir,
	)
}

// bracketed matches what looks like a placeholder. The brackets of an IPv6 address do not match.
var bracketed = regexp.MustCompile(`\[[A-Za-z_][A-Za-z0-9_]*\]`)

// unknownPlaceholders finds what looks like a placeholder and is none.
func unknownPlaceholders(text string) []string {
	found := bracketed.FindAllString(text, -1)
	known := placeholders()
	return slices.DeleteFunc(found, func(p string) bool { return slices.Contains(known, p) })
}
