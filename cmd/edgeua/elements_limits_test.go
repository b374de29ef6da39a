package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// limitEffects are those of the children of UaServerConfig that bound what clients can do.
func limitEffects() map[string]influence {
	return map[string]influence{
		"MaxRequestAge":        {value: "60000", probe: oldRequest, want: "BadInvalidTimestamp"},
		"MaxSessionCount":      {value: "2", probe: and(sessionsOfTwoClients, published(id.Server_ServerCapabilities_MaxSessions)), want: "2+0, 2"},
		"MaxSessionsPerClient": {value: "2", probe: sessionsOfTwoClients, want: "2+2"},
		"MinSessionTimeout":    {value: "20000", probe: sessionTimeout(1), want: "20000"},
		"MaxSessionTimeout":    {value: "70000", probe: sessionTimeout(1e9), want: "70000"},

		"MaxBrowseContinuationPoints": {value: "3", probe: and(continuationPoints, published(id.Server_ServerCapabilities_MaxBrowseContinuationPoints)), want: "3, 3"},
		"MaxBrowseResults":            {value: "4", probe: browseResults, want: "4"},
		"MaxNodesToBrowse": {value: "3", want: "BadTooManyOperations, 3",
			probe: and(browses(4), published(id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse))},
		"MaxNodesPerTranslateBrowsePathsToNodeIds": {value: "3", want: "BadTooManyOperations, 3",
			probe: and(translates(4), published(id.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIDs))},

		"MinPublishingInterval":      {value: "250", probe: revised(1, 10, 30), want: "250 ms, 10 keep-alive, 40 lifetime"},
		"MaxPublishingInterval":      {value: "5000", probe: revised(1e9, 1, 3), want: "5000 ms, 1 keep-alive, 3 lifetime"},
		"MinKeepAliveInterval":       {value: "60000", probe: revised(100, 1, 30), want: "100 ms, 600 keep-alive, 1800 lifetime"},
		"MinSubscriptionLifetime":    {value: "60000", probe: revised(1000, 1, 3), want: "1000 ms, 1 keep-alive, 60 lifetime"},
		"MaxSubscriptionLifetime":    {value: "7200000", probe: revised(100, 1, 1e6), want: "100 ms, 1 keep-alive, 72000 lifetime", without: "100 ms, 1 keep-alive, 36000 lifetime"},
		"MaxRetransmitionQueueSize":  {value: "3", probe: kept, want: "3"},
		"MaxRetransmissionQueueSize": {value: "2", probe: kept, want: "2"},
		"MaxNotificationsPerPublish": {value: "2", probe: firstPublish, want: "2 and more"},
		"MaxDataQueueSize": {value: "7", probe: and(revisedItem(50, 1000), published(id.Server_ServerCapabilities_MaxMonitoredItemsQueueSize)),
			want: "50 ms, 7 values, 7"},
		"MaxSubscriptionCount": {value: "3", probe: and(subscriptions(2), published(id.Server_ServerCapabilities_MaxSubscriptions)), want: "2+1, 3"},
		"MaxSubscriptionsPerSession": {value: "1", want: "1+1, 1",
			probe: and(subscriptions(2), published(id.Server_ServerCapabilities_MaxSubscriptionsPerSession))},
		"MaxMonitoredItemCount": {value: "3", probe: and(items(3), published(id.Server_ServerCapabilities_MaxMonitoredItems)), want: "3+0, 0, 3"},
		"MaxMonitoredItemPerSubscriptionCount": {value: "2", want: "2+2, 2, 2",
			probe: and(items(3), published(id.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription))},
		"MaxMonitoredItemPerSessionCount": {value: "3", probe: items(3), want: "3+0, 3"},
		"MinSupportedSampleRate": {value: "200.5", want: "250 ms, 1 values, 200.5",
			probe: and(revisedItem(1, 1), published(id.Server_ServerCapabilities_MinSupportedSampleRate))},

		"AvailableLocaleIds/LocaleId":              {value: "nb", probe: published(id.Server_ServerCapabilities_LocaleIDArray), want: "[nb]"},
		"AvailableServerProfiles/ServerProfileUri": {value: "http://example.com/p", probe: published(id.Server_ServerCapabilities_ServerProfileArray), want: "[http://example.com/p]"},
		"AvailableSamplingRates/SamplingRate":      {value: "300", probe: revisedItem(1, 1), want: "300 ms, 1 values"},

		"Serializer/MaxAlloc": {value: "20000", probe: longRead(900, 1), want: "BadEncodingLimitsExceeded"},
		"Serializer/MaxStringLength": {value: "300", want: "BadEncodingLimitsExceeded, 300",
			probe: and(longRead(1, 301), published(id.Server_ServerCapabilities_MaxStringLength))},
		"Serializer/MaxByteStringLength": {value: "3000", want: "BadEncodingLimitsExceeded, 3000",
			probe: and(longWrite(3001), published(id.Server_ServerCapabilities_MaxByteStringLength))},
		"Serializer/MaxArrayLength": {value: "9", want: "BadEncodingLimitsExceeded, 9",
			probe: and(longRead(10, 1), published(id.Server_ServerCapabilities_MaxArrayLength))},
		"Serializer/MaxMessageSize": {value: "20000", probe: and(acknowledged, longWrite(21000)), want: "20000, BadTCPMessageTooLarge"},
	}
}

// and lists what several probes see.
func and(probes ...func(*stage) string) func(*stage) string {
	return func(s *stage) string {
		var all []string
		for _, probe := range probes {
			all = append(all, probe(s))
		}
		return strings.Join(all, ", ")
	}
}

// oldRequest sends a request that is an hour old.
func oldRequest(s *stage) string {
	p := s.visitor()
	defer p.leave()
	p.timestamp = uabinary.DateTimeOf(time.Now().Add(-time.Hour))
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{{}}}
	return uatcp.StatusName(p.call(&req.RequestHeader, req, &uabinary.ReadResponse{}))
}

// sessionsOfTwoClients counts how many sessions, up to three, each of two clients gets.
func sessionsOfTwoClients(s *stage) string {
	var counts []string
	for _, client := range []string{"urn:client:a", "urn:client:b"} {
		p, n := s.stranger(), 0
		defer p.Close()
		req := p.createRequest()
		req.ClientDescription.ApplicationURI = client
		for p.create(req) == ua.StatusOK && n < 3 {
			p.ok(p.activate(anonymously(), nil))
			n++
			token := p.token
			defer func() { p.token = token; p.closeSession() }()
		}
		counts = append(counts, fmt.Sprint(n))
	}
	return strings.Join(counts, "+")
}

// sessionTimeout asks for a timeout in ms and gives the one that is granted.
func sessionTimeout(ms float64) func(*stage) string {
	return func(s *stage) string {
		p := s.stranger()
		defer p.leave()
		req := p.createRequest()
		req.RequestedSessionTimeout = ms
		resp, code := p.created(req)
		p.ok(code)
		p.ok(p.activate(anonymously(), nil))
		return fmt.Sprint(resp.RevisedSessionTimeout)
	}
}

// browse follows all references of the Server object forward.
func (p *peer) browse(n, most int) ([]uabinary.BrowseResult, ua.StatusCode) {
	req := &uabinary.BrowseRequest{RequestedMaxReferencesPerNode: uint32(most)}
	for range n {
		req.NodesToBrowse = append(req.NodesToBrowse, uabinary.BrowseDescription{
			NodeID: uabinary.NumericID(0, id.Server), BrowseDirection: ua.BrowseDirectionForward, ResultMask: 63})
	}
	var resp uabinary.BrowseResponse
	code := p.call(&req.RequestHeader, req, &resp)
	return resp.Results, code
}

// continuationPoints counts how many of them a session gets, of 20.
func continuationPoints(s *stage) string {
	p := s.visitor()
	defer p.leave()
	results, code := p.browse(20, 1)
	p.ok(code)
	n := 0
	for _, r := range results {
		if len(r.ContinuationPoint) > 0 {
			n++
		}
	}
	return fmt.Sprint(n)
}

// browseResults counts the references that one operation returns.
func browseResults(s *stage) string {
	p := s.visitor()
	defer p.leave()
	results, code := p.browse(1, 0)
	p.ok(code)
	return fmt.Sprint(len(results[0].References))
}

func browses(n int) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.leave()
		_, code := p.browse(n, 0)
		return uatcp.StatusName(code)
	}
}

func translates(n int) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.leave()
		req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: make([]uabinary.BrowsePath, n)}
		return uatcp.StatusName(p.call(&req.RequestHeader, req, &uabinary.TranslateBrowsePathsToNodeIDsResponse{}))
	}
}

// subscribe creates a Subscription.
func (p *peer) subscribe(interval float64, keepAlive, lifetime uint32) (uabinary.CreateSubscriptionResponse, ua.StatusCode) {
	req := &uabinary.CreateSubscriptionRequest{
		RequestedPublishingInterval: interval, RequestedMaxKeepAliveCount: keepAlive, RequestedLifetimeCount: lifetime, PublishingEnabled: true,
	}
	var resp uabinary.CreateSubscriptionResponse
	code := p.call(&req.RequestHeader, req, &resp)
	return resp, code
}

// revised gives what becomes of the parameters of a Subscription.
func revised(interval float64, keepAlive, lifetime uint32) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.leave()
		r, code := p.subscribe(interval, keepAlive, lifetime)
		p.ok(code)
		return fmt.Sprintf("%v ms, %d keep-alive, %d lifetime", r.RevisedPublishingInterval, r.RevisedMaxKeepAliveCount, r.RevisedLifetimeCount)
	}
}

// monitor creates n items on a node of namespace 0.
func (p *peer) monitor(subscription, node uint32, n int, sampling float64, queue uint32) []uabinary.MonitoredItemCreateResult {
	p.s.t.Helper()
	req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: subscription}
	for range n {
		req.ItemsToCreate = append(req.ItemsToCreate, uabinary.MonitoredItemCreateRequest{
			ItemToMonitor:       uabinary.ReadValueID{NodeID: uabinary.NumericID(0, node), AttributeID: ua.AttributeIDValue},
			MonitoringMode:      ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{SamplingInterval: sampling, QueueSize: queue},
		})
	}
	var resp uabinary.CreateMonitoredItemsResponse
	p.ok(p.call(&req.RequestHeader, req, &resp))
	return resp.Results
}

// revisedItem gives what becomes of the parameters of a MonitoredItem.
func revisedItem(sampling float64, queue uint32) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.leave()
		sub, code := p.subscribe(1000, 10, 30)
		p.ok(code)
		r := p.monitor(sub.SubscriptionID, id.Server_ServerCapabilities_MinSupportedSampleRate, 1, sampling, queue)[0]
		p.ok(r.StatusCode)
		return fmt.Sprintf("%v ms, %d values", r.RevisedSamplingInterval, r.RevisedQueueSize)
	}
}

func (p *peer) publish() uabinary.PublishResponse {
	p.s.t.Helper()
	req := &uabinary.PublishRequest{}
	var resp uabinary.PublishResponse
	p.ok(p.call(&req.RequestHeader, req, &resp))
	return resp
}

// kept counts the messages that can be asked for again, after five that were not acknowledged.
func kept(s *stage) string {
	p := s.visitor()
	defer p.leave()
	sub, code := p.subscribe(50, 10, 1000)
	p.ok(code)
	p.monitor(sub.SubscriptionID, id.Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedRequestsCount, 1, 50, 1)
	var last uabinary.PublishResponse
	for range 5 {
		last = p.publish()
		p.browse(0, 0) // is rejected
	}
	return fmt.Sprint(len(last.AvailableSequenceNumbers))
}

// firstPublish counts the values in the first message about three items.
func firstPublish(s *stage) string {
	p := s.visitor()
	defer p.leave()
	sub, code := p.subscribe(50, 10, 1000)
	p.ok(code)
	p.monitor(sub.SubscriptionID, id.Server_ServerCapabilities_MinSupportedSampleRate, 3, 10000, 1)
	resp := p.publish()
	var change uabinary.DataChangeNotification
	if err := resp.NotificationMessage.NotificationData[0].Decode(&change, nil); err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprint(len(change.MonitoredItems), map[bool]string{true: " and more"}[resp.MoreNotifications])
}

// subscriptions counts how many of n each of two sessions gets.
func subscriptions(n int) func(*stage) string {
	return func(s *stage) string {
		var counts []string
		for range 2 {
			p := s.visitor()
			defer p.leave()
			got := 0
			for range n {
				if _, code := p.subscribe(1000, 10, 30); code == ua.StatusOK {
					got++
				}
			}
			counts = append(counts, fmt.Sprint(got))
		}
		return strings.Join(counts, "+")
	}
}

// items counts how many of n items fit into each of two Subscriptions of one session, and one of another.
func items(n int) func(*stage) string {
	return func(s *stage) string {
		count := func(p *peer) int {
			sub, code := p.subscribe(1000, 10, 30)
			p.ok(code)
			got := 0
			for _, r := range p.monitor(sub.SubscriptionID, id.Server_ServerCapabilities_MinSupportedSampleRate, n, 1000, 1) {
				if r.StatusCode == ua.StatusOK {
					got++
				}
			}
			return got
		}
		one, other := s.visitor(), s.visitor()
		defer one.leave()
		defer other.leave()
		return fmt.Sprintf("%d+%d, %d", count(one), count(one), count(other))
	}
}

// longRead reads n nodes whose names have that many characters.
func longRead(n, length int) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.Close()
		req := &uabinary.ReadRequest{}
		for range n {
			req.NodesToRead = append(req.NodesToRead, uabinary.ReadValueID{NodeID: uabinary.StringID(1, strings.Repeat("x", length)), AttributeID: ua.AttributeIDValue})
		}
		return uatcp.StatusName(p.call(&req.RequestHeader, req, &uabinary.ReadResponse{}))
	}
}

// longWrite writes a ByteString of that many bytes to a node that is not there.
func longWrite(bytes int) func(*stage) string {
	return func(s *stage) string {
		p := s.visitor()
		defer p.Close()
		req := &uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{{
			NodeID: uabinary.StringID(1, "x"), AttributeID: ua.AttributeIDValue,
			Value: uabinary.DataValue{Value: uabinary.VariantOf(make([]byte, bytes))},
		}}}
		return uatcp.StatusName(p.call(&req.RequestHeader, req, &uabinary.WriteResponse{}))
	}
}

// acknowledged is the MaxMessageSize that the gateway tells in its Acknowledge.
func acknowledged(s *stage) string {
	p := s.stranger()
	defer p.Close()
	size, _ := p.Conn.PeerLimits()
	return fmt.Sprint(size)
}

// TestElements_LargeLimits asks for more than the gateway has on its own: what is promised to a single client is kept,
// with the values of the SDK behind the original.
func TestElements_LargeLimits(t *testing.T) {
	main := stageFile()
	for _, name := range []string{"MaxAlloc", "MaxByteStringLength", "MaxMessageSize"} {
		main.Set("UaServerConfig/Serializer/"+name, "16777216")
	}
	main.Set("UaServerConfig/MaxBrowseContinuationPoints", "150")
	dir := t.TempDir()
	ownFiles(t, dir)
	s, err := openStage(t, dir, main.String(), deaf)
	if err != nil {
		t.Fatal(err)
	}
	p := s.visitor()
	defer p.leave()
	results, code := p.browse(200, 1)
	p.ok(code)
	if n := slices.IndexFunc(results, func(r uabinary.BrowseResult) bool { return len(r.ContinuationPoint) == 0 }); n != 150 {
		t.Errorf("%d continuation points", n)
	}
	req := &uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{{
		NodeID: uabinary.StringID(1, "x"), AttributeID: ua.AttributeIDValue,
		Value: uabinary.DataValue{Value: uabinary.VariantOf(make([]byte, 12<<20))},
	}}}
	req.RequestHeader.AuthenticationToken = p.token
	body := uabinary.AppendMessage(nil, req)
	for p.RequestID++; len(body) > 60_000; body = body[60_000:] {
		if err := p.Send(uatcp.TypeMessage, uatcp.Intermediate, p.RequestID, body[:60_000]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Send(uatcp.TypeMessage, uatcp.Final, p.RequestID, body); err != nil {
		t.Fatal(err)
	}
	_, answer, err := p.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if kind := uabinary.NewReader(answer, nil).MessageType(); kind != id.WriteResponse_Encoding_DefaultBinary {
		t.Errorf("12 MiB are answered with message %d", kind)
	}
}
