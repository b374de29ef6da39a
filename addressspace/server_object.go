package addressspace

import (
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// serverStatus is the value of Server/ServerStatus.
type serverStatus struct {
	mu  sync.Mutex
	now uabinary.ServerStatusDataType // but for CurrentTime; guarded by mu
}

// SetServerStatus sets Server/ServerStatus and all its components but
// CurrentTime, which goes by the clock (Part 5 (1.05), 12.10).
func (s *Space) SetServerStatus(status uabinary.ServerStatusDataType) {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	s.status.now = status
	build := status.BuildInfo
	s.setAll(map[uint32]any{
		id.Server_ServerStatus_StartTime:                  status.StartTime,
		id.Server_ServerStatus_State:                      int32(status.State),
		id.Server_ServerStatus_BuildInfo:                  uabinary.ExtensionObjectOf(&build),
		id.Server_ServerStatus_BuildInfo_ProductName:      build.ProductName,
		id.Server_ServerStatus_BuildInfo_ProductURI:       build.ProductURI,
		id.Server_ServerStatus_BuildInfo_ManufacturerName: build.ManufacturerName,
		id.Server_ServerStatus_BuildInfo_SoftwareVersion:  build.SoftwareVersion,
		id.Server_ServerStatus_BuildInfo_BuildNumber:      build.BuildNumber,
		id.Server_ServerStatus_BuildInfo_BuildDate:        build.BuildDate,
		id.Server_ServerStatus_SecondsTillShutdown:        status.SecondsTillShutdown,
		id.Server_ServerStatus_ShutdownReason:             status.ShutdownReason,
	})
}

// current returns ServerStatus as it is now.
func (st *serverStatus) current() uabinary.DataValue {
	st.mu.Lock()
	status := st.now
	st.mu.Unlock()
	status.CurrentTime = uabinary.DateTimeOf(time.Now())
	return uabinary.DataValue{
		Value:           uabinary.VariantOf(uabinary.ExtensionObjectOf(&status)),
		SourceTimestamp: status.CurrentTime,
	}
}

// currentTime is the source of ServerStatus/CurrentTime.
func currentTime() uabinary.DataValue {
	now := uabinary.DateTimeOf(time.Now())
	return uabinary.DataValue{Value: uabinary.DateTimeVariant(now), SourceTimestamp: now}
}

// initServerObject gives every Variable of the Server object a value. What
// depends on the server is set by it once more.
func (s *Space) initServerObject(applicationURI string) {
	s.SetServerStatus(uabinary.ServerStatusDataType{StartTime: s.created, State: ua.ServerStateUnknown})
	s.Variable(uabinary.NumericID(0, id.Server_ServerStatus)).SetSource(s.status.current)
	s.Variable(uabinary.NumericID(0, id.Server_ServerStatus_CurrentTime)).SetSource(currentTime)
	s.setAll(map[uint32]any{
		id.Server_ServerArray:                                     []string{applicationURI},
		id.Server_ServiceLevel:                                    uint8(255),
		id.Server_Auditing:                                        false,
		id.Server_ServerRedundancy_RedundancySupport:              int32(ua.RedundancySupportNone),
		id.Server_ServerCapabilities_ServerProfileArray:           []string{},
		id.Server_ServerCapabilities_LocaleIDArray:                []string{"en"},
		id.Server_ServerCapabilities_MinSupportedSampleRate:       float64(0),
		id.Server_ServerCapabilities_MaxQueryContinuationPoints:   uint16(0),
		id.Server_ServerCapabilities_MaxHistoryContinuationPoints: uint16(0),
		id.Server_ServerCapabilities_MaxBrowseContinuationPoints:  uint16(0),
		id.Server_ServerCapabilities_SoftwareCertificates:         []uabinary.ExtensionObject{},
	})
	for _, limit := range unsetLimits {
		s.SetValue(limit, uabinary.Uint32Variant(0))
	}
	s.disableDiagnostics()
}

// unsetLimits are the limits that say "none" until the server sets them.
var unsetLimits = []uint32{
	id.Server_ServerCapabilities_MaxArrayLength,
	id.Server_ServerCapabilities_MaxStringLength,
	id.Server_ServerCapabilities_MaxByteStringLength,
	id.Server_ServerCapabilities_MaxSessions,
	id.Server_ServerCapabilities_MaxSubscriptions,
	id.Server_ServerCapabilities_MaxMonitoredItems,
	id.Server_ServerCapabilities_MaxSubscriptionsPerSession,
	id.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
	id.Server_ServerCapabilities_MaxMonitoredItemsQueueSize,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIDs,
	id.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
}

// disableDiagnostics sets the EnabledFlag of Server/ServerDiagnostics to
// false: its static nodes stay, but have nothing to read (Part 5 (1.05),
// 6.3.3). This is how a Space begins.
func (s *Space) disableDiagnostics() {
	s.SetValue(id.Server_ServerDiagnostics_EnabledFlag, uabinary.BoolVariant(false))
	for _, d := range diagnostics {
		s.Variable(uabinary.NumericID(0, d)).Set(&uabinary.DataValue{
			Status: ua.StatusBadNotReadable, SourceTimestamp: uabinary.DateTimeOf(time.Now()),
		})
	}
}

// diagnostics are the static diagnostics nodes.
var diagnostics = []uint32{
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_ServerViewCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedSessionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedSessionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionTimeoutCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionAbortCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_PublishingIntervalCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSubscriptionCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedRequestsCount,
	id.Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedRequestsCount,
	id.Server_ServerDiagnostics_SubscriptionDiagnosticsArray,
	id.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray,
	id.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray,
}

// setAll sets Variables of namespace 0.
func (s *Space) setAll(values map[uint32]any) {
	for id, value := range values {
		s.SetValue(id, uabinary.VariantOf(value))
	}
}
