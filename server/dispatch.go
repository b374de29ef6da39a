package server

import (
	"github.com/gopcua/opcua/id"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// service is one row of the table of services. handle decodes the rest of the
// request from r, which stands at the RequestHeader, and answers c or keeps a
// detached copy of it. What it decodes borrows the request buffer.
type service struct {
	name    string
	session bool // needs an activated Session on the channel
	handle  func(s *Server, c *call, r *uabinary.Reader)
}

// services is every request the server answers, by the numeric id of its
// Default Binary encoding; any other gets BadServiceUnsupported.
func services() map[uint32]service {
	return map[uint32]service{
		id.FindServersRequest_Encoding_DefaultBinary:                   {"FindServers", false, (*Server).handleFindServers},
		id.GetEndpointsRequest_Encoding_DefaultBinary:                  {"GetEndpoints", false, (*Server).handleGetEndpoints},
		id.CreateSessionRequest_Encoding_DefaultBinary:                 {"CreateSession", false, (*Server).handleCreateSession},
		id.ActivateSessionRequest_Encoding_DefaultBinary:               {"ActivateSession", false, (*Server).handleActivateSession},
		id.CloseSessionRequest_Encoding_DefaultBinary:                  {"CloseSession", false, (*Server).handleCloseSession},
		id.CancelRequest_Encoding_DefaultBinary:                        {"Cancel", true, (*Server).handleCancel},
		id.BrowseRequest_Encoding_DefaultBinary:                        {"Browse", true, (*Server).handleBrowse},
		id.BrowseNextRequest_Encoding_DefaultBinary:                    {"BrowseNext", true, (*Server).handleBrowseNext},
		id.TranslateBrowsePathsToNodeIDsRequest_Encoding_DefaultBinary: {"TranslateBrowsePathsToNodeIds", true, (*Server).handleTranslateBrowsePaths},
		id.RegisterNodesRequest_Encoding_DefaultBinary:                 {"RegisterNodes", true, (*Server).handleRegisterNodes},
		id.UnregisterNodesRequest_Encoding_DefaultBinary:               {"UnregisterNodes", true, (*Server).handleUnregisterNodes},
		id.ReadRequest_Encoding_DefaultBinary:                          {"Read", true, (*Server).handleRead},
		id.WriteRequest_Encoding_DefaultBinary:                         {"Write", true, (*Server).handleWrite},
		id.CallRequest_Encoding_DefaultBinary:                          {"Call", true, (*Server).handleCall},
		id.CreateSubscriptionRequest_Encoding_DefaultBinary:            {"CreateSubscription", true, (*Server).handleCreateSubscription},
		id.ModifySubscriptionRequest_Encoding_DefaultBinary:            {"ModifySubscription", true, (*Server).handleModifySubscription},
		id.SetPublishingModeRequest_Encoding_DefaultBinary:             {"SetPublishingMode", true, (*Server).handleSetPublishingMode},
		id.DeleteSubscriptionsRequest_Encoding_DefaultBinary:           {"DeleteSubscriptions", true, (*Server).handleDeleteSubscriptions},
		id.PublishRequest_Encoding_DefaultBinary:                       {"Publish", true, (*Server).handlePublish},
		id.RepublishRequest_Encoding_DefaultBinary:                     {"Republish", true, (*Server).handleRepublish},
		id.CreateMonitoredItemsRequest_Encoding_DefaultBinary:          {"CreateMonitoredItems", true, (*Server).handleCreateMonitoredItems},
		id.ModifyMonitoredItemsRequest_Encoding_DefaultBinary:          {"ModifyMonitoredItems", true, (*Server).handleModifyMonitoredItems},
		id.SetMonitoringModeRequest_Encoding_DefaultBinary:             {"SetMonitoringMode", true, (*Server).handleSetMonitoringMode},
		id.SetTriggeringRequest_Encoding_DefaultBinary:                 {"SetTriggering", true, (*Server).handleSetTriggering},
		id.DeleteMonitoredItemsRequest_Encoding_DefaultBinary:          {"DeleteMonitoredItems", true, (*Server).handleDeleteMonitoredItems},
	}
}
