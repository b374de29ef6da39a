package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// tasks is what a visitor does with a session.
type tasks struct {
	browse          bool
	read, subscribe []uabinary.NodeID
	interval        time.Duration // publishing interval; 0: 500 ms
}

// endless tells whether the tasks go on until somebody ends them.
func (t *tasks) endless() bool { return len(t.subscribe) > 0 }

func (f *listenFlags) tasks() (*tasks, error) {
	t := &tasks{browse: f.browse}
	var err error
	if t.read, err = parseNodeIDs("--read", f.read); err != nil {
		return nil, err
	}
	t.subscribe, err = parseNodeIDs("--subscribe", f.subscribe)
	return t, err
}

func parseNodeIDs(flag string, texts []string) ([]uabinary.NodeID, error) {
	var ids []uabinary.NodeID
	for _, text := range texts {
		n, err := uabinary.ParseNodeID(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is not a NodeId; write for example 'ns=2;s=Boiler.SupplyTemp' or i=2258", flag, text)
		}
		ids = append(ids, n)
	}
	return ids, nil
}

// run does the tasks on an open session with a server. Without any it reads the server's
// state, to show that the connection works.
func (t *tasks) run(ctx context.Context, c *uaclient.Client, server string, out *printer) error {
	if !t.browse && len(t.read) == 0 && len(t.subscribe) == 0 {
		return readValues(ctx, c, []uabinary.NodeID{uabinary.NumericID(0, id.Server_ServerStatus_State)}, server, out)
	}
	if t.browse {
		if err := browseTree(ctx, c, out); err != nil {
			return err
		}
	}
	if err := readValues(ctx, c, t.read, server, out); err != nil {
		return err
	}
	if len(t.subscribe) == 0 {
		return nil
	}
	return t.watch(ctx, c, server, out)
}

func readValues(ctx context.Context, c *uaclient.Client, nodes []uabinary.NodeID, server string, out *printer) error {
	if len(nodes) == 0 {
		return nil
	}
	var ids []uabinary.ReadValueID
	for _, n := range nodes {
		ids = append(ids, uabinary.ReadValueID{NodeID: n, AttributeID: ua.AttributeIDValue})
	}
	values, err := c.Read(ctx, ids)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for i := range values {
		out.value(server, nodes[i], &values[i])
	}
	return nil
}

// watch prints every change until the connection is lost or ctx ends.
func (t *tasks) watch(ctx context.Context, c *uaclient.Client, server string, out *printer) error {
	began := false
	err := c.Subscribe(ctx, cmp.Or(t.interval, 500*time.Millisecond), t.subscribe, func(node uabinary.NodeID, dv uabinary.DataValue) {
		began = true
		out.value(server, node, &dv)
	})
	if node, ok := errors.AsType[*uaclient.NodeError](err); ok {
		return &finalError{fmt.Errorf("subscribe to %w", node)}
	}
	if err != nil && began {
		out.lost(server, err)
		return nil
	}
	return err
}
