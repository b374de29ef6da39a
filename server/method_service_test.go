package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// methodRig has an Object with the Methods Add (of two numbers), Dead (without
// code), Wait (for done, then answers) and Private (for users).
type methodRig struct {
	*rig
	done  chan struct{}
	calls chan *addressspace.MethodCall
}

func newMethodRig(t testing.TB, change func(*Config)) *methodRig {
	t.Helper()
	r := &methodRig{rig: newRig(t, change), done: make(chan struct{}), calls: make(chan *addressspace.MethodCall, 200)}
	number := func(name string) uabinary.Argument {
		return uabinary.Argument{Name: name, DataType: uabinary.NumericID(0, id.Double), ValueRank: -1}
	}
	list := uabinary.Argument{Name: "List", DataType: uabinary.NumericID(0, id.Int32), ValueRank: 1, ArrayDimensions: []uint32{2}}
	r.add("Add", addressspace.MethodOptions{InputArguments: []uabinary.Argument{number("A"), number("B")}, OutputArguments: []uabinary.Argument{number("Sum")}, Run: r.sum})
	r.add("Lists", addressspace.MethodOptions{InputArguments: []uabinary.Argument{list}, Run: r.note})
	r.add("Dead", addressspace.MethodOptions{})
	r.add("Wait", addressspace.MethodOptions{Blocking: true, Run: r.wait})
	r.add("Private", addressspace.MethodOptions{UsersOnly: true, Run: r.note})
	return r
}

func (r *methodRig) add(name string, o addressspace.MethodOptions) {
	r.t.Helper()
	o.ID, o.Parent = uabinary.StringID(2, name), uabinary.StringID(2, "Device")
	o.BrowseName = uabinary.QualifiedName{NamespaceIndex: 2, Name: name}
	if _, err := r.space.AddMethod(o); err != nil {
		r.t.Fatal(err)
	}
}

// sum adds; a negative A is refused.
func (r *methodRig) sum(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	a, _ := call.Inputs[0].Number()
	b, _ := call.Inputs[1].Number()
	outputs := []uabinary.Variant{uabinary.DoubleVariant(a + b)}
	if a < 0 {
		return outputs, ua.StatusBadInvalidArgument, []ua.StatusCode{ua.StatusBadOutOfRange, ua.StatusOK}
	}
	return outputs, ua.StatusOK, []ua.StatusCode{ua.StatusOK, ua.StatusOK}
}

func (r *methodRig) note(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	r.calls <- call
	return nil, ua.StatusOK, nil
}

func (r *methodRig) wait(ctx context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
	r.calls <- call
	select {
	case <-r.done:
		return nil, ua.StatusOK, nil
	case <-ctx.Done():
		return nil, ua.StatusBadTimeout, nil
	}
}

// method is a call of a Method of Device.
func method(name string, inputs ...any) uabinary.CallMethodRequest {
	req := uabinary.CallMethodRequest{ObjectID: uabinary.StringID(2, "Device"), MethodID: uabinary.StringID(2, name)}
	for _, v := range inputs {
		req.InputArguments = append(req.InputArguments, uabinary.VariantOf(v))
	}
	return req
}

// methods sends one Call.
func (c *client) methods(calls ...uabinary.CallMethodRequest) ([]uabinary.CallMethodResult, ua.StatusCode) {
	c.t.Helper()
	req := &uabinary.CallRequest{MethodsToCall: calls}
	var resp uabinary.CallResponse
	code := c.do(&req.RequestHeader, req, &resp)
	if code == ua.StatusOK && len(resp.Results) != len(calls) {
		c.t.Fatalf("%d results for %d calls", len(resp.Results), len(calls))
	}
	return resp.Results, code
}

func TestMethodCall_Part4_5122(t *testing.T) {
	r := newMethodRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	results, code := c.methods(method("Add", 1.5, 2.0), method("Add", -1.0, 2.0), method("Add", 1.0, 1.0))
	c.wantOK(code)
	for i, want := range []uabinary.CallMethodResult{
		{OutputArguments: []uabinary.Variant{uabinary.DoubleVariant(3.5)}},
		{StatusCode: ua.StatusBadInvalidArgument, InputArgumentResults: []ua.StatusCode{ua.StatusBadOutOfRange, ua.StatusOK}},
		{OutputArguments: []uabinary.Variant{uabinary.DoubleVariant(2)}},
	} {
		got := results[i]
		if got.StatusCode != want.StatusCode || !slices.Equal(got.InputArgumentResults, want.InputArgumentResults) ||
			!slices.EqualFunc(got.OutputArguments, want.OutputArguments, uabinary.Variant.Equal) {
			t.Errorf("call %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestMethodCall_Refusals_Part4_51224(t *testing.T) {
	r := newMethodRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	on := func(object uabinary.NodeID, req uabinary.CallMethodRequest) uabinary.CallMethodRequest {
		req.ObjectID = object
		return req
	}
	ns0 := func(object, method uint32) uabinary.CallMethodRequest {
		return uabinary.CallMethodRequest{ObjectID: uabinary.NumericID(0, object), MethodID: uabinary.NumericID(0, method), InputArguments: []uabinary.Variant{uabinary.Uint32Variant(1)}}
	}
	null := method("Add", 1.0, 2.0)
	null.InputArguments[1] = uabinary.Variant{}
	for _, tt := range []struct {
		name   string
		call   uabinary.CallMethodRequest
		want   ua.StatusCode
		inputs []ua.StatusCode
	}{
		{"no such object", on(uabinary.StringID(2, "Nobody"), method("Add")), ua.StatusBadNodeIDUnknown, nil},
		{"null object", on(uabinary.NodeID{}, method("Add")), ua.StatusBadNodeIDInvalid, nil},
		{"object is a Variable", on(uabinary.StringID(2, "Int16"), method("Add")), ua.StatusBadNodeIDInvalid, nil},
		{"no such method", method("Subtract"), ua.StatusBadMethodInvalid, nil},
		{"method is a Variable", method("Int16"), ua.StatusBadMethodInvalid, nil},
		{"method of another object", on(uabinary.NumericID(0, id.Server), method("Add", 1.0, 2.0)), ua.StatusBadMethodInvalid, nil},
		{"method of another type", on(uabinary.StringID(2, "Device"), ns0(id.Server, id.ServerType_ResendData)), ua.StatusBadMethodInvalid, nil},
		{"on the type, which only passes it on", ns0(id.ServerType, id.ServerType_ResendData), ua.StatusBadMethodInvalid, nil},
		{"optional and not there", ns0(id.Server, id.ServerType_SetSubscriptionDurable), ua.StatusBadMethodInvalid, nil},
		{"not executable", method("Dead"), ua.StatusBadNotExecutable, nil},
		{"for users", method("Private"), ua.StatusBadUserAccessDenied, nil},
		{"no arguments", method("Add"), ua.StatusBadArgumentsMissing, nil},
		{"one missing", method("Add", 1.0), ua.StatusBadArgumentsMissing, nil},
		{"one too many", method("Add", 1.0, 2.0, 3.0), ua.StatusBadTooManyArguments, nil},
		{"wrong type", method("Add", 1.0, "2"), ua.StatusBadInvalidArgument, []ua.StatusCode{ua.StatusOK, ua.StatusBadTypeMismatch}},
		{"both wrong", method("Add", float32(1), []float64{2}), ua.StatusBadInvalidArgument, []ua.StatusCode{ua.StatusBadTypeMismatch, ua.StatusBadTypeMismatch}},
		{"null", null, ua.StatusBadInvalidArgument, []ua.StatusCode{ua.StatusOK, ua.StatusBadTypeMismatch}},
		{"too long", method("Lists", []int32{1, 2, 3}), ua.StatusBadInvalidArgument, []ua.StatusCode{ua.StatusBadOutOfRange}},
	} {
		results, code := c.methods(tt.call)
		c.wantOK(code)
		if got := results[0]; got.StatusCode != tt.want || !slices.Equal(got.InputArgumentResults, tt.inputs) || got.OutputArguments != nil {
			t.Errorf("%s: %+v, want %v %v", tt.name, got, tt.want, tt.inputs)
		}
	}
	if len(r.calls) > 0 {
		t.Error("a Method ran although it was refused")
	}
}

func TestMethodCall_OperationLimits(t *testing.T) {
	r := newMethodRig(t, func(cfg *Config) { cfg.Limits.MaxNodesPerMethodCall = 2 })
	c := r.session(ua.MessageSecurityModeNone)
	for n, want := range map[int]ua.StatusCode{0: ua.StatusBadNothingToDo, 2: ua.StatusOK, 3: ua.StatusBadTooManyOperations} {
		_, code := c.methods(slices.Repeat([]uabinary.CallMethodRequest{method("Add", 1.0, 2.0)}, n)...)
		c.want(want, code)
	}
	limit := c.read(uabinary.ReadValueID{NodeID: uabinary.NumericID(0, id.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall), AttributeID: ua.AttributeIDValue})[0]
	if !limit.Value.Equal(uabinary.Uint32Variant(2)) {
		t.Errorf("the published limit is %v", limit.Value)
	}
}

// A Method may be named by its node in the ObjectType.
func TestMethodCall_ByTheNodeOfTheType_Part4_51222(t *testing.T) {
	r := newMethodRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	call := uabinary.CallMethodRequest{
		ObjectID: uabinary.NumericID(0, id.Server), MethodID: uabinary.NumericID(0, id.ServerType_GetMonitoredItems),
		InputArguments: []uabinary.Variant{uabinary.Uint32Variant(99)},
	}
	results, code := c.methods(call)
	c.wantOK(code)
	if results[0].StatusCode != ua.StatusBadSubscriptionIDInvalid {
		t.Errorf("got %v", results[0].StatusCode) // of the Method itself
	}
}

func TestMethodCall_KnowsItsCaller(t *testing.T) {
	r := newMethodRig(t, nil)
	c := r.session(ua.MessageSecurityModeSignAndEncrypt)
	c.wantOK(c.login(c.userToken("joe", "secret")))
	results, code := c.methods(method("Private"))
	c.wantOK(code)
	c.wantOK(results[0].StatusCode)
	if call := <-r.calls; call.User != "joe" || call.Object.ID != uabinary.StringID(2, "Device") || call.Method.ID != uabinary.StringID(2, "Private") {
		t.Errorf("%+v", call)
	}
}

// What is for users only is there for anonymous Sessions, without its value.
func TestUsersOnly_Part3_492(t *testing.T) {
	r := newMethodRig(t, nil)
	private := uabinary.StringID(2, "PrivateValue")
	_, err := r.space.AddVariable(addressspace.VariableOptions{
		ID: private, BrowseName: uabinary.QualifiedName{NamespaceIndex: 2, Name: "PrivateValue"}, Parent: uabinary.StringID(2, "Device"),
		DataType: uabinary.NumericID(0, id.Int32), AccessLevel: accessRead | accessWrite, UsersOnly: true,
		Value: &uabinary.DataValue{Value: uabinary.Int32Variant(5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := r.session(ua.MessageSecurityModeSignAndEncrypt)
	check := func(code ua.StatusCode, level uint8, executable bool) {
		t.Helper()
		got := c.read(valueOf("PrivateValue"),
			uabinary.ReadValueID{NodeID: private, AttributeID: ua.AttributeIDUserAccessLevel},
			uabinary.ReadValueID{NodeID: private, AttributeID: ua.AttributeIDAccessLevel},
			uabinary.ReadValueID{NodeID: uabinary.StringID(2, "Private"), AttributeID: ua.AttributeIDUserExecutable},
			uabinary.ReadValueID{NodeID: uabinary.StringID(2, "Private"), AttributeID: ua.AttributeIDExecutable})
		if got[0].Status != code || got[0].Value.IsNull() != (code != ua.StatusOK) || !got[1].Value.Equal(uabinary.Uint8Variant(level)) || !got[2].Value.Equal(uabinary.Uint8Variant(3)) ||
			!got[3].Value.Equal(uabinary.BoolVariant(executable)) || !got[4].Value.Equal(uabinary.BoolVariant(true)) {
			t.Errorf("%+v", got)
		}
		write := &uabinary.WriteRequest{NodesToWrite: []uabinary.WriteValue{writeOf("PrivateValue", int32(6))}}
		var resp uabinary.WriteResponse
		c.wantOK(c.do(&write.RequestHeader, write, &resp))
		c.want(code, resp.Results[0])
	}
	check(ua.StatusBadUserAccessDenied, 0, false)
	if got := c.firstMonitored("PrivateValue"); got.Status != ua.StatusBadUserAccessDenied || !got.Value.IsNull() {
		t.Errorf("monitored: %+v", got) // Part 4 (1.05), 5.13.2.1
	}
	c.wantOK(c.login(c.userToken("joe", "secret")))
	check(ua.StatusOK, 3, true)
	if got := c.firstMonitored("PrivateValue"); !got.Value.Equal(uabinary.Int32Variant(6)) {
		t.Errorf("monitored: %+v", got)
	}
}

// firstMonitored is the first notification of a test Variable.
func (c *client) firstMonitored(name string) uabinary.DataValue {
	c.t.Helper()
	create := &uabinary.CreateSubscriptionRequest{RequestedPublishingInterval: 100, RequestedLifetimeCount: 100, RequestedMaxKeepAliveCount: 5, PublishingEnabled: true}
	var sub uabinary.CreateSubscriptionResponse
	c.wantOK(c.do(&create.RequestHeader, create, &sub))
	items := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: sub.SubscriptionID, ItemsToCreate: []uabinary.MonitoredItemCreateRequest{item(name)}}
	var created uabinary.CreateMonitoredItemsResponse
	c.wantOK(c.do(&items.RequestHeader, items, &created))
	c.wantOK(created.Results[0].StatusCode)
	publish := &uabinary.PublishRequest{}
	var published uabinary.PublishResponse
	c.wantOK(c.do(&publish.RequestHeader, publish, &published))
	values := dataChanges(c.t, published.NotificationMessage)
	if len(values) != 1 {
		c.t.Fatalf("%d values", len(values))
	}
	gone := &uabinary.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{sub.SubscriptionID}}
	c.wantOK(c.do(&gone.RequestHeader, gone, &uabinary.DeleteSubscriptionsResponse{}))
	return values[0].Value
}

func (c *client) sendCall(hint uint32, calls ...uabinary.CallMethodRequest) uint32 {
	c.t.Helper()
	req := &uabinary.CallRequest{MethodsToCall: calls}
	req.RequestHeader = uabinary.RequestHeader{AuthenticationToken: c.token, TimeoutHint: hint}
	c.RequestID++
	if err := c.Send(uatcp.TypeMessage, 'F', c.RequestID, uabinary.AppendMessage(nil, req)); err != nil {
		c.t.Fatal(err)
	}
	return c.RequestID
}

func (c *client) receiveCall() (uint32, []uabinary.CallMethodResult) {
	c.t.Helper()
	requestID, body, err := c.Receive()
	if err != nil {
		c.t.Fatal(err)
	}
	var resp uabinary.CallResponse
	rd := uabinary.NewReader(body, nil)
	if rd.MessageType() != resp.EncodingID() {
		c.t.Fatal("not a CallResponse")
	}
	resp.Parse(rd)
	return requestID, resp.Results
}

// A Method that waits holds up nothing else, and only four calls of a Session
// wait at a time.
func TestMethodCall_BlockingMethodsRunAside_A43(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMethodRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		c.Net.SetDeadline(time.Time{})
		first := c.sendCall(0, method("Wait"), method("Add", 1.0, 2.0), method("Dead"))
		for range 3 {
			c.sendCall(0, method("Wait"))
		}
		fifth := c.sendCall(0, method("Wait"), method("Add", 1.0, 2.0))
		if got, results := c.receiveCall(); got != fifth || results[0].StatusCode != statusBadServerTooBusy || results[1].StatusCode != ua.StatusOK {
			t.Errorf("request %d: %+v", got, results)
		}
		synctest.Wait()
		if len(r.calls) != 4 {
			t.Errorf("%d Methods under way", len(r.calls))
		}
		c.read(valueOf("Int16"))
		close(r.done)
		for range 4 {
			got, results := c.receiveCall()
			if results[0].StatusCode != ua.StatusOK {
				t.Errorf("request %d: %+v", got, results)
			}
			if got == first && (results[1].StatusCode != ua.StatusOK || results[2].StatusCode != ua.StatusBadNotExecutable) {
				t.Errorf("mixed call: %+v", results)
			}
		}
	})
}

func TestMethodCall_TimeoutHintAndLostConnectionEndMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMethodRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		c.Net.SetDeadline(time.Time{})
		start := time.Now()
		c.sendCall(1500, method("Wait"))
		if _, results := c.receiveCall(); results[0].StatusCode != ua.StatusBadTimeout || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%+v after %v", results, time.Since(start))
		}
		c.sendCall(0, method("Wait"))
		synctest.Wait()
		c.Net.Close()
		c.served.wait() // and with it the Method's goroutine
	})
}

// Arguments may be kept: they are not part of the request's buffer.
func TestMethodCall_ArgumentsOutliveTheRequest(t *testing.T) {
	r := newMethodRig(t, nil)
	text := uabinary.Argument{Name: "Text", DataType: uabinary.NumericID(0, id.String), ValueRank: -1}
	r.add("Keep", addressspace.MethodOptions{InputArguments: []uabinary.Argument{text}, Run: r.note})
	c := r.session(ua.MessageSecurityModeNone)
	for _, s := range []string{"first", "other"} {
		_, code := c.methods(method("Keep", s))
		c.wantOK(code)
	}
	if kept, _ := (<-r.calls).Inputs[0].Text(); kept != "first" {
		t.Errorf("the argument has become %q", kept)
	}
}

func TestForeignClient_GopcuaCalls(t *testing.T) {
	_, url := listen(t)
	c, err := dial(t, url, none, ua.MessageSecurityModeNone, ua.UserTokenTypeAnonymous, opcua.AuthAnonymous())
	if err != nil {
		t.Fatal(err)
	}
	sub, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: 100 * time.Millisecond}, make(chan *opcua.PublishNotificationData, 10))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Cancel(t.Context())
	if _, err := sub.Monitor(t.Context(), ua.TimestampsToReturnBoth, opcua.NewMonitoredItemCreateRequestWithDefaults(ua.NewStringNodeID(2, "Int16"), ua.AttributeIDValue, 7)); err != nil {
		t.Fatal(err)
	}
	result, err := c.Call(t.Context(), &ua.CallMethodRequest{
		ObjectID: ua.NewNumericNodeID(0, id.Server), MethodID: ua.NewNumericNodeID(0, id.Server_GetMonitoredItems),
		InputArguments: []*ua.Variant{ua.MustVariant(sub.SubscriptionID)},
	})
	if err != nil || result.StatusCode != ua.StatusOK || len(result.OutputArguments) != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	if clients, _ := result.OutputArguments[1].Value().([]uint32); !slices.Equal(clients, []uint32{7}) {
		t.Errorf("client handles %v", clients)
	}
}
