package attack

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

// decodingCodes answer a body that cannot be read (R3).
var decodingCodes = []ua.StatusCode{ua.StatusBadDecodingError, ua.StatusBadEncodingLimitsExceeded}

// body starts a request by hand: encoding and header of c's Session.
func (c *client) body(encoding uint32) []byte {
	c.handle++
	b := uabinary.NumericID(0, encoding).Append(nil)
	h := uabinary.RequestHeader{AuthenticationToken: c.token, RequestHandle: c.handle}
	return h.Append(b)
}

// writeOf is a Write whose Variant is what the attacker says.
func (c *client) writeOf(variant []byte) []byte {
	b := uabinary.AppendInt32(c.body(id.WriteRequest_Encoding_DefaultBinary), 1)
	b = uabinary.StringID(2, "Number").Append(b)
	b = uabinary.AppendUint32(b, uint32(ua.AttributeIDValue))
	b = uabinary.AppendInt32(b, -1) // IndexRange
	b = append(b, 1)                // DataValue with a value
	return append(b, variant...)
}

func u32(v ...uint32) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// bodies that are bombs, before and inside a Session.
func TestA33_A34_A37_Bombs(t *testing.T) {
	s := besiege(t, nil)
	const array, dimensions, variant, double, dataValue, extension, diagnostic = 0x80, 0x40, 24, 11, 23, 22, 25
	const deep = 100_000
	c := s.session(attackAddress, insiderIdentity())
	for name, bomb := range map[string][]byte{
		"variants in variants":       []byte(strings.Repeat("\x98\x01\x00\x00\x00", deep)),
		"data values in data values": []byte(strings.Repeat("\x17\x01", deep)),
		"diagnostics in diagnostics": append([]byte{diagnostic}, []byte(strings.Repeat("\x40", deep))...),
		"mixed":                      []byte(strings.Repeat("\x98\x01\x00\x00\x00\x97\x01\x00\x00\x00\x01", deep/2)),
		"array of 2^31-1":            append([]byte{array | double}, u32(math.MaxInt32)...),
		"array of 2^31":              append([]byte{array | double}, u32(1<<31)...),
		"array of -2":                append([]byte{array | double}, u32(math.MaxUint32-1)...),
		"array of 2^29":              append([]byte{array | double}, u32(1<<29)...), // times 8 is 0 in 32 bits
		"product overflows":          append([]byte{array | dimensions | double}, u32(0, 4, 1<<16, 1<<16, 1<<16, 1<<16)...),
		"product of 2^32":            append([]byte{array | dimensions | double}, u32(0, 2, 1<<16, 1<<16)...),
		"negative dimensions":        append([]byte{array | dimensions | double}, u32(0, 2, math.MaxUint32, math.MaxUint32)...),
		"zero dimensions":            append([]byte{array | dimensions | double}, u32(0, 1000, 0, 1)...),
		"2^31 dimensions":            append([]byte{array | dimensions | double}, u32(0, math.MaxInt32)...),
		"extension of 2^31":          append([]byte{extension, 0, 0, 1}, u32(1<<31)...),
		"byte string of 2^32-2":      append([]byte{15}, u32(math.MaxUint32-1)...),
		"reserved type":              {63, 1, 2, 3},
		"65535 null variants":        append(append([]byte{array | variant}, u32(65535)...), make([]byte, 65535)...),
		"65535 null strings":         append(append([]byte{array | 12}, u32(65535)...), make([]byte, 4*65535)...),
	} {
		code, err := c.raw(c.writeOf(bomb), &uabinary.WriteResponse{})
		wantCode(t, name, code, err, append(decodingCodes, ua.StatusOK)...)
		if err != nil {
			c = s.session(attackAddress, insiderIdentity())
		}
	}
	for name, body := range map[string][]byte{
		"nothing":              {},
		"half a NodeId":        {1, 0},
		"response as request":  uabinary.AppendMessage(nil, &uabinary.ReadResponse{}),
		"fault as request":     uabinary.AppendMessage(nil, &uabinary.ServiceFault{}),
		"unknown encoding":     c.body(99999),
		"history":              c.body(id.HistoryReadRequest_Encoding_DefaultBinary),
		"query":                c.body(id.QueryFirstRequest_Encoding_DefaultBinary),
		"add nodes":            c.body(id.AddNodesRequest_Encoding_DefaultBinary),
		"register server":      c.body(id.RegisterServer2Request_Encoding_DefaultBinary),
		"transfer":             c.body(id.TransferSubscriptionsRequest_Encoding_DefaultBinary),
		"channel in a message": uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelRequest{}),
	} {
		code, err := c.raw(body, nil)
		if err != nil { // R1: the channel may end
			c = s.session(attackAddress, insiderIdentity())
			continue
		}
		wantCode(t, name, code, err, append(decodingCodes, ua.StatusBadServiceUnsupported)...)
	}
	s.leave()
	s.over()
}

// A-33 before a Session: what anybody can send under None.
func TestA33_BombsWithoutSession(t *testing.T) {
	s := besiege(t, nil)
	nested := strings.Repeat("\x40", 50_000)
	for name, body := range map[string][]byte{
		"extension in the header": func() []byte {
			b := uabinary.NumericID(0, id.GetEndpointsRequest_Encoding_DefaultBinary).Append(nil)
			h := uabinary.RequestHeader{AdditionalHeader: uabinary.ExtensionObject{TypeID: uabinary.NumericID(0, id.DiagnosticInfo), Encoding: 1, Body: []byte(nested)}}
			return append(h.Append(b), 0xff, 0xff, 0xff, 0xff)
		}(),
		"2^31 locales": append(uabinary.AppendMessage(nil, &uabinary.GetEndpointsRequest{})[:0:0], func() []byte {
			b := (&client{}).body(id.GetEndpointsRequest_Encoding_DefaultBinary)
			return append(uabinary.AppendString(b, ""), u32(1<<31-1, 0)...)
		}()...),
		"15000 locales": func() []byte {
			b := (&client{}).body(id.GetEndpointsRequest_Encoding_DefaultBinary)
			return append(append(uabinary.AppendString(b, ""), u32(15000)...), make([]byte, 4*15001)...)
		}(),
	} {
		c := s.open(attackAddress, nil)
		code, err := c.raw(body, &uabinary.GetEndpointsResponse{})
		if err == nil {
			wantCode(t, name, code, err, append(decodingCodes, ua.StatusBadTooManyOperations, ua.StatusOK)...)
		}
		c.Net.Close()
	}
	s.over()
}

// cut everywhere; nobody waits for the rest.
func TestA38_CutRequests(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.MaxSessions = 100 })
	c := s.session(attackAddress, nil)
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Counter")}}
	req.RequestHeader.AuthenticationToken = c.token
	whole := uabinary.AppendMessage(nil, req)
	for n := range len(whole) {
		code, err := c.raw(whole[:n], nil)
		if err != nil { // without a whole header there is nobody to answer
			c.Net.Close()
			c = s.session(fmt.Sprintf("127.0.0.%d", 2+n%50), nil)
			req.RequestHeader.AuthenticationToken = c.token
			whole = uabinary.AppendMessage(nil, req)
			continue
		}
		wantCode(t, fmt.Sprintf("%d bytes", n), code, err, append(decodingCodes, ua.StatusBadSessionIDInvalid, ua.StatusBadServiceUnsupported)...)
	}
	s.leave()
	s.over()
}

// paths in circles.
func TestA39_BrowsePathCircles(t *testing.T) {
	s := besiege(t, nil)
	c := s.session(attackAddress, nil)
	there := uabinary.RelativePathElement{ReferenceTypeID: uabinary.NumericID(0, id.References), IncludeSubtypes: true, TargetName: uabinary.QualifiedName{Name: "Objects"}}
	back := there
	back.IsInverse, back.TargetName.Name = true, "Root"
	for _, elements := range []int{2, 32, 1000, 15_000} {
		path := uabinary.BrowsePath{StartingNode: uabinary.NumericID(0, id.RootFolder)}
		for i := range elements {
			path.RelativePath.Elements = append(path.RelativePath.Elements, []uabinary.RelativePathElement{there, back}[i%2])
		}
		req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: repeat(min(500, 15_000/elements), path)}
		var resp uabinary.TranslateBrowsePathsToNodeIDsResponse
		code, err := c.call(&req.RequestHeader, req, &resp)
		wantCode(t, fmt.Sprint(elements), code, err, ua.StatusOK)
		for i := range resp.Results {
			wantCode(t, fmt.Sprint(elements, " result ", i), resp.Results[i].StatusCode, nil, ua.StatusOK, ua.StatusBadTooManyOperations, ua.StatusBadBrowseNameInvalid, ua.StatusBadNoMatch)
		}
	}
	s.leave()
	s.over()
}

// as many operations as a message holds, of every service, and as many
// connections as may: nothing of it stays.
func TestA40_TooManyOperations(t *testing.T) {
	s := besiege(t, nil)
	const many = 65000
	var clients []*client
	for range 4 {
		clients = append(clients, s.session(attackAddress, nil))
	}
	try := func(c *client, name string, encoding uint32, parts ...[]byte) {
		b := c.body(encoding)
		for _, p := range parts {
			b = append(b, p...)
		}
		if len(b) > 1<<20-100 {
			t.Fatalf("%s: %d bytes", name, len(b))
		}
		code, err := c.raw(b, nil)
		wantCode(t, name, code, err, ua.StatusBadTooManyOperations, ua.StatusBadEncodingLimitsExceeded, ua.StatusBadSubscriptionIDInvalid)
	}
	times := func(n int, unit ...byte) []byte {
		return append(u32(uint32(n)), []byte(strings.Repeat(string(unit), n))...)
	}
	node := []byte{0, 85}
	readValue := append(append(append([]byte{}, node...), u32(13, math.MaxUint32)...), 0, 0, 0xff, 0xff, 0xff, 0xff)
	for _, c := range clients {
		try(c, "Read", id.ReadRequest_Encoding_DefaultBinary, make([]byte, 8), u32(0), times(many, readValue...))
		try(c, "Write", id.WriteRequest_Encoding_DefaultBinary, times(many, append(append(append([]byte{}, node...), u32(13, math.MaxUint32)...), 0)...))
		try(c, "Publish", id.PublishRequest_Encoding_DefaultBinary, times(many, 1, 0, 0, 0, 1, 0, 0, 0))
		try(c, "RegisterNodes", id.RegisterNodesRequest_Encoding_DefaultBinary, times(many, node...))
		try(c, "UnregisterNodes", id.UnregisterNodesRequest_Encoding_DefaultBinary, times(many, node...))
		try(c, "BrowseNext", id.BrowseNextRequest_Encoding_DefaultBinary, []byte{0}, times(many, 0xff, 0xff, 0xff, 0xff))
		try(c, "DeleteSubscriptions", id.DeleteSubscriptionsRequest_Encoding_DefaultBinary, times(many, 1, 0, 0, 0))
		try(c, "SetPublishingMode", id.SetPublishingModeRequest_Encoding_DefaultBinary, []byte{1}, times(many, 1, 0, 0, 0))
		try(c, "DeleteMonitoredItems", id.DeleteMonitoredItemsRequest_Encoding_DefaultBinary, u32(1), times(many, 1, 0, 0, 0))
		try(c, "SetMonitoringMode", id.SetMonitoringModeRequest_Encoding_DefaultBinary, u32(1, 2), times(many, 1, 0, 0, 0))
		try(c, "Browse", id.BrowseRequest_Encoding_DefaultBinary, []byte{0, 0}, make([]byte, 8), u32(0, 0), times(60000, 0, 84, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))
		try(c, "Translate", id.TranslateBrowsePathsToNodeIDsRequest_Encoding_DefaultBinary, times(many, 0, 84, 0, 0, 0, 0))
		try(c, "CreateMonitoredItems", id.CreateMonitoredItemsRequest_Encoding_DefaultBinary, u32(1, 2),
			times(20000, append(append(append([]byte{}, readValue...), u32(2, 1)...), make([]byte, 8+3+4+1)...)...))
	}
	s.keeps(len(clients), 64<<10)
	s.leave()
	s.over()
}

// Subscriptions and items without end.
func TestA41_SubscriptionsWithoutEnd(t *testing.T) {
	s := besiege(t, brief)
	subscriptions, items := 0, 0
	for i := range 6 {
		c := s.session(fmt.Sprintf("127.0.0.%d", 2+i), nil)
		for range 12 {
			subscription, _, err := c.subscribe(1000)
			if err != nil {
				break
			}
			subscriptions++
			for range 4 {
				results, err := c.monitor(subscription, math.MaxUint32, repeat(1000, valueOf("Text"))...)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range results {
					if r.StatusCode == ua.StatusOK {
						items++
					} else {
						wantCode(t, "item", r.StatusCode, nil, ua.StatusBadTooManyMonitoredItems)
					}
				}
				if results[999].StatusCode != ua.StatusOK {
					break
				}
			}
		}
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: false}
		if i%2 == 0 {
			code, err := c.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{})
			wantCode(t, "close", code, err, ua.StatusOK)
		} else {
			c.Net.Close()
		}
	}
	if subscriptions > 6*10 || items > 6*10_000 {
		t.Errorf("%d Subscriptions, %d items", subscriptions, items)
	}
	s.over()
}

// Publish requests nobody needs.
func TestA42_PublishFlood(t *testing.T) {
	s := besiege(t, nil)
	c := s.session(attackAddress, nil)
	if _, _, err := c.subscribe(3600_000); err != nil {
		t.Fatal(err)
	}
	const flood = 2000
	done := make(chan error, 1)
	go func() {
		for range flood {
			if err := c.publish(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range flood - 50 {
		_, answer, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		code, err := parseAnswer(answer, &uabinary.PublishResponse{})
		wantCode(t, "publish", code, err, ua.StatusBadTooManyPublishRequests, ua.StatusOK)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.leave()
	s.over()
}

// continuation points are few, one's own, and good for once.
func TestA45_ContinuationPoints(t *testing.T) {
	s := besiege(t, nil)
	c, other := s.session(attackAddress, nil), s.session(attackAddress, nil)
	browse := func(c *client, n int) uabinary.BrowseResponse {
		req := &uabinary.BrowseRequest{RequestedMaxReferencesPerNode: 1, NodesToBrowse: repeat(n, uabinary.BrowseDescription{
			NodeID: uabinary.NumericID(0, id.Server), BrowseDirection: ua.BrowseDirectionBoth,
		})}
		var resp uabinary.BrowseResponse
		code, err := c.call(&req.RequestHeader, req, &resp)
		wantCode(t, "browse", code, err, ua.StatusOK)
		return resp
	}
	next := func(c *client, release bool, points ...[]byte) []uabinary.BrowseResult {
		req := &uabinary.BrowseNextRequest{ReleaseContinuationPoints: release, ContinuationPoints: points}
		var resp uabinary.BrowseNextResponse
		code, err := c.call(&req.RequestHeader, req, &resp)
		wantCode(t, "browse next", code, err, ua.StatusOK)
		return resp.Results
	}
	var points [][]byte
	for _, r := range browse(c, 500).Results {
		if r.StatusCode == ua.StatusOK {
			points = append(points, r.ContinuationPoint)
		} else {
			wantCode(t, "hoard", r.StatusCode, nil, ua.StatusBadNoContinuationPoints)
		}
	}
	if len(points) > 10 {
		t.Errorf("%d continuation points", len(points))
	}
	for _, p := range [][]byte{points[0], random(16), random(15), make([]byte, 16), nil, random(60000)} {
		r := next(other, false, p)
		wantCode(t, "another's or forged", r[0].StatusCode, nil, ua.StatusBadContinuationPointInvalid)
	}
	r := next(c, true, points[0], points[0], points[1])
	wantCode(t, "released twice", r[1].StatusCode, nil, ua.StatusBadContinuationPointInvalid)
	r = next(c, false, points[1])
	wantCode(t, "after release", r[0].StatusCode, nil, ua.StatusBadContinuationPointInvalid)
	if got := browse(other, 1); got.Results[0].StatusCode != ua.StatusOK {
		t.Errorf("another session: %v", got.Results[0].StatusCode)
	}
	s.leave()
	s.over()
}

// ranges and filters at their ends.
func TestA46_RangesAndFilters(t *testing.T) {
	s := besiege(t, nil)
	c := s.session(attackAddress, nil)
	for _, r := range []string{
		"0:4294967295", "4294967295", "4294967296", "0:18446744073709551615", "-1", "1:0", "0:0", ":", ",", "0,", "0:1:2", " 0", "+0", "0x0",
		strings.Repeat("0,", 8) + "0", strings.Repeat("0,", 10000), strings.Repeat("9", 60000), "2147483647:2147483648", "٣",
	} {
		for _, name := range []string{"Array", "Text", "Blob", "Counter"} {
			v := valueOf(name)
			v.IndexRange = r
			resp, code, err := c.read(v)
			wantCode(t, name, code, err, ua.StatusOK)
			wantCode(t, name+" "+r[:min(len(r), 40)], resp.Results[0].Status, nil, ua.StatusOK, ua.StatusBadIndexRangeInvalid, ua.StatusBadIndexRangeNoData)
		}
	}
	subscription, _, err := c.subscribe(1000)
	if err != nil {
		t.Fatal(err)
	}
	var where uabinary.ContentFilter
	for i := range 5000 { // each refers to the next
		where.Elements = append(where.Elements, uabinary.ContentFilterElement{
			FilterOperator: ua.FilterOperatorNot,
			FilterOperands: []uabinary.ExtensionObject{uabinary.ExtensionObjectOf(&uabinary.ElementOperand{Index: uint32((i + 1) % 5000)})},
		})
	}
	for name, filter := range map[string]uabinary.ExtensionObject{
		"event filter":    uabinary.ExtensionObjectOf(&uabinary.EventFilter{WhereClause: where}),
		"unknown":         {TypeID: uabinary.NumericID(2, 77), Encoding: 1, Body: random(1000)},
		"wrong length":    {TypeID: uabinary.NumericID(0, id.DataChangeFilter_Encoding_DefaultBinary), Encoding: 1, Body: []byte{1}},
		"XML":             {TypeID: uabinary.NumericID(0, id.DataChangeFilter_Encoding_DefaultBinary), Encoding: 2, Body: []byte("<a><a>")},
		"trigger unknown": uabinary.ExtensionObjectOf(&uabinary.DataChangeFilter{Trigger: 99}),
		"deadband of 2^32-1": uabinary.ExtensionObjectOf(&uabinary.DataChangeFilter{
			Trigger: 1, DeadbandType: math.MaxUint32, DeadbandValue: 1,
		}),
	} {
		req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: subscription, ItemsToCreate: []uabinary.MonitoredItemCreateRequest{{
			ItemToMonitor: valueOf("Number"), MonitoringMode: 2, RequestedParameters: uabinary.MonitoringParameters{Filter: filter},
		}}}
		var resp uabinary.CreateMonitoredItemsResponse
		code, err := c.call(&req.RequestHeader, req, &resp)
		wantCode(t, name, code, err, ua.StatusOK)
		if err == nil && len(resp.Results) == 1 && resp.Results[0].StatusCode == ua.StatusOK {
			t.Errorf("%s was accepted", name)
		}
	}
	s.leave()
	s.over()
}

// A-43, as far as there are Methods.
func TestA43_Calls(t *testing.T) {
	s := besiege(t, nil)
	c := s.session(attackAddress, nil)
	subscription, _, err := c.subscribe(1000, repeat(500, valueOf("Counter"))...)
	if err != nil {
		t.Fatal(err)
	}
	call := func(method uint32, args ...uabinary.Variant) uabinary.CallMethodRequest {
		return uabinary.CallMethodRequest{ObjectID: uabinary.NumericID(0, id.Server), MethodID: uabinary.NumericID(0, method), InputArguments: args}
	}
	for name, calls := range map[string][]uabinary.CallMethodRequest{
		"GetMonitoredItems":  repeat(100, call(id.Server_GetMonitoredItems, uabinary.Uint32Variant(subscription))),
		"ResendData":         repeat(100, call(id.Server_ResendData, uabinary.Uint32Variant(subscription))),
		"no argument":        {call(id.Server_GetMonitoredItems)},
		"many arguments":     {call(id.Server_GetMonitoredItems, repeat(5000, uabinary.Uint32Variant(1))...)},
		"wrong argument":     {call(id.Server_GetMonitoredItems, uabinary.StringVariant("x"))},
		"another's":          {call(id.Server_GetMonitoredItems, uabinary.Uint32Variant(1))},
		"not a Method":       {call(id.Server_ServerStatus)},
		"too many":           repeat(5000, call(id.Server_ResendData, uabinary.Uint32Variant(subscription))),
		"ConditionRefresh":   {call(id.ConditionType_ConditionRefresh, uabinary.Uint32Variant(subscription))},
		"RequestStateChange": {call(id.Server_RequestServerStateChange)},
	} {
		for range 5 {
			req := &uabinary.CallRequest{MethodsToCall: calls}
			code, err := c.call(&req.RequestHeader, req, &uabinary.CallResponse{})
			wantCode(t, name, code, err, ua.StatusOK, ua.StatusBadServiceUnsupported, ua.StatusBadTooManyOperations)
		}
	}
	s.leave()
	s.over()
}

// TestReadWhileOthersAbort: aborts and requests of one channel do not mix.
func TestA03_AbortInSession(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.ReassemblyBytesTotal = 1 << 20 })
	c := s.session(attackAddress, nil)
	for i := range uint32(20) {
		for range 8 {
			if err := c.Send(uatcp.TypeMessage, uatcp.Intermediate, 1000+i, make([]byte, 60000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Send(uatcp.TypeMessage, uatcp.Abort, 1000+i, nil); err != nil {
			t.Fatal(err)
		}
	}
	_, code, err := c.read(valueOf("Counter"))
	wantCode(t, "after the aborts", code, err, ua.StatusOK)
	s.leave()
	s.over()
}
