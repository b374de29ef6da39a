package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// I7: ten lines a second per cause; the rest is counted.
func TestLogLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(limitLog(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		child := log.With("remote", "a").WithGroup("g")
		for range 20 {
			child.Warn("refused", "x", 1)
			log.Warn("refused")
			log.Debug("detail")
		}
		log.Info("other")
		time.Sleep(time.Second)
		log.Warn("refused")
		got := out.String()
		for text, want := range map[string]int{"msg=refused": 11, "msg=detail": 20, "msg=other": 1, "suppressed=30": 1} {
			if n := strings.Count(got, text); n != want {
				t.Errorf("%q stands %d times, want %d", text, n, want)
			}
		}
	})
}
