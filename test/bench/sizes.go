//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// The bars that a gateway of 128 MB sets.
const (
	idleTags   = 2000
	rssBar     = 20 << 10 // KiB
	binaryBar  = 15 << 20 // bytes
	settleTime = 10 * time.Second
)

// printSizes prints idle memory and the size of the binary on ARMv7.
func printSizes(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "edgeua-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	native, err := build(ctx, dir, runtime.GOARCH, "")
	if err != nil {
		return err
	}
	arm, err := build(ctx, dir, "arm", "7")
	if err != nil {
		return err
	}
	info, err := os.Stat(arm)
	if err != nil {
		return err
	}
	g, err := startGateway(ctx, native, dir, idleTags)
	if err != nil {
		return err
	}
	defer g.stop()
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	rss, err := g.rss()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "resident memory, %d tags polled, no client, linux/%s: %.1f MB (bar 20)\n", idleTags, runtime.GOARCH, float64(rss)/1024)
	fmt.Fprintf(out, "stripped binary, linux/arm v7: %.1f MB (bar 15)\n", float64(info.Size())/(1<<20))
	if rss > rssBar || info.Size() > binaryBar {
		return fmt.Errorf("over the bar")
	}
	return nil
}
