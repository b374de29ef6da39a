package uaclient

import (
	"context"
	"math"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// What is asked of a server, and what is made of its answer.
const (
	keepAlive         = 10 * time.Second // a server with nothing to report says so this often
	lifetimes         = 6                // keep-alives that the subscription outlives the client
	shortestSilence   = 10 * time.Second
	longestSilence    = 30 * time.Minute
	maxItems          = 10_000 // in one subscription
	fastestPublishing = 10 * time.Millisecond
)

// subscription is a Subscription with its MonitoredItems. Part 4 (1.05), 5.14.1
type subscription struct {
	client  *Client
	id      uint32
	silence time.Duration // after which the server counts as lost
	nodes   []uabinary.NodeID
	changed func(node uabinary.NodeID, value uabinary.DataValue)

	done        chan *call // PublishRequests that were answered
	underway    int        // PublishRequests that were not
	wanted      int        // how many shall be under way
	acknowledge []uabinary.SubscriptionAcknowledgement
}

// Subscribe calls changed, on the goroutine of its caller, with the values of nodes and with every change of them. It returns nil
// when ctx has ended, and otherwise why it cannot go on: a *NodeError when the server refuses a node; an error that carries BadTimeout when
// the server has not been heard of for three times the keep-alive time. There is one Subscription at a time.
// Part 4 (1.05), 5.13 and 5.14 (5.12 and 5.13 in 1.04)
func (c *Client) Subscribe(ctx context.Context, interval time.Duration, nodes []uabinary.NodeID, changed func(uabinary.NodeID, uabinary.DataValue)) error {
	if len(nodes) == 0 || len(nodes) > maxItems {
		return failure(ua.StatusBadTooManyMonitoredItems, "between 1 and 10,000 nodes can be subscribed to", nil)
	}
	if !c.subscribed.CompareAndSwap(false, true) {
		return failure(ua.StatusBadTooManySubscriptions, "there is a subscription already", nil)
	}
	defer c.subscribed.Store(false)
	s := &subscription{client: c, nodes: nodes, changed: changed, wanted: publishRequests, done: make(chan *call, publishRequests)}
	if err := s.create(ctx, max(interval, fastestPublishing)); err != nil {
		return err
	}
	err := s.monitor(ctx)
	if err == nil {
		err = s.publish(ctx)
	}
	s.delete(ctx)
	return err
}

// create asks for the subscription, which reports at least every keepAlive. Part 4 (1.05), 5.14.2
func (s *subscription) create(ctx context.Context, interval time.Duration) error {
	count := uint32((keepAlive + interval - 1) / interval)
	request := uabinary.CreateSubscriptionRequest{
		RequestedPublishingInterval: float64(interval) / float64(time.Millisecond),
		RequestedLifetimeCount:      lifetimes * count,
		RequestedMaxKeepAliveCount:  count,
		PublishingEnabled:           true,
	}
	var response uabinary.CreateSubscriptionResponse
	if err := s.client.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return err
	}
	s.id, s.silence = response.SubscriptionID, silence(response.RevisedPublishingInterval, response.RevisedMaxKeepAliveCount)
	return nil
}

// silence returns how long a server may say nothing that sends keep-alives every count publishing intervals in milliseconds.
func silence(interval float64, count uint32) time.Duration {
	ms := 3 * interval * float64(max(count, 1))
	if !(ms < float64(longestSilence.Milliseconds())) { // also when it is no number
		return longestSilence
	}
	return max(time.Duration(math.Ceil(ms))*time.Millisecond, shortestSilence)
}

// monitor adds the nodes. The ClientHandle is their index. Part 4 (1.05), 5.13.2
func (s *subscription) monitor(ctx context.Context) error {
	request := uabinary.CreateMonitoredItemsRequest{SubscriptionID: s.id, TimestampsToReturn: ua.TimestampsToReturnBoth}
	for i, node := range s.nodes {
		request.ItemsToCreate = append(request.ItemsToCreate, uabinary.MonitoredItemCreateRequest{
			ItemToMonitor:  uabinary.ReadValueID{NodeID: node, AttributeID: ua.AttributeIDValue},
			MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{
				ClientHandle: uint32(i), SamplingInterval: -1 /* the publishing interval */, QueueSize: 10, DiscardOldest: true,
			},
		})
	}
	var response uabinary.CreateMonitoredItemsResponse
	if err := s.client.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return err
	}
	if len(response.Results) != len(s.nodes) {
		return errResults
	}
	for i := range response.Results {
		if code := response.Results[i].StatusCode; isBad(code) {
			return &NodeError{NodeID: s.nodes[i], Code: code}
		}
	}
	return nil
}

// delete ends the subscription, which Publish responses may still refer to. Part 4 (1.05), 5.14.8
func (s *subscription) delete(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	request := uabinary.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{s.id}}
	var response uabinary.DeleteSubscriptionsResponse
	_ = s.client.invoke(ctx, &request.RequestHeader, &request, &response) // it ends with the session at the latest
}

var dataChangeID = uabinary.NumericID(0, id.DataChangeNotification_Encoding_DefaultBinary)
var statusChangeID = uabinary.NumericID(0, id.StatusChangeNotification_Encoding_DefaultBinary)
