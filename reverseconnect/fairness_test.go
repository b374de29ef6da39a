package reverseconnect

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

func manyTargets(n int) []Target {
	targets := make([]Target, n)
	for i := range targets {
		targets[i] = testTarget(fmt.Sprintf("opc.tcp://c%d:1", i))
	}
	return targets
}

func limited(maxSockets int) func(*world, *ManagerConfig) {
	return func(_ *world, cfg *ManagerConfig) { cfg.MaxSockets = maxSockets }
}

// Five clients share two sockets and none ever says Hello: each has its turn, in the order of asking.
func TestMaxSockets_SilentHoldersGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(2), manyTargets(5)...)
		counts := map[string]int{}
		open := 0
		last := map[string]time.Time{}
		for range 50 {
			p := w.call()
			counts[p.address]++
			if before, ok := last[p.address]; ok && time.Since(before) > 3*turn {
				t.Fatalf("%s had to wait %v for its turn", p.address, time.Since(before))
			}
			last[p.address] = time.Now()
			for _, s := range w.m.Snapshot() {
				open += s.Sockets
			}
			if open > 2 {
				t.Fatalf("%d sockets", open)
			}
			open = 0
		}
		for address, n := range counts {
			if n < 5 || n > 15 { // who gives way at the same instant queues in any order
				t.Errorf("%s had %d of 50 turns", address, n)
			}
		}
		if s := w.m.Snapshot()[0]; s.LastError != "" {
			t.Errorf("giving way is told as an error: %q", s.LastError)
		}
		lines := len(w.log.at(slog.LevelInfo))
		time.Sleep(time.Hour)
		if n := len(w.log.at(slog.LevelInfo)) - lines; n > 100 {
			t.Errorf("%d lines in an hour of turns", n)
		}
		w.end(0)
	})
}

// Who is answered keeps its socket, the others share the rest.
func TestMaxSockets_ActiveKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(2), manyTargets(3)...)
		busy := w.call()
		busy.openChannel()
		counts := map[string]int{}
		for range 20 {
			counts[w.call().address]++
		}
		if counts[busy.address] != 0 || len(counts) != 2 {
			t.Errorf("turns %v beside the open channel of %s", counts, busy.address)
		}
		began := time.Now()
		busy.Close() // its slot goes to who waits; it queues behind
		next := w.call()
		if next.address == busy.address || !next.calledAt.Equal(began) {
			t.Errorf("%s was called after %v", next.address, next.calledAt.Sub(began))
		}
		w.end(0)
	})
}

// Dead clients give back their slot while they wait, so that they cost the others nothing but the time of a dial.
func TestMaxSockets_DeadClientsDoNotHoldSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world, cfg *ManagerConfig) {
			cfg.MaxSockets = 1
			w.answer(func(address string) error {
				if address != "c9:1" {
					return syscall.ECONNREFUSED
				}
				return nil
			})
		}, manyTargets(10)...)
		p := w.call()
		if p.address != "c9:1" {
			t.Fatalf("called %s", p.address)
		}
		p.openChannel()
		time.Sleep(time.Hour)
		if s := w.m.Snapshot()[9]; s.State != Active {
			t.Errorf("the living client is %v", s.State)
		}
		w.end(0)
	})
}

// Without anybody waiting nobody has to give way.
func TestMaxSockets_NoHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(2), manyTargets(2)...)
		w.call()
		w.call()
		w.idle(20 * time.Hour)
		w.end(0)
	})
}

// A holder past its turn gives way as soon as somebody asks, not before.
func TestMaxSockets_GivesWayOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(1), manyTargets(2)...)
		p := w.call()
		p.sendError(ua.StatusBadTCPEndpointURLInvalid, "") // away for a minute
		rejected := time.Now()
		holder := w.call()
		if holder.address == p.address {
			t.Fatalf("%s is called again", p.address)
		}
		back := w.call()
		if got := back.calledAt.Sub(rejected); back.address != p.address || got != DefaultRejectDelay {
			t.Errorf("%s was called after %v, want %s after %v", back.address, got, p.address, DefaultRejectDelay)
		}
		w.end(0)
	})
}

// Who is answered after its turn is over need not give way any more: another does.
func TestMaxSockets_AnsweredLateKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(2), manyTargets(3)...)
		away, first := w.call(), w.call()
		time.Sleep(time.Second)                               // first is the first whose turn is over
		away.sendError(ua.StatusBadTCPEndpointURLInvalid, "") // for a minute
		rejected := time.Now()
		w.call()
		time.Sleep(2 * turn)
		first.openChannel()
		if got := w.call(); got.address != away.address || got.calledAt.Sub(rejected) != DefaultRejectDelay {
			t.Errorf("%s was called after %v", got.address, got.calledAt.Sub(rejected))
		}
		for i, s := range w.m.Snapshot() {
			if fmt.Sprintf("c%d:1", i) == first.address && s.State != Active {
				t.Errorf("the open channel is %v", s.State)
			}
		}
		w.end(0)
	})
}

// TestSlots plays random games and checks after each move what must always hold.
func TestSlots(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		limit := 1 + r.IntN(4)
		s := newSlots(limit)
		var queue, holders []*slot
		offered := map[*slot]bool{}
		for range 300 {
			switch move := r.IntN(5); {
			case move <= 1:
				queue = append(queue, s.ask())
			case move == 2 && len(queue) > 0 && r.IntN(4) == 0: // gives up waiting
				i := r.IntN(len(queue))
				s.leave(queue[i])
				queue = append(queue[:i], queue[i+1:]...)
			case len(holders) > 0:
				i := r.IntN(len(holders))
				w := holders[i]
				switch {
				case move == 3:
					if !offered[w] {
						s.offer(w)
					}
					offered[w] = true
				case r.IntN(2) == 0:
					s.keep(w)
				default:
					s.leave(w)
					holders = append(holders[:i], holders[i+1:]...)
				}
			}
			for len(queue) > 0 && isClosedChan(queue[0].granted) { // in order
				holders, queue = append(holders, queue[0]), queue[1:]
			}
			check(t, s, limit, queue, holders)
		}
	}
}

func check(t *testing.T, s *slots, limit int, queue, holders []*slot) {
	t.Helper()
	if len(holders) > limit || len(holders) != s.used {
		t.Fatalf("%d holders, %d counted, limit %d", len(holders), s.used, limit)
	}
	if len(queue) > 0 && len(holders) < limit {
		t.Fatalf("%d wait although %d of %d slots are used", len(queue), len(holders), limit)
	}
	for _, w := range queue {
		if isClosedChan(w.granted) {
			t.Fatal("somebody was served out of order")
		}
	}
	asked := 0
	for _, w := range holders {
		if w.asked {
			asked++
		}
	}
	if asked != s.asked {
		t.Fatalf("%d holders are asked, %d counted", asked, s.asked)
	}
	if s.idle.Len() > 0 && len(queue) > s.asked {
		t.Fatalf("%d wait, %d are asked to give way, %d would", len(queue), s.asked, s.idle.Len())
	}
}

func isClosedChan(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func spares(n int) Target {
	t := testTarget(client1)
	t.SocketsPerClient = n
	return t
}

func TestSpare_Part6_105_713_AnnouncedAtOPN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, spares(3))
		first := w.call()
		first.hello()
		w.idle(time.Minute) // not at Hello
		opened := time.Now()
		first.send(frame("OPNF", "x"))
		second := w.call()
		if got := second.calledAt.Sub(opened); got != 0 {
			t.Errorf("spare announced after %v", got)
		}
		if s := w.wantState(Active); s.Sockets != 2 {
			t.Errorf("%d sockets, want the channel and one spare", s.Sockets)
		}
		first.send(frame("OPNF", "renewal"))
		w.idle(time.Minute)
		second.openChannel()
		third := w.call()
		third.openChannel()
		w.idle(time.Hour) // three is the limit
		if s := w.wantState(Active); s.Sockets != 3 {
			t.Errorf("%d sockets", s.Sockets)
		}
		closed := time.Now()
		first.Close()
		if got := w.call().calledAt.Sub(closed); got != 0 {
			t.Errorf("called again after %v", got)
		}
		w.end(0)
	})
}

// A client that takes no second socket keeps its first and is called at once when that closes.
func TestSpare_RefusedDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, spares(2))
		first := w.call()
		first.openChannel()
		w.call().sendError(ua.StatusBadTCPEndpointURLInvalid, "one is enough")
		synctest.Wait()
		time.Sleep(10 * time.Second)
		s := w.wantState(Active)
		if s.LastError != "" {
			t.Errorf("the client counts as down: %q", s.LastError)
		}
		if n := len(w.log.at(slog.LevelWarn)); n != 0 {
			t.Errorf("%d warnings", n)
		}
		closed := time.Now()
		first.Close()
		if got := w.call().calledAt.Sub(closed); got != 0 {
			t.Errorf("called again after %v although only the spare was rejected", got)
		}
		if got := w.log.path(slog.LevelInfo); !strings.HasSuffix(got, "Waiting>Dialling Dialling>Announced") {
			t.Errorf("lines %s", got)
		}
		w.end(0)
	})
}

// The spare survives the end of the channel beside it, and the other way round.
func TestSpare_ChannelClosesBesideAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, spares(2))
		first := w.call()
		first.openChannel()
		spare := w.call()
		first.Close()
		s := w.wantState(Announced)
		if s.Sockets != 1 {
			t.Errorf("%d sockets", s.Sockets)
		}
		w.idle(time.Minute)
		spare.openChannel()
		w.call()
		w.wantState(Active)
		w.end(0)
	})
}

func TestSpare_ChannelClosesDuringHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := spares(2)
		target.HelloTimeout = time.Minute
		w := newWorld(t, nil, target)
		first := w.call()
		first.openChannel()
		w.call()
		time.Sleep(time.Minute) // the spare is hung up on
		first.Close()
		synctest.Wait()
		if got := w.call().calledAt; !got.Equal(time.Now()) {
			t.Errorf("called again at %v", got)
		}
		w.end(0)
	})
}
