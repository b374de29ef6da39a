package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

// logFlags are --log-level and --log-format of the commands that log.
type logFlags struct{ level, format string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "log-level", "", "debug, info, warn or error (default: info, or debug if <Trace> asks for it)")
	cmd.Flags().StringVar(&f.format, "log-format", "text", "text or json")
}

// logger makes the process's logger; fallback is the level if none was named.
func (f *logFlags) logger(w io.Writer, fallback slog.Leveler) (*slog.Logger, error) {
	level := fallback
	if f.level != "" {
		var named slog.Level
		if err := named.UnmarshalText([]byte(f.level)); err != nil {
			return nil, &configError{fmt.Errorf("--log-level %q: use debug, info, warn or error", f.level)}
		}
		level = named
	}
	options := &slog.HandlerOptions{Level: level}
	switch strings.ToLower(f.format) {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, &configError{fmt.Errorf("--log-format %q: use text or json", f.format)}
}
