package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// second is the publishing interval of most tests, in milliseconds.
const second = 1000.0

// overflow is Good with the InfoBits DataValue and Overflow (Part 4, 7.38.1).
const overflow = ua.StatusCode(0x0480)

// publishHandle marks the request handles of Publish requests.
const publishHandle = 1 << 31

// subscriber is a client with a Session that can have many requests under way.
type subscriber struct {
	*client
	published chan *publication // answers to Publish
	replies   chan []byte       // answers to everything else
	ended     chan struct{}     // closed when the connection is
}

// publication is the answer to one Publish request.
type publication struct {
	t      testing.TB
	handle uint32
	code   ua.StatusCode // of the fault, if it is one
	at     time.Time
	uabinary.PublishResponse
}

func (r *rig) subscriber() *subscriber { return r.subscriberIn(ua.MessageSecurityModeNone) }

func (r *rig) subscriberIn(mode ua.MessageSecurityMode) *subscriber {
	r.t.Helper()
	c := r.channel(mode)
	req := c.createRequest()
	req.RequestedSessionTimeout = 3600_000
	_, code := c.create(req)
	c.wantOK(code)
	c.wantOK(c.activate(anonymousToken(), c.signature()))
	return c.subscriber()
}

// subscriber lets a goroutine of its own read what comes for c.
func (c *client) subscriber() *subscriber {
	s := &subscriber{
		client: c, published: make(chan *publication, 10_000), replies: make(chan []byte, 1), ended: make(chan struct{}),
	}
	c.Net.SetDeadline(time.Time{})
	go s.receive()
	c.t.Cleanup(func() { c.Net.Close(); <-s.ended })
	return s
}

func (s *subscriber) receive() {
	defer close(s.ended)
	for {
		_, body, err := s.Receive()
		if err != nil {
			return
		}
		if p := s.publication(body); p != nil {
			s.published <- p
		} else {
			s.replies <- body
		}
	}
}

// publication parses body if it answers a Publish request.
func (s *subscriber) publication(body []byte) *publication {
	p := &publication{t: s.t, at: time.Now()}
	rd := uabinary.NewReader(body, nil)
	switch rd.MessageType() {
	case p.EncodingID():
		p.Parse(rd)
		p.handle = p.ResponseHeader.RequestHandle
	case id.ServiceFault_Encoding_DefaultBinary:
		var f uabinary.ServiceFault
		f.Parse(rd)
		p.handle, p.code = f.ResponseHeader.RequestHandle, f.ResponseHeader.ServiceResult
	}
	if p.handle&publishHandle == 0 {
		return nil
	}
	if rd.Err() != nil || rd.Remaining() > 0 {
		s.t.Errorf("response with %d bytes left: %v", rd.Remaining(), rd.Err())
	}
	return p
}

// send writes a request without waiting for its answer.
func (s *subscriber) send(h *uabinary.RequestHeader, req uabinary.Structure) {
	s.t.Helper()
	s.handle++
	s.RequestID++
	h.AuthenticationToken, h.RequestHandle = s.token, s.handle
	if req.EncodingID() == id.PublishRequest_Encoding_DefaultBinary {
		h.RequestHandle |= publishHandle
	}
	if err := s.Send(uatcp.TypeMessage, uatcp.Final, s.RequestID, uabinary.AppendMessage(nil, req)); err != nil {
		s.t.Fatal(err)
	}
}

// call sends req and reads its answer into resp.
func (s *subscriber) call(h *uabinary.RequestHeader, req, resp uabinary.Structure) ua.StatusCode {
	s.t.Helper()
	s.send(h, req)
	var body []byte
	select {
	case body = <-s.replies:
	case <-s.ended:
		s.t.Fatal("the connection ended")
	}
	rd := uabinary.NewReader(body, nil)
	if rd.MessageType() == resp.EncodingID() {
		if resp.Parse(rd); rd.Err() != nil {
			s.t.Fatal(rd.Err())
		}
		return ua.StatusOK
	}
	var f uabinary.ServiceFault
	f.Parse(rd)
	return f.ResponseHeader.ServiceResult
}

// create creates a Subscription that is enabled unless change says otherwise.
func (s *subscriber) create(interval float64, change func(*uabinary.CreateSubscriptionRequest)) (uabinary.CreateSubscriptionResponse, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.CreateSubscriptionRequest{
		RequestedPublishingInterval: interval, RequestedLifetimeCount: 300, RequestedMaxKeepAliveCount: 10, PublishingEnabled: true,
	}
	if change != nil {
		change(req)
	}
	var resp uabinary.CreateSubscriptionResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp, code
}

// subscribe creates a Subscription with a keep-alive every 10 cycles.
func (s *subscriber) subscribe(interval float64) uint32 {
	s.t.Helper()
	resp, code := s.create(interval, nil)
	s.wantOK(code)
	return resp.SubscriptionID
}

func (s *subscriber) modify(sub uint32, interval float64, lifetime, keepAlive uint32) (resp uabinary.ModifySubscriptionResponse, code ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.ModifySubscriptionRequest{
		SubscriptionID: sub, RequestedPublishingInterval: interval, RequestedLifetimeCount: lifetime, RequestedMaxKeepAliveCount: keepAlive,
	}
	code = s.call(&req.RequestHeader, req, &resp)
	return resp, code
}

func (s *subscriber) publishing(enabled bool, subs ...uint32) ([]ua.StatusCode, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.SetPublishingModeRequest{PublishingEnabled: enabled, SubscriptionIDs: subs}
	var resp uabinary.SetPublishingModeResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

func (s *subscriber) unsubscribe(subs ...uint32) ([]ua.StatusCode, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.DeleteSubscriptionsRequest{SubscriptionIDs: subs}
	var resp uabinary.DeleteSubscriptionsResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

// item asks for the value of a test Variable: reported, every change that
// comes at most every 50 ms, one value, ClientHandle 1.
func item(name string, change ...func(*uabinary.MonitoredItemCreateRequest)) uabinary.MonitoredItemCreateRequest {
	it := uabinary.MonitoredItemCreateRequest{
		ItemToMonitor:       valueOf(name),
		MonitoringMode:      ua.MonitoringModeReporting,
		RequestedParameters: uabinary.MonitoringParameters{ClientHandle: 1, QueueSize: 1, DiscardOldest: true},
	}
	for _, f := range change {
		f(&it)
	}
	return it
}

func handle(n uint32) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.RequestedParameters.ClientHandle = n }
}

func queue(size uint32, discardOldest bool) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) {
		it.RequestedParameters.QueueSize, it.RequestedParameters.DiscardOldest = size, discardOldest
	}
}

func sampling(ms float64) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.RequestedParameters.SamplingInterval = ms }
}

func mode(m ua.MonitoringMode) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.MonitoringMode = m }
}

func filter(f uabinary.Structure) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) {
		it.RequestedParameters.Filter = uabinary.ExtensionObjectOf(f)
	}
}

func attribute(a ua.AttributeID) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.ItemToMonitor.AttributeID = a }
}

func indexRange(s string) func(*uabinary.MonitoredItemCreateRequest) {
	return func(it *uabinary.MonitoredItemCreateRequest) { it.ItemToMonitor.IndexRange = s }
}

func (s *subscriber) createItems(sub uint32, timestamps ua.TimestampsToReturn, items ...uabinary.MonitoredItemCreateRequest) ([]uabinary.MonitoredItemCreateResult, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: sub, TimestampsToReturn: timestamps, ItemsToCreate: items}
	var resp uabinary.CreateMonitoredItemsResponse
	code := s.call(&req.RequestHeader, req, &resp)
	if code == ua.StatusOK && len(resp.Results) != len(items) {
		s.t.Fatalf("%d results for %d items", len(resp.Results), len(items))
	}
	return resp.Results, code
}

// monitor creates items that must all be Good and returns their ids.
func (s *subscriber) monitor(sub uint32, items ...uabinary.MonitoredItemCreateRequest) []uint32 {
	s.t.Helper()
	results, code := s.createItems(sub, ua.TimestampsToReturnBoth, items...)
	s.wantOK(code)
	var ids []uint32
	for _, res := range results {
		s.wantOK(res.StatusCode)
		ids = append(ids, res.MonitoredItemID)
	}
	return ids
}

func (s *subscriber) modifyItems(sub uint32, items ...uabinary.MonitoredItemModifyRequest) ([]uabinary.MonitoredItemModifyResult, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.ModifyMonitoredItemsRequest{SubscriptionID: sub, TimestampsToReturn: ua.TimestampsToReturnBoth, ItemsToModify: items}
	var resp uabinary.ModifyMonitoredItemsResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

func (s *subscriber) setMode(sub uint32, m ua.MonitoringMode, items ...uint32) ([]ua.StatusCode, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.SetMonitoringModeRequest{SubscriptionID: sub, MonitoringMode: m, MonitoredItemIDs: items}
	var resp uabinary.SetMonitoringModeResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

func (s *subscriber) deleteItems(sub uint32, items ...uint32) ([]ua.StatusCode, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.DeleteMonitoredItemsRequest{SubscriptionID: sub, MonitoredItemIDs: items}
	var resp uabinary.DeleteMonitoredItemsResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

func (s *subscriber) republish(sub, sequence uint32) (uabinary.NotificationMessage, ua.StatusCode) {
	s.t.Helper()
	req := &uabinary.RepublishRequest{SubscriptionID: sub, RetransmitSequenceNumber: sequence}
	var resp uabinary.RepublishResponse
	code := s.call(&req.RequestHeader, req, &resp)
	return resp.NotificationMessage, code
}

// publish queues a Publish request and returns its handle.
func (s *subscriber) publish(acks ...uabinary.SubscriptionAcknowledgement) uint32 {
	s.t.Helper()
	req := &uabinary.PublishRequest{SubscriptionAcknowledgements: acks}
	s.send(&req.RequestHeader, req)
	return req.RequestHeader.RequestHandle
}

func ack(sub, sequence uint32) uabinary.SubscriptionAcknowledgement {
	return uabinary.SubscriptionAcknowledgement{SubscriptionID: sub, SequenceNumber: sequence}
}

// next waits for the next answer to a Publish request.
func (s *subscriber) next() *publication {
	s.t.Helper()
	select {
	case p := <-s.published:
		return p
	case <-s.ended:
	case <-time.After(10 * time.Minute):
	}
	s.t.Fatal("no answer to Publish")
	return nil
}

// now is the answer that is there without time passing, nil if there is none.
func (s *subscriber) now() *publication {
	synctest.Wait()
	select {
	case p := <-s.published:
		return p
	default:
		return nil
	}
}

// quietFor checks that nothing is published for a while.
func (s *subscriber) quietFor(d time.Duration) {
	s.t.Helper()
	time.Sleep(d)
	if p := s.now(); p != nil {
		s.t.Errorf("unexpected answer %v: code %v, sequence %d, %d values, status %v",
			p.handle, p.code, p.NotificationMessage.SequenceNumber, len(p.values()), p.status())
	}
}

// cycle publishes once and returns the next answer, which acknowledges nothing.
func (s *subscriber) cycle() *publication {
	s.t.Helper()
	s.publish()
	return s.next()
}

func (p *publication) sequence() uint32 { return p.NotificationMessage.SequenceNumber }

// keepAlive: a message without notifications (Part 4, 5.14.1.1).
func (p *publication) keepAlive() bool {
	return p.code == ua.StatusOK && len(p.NotificationMessage.NotificationData) == 0
}

// values are the data changes in p.
func (p *publication) values() []uabinary.MonitoredItemNotification {
	return dataChanges(p.t, p.NotificationMessage)
}

func dataChanges(t testing.TB, m uabinary.NotificationMessage) (all []uabinary.MonitoredItemNotification) {
	t.Helper()
	for _, data := range m.NotificationData {
		var d uabinary.DataChangeNotification
		if data.TypeID.Numeric != d.EncodingID() {
			continue
		}
		if err := data.Decode(&d, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, d.MonitoredItems...)
	}
	return all
}

// status is that of the StatusChangeNotification in p, Good if there is none.
func (p *publication) status() ua.StatusCode {
	for _, data := range p.NotificationMessage.NotificationData {
		var s uabinary.StatusChangeNotification
		if data.TypeID.Numeric == s.EncodingID() {
			if err := data.Decode(&s, nil); err != nil {
				p.t.Fatal(err)
			}
			return s.Status
		}
	}
	return ua.StatusOK
}

// set gives a test Variable a Good value without a SourceTimestamp of its own.
func (r *rig) set(name string, value any) {
	r.setValue(name, uabinary.DataValue{Value: uabinary.VariantOf(value), SourceTimestamp: uabinary.DateTimeOf(time.Now())})
}

func (r *rig) setValue(name string, dv uabinary.DataValue) {
	r.space.Variable(uabinary.StringID(2, name)).Set(&dv)
}

// inTime runs a test in a bubble of fake time, where an answer to what happens
// at an instant is there at that instant.
func inTime(t *testing.T, change func(*Config), f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, change)) })
}
