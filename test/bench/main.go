//go:build linux

// Command bench measures the edgeua binary from outside: requests per second
// and server CPU per request for Read, beside a TCP echo of the same sizes in
// the same run, so that a number means the same on any machine; and with
// -sizes, memory and binary size.
//
//	go run ./test/bench
//	go run ./test/bench -sizes
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	sizes := flag.Bool("sizes", false, "print idle memory and binary sizes instead of speed")
	duration := flag.Duration("d", 2*time.Second, "time per line of the table")
	echo := flag.Bool("echo", false, "be the TCP echo that the table compares with (used by bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	var err error
	switch {
	case *echo:
		err = serveEcho(ctx, os.Stdout)
	case *sizes:
		err = printSizes(ctx, os.Stdout)
	default:
		err = printSpeed(ctx, os.Stdout, *duration)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
