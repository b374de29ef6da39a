package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// tasks is what a visitor does with a session.
type tasks struct {
	browse          bool
	read, subscribe []*ua.NodeID
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

func parseNodeIDs(flag string, texts []string) ([]*ua.NodeID, error) {
	var ids []*ua.NodeID
	for _, text := range texts {
		n, err := ua.ParseNodeID(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is not a NodeId; write for example 'ns=2;s=Boiler.SupplyTemp' or i=2258", flag, text)
		}
		ids = append(ids, n)
	}
	return ids, nil
}

// run does the tasks on an open session. Without any it reads the server's
// state, to show that the connection works. lost ends a subscription.
func (t *tasks) run(ctx context.Context, c *opcua.Client, lost <-chan struct{}, out *printer) error {
	if !t.browse && len(t.read) == 0 && len(t.subscribe) == 0 {
		return readValues(ctx, c, []*ua.NodeID{ua.NewNumericNodeID(0, id.Server_ServerStatus_State)}, out)
	}
	if t.browse {
		if err := browseTree(ctx, c, out); err != nil {
			return err
		}
	}
	if err := readValues(ctx, c, t.read, out); err != nil {
		return err
	}
	if len(t.subscribe) == 0 {
		return nil
	}
	return t.watch(ctx, c, lost, out)
}

func readValues(ctx context.Context, c *opcua.Client, nodes []*ua.NodeID, out *printer) error {
	if len(nodes) == 0 {
		return nil
	}
	req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth}
	for _, n := range nodes {
		req.NodesToRead = append(req.NodesToRead, &ua.ReadValueID{NodeID: n, AttributeID: ua.AttributeIDValue})
	}
	res, err := c.Read(ctx, req)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if len(res.Results) != len(nodes) {
		return errors.New("read: the server answered another number of values than was asked for")
	}
	for i, dv := range res.Results {
		out.value(nodes[i], dv)
	}
	return nil
}

// watch prints every change until the connection is lost or ctx ends.
func (t *tasks) watch(ctx context.Context, c *opcua.Client, lost <-chan struct{}, out *printer) error {
	interval := t.interval
	if interval == 0 {
		interval = 500 * time.Millisecond
	}
	notifications := make(chan *opcua.PublishNotificationData, 16)
	sub, err := c.Subscribe(ctx, &opcua.SubscriptionParameters{Interval: interval}, notifications)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	var items []*ua.MonitoredItemCreateRequest
	for i, n := range t.subscribe {
		item := opcua.NewMonitoredItemCreateRequestWithDefaults(n, ua.AttributeIDValue, uint32(i))
		item.RequestedParameters.SamplingInterval = -1 // the publishing interval
		items = append(items, item)
	}
	res, err := sub.Monitor(ctx, ua.TimestampsToReturnBoth, items...)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for i, r := range res.Results {
		if r.StatusCode != ua.StatusOK {
			return &finalError{fmt.Errorf("subscribe to %v: %w", t.subscribe[i], r.StatusCode)}
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			out.lost(errors.New("the connection was closed"))
			return nil
		case n := <-notifications:
			t.print(n, out)
		}
	}
}

func (t *tasks) print(n *opcua.PublishNotificationData, out *printer) {
	changes, ok := n.Value.(*ua.DataChangeNotification)
	if !ok {
		return
	}
	for _, item := range changes.MonitoredItems {
		if int(item.ClientHandle) < len(t.subscribe) {
			out.value(t.subscribe[item.ClientHandle], item.Value)
		}
	}
}
