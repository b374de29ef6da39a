package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Bounds of the pause after a failed Accept, such as running out of
// descriptors.
const (
	acceptPauseMin = 100 * time.Millisecond
	acceptPauseMax = time.Second
)

// Listen accepts connections on ln and serves them on ep until ctx is done,
// closes ln and waits for them. Connections over MaxConnections,
// MaxConnectionsPerAddress or AcceptRate are closed at once.
func (s *Server) Listen(ctx context.Context, ln net.Listener, ep *Endpoint) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { ln.Close(); close(closed) })
	defer func() {
		if !stop() {
			<-closed // the port is free when Listen returns
		}
	}()
	defer ln.Close()
	var served sync.WaitGroup
	defer served.Wait()
	pause := acceptPauseMin
	for {
		nc, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			s.log.Warn("accept failed", "addr", ln.Addr().String(), "err", err, "pause", pause)
			if !wait(ctx, pause) {
				return nil
			}
			pause = min(2*pause, acceptPauseMax)
		default:
			pause = acceptPauseMin
			s.accepted(ctx, nc, ep, &served)
		}
	}
}

// wait reports false when ctx ends before d is over.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) accepted(ctx context.Context, nc net.Conn, ep *Endpoint, served *sync.WaitGroup) {
	host := peerOf(nc)
	s.mu.Lock()
	ok := s.admissions.accept(host, time.Now())
	s.mu.Unlock()
	if !ok {
		s.counters.refusedConnections.Add(1)
		nc.Close()
		return
	}
	served.Go(func() {
		s.serveInbound(ctx, nc, ep)
		s.mu.Lock()
		s.admissions.leaveInbound(host)
		s.mu.Unlock()
	})
}

// serveInbound bounds the silence before Hello; for the rest an inbound
// connection is like any other.
func (s *Server) serveInbound(ctx context.Context, nc net.Conn, ep *Endpoint) {
	var silence *time.Timer
	c := newConnection(s, nc, ep, func(uatcp.Stage) { silence.Stop() })
	c.inbound = true
	silence = time.AfterFunc(s.limits().HelloTimeout, func() { c.drop(errNoHello) })
	defer silence.Stop()
	s.serve(ctx, c)
}
