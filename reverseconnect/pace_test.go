package reverseconnect

// How often, how evenly and how loudly clients are called that do not answer.

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

func TestManager_BackoffGrowsToItsMaximumAndResetsAtOPN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, refusing(syscall.ECONNREFUSED), testTarget(client1))
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
		time.Sleep(5 * time.Minute)
		for i, wait := range want {
			dials := w.dialled()
			if i+1 >= len(dials) {
				break
			}
			if got := dials[i+1].at.Sub(dials[i].at); got != wait*time.Second {
				t.Errorf("delay %d is %v, want %v", i, got, wait*time.Second)
			}
		}
		w.refuse(nil)

		p := w.call()
		p.hello() // Hello is not enough
		p.Close()
		closed := time.Now()
		p = w.call()
		if got := p.calledAt.Sub(closed); got != DefaultBackoffMax {
			t.Errorf("after Hello the delay is %v, want still %v", got, DefaultBackoffMax)
		}
		p.openChannel() // the channel is
		p.Close()
		p = w.call()
		p.Close()
		closed = time.Now()
		if got := w.call().calledAt.Sub(closed); got != DefaultBackoffMin {
			t.Errorf("after a channel the delay is %v, want %v", got, DefaultBackoffMin)
		}
		w.end(0)
	})
}

func TestManager_DelaysAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := rand.New(rand.NewPCG(1, 2))
		target := testTarget(client1)
		target.BackoffMax = target.BackoffMin
		w := newWorld(t, func(w *world, cfg *ManagerConfig) {
			cfg.Rand = source.Float64
			w.refuse(syscall.ECONNREFUSED)
		}, target)
		time.Sleep(500 * time.Second)
		dials := w.dialled()
		shortest, longest := time.Hour, time.Duration(0)
		for i := range dials[1:] {
			wait := dials[i+1].at.Sub(dials[i].at)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		if shortest < 800*time.Millisecond || longest > 1200*time.Millisecond {
			t.Errorf("delays from %v to %v leave 1 s +-20 %%", shortest, longest)
		}
		if shortest > 820*time.Millisecond || longest < 1180*time.Millisecond {
			t.Errorf("delays from %v to %v do not use 1 s +-20 %%", shortest, longest)
		}
		w.end(0)
	})
}

func TestManager_RejectDelayIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget(client1)
		target.RejectDelay = 5 * time.Second
		w := newWorld(t, nil, target)
		p := w.call()
		for range 5 {
			p.sendError(ua.StatusBadTCPEndpointURLInvalid, "")
			rejected := time.Now()
			p = w.call()
			if got := p.calledAt.Sub(rejected); got != 5*time.Second {
				t.Fatalf("after an Error called again after %v, want 5s every time", got)
			}
		}
		p.Close()
		closed := time.Now()
		if got := w.call().calledAt.Sub(closed); got != DefaultBackoffMin {
			t.Errorf("after a failure called again after %v, want %v: Errors do not count", got, DefaultBackoffMin)
		}
		w.end(0)
	})
}

// A client that does nothing but open and close channels is answered at once for a while, then slowed down.
func TestManager_BusyClientIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		begin := time.Now()
		for range 100 {
			p := w.call()
			p.openChannel()
			p.Close()
			synctest.Wait()
		}
		if took := time.Since(begin); took < 7*time.Second || took > 9*time.Second {
			t.Errorf("100 channels took %v, want 80 times 100 ms", took)
		}
		if n := len(w.log.at(slog.LevelInfo)); n > 120 {
			t.Errorf("%d lines", n)
		}
		w.end(0)
	})
}

func TestManager_FirstDialsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []Target
		for i := range 200 {
			targets = append(targets, testTarget(fmt.Sprintf("opc.tcp://client%d.test:4840", i)))
		}
		w := newWorld(t, refusing(syscall.ECONNREFUSED), targets...)
		time.Sleep(time.Minute)
		dials := w.dialled()
		first := map[string]bool{}
		for i, d := range dials {
			first[d.address] = true
			if i+dialBurst < len(dials) && dials[i+dialBurst].at.Sub(d.at) < dialInterval {
				t.Fatalf("more than %d dials within %v", dialBurst, dialInterval)
			}
		}
		if len(first) != 200 {
			t.Errorf("%d of 200 clients were called within a minute", len(first))
		}
		w.end(0)
	})
}

// Clients that have been down for long share the process's wake-ups, at the pace of all dials.
func TestManager_DeadClientsAreDialledTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []Target
		for i := range 500 {
			targets = append(targets, testTarget(fmt.Sprintf("opc.tcp://dead%d.test", i)))
		}
		w := newWorld(t, func(w *world, cfg *ManagerConfig) {
			cfg.Rand = rand.Float64
			w.refuse(syscall.ECONNREFUSED)
		}, targets...)
		start := time.Now()
		time.Sleep(10 * time.Minute)
		perMoment := make(map[time.Duration]int)
		late := 0
		for _, d := range w.dialled() {
			if since := d.at.Sub(start); since > 3*time.Minute { // the back-off is at its longest
				perMoment[since]++
				late++
			}
		}
		for at, n := range perMoment {
			if at%dialBeat != 0 || n > dialBurst {
				t.Fatalf("%d dials %v after the start, want at most %d, on a beat of %v", n, at, dialBurst, dialBeat)
			}
		}
		if want := 7 * 60 / 60 * 500; late < want*9/10 || late > want*11/10 {
			t.Errorf("%d dials in seven minutes, want some %d", late, want)
		}
		w.end(0)
	})
}

func TestManager_DeadClientCostsFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, refusing(syscall.ECONNREFUSED), testTarget(client1))
		time.Sleep(time.Hour)
		s := w.status(0)
		if s.Attempts < 60 || s.LastError != "connection refused" || time.Since(s.LastErrorTime) > time.Minute {
			t.Errorf("status is not exact: %+v", s)
		}
		if n := len(w.log.at(slog.LevelInfo)); n > 15 {
			t.Errorf("%d lines in an hour", n)
		}
		if n := len(w.log.at(slog.LevelDebug)); n != 2*int(s.Attempts) {
			t.Errorf("%d lines at Debug for %d attempts, want each change of state", n, s.Attempts)
		}
		var last time.Time
		for _, e := range w.log.at(slog.LevelWarn) {
			if !last.IsZero() && e.at.Sub(last) > remindAfter+time.Minute {
				t.Errorf("no line for %v", e.at.Sub(last))
			}
			last = e.at
		}
		w.refuse(syscall.EHOSTUNREACH)
		before := len(w.log.at(slog.LevelWarn))
		time.Sleep(time.Minute + time.Second)
		if n := len(w.log.at(slog.LevelWarn)) - before; n != 1 {
			t.Errorf("%d lines for a new reason, want 1", n)
		}
		w.end(0)
	})
}

// A client that comes back is told from the first step on.
func TestManager_ReturnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		for range 5 {
			p := w.call()
			p.openChannel()
			p.Close()
			synctest.Wait()
		}
		w.call().openChannel()
		cycle := "Waiting>Dialling Dialling>Announced Announced>Negotiated Negotiated>Active Active>Waiting "
		want := strings.TrimSuffix(strings.Repeat(cycle, 6), " Active>Waiting ")
		if got := w.log.path(slog.LevelInfo); got != want {
			t.Errorf("lines\n%s\nwant\n%s", got, want)
		}
		w.end(0)
	})
}
