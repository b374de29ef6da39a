//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeua/edgeua/reverseconnect"
)

const (
	listenerBar = 64 << 20 // bytes
	rateBar     = 2000     // ReverseHellos per second
	rateCalls   = 20000
	callers     = 64
)

// playListener holds the calls of count servers, tells when they are there, then hands out everything that comes and hangs up.
func playListener(ctx context.Context, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	l, err := reverseconnect.Listen(ctx, "opc.tcp://127.0.0.1:0", reverseconnect.ListenerConfig{MaxHeld: n, MaxReading: 1024, HoldTimeout: time.Hour})
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("listening", l.Addr())
	for l.Held(reverseconnect.Filter{}) < n {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("held", n)
	time.Sleep(settle)
	for i := 1; ; i++ {
		s, err := l.Accept(ctx, reverseconnect.Filter{})
		if err != nil {
			return err
		}
		_ = s.Conn.(*net.TCPConn).SetLinger(0)
		s.Close()
		switch i {
		case n:
			fmt.Println("emptied", n)
		case n + rateCalls:
			fmt.Println("accepted", rateCalls)
			<-ctx.Done()
			return nil
		}
	}
}

// settle is how long a process is left alone before its memory is measured.
const settle = 3 * time.Second

func measureListener(ctx context.Context, t *table, count int) error {
	p, err := again(ctx, "listener", strconv.Itoa(count))
	if err != nil {
		return err
	}
	defer p.stop()
	addr, err := p.wait("listening")
	if err != nil {
		return err
	}
	empty, err := p.rss()
	if err != nil {
		return err
	}
	parked := make([]net.Conn, count)
	err = inParallel(count, func(i int) (err error) {
		parked[i], err = announce(addr, i)
		return err
	})
	defer func() {
		for _, nc := range parked {
			if nc != nil {
				nc.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	if _, err := p.wait("held"); err != nil {
		return err
	}
	time.Sleep(settle * 2 / 3)
	full, err := p.rss()
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("Listener, %d servers parked on one port", count),
		fmt.Sprintf("%.1f MiB resident, %.1f KiB each", mib(full), float64(full-empty)/1024/float64(count)),
		"64 MiB", full < listenerBar)
	if _, err := p.wait("emptied"); err != nil {
		return err
	}
	return measureRate(t, p, addr)
}

// measureRate calls and waits to be hung up on, over and over.
func measureRate(t *table, p *process, addr string) error {
	began := time.Now()
	cpu, err := p.cpu()
	if err != nil {
		return err
	}
	err = inParallel(rateCalls, func(i int) error {
		nc, err := announce(addr, i)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, nc)
		return nc.Close()
	})
	if err != nil {
		return err
	}
	if _, err := p.wait("accepted"); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := p.cpu()
	rate := rateCalls / took.Seconds()
	t.row("Listener, calls accepted and handed out", fmt.Sprintf("%.0f/s, %v of CPU each", rate, ((used-cpu)/rateCalls).Round(time.Microsecond)),
		"2000/s", rate >= rateBar)
	return err
}

// announce calls as server number i.
func announce(addr string, i int) (net.Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	rhe := reverseconnect.ReverseHello{
		ServerURI: fmt.Sprintf("urn:plant:gateway%d:edgeua", i), EndpointURL: fmt.Sprintf("opc.tcp://gateway%d.plant.example:4840", i),
	}
	if _, err := nc.Write(rhe.Append(nil)); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// inParallel does n things, some at a time.
func inParallel(n int, do func(i int) error) error {
	var all errgroup.Group
	all.SetLimit(callers)
	for i := range n {
		all.Go(func() error { return do(i) })
	}
	return all.Wait()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
