//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
)

const (
	redialBar  = 5 * time.Millisecond // p99
	redials    = 1000
	honest     = 120 * time.Millisecond // between closes of one client; a faster one is slowed down after 20
	clients    = 1000
	alive      = 10
	clientBar  = 10 << 10         // bytes
	cpuBar     = 0.01             // of one core
	calmAfter  = 70 * time.Second // until the back-off of those that are down is the longest
	watchedFor = 20 * time.Second
)

// playManager calls as many clients at a port as alive says, and so many in all, the others of which are down.
func playManager(ctx context.Context, port, all string) error {
	n, err := strconv.Atoi(all)
	if err != nil {
		return err
	}
	cfg := reverseconnect.ManagerConfig{}
	for i := range n {
		url := fmt.Sprintf("opc.tcp://127.0.0.%d:%s", 1+i, port)
		if i >= alive {
			url = fmt.Sprintf("opc.tcp://127.0.%d.%d:9", 1+i/250, 1+i%250)
		}
		cfg.Targets = append(cfg.Targets, reverseconnect.Target{
			URL: url, ServerURI: fmt.Sprint("urn:bench:", i), EndpointURL: "opc.tcp://gateway:4840",
			ConnectTimeout: reverseconnect.DefaultConnectTimeout, BackoffMin: reverseconnect.DefaultBackoffMin,
			BackoffMax: reverseconnect.DefaultBackoffMax, RejectDelay: reverseconnect.DefaultRejectDelay,
			KeepAlive: reverseconnect.DefaultKeepAlive, SocketsPerClient: 1, Serve: serve,
		})
	}
	m, err := reverseconnect.NewManager(cfg)
	if err != nil {
		return err
	}
	fmt.Println("running", n)
	return m.Run(ctx)
}

// serve is a server as far as the Manager sees one: the first OpenSecureChannel is good.
func serve(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c, err := uatcp.Accept(ctx, nc, uatcp.Config{})
	if err != nil {
		return uatcp.Report{Stage: uatcp.StageNoHello, Err: err}
	}
	stage := uatcp.StageHello
	for {
		progress(stage)
		chunk, err := c.ReadChunk()
		if err != nil {
			c.Fail(err)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return uatcp.Report{Stage: stage, Err: err}
		}
		if chunk.Type == uatcp.TypeOpenSecureChannel {
			stage = uatcp.StageChannel
		}
	}
}

func measureManager(ctx context.Context, t *table) error {
	l, err := reverseconnect.Listen(ctx, "opc.tcp://0.0.0.0:0", reverseconnect.ListenerConfig{HoldTimeout: time.Hour})
	if err != nil {
		return err
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	few, err := again(ctx, "manager", port, strconv.Itoa(alive))
	if err != nil {
		return err
	}
	defer few.stop()
	if err := measureRedial(ctx, t, l); err != nil {
		return err
	}
	many, err := again(ctx, "manager", port, strconv.Itoa(clients))
	if err != nil {
		return err
	}
	defer many.stop()
	time.Sleep(calmAfter)
	before, err := many.cpu()
	if err != nil {
		return err
	}
	time.Sleep(watchedFor)
	after, err := many.cpu()
	if err != nil {
		return err
	}
	share := (after - before).Seconds() / watchedFor.Seconds()
	t.row(fmt.Sprintf("Manager, %d clients of which %d are down", clients, clients-alive), fmt.Sprintf("%.2f %% of one core", 100*share), "1 %", share < cpuBar)
	small, err := few.rss()
	if err != nil {
		return err
	}
	large, err := many.rss()
	if err != nil {
		return err
	}
	each := (large - small) / (clients - alive)
	t.row("Manager, memory of a client that is down", fmt.Sprintf("%.1f KiB", float64(each)/1024), "10 KiB", each < clientBar)
	return nil
}

// measureRedial opens and closes channels of the servers in turn, no faster than a Manager takes for honest, and times the
// next call from the close on.
func measureRedial(ctx context.Context, t *table, l *reverseconnect.Listener) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pause := time.NewTicker(honest / alive)
	defer pause.Stop()
	var all []time.Duration
	for i := range redials {
		<-pause.C
		filter := reverseconnect.Filter{ServerURI: fmt.Sprint("urn:bench:", i%alive)}
		s, err := l.Accept(ctx, filter)
		if err != nil {
			return err
		}
		if err := openChannel(s); err != nil {
			return err
		}
		closed := time.Now()
		s.Close()
		for l.Held(filter) == 0 && time.Since(closed) < time.Second {
			time.Sleep(10 * time.Microsecond)
		}
		all = append(all, time.Since(closed))
	}
	slices.Sort(all)
	p99 := all[len(all)*99/100]
	t.row("Manager, from close to the next ReverseHello", fmt.Sprintf("median %v, p99 %v", all[len(all)/2].Round(time.Microsecond), p99.Round(time.Microsecond)),
		"5 ms", p99 < redialBar)
	return nil
}

// openChannel says Hello, and what serve takes for an OpenSecureChannel.
func openChannel(s *reverseconnect.Session) error {
	hello := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: s.EndpointURL}
	if _, err := s.Conn.Write(hello.Append(nil)); err != nil {
		return err
	}
	ack := make([]byte, uatcp.HeaderSize+20)
	if _, err := io.ReadFull(s.Conn, ack); err != nil {
		return err
	}
	_, err := s.Conn.Write([]byte("OPNF\x10\x00\x00\x00whatever"))
	time.Sleep(time.Millisecond) // for the server to see the channel before it ends
	return err
}
