package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// logRate is how many records of one message pass per second: whoever makes the
// server log must not fill its storage (I7).
const logRate = 10

// logLimiter is a slog.Handler that lets only so many records of each message
// pass; the next one that does says how many did not. Debug is not limited:
// somebody asked for it. Messages are constants, so their number is bounded.
type logLimiter struct {
	slog.Handler
	state *logLimiterState // shared by all children
}

type logLimiterState struct {
	mu       sync.Mutex
	messages map[string]*logCount // guarded by mu
}

type logCount struct {
	second     time.Time // when counting began
	passed     int
	suppressed int
}

func limitLog(h slog.Handler) slog.Handler {
	return logLimiter{h, &logLimiterState{messages: make(map[string]*logCount)}}
}

func (l logLimiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		suppressed, pass := l.state.pass(r.Message, time.Now())
		if !pass {
			return nil
		}
		if suppressed > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("suppressed", suppressed))
		}
	}
	return l.Handler.Handle(ctx, r)
}

func (l logLimiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logLimiter{l.Handler.WithAttrs(attrs), l.state}
}

func (l logLimiter) WithGroup(name string) slog.Handler {
	return logLimiter{l.Handler.WithGroup(name), l.state}
}

// pass counts one record; suppressed is how many were held back before it.
func (s *logLimiterState) pass(message string, now time.Time) (suppressed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.messages[message]
	if c == nil {
		c = &logCount{second: now}
		s.messages[message] = c
	}
	if now.Sub(c.second) >= time.Second {
		c.second, c.passed = now, 0
	}
	if c.passed >= logRate {
		c.suppressed++
		return 0, false
	}
	c.passed++
	suppressed, c.suppressed = c.suppressed, 0
	return suppressed, true
}
