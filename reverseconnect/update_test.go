package reverseconnect

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

func (w *world) update(maxSockets int, targets ...Target) {
	w.t.Helper()
	if err := w.m.Update(targets, maxSockets); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func TestUpdate_OthersDoNotNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stays, goes, added := testTarget("opc.tcp://stays:1"), testTarget("opc.tcp://goes:1"), testTarget("opc.tcp://added:1")
		w := newWorld(t, nil, stays, goes)
		sockets := map[string]*peer{}
		for range 2 {
			p := w.call()
			p.openChannel()
			sockets[p.address] = p
		}
		before := len(w.log.at(slog.LevelInfo))
		w.update(0, added, stays)
		if _, err := sockets["goes:1"].Read(make([]byte, 1)); err == nil {
			t.Error("the removed client still has its socket")
		}
		p := w.call()
		if p.address != "added:1" {
			t.Fatalf("called %s", p.address)
		}
		for _, l := range w.log.at(slog.LevelInfo)[before:] {
			if l.attrs["url"] == stays.URL {
				t.Errorf("the one that stays has noticed: %v", l)
			}
		}
		all := w.m.Snapshot()
		if len(all) != 2 || all[0].URL != added.URL || all[1].URL != stays.URL || all[1].State != Active || all[1].Attempts != 1 {
			t.Errorf("%+v", all)
		}
		w.idle(time.Hour) // nobody calls the one that is gone
		w.end(0)
	})
}

// A client whose settings have changed is called anew, and never has two sockets.
func TestUpdate_Changed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget(client1)
		w := newWorld(t, nil, target)
		first := w.call()
		first.openChannel()
		target.RejectDelay = time.Second
		began := time.Now()
		w.update(0, target)
		if _, err := first.Read(make([]byte, 1)); err == nil {
			t.Error("the old socket is still open")
		}
		second := w.call()
		if !second.calledAt.Equal(began) {
			t.Errorf("called anew after %v", second.calledAt.Sub(began))
		}
		second.sendError(ua.StatusBadTimeout, "")
		rejected := time.Now()
		if got := w.call().calledAt.Sub(rejected); got != time.Second {
			t.Errorf("the new reject delay is %v", got)
		}
		w.end(0)
	})
}

// The server may take a while to say goodbye; the new call waits for that.
func TestUpdate_ChangedWaitsForTheOldSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget(client1)
		target.Serve = func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			progress(uatcp.StageChannel)
			<-ctx.Done()
			time.Sleep(time.Second)
			return uatcp.Report{Stage: uatcp.StageChannel}
		}
		w := newWorld(t, nil, target)
		w.call().send([]byte{'H'})
		w.wantState(Active)
		began := time.Now()
		for range 3 { // in quick succession
			target.ConnectTimeout += time.Second
			w.update(0, target)
		}
		w.update(0)
		w.update(0, target)
		if got := w.call().calledAt.Sub(began); got != time.Second {
			t.Errorf("called anew after %v", got)
		}
		w.end(time.Second)
	})
}

func TestUpdate_EnableAndDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget(client1)
		target.Disabled = true
		w := newWorld(t, nil, target)
		w.idle(time.Hour)
		if s := w.wantState(Disabled); s.Attempts != 0 || w.m.ConnectNow(client1) {
			t.Errorf("%+v", s)
		}
		target.Disabled = false
		w.update(0, target)
		p := w.call()
		p.openChannel()
		target.Disabled = true
		w.update(0, target)
		if _, err := p.Read(make([]byte, 1)); err == nil {
			t.Error("the disabled client still has its socket")
		}
		w.wantState(Disabled)
		w.idle(time.Hour)
		w.end(0)
	})
}

func TestUpdate_BadTargetsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, testTarget(client1))
		p := w.call()
		p.openChannel()
		if err := w.m.Update([]Target{testTarget("opc.tcp://new:1"), testTarget("opc.tcp://new:0")}, 0); err == nil {
			t.Error("port 0 is accepted")
		}
		if err := w.m.Update(nil, -1); err == nil {
			t.Error("MaxSockets -1 is accepted")
		}
		w.idle(time.Hour)
		w.wantState(Active)
		w.end(0)
	})
}

func TestUpdate_MaxSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(1), manyTargets(2)...)
		p := w.call()
		p.openChannel()
		w.idle(time.Hour)
		w.update(2, manyTargets(2)...)
		q := w.call()
		q.openChannel()
		w.update(1, manyTargets(2)...)
		w.idle(time.Hour)
		for _, s := range w.m.Snapshot() {
			if s.State != Active {
				t.Errorf("an open channel was closed for the smaller cap: %+v", s)
			}
		}
		w.end(0)
	})
}

func TestUpdate_BeforeRun(t *testing.T) {
	m, err := NewManager(ManagerConfig{Targets: manyTargets(2)})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Update(manyTargets(1), 0); err != nil || len(m.Snapshot()) != 1 {
		t.Errorf("%v, %+v", err, m.Snapshot())
	}
}

// TestUpdate_Racing updates while clients come and go: what remains is what was asked for last.
func TestUpdate_Racing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var concurrent sync.Map
		w := newWorld(t, func(w *world, cfg *ManagerConfig) {
			w.refuse(syscall.ECONNREFUSED)
			cfg.Changed = func(s TargetStatus) {
				if _, busy := concurrent.LoadOrStore(s.URL, true); busy {
					t.Errorf("Changed is called twice at a time for %s", s.URL)
				}
				concurrent.Delete(s.URL)
			}
		})
		var updaters sync.WaitGroup
		for n := range 4 {
			updaters.Go(func() {
				for i := range 50 {
					targets := manyTargets((i*7 + n) % 6)
					for j := range targets {
						targets[j].Disabled = (i+j)%3 == 0
						targets[j].RejectDelay += time.Duration(i % 2)
					}
					if err := w.m.Update(targets, i%4); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(i%5) * 100 * time.Millisecond)
				}
			})
		}
		updaters.Wait()
		w.update(0, manyTargets(3)...)
		w.refuse(nil)
		for range 3 {
			w.call().openChannel()
		}
		for _, s := range w.m.Snapshot() {
			if s.State != Active {
				t.Errorf("%+v", s)
			}
		}
		w.idle(time.Hour)
		w.end(0)
	})
}

// A client of several addresses is called at the next one after each failure.
func TestAlternatives_InTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget("opc.tcp://a:1")
		target.Alternatives = []string{"opc.tcp://b:2", "rcp+opc.tcp://c:3"}
		w := newWorld(t, func(w *world, _ *ManagerConfig) {
			w.answer(func(address string) error {
				if address == "c:3" {
					return nil
				}
				return syscall.ECONNREFUSED
			})
		}, target)
		p := w.call()
		p.openChannel()
		p.Close()
		w.call().sendError(ua.StatusBadTimeout, "")
		w.call()
		var got []string
		for _, d := range w.dialled() {
			got = append(got, d.address)
		}
		if want := "a:1 b:2 c:3 c:3 a:1 b:2 c:3"; strings.Join(got, " ") != want {
			t.Errorf("dialled %v, want %s", got, want)
		}
		w.end(0)
	})
}

// Further addresses do not disturb the socket there is, and count when it is gone.
func TestUpdate_Alternatives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := testTarget("opc.tcp://a:1")
		w := newWorld(t, nil, target)
		p := w.call()
		p.openChannel()
		target.Alternatives = []string{"opc.tcp://b:2"}
		w.update(0, target)
		w.wantState(Active)
		w.answer(func(address string) error {
			if address == "b:2" {
				return nil
			}
			return syscall.ECONNREFUSED
		})
		p.Close()
		p = w.call()
		if p.address != "b:2" {
			t.Errorf("called %s", p.address)
		}
		p.openChannel()
		target.Alternatives = nil
		w.update(0, target)
		w.wantState(Active)
		w.answer(nil)
		p.Close()
		if p = w.call(); p.address != "a:1" {
			t.Errorf("called %s", p.address)
		}
		w.end(0)
	})
}

// refusesPeer is a server that says, at that stage, that the client is somebody else.
func refusesPeer(stage uatcp.Stage) func(context.Context, net.Conn, func(uatcp.Stage)) uatcp.Report {
	return func(_ context.Context, _ net.Conn, progress func(uatcp.Stage)) uatcp.Report {
		progress(stage)
		return uatcp.Report{Stage: stage, Refused: true, Err: errors.New("another application than the one that is configured")}
	}
}

func TestRefused_BacksOffLikeARejection(t *testing.T) {
	for _, stage := range []uatcp.Stage{uatcp.StageHello, uatcp.StageChannel} {
		synctest.Test(t, func(t *testing.T) {
			target := testTarget(client1)
			target.Serve = refusesPeer(stage)
			w := newWorld(t, nil, target)
			for range 60 {
				w.call().send([]byte{'H'})
				ended := time.Now()
				s := w.wantState(Waiting)
				if !strings.Contains(s.LastError, "refused the client: \"another application") {
					t.Errorf("%q", s.LastError)
				}
				if got := s.NextAttempt.Sub(ended); got != DefaultRejectDelay {
					t.Errorf("%v: next call after %v", stage, got)
				}
			}
			if n := len(w.log.at(slog.LevelInfo)); n > 40 {
				t.Errorf("%v: %d lines in an hour", stage, n)
			}
			if n := len(w.log.at(slog.LevelWarn)); n == 0 {
				t.Error("no warning")
			}
			w.end(0)
		})
	}
}

// A refused channel beside a spare delays the next call too.
func TestRefused_BesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := spares(2)
		first := true
		target.Serve = func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			if first {
				first = false
				progress(uatcp.StageChannel)
				time.Sleep(time.Minute)
				return uatcp.Report{Stage: uatcp.StageChannel, Refused: true, Err: errors.New("another")}
			}
			return serveUntilClosed(ctx, nc, progress)
		}
		w := newWorld(t, nil, target)
		w.call().send([]byte{'H'})
		w.call()
		time.Sleep(time.Minute)
		s := w.wantState(Announced)
		if !strings.Contains(s.LastError, "refused the client") || s.Sockets != 1 {
			t.Errorf("%+v", s)
		}
		w.end(0)
	})
}
