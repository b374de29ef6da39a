package server

import (
	"strings"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// What a single client is promised is not cut by what all of them share.
func TestLimits_SharesFollow(t *testing.T) {
	small := Limits{}.withDefaults()
	if small.MaxConnectionsPerAddress != 10 || small.MaxContinuationPointsAll != 100 || small.ReassemblyBytesTotal != 8<<20 {
		t.Errorf("%+v", small)
	}
	large := Limits{MaxConnections: 120, MaxContinuationPoints: 500, MaxMessageSize: 16 << 20}.withDefaults()
	if large.MaxConnectionsPerAddress != 30 || large.MaxContinuationPointsAll != 500 || large.ReassemblyBytesTotal != 16<<20 {
		t.Errorf("%+v", large)
	}
}

// items creates n MonitoredItems in a new Subscription and returns the worst
// of their results.
func (c *client) items(n int, queue uint32) (worst ua.StatusCode, revised uint32, sampling float64) {
	c.t.Helper()
	sub, code := c.subscription()
	c.wantOK(code)
	req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: sub}
	for range n {
		req.ItemsToCreate = append(req.ItemsToCreate, uabinary.MonitoredItemCreateRequest{
			ItemToMonitor: valueOf("Int16"), MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{QueueSize: queue},
		})
	}
	var resp uabinary.CreateMonitoredItemsResponse
	if code := c.do(&req.RequestHeader, req, &resp); code != ua.StatusOK {
		return code, 0, 0
	}
	for _, r := range resp.Results {
		if r.StatusCode != ua.StatusOK {
			worst = r.StatusCode
		}
		revised, sampling = r.RevisedQueueSize, r.RevisedSamplingInterval
	}
	return worst, revised, sampling
}

func (c *client) subscription() (uint32, ua.StatusCode) {
	c.t.Helper()
	req := &uabinary.CreateSubscriptionRequest{RequestedPublishingInterval: 1000}
	var resp uabinary.CreateSubscriptionResponse
	code := c.do(&req.RequestHeader, req, &resp)
	return resp.SubscriptionID, code
}

// subscriptions creates n of them and returns the last status.
func (c *client) subscriptions(n int) (code ua.StatusCode) {
	for range n {
		_, code = c.subscription()
	}
	return code
}

// browsing leaves n continuation points open and returns the last status.
func (c *client) browsing(n int) (code ua.StatusCode) {
	for range n {
		code = c.browse(1, everything(objects))[0].StatusCode
	}
	return code
}

func (c *client) writing(name string, value any) ua.StatusCode {
	c.t.Helper()
	req := &uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{writeOf(name, value)}}
	var resp uabinary.WriteResponse
	if code := c.do(&req.RequestHeader, req, &resp); code != ua.StatusOK {
		return code
	}
	return resp.Results[0]
}

// Each published limit is the one that is enforced: n operations pass, one more
// does not.
func TestBaseInfoServerCapabilities_PublishedIsEnforced(t *testing.T) {
	const n = 40
	encoding, tooMany := ua.StatusBadEncodingLimitsExceeded, ua.StatusBadTooManyOperations
	for name, tt := range map[string]struct {
		node uint32
		set  func(*Limits)
		use  func(c *client, n int) ua.StatusCode
		over ua.StatusCode
	}{
		"MaxArrayLength": {id.Server_ServerCapabilities_MaxArrayLength, func(l *Limits) { l.Encoding.MaxArrayLength = n },
			func(c *client, n int) ua.StatusCode { return c.writing("Array", make([]int32, n)) }, encoding},
		"MaxStringLength": {id.Server_ServerCapabilities_MaxStringLength, func(l *Limits) { l.Encoding.MaxStringLength = n },
			func(c *client, n int) ua.StatusCode { return c.writing("Text", strings.Repeat("x", n)) }, encoding},
		"MaxByteStringLength": {id.Server_ServerCapabilities_MaxByteStringLength, func(l *Limits) { l.Encoding.MaxByteStringLength = n },
			func(c *client, n int) ua.StatusCode { return c.writing("Bytes", make([]byte, n)) }, encoding},
		"MaxNodesPerRead": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, func(l *Limits) { l.MaxNodesPerRead = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.ReadRequest{NodesToRead: make([]uabinary.ReadValueID, n)}
				return c.do(&req.RequestHeader, req, &uabinary.ReadResponse{})
			}, tooMany},
		"MaxNodesPerWrite": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, func(l *Limits) { l.MaxNodesPerWrite = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.WriteRequest{NodesToWrite: make([]uabinary.WriteValue, n)}
				return c.do(&req.RequestHeader, req, &uabinary.WriteResponse{})
			}, tooMany},
		"MaxNodesPerMethodCall": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall, func(l *Limits) { l.MaxNodesPerMethodCall = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.CallRequest{MethodsToCall: make([]uabinary.CallMethodRequest, n)}
				return c.do(&req.RequestHeader, req, &uabinary.CallResponse{})
			}, tooMany},
		"MaxNodesPerBrowse": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, func(l *Limits) { l.MaxNodesPerBrowse = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.BrowseRequest{NodesToBrowse: make([]uabinary.BrowseDescription, n)}
				return c.do(&req.RequestHeader, req, &uabinary.BrowseResponse{})
			}, tooMany},
		"MaxNodesPerRegisterNodes": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes, func(l *Limits) { l.MaxNodesPerRegister = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.RegisterNodesRequest{}
				for range n {
					req.NodesToRegister = append(req.NodesToRegister, objects)
				}
				return c.do(&req.RequestHeader, req, &uabinary.RegisterNodesResponse{})
			}, tooMany},
		"MaxNodesPerTranslate": {id.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIDs, func(l *Limits) { l.MaxNodesPerTranslate = n },
			func(c *client, n int) ua.StatusCode {
				req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: make([]uabinary.BrowsePath, n)}
				return c.do(&req.RequestHeader, req, &uabinary.TranslateBrowsePathsToNodeIDsResponse{})
			}, tooMany},
		"MaxMonitoredItemsPerCall": {id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, func(l *Limits) { l.MaxItemsPerCall = n },
			func(c *client, n int) ua.StatusCode { code, _, _ := c.items(n, 1); return code }, tooMany},
		"MaxSessions": {id.Server_ServerCapabilities_MaxSessions,
			func(l *Limits) { l.MaxSessions, l.MaxSessionsPerChannel, l.MaxSecureChannels = n, 2*n, 2*n },
			func(c *client, n int) (code ua.StatusCode) {
				first := c.token
				for range n - 1 { // one is there already
					if _, code = c.create(c.createRequest()); code != ua.StatusOK {
						break
					}
					c.wantOK(c.activate(anonymousToken(), c.signature()))
				}
				c.token = first
				return code
			}, ua.StatusBadTooManySessions},
		"MaxSubscriptions": {id.Server_ServerCapabilities_MaxSubscriptions, func(l *Limits) { l.MaxSubscriptions, l.MaxSubscriptionsPerSession = n, 2*n },
			(*client).subscriptions, ua.StatusBadTooManySubscriptions},
		"MaxSubscriptionsPerSession": {id.Server_ServerCapabilities_MaxSubscriptionsPerSession, func(l *Limits) { l.MaxSubscriptions, l.MaxSubscriptionsPerSession = 2*n, n },
			(*client).subscriptions, ua.StatusBadTooManySubscriptions},
		"MaxMonitoredItems": {id.Server_ServerCapabilities_MaxMonitoredItems, func(l *Limits) { l.MaxMonitoredItems = n },
			func(c *client, n int) ua.StatusCode { code, _, _ := c.items(n, 1); return code }, ua.StatusBadTooManyMonitoredItems},
		"MaxMonitoredItemsPerSubscription": {id.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription, func(l *Limits) { l.MaxMonitoredItemsPerSubscription = n },
			func(c *client, n int) ua.StatusCode { code, _, _ := c.items(n, 1); return code }, ua.StatusBadTooManyMonitoredItems},
		"MaxBrowseContinuationPoints": {id.Server_ServerCapabilities_MaxBrowseContinuationPoints, func(l *Limits) { l.MaxContinuationPoints = n },
			(*client).browsing, ua.StatusBadNoContinuationPoints},
		"MaxMonitoredItemsQueueSize": {id.Server_ServerCapabilities_MaxMonitoredItemsQueueSize, func(l *Limits) { l.MaxQueueSize = n },
			func(c *client, n int) ua.StatusCode {
				if _, revised, _ := c.items(1, uint32(n)); int(revised) != n {
					return ua.StatusBadTooManyOperations // not what was asked for
				}
				return ua.StatusOK
			}, tooMany},
	} {
		t.Run(name, func(t *testing.T) {
			for asked, want := range map[int]ua.StatusCode{n: ua.StatusOK, n + 1: tt.over} {
				r := newRig(t, func(cfg *Config) { tt.set(&cfg.Limits) })
				c := r.session(ua.MessageSecurityModeNone)
				published, ok := c.read(uabinary.ReadValueID{NodeID: uabinary.NumericID(0, tt.node), AttributeID: ua.AttributeIDValue})[0].Value.Number()
				if !ok || published != n {
					t.Errorf("published %v", published)
				}
				if got := tt.use(c, asked); got != want {
					t.Errorf("%d: got %v, want %v", asked, got, want)
				}
			}
		})
	}
}

func TestBaseInfoServerCapabilities_MinSupportedSampleRate(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MinSamplingInterval = 70e6 })
	c := r.session(ua.MessageSecurityModeNone)
	published, _ := c.read(uabinary.ReadValueID{NodeID: uabinary.NumericID(0, id.Server_ServerCapabilities_MinSupportedSampleRate), AttributeID: ua.AttributeIDValue})[0].Value.Number()
	if _, _, sampling := c.items(1, 1); published != 70 || sampling != 70 {
		t.Errorf("published %v ms, enforced %v ms", published, sampling)
	}
}
