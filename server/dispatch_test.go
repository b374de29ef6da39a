package server

import (
	"maps"
	"slices"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// requests is a sensible request for every service that takes parameters.
func requests() []uabinary.Structure {
	node := uabinary.StringID(2, "Array")
	return []uabinary.Structure{
		&uabinary.FindServersRequest{ServerURIs: []string{serverURI}},
		&uabinary.GetEndpointsRequest{EndpointURL: "opc.tcp://127.0.0.1:4840"},
		&uabinary.CreateSessionRequest{SessionName: "x", ClientNonce: make([]byte, 32)},
		&uabinary.ActivateSessionRequest{UserIdentityToken: anonymousToken()},
		&uabinary.CloseSessionRequest{},
		&uabinary.CancelRequest{RequestHandle: 1},
		&uabinary.BrowseRequest{RequestedMaxReferencesPerNode: 1, NodesToBrowse: []uabinary.BrowseDescription{everything(objects)}},
		&uabinary.BrowseNextRequest{ContinuationPoints: [][]byte{make([]byte, 16)}},
		&uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: []uabinary.BrowsePath{path(objects, "Server", "ServerStatus")}},
		&uabinary.RegisterNodesRequest{NodesToRegister: []uabinary.NodeID{node}},
		&uabinary.UnregisterNodesRequest{NodesToUnregister: []uabinary.NodeID{node}},
		&uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{withRange(valueOf("Array"), "1:2")}},
		&uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{writeOf("Array", []int32{1}), writeOf("Device16", uint16(2))}},
		&uabinary.CallRequest{MethodsToCall: []uabinary.CallMethodRequest{{
			ObjectID: uabinary.NumericID(0, id.Server), MethodID: uabinary.NumericID(0, id.Server_GetMonitoredItems),
			InputArguments: []uabinary.Variant{uabinary.Uint32Variant(1)},
		}}},
		&uabinary.CreateSubscriptionRequest{RequestedPublishingInterval: 1000, PublishingEnabled: true},
		&uabinary.ModifySubscriptionRequest{SubscriptionID: 1},
		&uabinary.SetPublishingModeRequest{SubscriptionIDs: []uint32{1}},
		&uabinary.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{1}},
		&uabinary.PublishRequest{SubscriptionAcknowledgements: []uabinary.SubscriptionAcknowledgement{{SubscriptionID: 1, SequenceNumber: 1}}},
		&uabinary.RepublishRequest{SubscriptionID: 1, RetransmitSequenceNumber: 1},
		&uabinary.CreateMonitoredItemsRequest{SubscriptionID: 1, ItemsToCreate: []uabinary.MonitoredItemCreateRequest{{
			ItemToMonitor: valueOf("Array"), MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{
				SamplingInterval: 100, QueueSize: 2,
				Filter: uabinary.ExtensionObjectOf(&uabinary.DataChangeFilter{DeadbandType: uint32(ua.DeadbandTypeAbsolute), DeadbandValue: 1}),
			},
		}}},
		&uabinary.ModifyMonitoredItemsRequest{SubscriptionID: 1, ItemsToModify: []uabinary.MonitoredItemModifyRequest{{MonitoredItemID: 1}}},
		&uabinary.SetMonitoringModeRequest{SubscriptionID: 1, MonitoredItemIDs: []uint32{1}},
		&uabinary.SetTriggeringRequest{SubscriptionID: 1, TriggeringItemID: 1, LinksToAdd: []uint32{1}},
		&uabinary.DeleteMonitoredItemsRequest{SubscriptionID: 1, MonitoredItemIDs: []uint32{1}},
	}
}

func TestServices_EveryRowIsTested(t *testing.T) {
	var tested []uint32
	for _, req := range requests() {
		tested = append(tested, req.EncodingID())
	}
	slices.Sort(tested)
	if rows := slices.Sorted(maps.Keys(services())); !slices.Equal(rows, tested) {
		t.Errorf("services %v, requests %v", rows, tested)
	}
}

// Whatever stands in a body, a live Session survives it or is closed in order:
// two requests each, the first of them making a Subscription or not.
func FuzzDispatch(f *testing.F) {
	for i, req := range requests() {
		f.Add(uint16(i), body(req), body(&uabinary.ReadRequest{}))
	}
	r := newRig(f, func(cfg *Config) { cfg.Limits.MaxBadLogins = 1 << 30 })
	conn := r.mutedConnection(f, none, ua.MessageSecurityModeNone)
	all := requests()
	f.Fuzz(func(t *testing.T, service uint16, first, second []byte) {
		r.totals.lastID.Store(0) // the first Subscription is 1, as in the seeds
		sess := r.bareSession(t, conn)
		defer r.closeSession(sess, true)
		answer := func(encoding uint32, body []byte) {
			header := uabinary.RequestHeader{AuthenticationToken: sess.token, TimeoutHint: 1}
			message := header.Append(uabinary.NumericID(0, encoding).Append(nil))
			if err := conn.answer(t.Context(), &securechannel.Request{ID: 1, Body: append(message, body...)}); err != nil {
				t.Fatal(err)
			}
		}
		answer(id.CreateSubscriptionRequest_Encoding_DefaultBinary, first)
		answer(all[int(service)%len(all)].EncodingID(), first)
		answer(all[int(service>>8)%len(all)].EncodingID(), second)
		for other := range conn.sessions {
			if other != sess {
				r.closeSession(other, true)
			}
		}
	})
}

// body is what follows the RequestHeader of req.
func body(req uabinary.Structure) []byte {
	return req.Append(nil)[len((&uabinary.RequestHeader{}).Append(nil)):]
}
