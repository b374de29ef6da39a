package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgeua/edgeua/config/configtest"
)

// traceEffects are those of Trace: what is in the log file, and how many there are.
func traceEffects() map[string]influence {
	const at = "UaServerConfig/Trace/"
	given := func(more ...string) func(*configtest.Node) {
		return func(n *configtest.Node) {
			n.Set(at+"UaAppTraceFile", "log/trace.log")
			for i := 0; i < len(more); i += 2 {
				n.Set(at+more[i], more[i+1])
			}
		}
	}
	return map[string]influence{
		"UaStackTraceEnabled":  {value: "true", given: given("UaStackTraceLevel", "DEBUG"), probe: leastLevel, want: "DEBUG"},
		"UaStackTraceLevel":    {value: "ALL", given: given("UaStackTraceEnabled", "true"), probe: leastLevel, want: "DEBUG"},
		"UaAppTraceEnabled":    {value: "false", given: given(), probe: leastLevel, want: "no file"},
		"UaAppTraceLevel":      {value: "Warning", given: given(), probe: leastLevel, want: "WARN"},
		"UaAppTraceMaxEntries": {value: "1", given: given(), probe: logFiles, want: "6 files"},
		"UaAppTraceMaxBackup":  {value: "2", given: given("UaAppTraceMaxEntries", "1"), probe: logFiles, want: "3 files"},
		"UaAppTraceFile":       {value: "log/trace.log", probe: leastLevel, want: "INFO"},
		"DisableFileTrace":     {value: "true", given: given(), probe: leastLevel, want: "no file"},
	}
}

// leastLevel is the lowest level in the log file after a client has come and gone.
func leastLevel(s *stage) string {
	s.endpoints("")
	s.quit()
	data, err := os.ReadFile(filepath.Join(s.dir, "log", "trace.log"))
	if err != nil {
		return "no file"
	}
	for _, level := range []string{"DEBUG", "INFO", "WARN", "ERROR"} {
		if strings.Contains(string(data), "level="+level) {
			return level
		}
	}
	return "nothing"
}

// logFiles counts the log files after some clients.
func logFiles(s *stage) string {
	for range 6 {
		s.endpoints("")
	}
	s.quit()
	entries, _ := os.ReadDir(filepath.Join(s.dir, "log")) // none, if it is not there
	return fmt.Sprint(len(entries), " files")
}
