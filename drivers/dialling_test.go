package drivers

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// fakeLink notes that it was closed.
type fakeLink struct {
	Link
	closed bool
}

func (l *fakeLink) Close() error {
	l.closed = true
	return nil
}

// A link that comes when the channel has ended belongs to nobody and is closed, whether its attempt heeds the context or
// ends a little later.
func TestDialling_LateLinkIsClosed(t *testing.T) {
	for name, startup := range map[string]time.Duration{"at once": 0, "while it starts up": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := &fakeLink{}
				c := NewDialling(func(context.Context) (Link, error) {
					<-time.After(time.Second)
					return link, nil
				}, startup, func() string { return "" }, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				c.Begin(ctx, 0)
				if startup > 0 {
					<-time.After(2 * time.Second)
				}
				cancel()
				c.Wait()
				if !link.closed {
					t.Error("a link is left open")
				}
			})
		})
	}
}

// A result that nobody took is closed as well.
func TestDialling_UnwantedResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := &fakeLink{}
		c := NewDialling(func(context.Context) (Link, error) { return link, nil }, 0, func() string { return "" }, slog.New(slog.DiscardHandler))
		c.Begin(t.Context(), 0)
		synctest.Wait()
		c.Wait()
		if !link.closed {
			t.Error("a link is left open")
		}
	})
}

// The pauses grow while links are of no use, and an attempt under way holds what is due only at first.
func TestDialling_Pauses(t *testing.T) {
	fails := errors.New("refused")
	c := NewDialling(func(context.Context) (Link, error) { return nil, fails }, 0, func() string { return "" }, slog.New(slog.DiscardHandler))
	c.Begin(t.Context(), 0)
	if _, ok := c.Next(); ok || !c.Holding(time.Hour) {
		t.Error("the first attempt holds what is due")
	}
	if _, err := c.Take(<-c.Done(), 0); !errors.Is(err, fails) || !c.Failing() || c.Up() {
		t.Error(err)
	}
	first, ok := c.Next()
	if !ok || first < 800*time.Millisecond || first > 1200*time.Millisecond {
		t.Errorf("again after %v", first)
	}
	c.Begin(t.Context(), first/2)
	if at, ok := c.Next(); !ok || at != first {
		t.Error("it does not wait")
	}
	c.Begin(t.Context(), first)
	if c.Holding(first) {
		t.Error("what is due does not wait for an attempt after one that failed")
	}
	_, _ = c.Take(<-c.Done(), first)
	if second, _ := c.Next(); second-first < 1600*time.Millisecond {
		t.Errorf("the second pause is %v", second-first)
	}
	c.Wait()
	c.Lost(time.Minute, nil, true)
	if at, _ := c.Next(); at != time.Minute {
		t.Errorf("a link that was of use is replaced at %v", at)
	}
}

// On a link that has ended what is due waits for the next one, but not for long.
func TestDialling_Grace(t *testing.T) {
	c := NewDialling(func(context.Context) (Link, error) { return &fakeLink{}, nil }, 0, func() string { return "" }, slog.New(slog.DiscardHandler))
	c.Begin(t.Context(), 0)
	if _, err := c.Take(<-c.Done(), 0); err != nil || !c.Up() || c.Opened() == 0 {
		t.Fatal(err)
	}
	c.Lost(time.Minute, nil, true)
	c.Begin(t.Context(), time.Minute)
	if !c.Holding(time.Minute+Grace-1) || c.Holding(time.Minute+Grace) {
		t.Error("what is due does not wait for exactly the grace")
	}
	c.Wait()
}
