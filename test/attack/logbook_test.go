package attack

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook takes the server's log in the text format of slog.
type logbook struct {
	start time.Time

	mu       sync.Mutex
	text     bytes.Buffer   // guarded by mu
	messages map[string]int // guarded by mu; lines by message
}

func newLogbook() *logbook {
	return &logbook{start: time.Now(), messages: make(map[string]int)}
}

// Write takes one line.
func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, _ := strings.Cut(string(line), " msg=")
	message, _, _ := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
	l.messages[message]++
	return l.text.Write(line)
}

// Bounds of what an attacker may make the server write (I7).
const (
	linesPerSecond = 10
	maxLogBytes    = 1 << 20
)

// check asserts I1 and I7: no panic, few lines of each kind, and nothing in
// them that came from outside as it was, or that is secret.
func (l *logbook) check(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	if at := strings.Index(text, "by a panic"); at >= 0 {
		t.Errorf("I1: a panic was recovered: %.3000s", text[max(0, at-100):])
	}
	most := linesPerSecond * (2 + int(time.Since(l.start).Seconds()))
	for message, n := range l.messages {
		if n > most {
			t.Errorf("I7: %d lines %q in %v", n, message, time.Since(l.start))
		}
	}
	if len(text) > maxLogBytes {
		t.Errorf("I7: %d bytes of log", len(text))
	}
	if strings.Contains(text, password) {
		t.Error("I7: the log has a password")
	}
	if at := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 }); at >= 0 {
		t.Errorf("I7: the log has control characters: %q", text[max(0, at-100):min(len(text), at+50)])
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("I7: a line of the log was forged: %q", line)
		}
	}
}
