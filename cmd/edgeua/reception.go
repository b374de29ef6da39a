package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/edgeua/edgeua/reverseconnect"
)

// maxVisits bounds how many servers are visited at once.
const maxVisits = 64

// visitPause follows a visit that came to nothing: a server that calls again at
// once would be met by the same at once.
const visitPause = time.Second

// errAllVisited ends a reception that has done what it was asked.
var errAllVisited = errors.New("all servers were visited")

// reception takes the calls of any number of servers and visits each of them,
// several at once.
type reception struct {
	listener *reverseconnect.Listener
	filter   reverseconnect.Filter
	visitor  *visitor
	tasks    *tasks
	out      *printer
	servers  int // so many are visited before the end; tasks without an end have none

	mu sync.Mutex
	// guarded by mu
	present map[caller]chan *reverseconnect.Session // being visited; takes the next call
	visited map[caller]bool
}

// caller is who called, as far as a ReverseHello tells.
type caller struct{ serverURI, endpointURL string }

// run takes calls until every server was visited or ctx ends.
func (r *reception) run(ctx context.Context) error {
	r.present = map[caller]chan *reverseconnect.Session{}
	r.visited = map[caller]bool{}
	ctx, end := context.WithCancelCause(ctx)
	var visits sync.WaitGroup
	defer visits.Wait()
	defer end(nil)
	for {
		s, err := r.listener.Accept(ctx, r.filter)
		if err != nil {
			end(err)
			visits.Wait()
			return r.result(context.Cause(ctx))
		}
		if next := r.admit(s); next != nil {
			visits.Go(func() { r.receive(ctx, s, next, end) })
		}
	}
}

// result is what the run came to, given why it ended.
func (r *reception) result(cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(cause, errAllVisited):
		return nil
	case !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded):
		return cause
	case len(r.visited) == 0:
		return errors.New("nobody called, or nobody could be asked, before the end")
	case !r.tasks.endless() && len(r.visited) < r.servers:
		return fmt.Errorf("only %d of %d servers could be asked before the end", len(r.visited), r.servers)
	}
	return nil
}

// admit hands the call of a server that is being visited to its visit, and
// returns where the visit of any other takes its next call; nil if there is
// none.
func (r *reception) admit(s *reverseconnect.Session) chan *reverseconnect.Session {
	who := caller{s.ServerURI, s.EndpointURL}
	r.mu.Lock()
	defer r.mu.Unlock()
	if next, here := r.present[who]; here {
		select {
		case old := <-next:
			old.Close()
		default:
		}
		next <- s
		return nil
	}
	if len(r.present) >= maxVisits || r.visited[who] && !r.tasks.endless() {
		s.Close()
		return nil
	}
	next := make(chan *reverseconnect.Session, 1)
	r.present[who] = next
	return next
}

// leave ends the presence of a server, unless it has called again meanwhile:
// then it returns that call.
func (r *reception) leave(who caller) *reverseconnect.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case s := <-r.present[who]:
		if r.tasks.endless() || !r.visited[who] {
			return s
		}
		s.Close()
	default:
	}
	delete(r.present, who)
	return nil
}

// receive visits a server for as long as it has called.
func (r *reception) receive(ctx context.Context, s *reverseconnect.Session, next <-chan *reverseconnect.Session, end context.CancelCauseFunc) {
	who := caller{s.ServerURI, s.EndpointURL}
	for s != nil {
		r.out.called(s)
		err := r.visit(ctx, s, next)
		var final *finalError
		switch {
		case ctx.Err() != nil && err != nil:
		case errors.As(err, &final) && r.alone(who):
			end(err)
		case err != nil:
			r.out.failed(s.ServerURI, err)
			pause(ctx, visitPause)
		case r.finished(who):
			end(errAllVisited)
		}
		s = r.leave(who)
		if s != nil && ctx.Err() != nil {
			s.Close()
			s = r.leave(who)
		}
	}
}

// alone tells whether nobody else is or was visited.
func (r *reception) alone(who caller) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other := range r.visited {
		if other != who {
			return false
		}
	}
	return len(r.present) == 1
}

// finished notes a visit and tells whether it was the last one.
func (r *reception) finished(who caller) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visited[who] = true
	return !r.tasks.endless() && len(r.visited) >= r.servers
}

// visit opens a session, does the tasks and closes it. It returns nil when the
// tasks were done, also if the connection was lost after that.
func (r *reception) visit(ctx context.Context, s *reverseconnect.Session, next <-chan *reverseconnect.Session) error {
	c, err := r.visitor.connect(ctx, s, next)
	if err != nil {
		return err
	}
	r.out.connected(s, r.visitor)
	err = r.tasks.run(ctx, c, s.ServerURI, r.out)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.Close(closing) // the connection may be gone already
	return err
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
