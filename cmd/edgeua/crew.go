package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// crew runs tasks that come and go while the gateway runs. The first one that
// fails ends them all.
type crew struct {
	group *errgroup.Group
	// begin runs a task until the crew ends or the task is stopped; stop returns
	// when it has ended.
	begin func(task func(ctx context.Context) error) (stop func())
}

func newCrew(ctx context.Context) *crew {
	group, ctx := errgroup.WithContext(ctx)
	return &crew{group, func(task func(ctx context.Context) error) func() {
		own, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		group.Go(func() error {
			defer close(done)
			defer cancel()
			return task(own)
		})
		return func() { cancel(); <-done }
	}}
}

// wait returns when all have ended, with the first failure.
func (c *crew) wait() error { return c.group.Wait() }
