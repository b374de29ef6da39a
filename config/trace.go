package config

import "log/slog"

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
