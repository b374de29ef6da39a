package uaclient_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

const (
	createSubscriptionID = id.CreateSubscriptionRequest_Encoding_DefaultBinary
	createItemsID        = id.CreateMonitoredItemsRequest_Encoding_DefaultBinary
	publishID            = id.PublishRequest_Encoding_DefaultBinary
	deleteID             = id.DeleteSubscriptionsRequest_Encoding_DefaultBinary
)

// subscribe subscribes to the temperature until ctx ends and sends its values to seen.
func subscribe(ctx context.Context, c *uaclient.Client, seen chan<- float64) error {
	return c.Subscribe(ctx, 50*time.Millisecond, []uabinary.NodeID{temperature}, func(_ uabinary.NodeID, dv uabinary.DataValue) {
		number, _ := dv.Value.Number()
		seen <- number
	})
}

func TestSubscribe_everyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		c := open(t, g.pipe(), options())
		ctx, cancel := context.WithCancel(t.Context())
		seen, ended := make(chan float64, 100), make(chan error, 1)
		go func() { ended <- subscribe(ctx, c, seen) }()
		for i := range 20 {
			want := 21.5
			if i > 0 {
				want = float64(i)
				g.temperature.Set(&uabinary.DataValue{Value: uabinary.DoubleVariant(want)})
			}
			if got := <-seen; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		time.Sleep(time.Hour) // kept alive all the time, by keep-alives and renewals
		g.temperature.Set(&uabinary.DataValue{Value: uabinary.DoubleVariant(99)})
		if got := <-seen; got != 99 {
			t.Errorf("after an hour: %v", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		// It is gone at the server, and another one can follow.
		ctx, cancel = context.WithCancel(t.Context())
		go func() { ended <- subscribe(ctx, c, seen) }()
		if got := <-seen; got != 99 {
			t.Errorf("the next one: %v", got)
		}
		if err := subscribe(ctx, c, seen); !errors.Is(err, ua.StatusBadTooManySubscriptions) {
			t.Errorf("two at once: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestSubscribe_unknownNode(t *testing.T) {
	g := newGateway(t)
	c := open(t, g.pipe(), options())
	err := c.Subscribe(t.Context(), time.Second, []uabinary.NodeID{temperature, uabinary.StringID(2, "nothing")}, nil)
	var node *uaclient.NodeError
	if !errors.As(err, &node) || node.Code != ua.StatusBadNodeIDUnknown {
		t.Error(err)
	}
}

// change is a Publish response with one value for the item of that ClientHandle.
func change(sequence, handle uint32, value float64) *uabinary.PublishResponse {
	notification := uabinary.DataChangeNotification{MonitoredItems: []uabinary.MonitoredItemNotification{
		{ClientHandle: handle, Value: uabinary.DataValue{Value: uabinary.DoubleVariant(value)}}}}
	return &uabinary.PublishResponse{SubscriptionID: 7, NotificationMessage: uabinary.NotificationMessage{
		SequenceNumber: sequence, NotificationData: []uabinary.ExtensionObject{uabinary.ExtensionObjectOf(&notification)}}}
}

func TestSubscribe_acknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acknowledged []uint32
		sequence := uint32(0)
		nc := answers{publishID: func(_ *stranger, r *uabinary.Reader) uabinary.Structure {
			var request uabinary.PublishRequest
			request.Parse(r)
			for _, a := range request.SubscriptionAcknowledgements {
				acknowledged = append(acknowledged, a.SequenceNumber)
			}
			if sequence++; sequence > 10 {
				return nil
			}
			if sequence%5 == 0 { // a keep-alive has the number of the next message, and is not acknowledged
				return &uabinary.PublishResponse{SubscriptionID: 7, NotificationMessage: uabinary.NotificationMessage{SequenceNumber: sequence}}
			}
			return change(sequence, 0, float64(sequence))
		}}.meet(t, options())
		c := open(t, nc, options())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		seen := make(chan float64, 100)
		if err := subscribe(ctx, c, seen); err != nil {
			t.Fatal(err)
		}
		if want := []uint32{1, 2, 3, 4, 6, 7, 8, 9}; len(seen) != 8 || !slices.Equal(acknowledged, want) {
			t.Errorf("%d values, acknowledged %v", len(seen), acknowledged)
		}
		if sequence != 13 {
			t.Errorf("%d PublishRequests under way, want 3", sequence-10)
		}
	})
}

// A server that stops to publish is lost after three keep-alive times, one that promises nothing after half an hour.
func TestSubscribe_silentServer(t *testing.T) {
	for name, tc := range map[string]struct {
		interval float64
		count    uint32
		want     time.Duration
	}{
		"as asked":      {500, 20, 30 * time.Second},
		"very fast":     {1, 1, 10 * time.Second},
		"zero":          {0, 0, 10 * time.Second},
		"negative":      {-5, 7, 10 * time.Second},
		"slow":          {60_000, 3, 9 * time.Minute},
		"never":         {1e300, 1 << 31, 30 * time.Minute},
		"not a number":  {math.NaN(), 10, 30 * time.Minute},
		"minus without": {math.Inf(-1), 10, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc := answers{
					createSubscriptionID: always(&uabinary.CreateSubscriptionResponse{SubscriptionID: 7, RevisedPublishingInterval: tc.interval, RevisedMaxKeepAliveCount: tc.count}),
					publishID:            nil,
				}.meet(t, plain())
				c := open(t, nc, plain())
				start := time.Now()
				if err := subscribe(t.Context(), c, nil); !errors.Is(err, ua.StatusBadTimeout) || time.Since(start) != tc.want {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestSubscribe_badAnswers(t *testing.T) {
	fault := func(code ua.StatusCode) uabinary.Structure {
		return &uabinary.ServiceFault{ResponseHeader: uabinary.ResponseHeader{ServiceResult: code}}
	}
	notify := func(e uabinary.ExtensionObject) uabinary.Structure {
		return &uabinary.PublishResponse{SubscriptionID: 7, NotificationMessage: uabinary.NotificationMessage{NotificationData: []uabinary.ExtensionObject{e}}}
	}
	broken := uabinary.ExtensionObjectOf(&uabinary.DataChangeNotification{MonitoredItems: make([]uabinary.MonitoredItemNotification, 2)})
	broken.Body = broken.Body[:len(broken.Body)/2]
	for name, tc := range map[string]struct {
		request  uint32
		response uabinary.Structure
		want     ua.StatusCode
	}{
		"no subscription":      {createSubscriptionID, fault(ua.StatusBadTooManySubscriptions), ua.StatusBadTooManySubscriptions},
		"no items":             {createItemsID, fault(ua.StatusBadTooManyMonitoredItems), ua.StatusBadTooManyMonitoredItems},
		"too few items":        {createItemsID, &uabinary.CreateMonitoredItemsResponse{}, ua.StatusBadUnknownResponse},
		"publish refused":      {publishID, fault(ua.StatusBadNoSubscription), ua.StatusBadNoSubscription},
		"no requests kept":     {publishID, fault(ua.StatusBadTooManyPublishRequests), ua.StatusBadTooManyPublishRequests},
		"status change":        {publishID, notify(uabinary.ExtensionObjectOf(&uabinary.StatusChangeNotification{Status: ua.StatusBadTimeout})), ua.StatusBadTimeout},
		"broken notification":  {publishID, notify(broken), ua.StatusBadDecodingError},
		"other type, promised": {publishID, &uabinary.ReadResponse{}, ua.StatusBadUnknownResponse},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc := answers{tc.request: always(tc.response)}.meet(t, options())
				c := open(t, nc, options())
				if err := subscribe(t.Context(), c, make(chan float64, 10)); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			})
		})
	}
}

// What is not ours is passed over: other subscriptions, items that do not exist, kinds of notifications not asked for.
func TestSubscribe_ignores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := change(1, 0, 1)
		other.SubscriptionID = 8
		events := &uabinary.PublishResponse{SubscriptionID: 7, NotificationMessage: uabinary.NotificationMessage{
			NotificationData: []uabinary.ExtensionObject{uabinary.ExtensionObjectOf(&uabinary.EventNotificationList{}), {}}}}
		responses := []uabinary.Structure{other, change(1, 1, 2), change(2, math.MaxUint32, 3), events, change(3, 0, 4)}
		nc := answers{publishID: func(*stranger, *uabinary.Reader) uabinary.Structure {
			if len(responses) == 0 {
				return nil
			}
			next := responses[0]
			responses = responses[1:]
			return next
		}}.meet(t, options())
		c := open(t, nc, options())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		seen := make(chan float64, 10)
		if err := subscribe(ctx, c, seen); err != nil || len(seen) != 1 || <-seen != 4 {
			t.Errorf("%v, %d values", err, len(seen))
		}
	})
}

func TestSubscribe_connectionLost(t *testing.T) {
	nc := answers{publishID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure { s.Net.Close(); return nil }}.meet(t, options())
	c := open(t, nc, options())
	if err := subscribe(t.Context(), c, nil); !errors.Is(err, ua.StatusBadConnectionClosed) {
		t.Error(err)
	}
}

// FuzzPublish gives arbitrary bytes to a subscription as the body of a Publish response.
func FuzzPublish(f *testing.F) {
	body := change(1, 0, 1).Append(nil)
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add((&uabinary.PublishResponse{SubscriptionID: 7}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		answered := false
		nc := answers{publishID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
			if answered {
				s.Net.Close()
				return nil
			}
			answered = true
			return publishBody(b)
		}}.meet(t, plain())
		c := open(t, nc, plain())
		if err := c.Subscribe(t.Context(), time.Second, []uabinary.NodeID{temperature}, func(uabinary.NodeID, uabinary.DataValue) {}); err == nil {
			t.Error("no error on a closed connection")
		}
	})
}

// publishBody is the body of a Publish response as it is.
type publishBody []byte

func (m publishBody) Append(dst []byte) []byte { return append(dst, m...) }
func (m publishBody) Parse(*uabinary.Reader)   {}
func (m publishBody) EncodingID() uint32       { return id.PublishResponse_Encoding_DefaultBinary }
