//go:build linux

// Command benchreverse measures both ends of reverse connect on the loopback interface: what a parked server costs a
// Listener and how many may call it per second, how fast a Bridge carries bytes beside a direct connection and socat in
// the same run, how soon a Manager calls again, and what clients that are down cost it.
//
//	go run ./test/benchreverse
//
// Each side is a process of its own: the command starts itself again with -role.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"
)

func main() {
	role := flag.String("role", "", "be one of the processes (used by benchreverse itself)")
	only := flag.String("only", "", "listener, bridge or manager: only these rows")
	count := flag.Int("n", 5000, "servers that park")
	duration := flag.Duration("d", 2*time.Second, "time per measurement of the bridge, of which there are three for each way")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if *role != "" {
		exit(play(ctx, *role, flag.Args()))
		return
	}
	t := &table{w: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"listener", func() error { return measureListener(ctx, t, *count) }},
		{"bridge", func() error { return measureBridge(ctx, t, *duration) }},
		{"manager", func() error { return measureManager(ctx, t) }},
	} {
		if *only == "" || *only == part.name {
			exit(part.run())
		}
	}
	exit(t.end())
}

// exit ends the process if there is an error.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchreverse:", err)
		os.Exit(1)
	}
}

// play is one of the processes.
func play(ctx context.Context, role string, args []string) error {
	switch role {
	case "listener":
		return playListener(ctx, args[0])
	case "source":
		return playSource(ctx, args[0])
	case "bridge":
		return playBridge(ctx)
	case "manager":
		return playManager(ctx, args[0], args[1])
	}
	return fmt.Errorf("no role is called %q", role)
}

// table prints rows and remembers whether one is over its bar.
type table struct {
	w      *tabwriter.Writer
	missed bool
}

// row prints what was measured, and the bar with whether it is met; an empty bar is none.
func (t *table) row(what, value, bar string, met bool) {
	verdict := ""
	switch {
	case bar == "":
	case met:
		verdict = bar + ", met"
	default:
		verdict = bar + ", MISSED"
		t.missed = true
	}
	fmt.Fprintf(t.w, "%s\t%s\t%s\n", what, value, verdict)
	t.w.Flush()
}

func (t *table) end() error {
	if t.missed {
		return fmt.Errorf("over the bar")
	}
	return nil
}
