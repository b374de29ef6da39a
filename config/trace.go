package config

import "log/slog"

// LogFile is the file that the log goes to besides standard error.
type LogFile struct {
	Path       string // empty: none
	MaxEntries int    // lines of one file
	MaxBackups int    // older files kept
}

func logFile(s section) LogFile {
	f := LogFile{Path: s.file("UaAppTraceFile"), MaxEntries: s.orDefault("UaAppTraceMaxEntries"), MaxBackups: s.number("UaAppTraceMaxBackup")}
	if s.flag("DisableFileTrace") || !s.flag("UaAppTraceEnabled") && !s.flag("UaStackTraceEnabled") {
		f.Path = ""
	}
	return f
}

// logLevel maps the two traces to one level: the more detailed of those that are on.
func logLevel(s section) slog.Level {
	level := slog.LevelError
	if s.flag("UaAppTraceEnabled") {
		level = traceLevel(s.word("UaAppTraceLevel"))
	}
	if s.flag("UaStackTraceEnabled") {
		level = min(level, traceLevel(s.word("UaStackTraceLevel")))
	}
	return level
}

func traceLevel(word string) slog.Level {
	switch word {
	case "NoTrace", "Errors", "NONE", "ERROR":
		return slog.LevelError
	case "Warning", "WARNING":
		return slog.LevelWarn
	case "Info", "INFO", "SYSTEM":
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
