package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/logfile"
)

// logFlags are --log-level and --log-format of the commands that log.
type logFlags struct{ level, format string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "log-level", "", "debug, info, warn or error (default: info, or debug if <Trace> asks for it)")
	cmd.Flags().StringVar(&f.format, "log-format", "text", "text or json")
}

// handler writes to w; fallback is the level if none was named.
func (f *logFlags) handler(w io.Writer, fallback slog.Leveler) (slog.Handler, error) {
	level := fallback
	if f.level != "" {
		var named slog.Level
		if err := named.UnmarshalText([]byte(f.level)); err != nil {
			return nil, &configError{fmt.Errorf("--log-level %q: use debug, info, warn or error", f.level)}
		}
		level = named
	}
	return f.formatted(w, level)
}

func (f *logFlags) formatted(w io.Writer, level slog.Leveler) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	switch strings.ToLower(f.format) {
	case "text":
		return slog.NewTextHandler(w, options), nil
	case "json":
		return slog.NewJSONHandler(w, options), nil
	}
	return nil, &configError{fmt.Errorf("--log-format %q: use text or json", f.format)}
}

// journal is where a gateway tells what happens: standard error, from the level
// info on at the least, and the log file of the configuration, if there is one.
type journal struct {
	*slog.Logger
	level, fileLevel slog.LevelVar
	file             atomic.Pointer[logfile.File] // nil: none
	now              config.LogFile               // what file is
}

// journal writes to stderr only, until it follows a configuration.
func (f *logFlags) journal(stderr io.Writer) (*journal, error) {
	j := &journal{}
	j.fileLevel.Set(math.MaxInt)
	said, err := f.handler(stderr, &j.level)
	if err != nil {
		return nil, err
	}
	kept, err := f.formatted(j, &j.fileLevel)
	if err != nil {
		return nil, err
	}
	j.Logger = slog.New(slog.NewMultiHandler(said, kept))
	return j, nil
}

// Write appends a line to the log file, for the handler of it.
func (j *journal) Write(line []byte) (int, error) {
	if f := j.file.Load(); f != nil {
		return f.Write(line)
	}
	return len(line), nil
}

// follow takes over the levels and the file of a configuration. A file that
// cannot be written stops no gateway. Calls must not overlap.
func (j *journal) follow(cfg *config.Config) {
	j.level.Set(min(slog.LevelInfo, cfg.LogLevel))
	if cfg.LogFile != j.now {
		j.reopen(cfg.LogFile)
	}
	j.fileLevel.Set(math.MaxInt)
	if j.now.Path != "" {
		j.fileLevel.Set(cfg.LogLevel)
	}
}

func (j *journal) reopen(to config.LogFile) {
	j.now = config.LogFile{}
	var next *logfile.File
	if to.Path != "" {
		var err error
		if next, err = logfile.Open(to.Path, logfile.Options{MaxEntries: to.MaxEntries, MaxBackups: to.MaxBackups}); err != nil {
			j.Warn("no log file: the log goes to standard error only", "err", err)
		} else {
			j.now = to
		}
	}
	if before := j.file.Swap(next); before != nil {
		_ = before.Close() // every line was written
	}
}

// close ends the log file.
func (j *journal) close() { j.reopen(config.LogFile{}) }
