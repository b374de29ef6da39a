//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
)

// line is one row of the table.
type line struct {
	values, connections int
	secure              bool
}

// rate is what was measured on one row.
type rate struct {
	perSecond float64
	cpu       time.Duration // of the server process, per request
}

// printSpeed measures every row, each beside an echo of the same sizes.
func printSpeed(ctx context.Context, out io.Writer, d time.Duration) error {
	dir, err := os.MkdirTemp("", "edgeua-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(ctx, dir, runtime.GOARCH, "")
	if err != nil {
		return err
	}
	g, err := startGateway(ctx, binary, dir, 100)
	if err != nil {
		return err
	}
	defer g.stop()
	echo, err := start(ctx, "echo ", os.Args[0], "-echo")
	if err != nil {
		return err
	}
	defer echo.stop()
	certificate, err := serverCertificate(g.url)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // the first poll, so that all values are good
	b := &bench{
		gateway: g, echo: echo, echoAddr: strings.TrimPrefix(echo.line, "echo "), duration: d,
		certificate: certificate, identity: securechanneltest.NewIdentity("client2048", clientURI),
	}
	fmt.Fprintf(out, "Read, one request at a time per connection, %d CPUs shared by client and server, %s\n", runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(out, "%6s %5s  %-16s %12s %16s %12s %16s %8s\n", "values", "conns", "mode", "requests/s", "server CPU/req", "echo/s", "echo CPU/req", "ratio")
	for _, secure := range []bool{false, true} {
		for _, values := range []int{1, 100} {
			for _, connections := range []int{1, 4} {
				if err := b.print(ctx, out, line{values, connections, secure}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bench is what all rows share.
type bench struct {
	gateway     *gateway
	echo        *process
	echoAddr    string
	duration    time.Duration
	certificate []byte
	identity    *securechannel.Identity
}

func (b *bench) print(ctx context.Context, out io.Writer, l line) error {
	served, request, answer, err := b.opcua(ctx, l)
	if err != nil {
		return err
	}
	echoed, err := b.echoes(ctx, l, request, answer)
	if err != nil {
		return err
	}
	mode := "None"
	if l.secure {
		mode = "SignAndEncrypt"
	}
	fmt.Fprintf(out, "%6d %5d  %-16s %12.0f %16s %12.0f %16s %8.2f\n", l.values, l.connections, mode,
		served.perSecond, served.cpu.Round(100*time.Nanosecond), echoed.perSecond, echoed.cpu.Round(100*time.Nanosecond),
		served.perSecond/echoed.perSecond)
	return nil
}

// opcua measures the gateway and tells how many bytes a request and its answer
// are on the wire.
func (b *bench) opcua(ctx context.Context, l line) (r rate, request, answer int, err error) {
	var trips []func() error
	for range l.connections {
		c, err := dialReader(b.gateway.url, l.secure, b.identity, b.certificate, l.values)
		if err != nil {
			return rate{}, 0, 0, err
		}
		defer c.close()
		before := *c.counted
		if err := c.check(); err != nil {
			return rate{}, 0, 0, err
		}
		request, answer = c.counted.written-before.written, c.counted.read-before.read
		trips = append(trips, c.roundTrip)
	}
	r, err = measure(ctx, b.duration, b.gateway.process, trips)
	return r, request, answer, err
}

func (b *bench) echoes(ctx context.Context, l line, request, answer int) (rate, error) {
	var trips []func() error
	for range l.connections {
		c, err := dialEcho(b.echoAddr, request, answer)
		if err != nil {
			return rate{}, err
		}
		defer c.close()
		trips = append(trips, c.roundTrip)
	}
	return measure(ctx, b.duration, b.echo, trips)
}

// measure runs the round trips for d, after a warm-up, each in its goroutine.
func measure(ctx context.Context, d time.Duration, server *process, trips []func() error) (rate, error) {
	if _, err := repeat(ctx, d/10, trips); err != nil {
		return rate{}, err
	}
	before, err := server.cpu()
	if err != nil {
		return rate{}, err
	}
	began := time.Now()
	count, err := repeat(ctx, d, trips)
	if err != nil {
		return rate{}, err
	}
	took := time.Since(began)
	after, err := server.cpu()
	return rate{perSecond: float64(count) / took.Seconds(), cpu: (after - before) / time.Duration(max(count, 1))}, err
}

func repeat(ctx context.Context, d time.Duration, trips []func() error) (int, error) {
	counts := make([]int, len(trips))
	until := time.Now().Add(d)
	var all errgroup.Group
	for i, trip := range trips {
		all.Go(func() error {
			for time.Now().Before(until) && ctx.Err() == nil {
				if err := trip(); err != nil {
					return err
				}
				counts[i]++
			}
			return ctx.Err()
		})
	}
	err := all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, err
}
