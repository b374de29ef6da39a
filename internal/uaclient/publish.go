package uaclient

import (
	"context"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// publishRequests is how many PublishRequests wait at the server, so that it can report while one is on its way.
const publishRequests = 3

// publish keeps PublishRequests under way and hands out what comes, until ctx ends or something goes wrong.
// Part 4 (1.05), 5.14.5 (5.13.5 in 1.04)
func (s *subscription) publish(ctx context.Context) error {
	timer := time.NewTimer(s.silence)
	defer timer.Stop()
	for {
		for s.underway < s.wanted {
			if err := s.request(ctx); err != nil {
				return unlessOver(ctx, err)
			}
		}
		select {
		case answered := <-s.done:
			s.underway--
			if err := s.handle(answered); err != nil {
				return err
			}
			timer.Reset(s.silence)
		case <-ctx.Done():
			return nil
		case <-s.client.ended:
			return unlessOver(ctx, s.client.err)
		case <-timer.C:
			return failure(ua.StatusBadTimeout, "server has stopped to publish", nil)
		}
	}
}

// unlessOver returns err unless ctx has ended, after which errors are no news.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// request sends one PublishRequest with the acknowledgements that are due. The server may keep it as long as it has nothing to say.
func (s *subscription) request(ctx context.Context) error {
	request := uabinary.PublishRequest{SubscriptionAcknowledgements: s.acknowledge}
	if _, err := s.client.start(ctx, &request.RequestHeader, &request, &uabinary.PublishResponse{}, s.done); err != nil {
		return err
	}
	s.acknowledge = s.acknowledge[:0]
	s.underway++
	return nil
}

// handle takes one response to a PublishRequest.
func (s *subscription) handle(answered *call) error {
	if answered.err != nil {
		if uatcp.StatusCodeOf(answered.err) == ua.StatusBadTooManyPublishRequests && s.wanted > 1 {
			s.wanted-- // the server keeps fewer
			return nil
		}
		return answered.err
	}
	response := answered.response.(*uabinary.PublishResponse)
	message := &response.NotificationMessage
	if response.SubscriptionID != s.id || len(message.NotificationData) == 0 {
		return nil // a keep-alive
	}
	s.acknowledge = append(s.acknowledge, uabinary.SubscriptionAcknowledgement{SubscriptionID: s.id, SequenceNumber: message.SequenceNumber})
	for i := range message.NotificationData {
		if err := s.notify(&message.NotificationData[i]); err != nil {
			return err
		}
	}
	return nil
}

// notify hands out one notification. Kinds that were not asked for are ignored. Part 4 (1.05), 7.25
func (s *subscription) notify(data *uabinary.ExtensionObject) error {
	switch data.TypeID {
	case statusChangeID:
		var change uabinary.StatusChangeNotification
		if err := data.Decode(&change, nil); err != nil {
			return err
		}
		return &ServerError{Code: change.Status, Reason: "subscription ended"}
	case dataChangeID:
		var change uabinary.DataChangeNotification
		if err := data.Decode(&change, nil); err != nil {
			return err
		}
		for i := range change.MonitoredItems {
			if item := &change.MonitoredItems[i]; uint64(item.ClientHandle) < uint64(len(s.nodes)) {
				s.changed(s.nodes[item.ClientHandle], item.Value)
			}
		}
	}
	return nil
}
