package server

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// counters is what the server counts over its life. Most of it is shown in the
// ServerDiagnosticsSummary (Part 5 1.05, 12.9).
type counters struct {
	cumulatedSessions        atomic.Uint32
	rejectedSessions         atomic.Uint32
	securityRejectedSessions atomic.Uint32
	sessionTimeouts          atomic.Uint32
	rejectedRequests         atomic.Uint32
	securityRejectedRequests atomic.Uint32
	refusedConnections       atomic.Uint32 // by Listen; not in the summary
	panics                   atomic.Uint32 // not in the summary
}

// rejected counts a request answered by a fault.
func (c *counters) rejected(code ua.StatusCode) {
	c.rejectedRequests.Add(1)
	switch code {
	case ua.StatusBadSecurityChecksFailed, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadUserAccessDenied,
		ua.StatusBadSessionIDInvalid, ua.StatusBadIdentityTokenInvalid, ua.StatusBadIdentityTokenRejected,
		ua.StatusBadApplicationSignatureInvalid, ua.StatusBadSecurityPolicyRejected:
		c.securityRejectedRequests.Add(1)
	}
}

// Counts is what the server holds at one moment and has counted since New.
type Counts struct {
	Connections    int // TransportConnections, with and without SecureChannel
	Sessions       int
	Subscriptions  int
	MonitoredItems int

	CumulatedSessions        uint32
	RejectedSessions         uint32 // for whatever reason
	SecurityRejectedSessions uint32
	SessionTimeouts          uint32
	RejectedRequests         uint32 // answered by a ServiceFault
	SecurityRejectedRequests uint32
	RefusedConnections       uint32 // by Listen
	Panics                   uint32 // each has ended a connection
}

// Counts returns the numbers of this moment.
func (s *Server) Counts() Counts {
	s.mu.RLock()
	connections, sessions := len(s.connections), len(s.sessions)
	s.mu.RUnlock()
	c := &s.counters
	return Counts{
		Connections: connections, Sessions: sessions,
		Subscriptions: int(s.totals.subscriptions.Load()), MonitoredItems: int(s.totals.monitoredItems.Load()),
		CumulatedSessions: c.cumulatedSessions.Load(), RejectedSessions: c.rejectedSessions.Load(),
		SecurityRejectedSessions: c.securityRejectedSessions.Load(), SessionTimeouts: c.sessionTimeouts.Load(),
		RejectedRequests: c.rejectedRequests.Load(), SecurityRejectedRequests: c.securityRejectedRequests.Load(),
		RefusedConnections: c.refusedConnections.Load(), Panics: c.panics.Load(),
	}
}

// summary is the ServerDiagnosticsSummary right now.
func (s *Server) summary() uabinary.ServerDiagnosticsSummaryDataType {
	s.mu.RLock()
	current := len(s.sessions)
	s.mu.RUnlock()
	c := &s.counters
	return uabinary.ServerDiagnosticsSummaryDataType{
		CurrentSessionCount:           uint32(current),
		CumulatedSessionCount:         c.cumulatedSessions.Load(),
		SecurityRejectedSessionCount:  c.securityRejectedSessions.Load(),
		RejectedSessionCount:          c.rejectedSessions.Load(),
		SessionTimeoutCount:           c.sessionTimeouts.Load(),
		SessionAbortCount:             c.sessionTimeouts.Load(), // nothing else aborts one
		CurrentSubscriptionCount:      uint32(s.totals.subscriptions.Load()),
		CumulatedSubscriptionCount:    s.totals.lastID.Load(),
		SecurityRejectedRequestsCount: c.securityRejectedRequests.Load(),
		RejectedRequestsCount:         c.rejectedRequests.Load(),
	}
}

// publishDiagnostics makes the summary readable. What is kept per Session or
// Subscription is not.
func (s *Server) publishDiagnostics() {
	s.space.SetValue(id.Server_ServerDiagnostics_EnabledFlag, uabinary.BoolVariant(true))
	s.publish(id.Server_ServerDiagnostics_ServerDiagnosticsSummary, func(d *uabinary.ServerDiagnosticsSummaryDataType) uabinary.Variant {
		return uabinary.VariantOf(uabinary.ExtensionObjectOf(d))
	})
	for node, field := range map[uint32]func(*uabinary.ServerDiagnosticsSummaryDataType) uint32{
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_ServerViewCount:               func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.ServerViewCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount:           func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.CurrentSessionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount:         func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.CumulatedSessionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedSessionCount:  func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.SecurityRejectedSessionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedSessionCount:          func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.RejectedSessionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionTimeoutCount:           func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.SessionTimeoutCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionAbortCount:             func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.SessionAbortCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_PublishingIntervalCount:       func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.PublishingIntervalCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount:      func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.CurrentSubscriptionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSubscriptionCount:    func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.CumulatedSubscriptionCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedRequestsCount: func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.SecurityRejectedRequestsCount },
		id.Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedRequestsCount:         func(d *uabinary.ServerDiagnosticsSummaryDataType) uint32 { return d.RejectedRequestsCount },
	} {
		s.publish(node, func(d *uabinary.ServerDiagnosticsSummaryDataType) uabinary.Variant {
			return uabinary.Uint32Variant(field(d))
		})
	}
}

// publish makes every read of the node compute it.
func (s *Server) publish(node uint32, value func(*uabinary.ServerDiagnosticsSummaryDataType) uabinary.Variant) {
	v := s.space.Variable(uabinary.NumericID(0, node))
	if v == nil {
		return
	}
	v.SetSource(func() uabinary.DataValue {
		d := s.summary()
		return uabinary.DataValue{Value: value(&d), SourceTimestamp: uabinary.DateTimeOf(time.Now())}
	})
}

// setState publishes ServerStatus (Part 5 1.05, 12.10).
func (s *Server) setState(state ua.ServerState, left time.Duration) {
	b := &s.config().BuildInfo
	status := uabinary.ServerStatusDataType{
		StartTime: uabinary.DateTimeOf(s.started),
		State:     state,
		BuildInfo: uabinary.BuildInfo{
			ProductURI:       s.config().ProductURI,
			ManufacturerName: b.ManufacturerName,
			ProductName:      b.ProductName,
			SoftwareVersion:  b.SoftwareVersion,
			BuildNumber:      b.BuildNumber,
		},
		SecondsTillShutdown: uint32(left / time.Second),
	}
	if !b.BuildDate.IsZero() {
		status.BuildInfo.BuildDate = uabinary.DateTimeOf(b.BuildDate)
	}
	if state == ua.ServerStateShutdown {
		status.ShutdownReason = uabinary.LocalizedText{Text: "the server is stopping"}
	}
	s.space.SetServerStatus(status)
}

// publishCapabilities shows the limits that clients plan by (Part 5 1.05,
// 6.3.2 and 6.3.11).
func (s *Server) publishCapabilities() {
	l := s.limits()
	for node, n := range map[uint32]int{
		id.Server_ServerCapabilities_MaxArrayLength:                                           l.Encoding.MaxArrayLength,
		id.Server_ServerCapabilities_MaxStringLength:                                          l.Encoding.MaxStringLength,
		id.Server_ServerCapabilities_MaxByteStringLength:                                      l.Encoding.MaxByteStringLength,
		id.Server_ServerCapabilities_MaxSessions:                                              l.MaxSessions,
		id.Server_ServerCapabilities_MaxSubscriptions:                                         l.MaxSubscriptions,
		id.Server_ServerCapabilities_MaxMonitoredItems:                                        l.MaxMonitoredItems,
		id.Server_ServerCapabilities_MaxSubscriptionsPerSession:                               l.MaxSubscriptionsPerSession,
		id.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription:                         l.MaxMonitoredItemsPerSubscription,
		id.Server_ServerCapabilities_MaxMonitoredItemsQueueSize:                               int(l.MaxQueueSize),
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead:                          l.MaxNodesPerRead,
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite:                         l.MaxNodesPerWrite,
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse:                        l.MaxNodesPerBrowse,
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes:                 l.MaxNodesPerRegister,
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall:                    l.MaxNodesPerMethodCall,
		id.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIDs: l.MaxNodesPerTranslate,
		id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall:                 l.MaxItemsPerCall,
	} {
		s.space.SetValue(node, uabinary.Uint32Variant(uint32(n)))
	}
	s.space.SetValue(id.Server_ServerCapabilities_MaxBrowseContinuationPoints, uabinary.Uint16Variant(uint16(min(l.MaxContinuationPoints, math.MaxUint16))))
	s.space.SetValue(id.Server_ServerCapabilities_MinSupportedSampleRate, uabinary.DoubleVariant(milliseconds(l.MinSamplingInterval)))
	s.publishTexts(id.Server_ServerCapabilities_LocaleIDArray, s.config().LocaleIDs, []string{"en"})
	s.publishTexts(id.Server_ServerCapabilities_ServerProfileArray, s.config().ServerProfiles, []string{})
	s.publishRedundancy()
}

// publishRedundancy: the array contains the local server (Part 5 1.05, 6.3.9).
func (s *Server) publishRedundancy() {
	cfg := s.config()
	uris := cfg.Redundancy.ServerURIs
	if !slices.Contains(uris, cfg.ApplicationURI) {
		uris = append([]string{cfg.ApplicationURI}, uris...)
	}
	s.space.SetRedundancy(cfg.Redundancy.Support, uris)
}

// publishTexts shows a list; an empty one is what the Space begins with.
func (s *Server) publishTexts(node uint32, texts, otherwise []string) {
	if len(texts) == 0 {
		texts = otherwise
	}
	s.space.SetValue(node, uabinary.VariantOf(texts))
}
