package server

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

func TestAttributeRead_Results(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	object := uabinary.NumericID(0, id.ObjectsFolder)
	status := uabinary.NumericID(0, id.Server_ServerStatus)
	binary := uabinary.QualifiedName{Name: "Default Binary"}
	for _, tt := range []struct {
		name string
		read uabinary.ReadValueID
		want ua.StatusCode
	}{
		{"value", valueOf("Int16"), ua.StatusOK},
		{"unknown node", valueOf("nobody"), ua.StatusBadNodeIDUnknown},
		{"null node", uabinary.ReadValueID{AttributeID: ua.AttributeIDValue}, ua.StatusBadNodeIDInvalid},
		{"attribute 0", uabinary.ReadValueID{NodeID: object}, ua.StatusBadAttributeIDInvalid},
		{"attribute 28", uabinary.ReadValueID{NodeID: object, AttributeID: 28}, ua.StatusBadAttributeIDInvalid},
		{"value of an Object", uabinary.ReadValueID{NodeID: object, AttributeID: ua.AttributeIDValue}, ua.StatusBadAttributeIDInvalid},
		{"write only", valueOf("Secret"), ua.StatusBadNotReadable},
		{"range", withRange(valueOf("Array"), "1:2"), ua.StatusOK},
		{"range syntax", withRange(valueOf("Array"), "2:1"), ua.StatusBadIndexRangeInvalid},
		{"range outside", withRange(valueOf("Array"), "9"), ua.StatusBadIndexRangeNoData},
		{"range of a scalar", withRange(valueOf("Int16"), "0"), ua.StatusBadIndexRangeNoData},
		{"encoding of a scalar", withEncoding(valueOf("Int16"), binary), ua.StatusBadDataEncodingInvalid},
		{"encoding of a name", uabinary.ReadValueID{NodeID: object, AttributeID: ua.AttributeIDBrowseName, DataEncoding: binary}, ua.StatusBadDataEncodingInvalid},
		{"encoding of a Structure", withEncoding(uabinary.ReadValueID{NodeID: status, AttributeID: ua.AttributeIDValue}, binary), ua.StatusOK},
		{"XML", withEncoding(uabinary.ReadValueID{NodeID: status, AttributeID: ua.AttributeIDValue}, uabinary.QualifiedName{Name: "Default XML"}), ua.StatusBadDataEncodingUnsupported},
		{"unknown encoding", withEncoding(uabinary.ReadValueID{NodeID: status, AttributeID: ua.AttributeIDValue}, uabinary.QualifiedName{Name: "x"}), ua.StatusBadDataEncodingInvalid},
	} {
		dv := c.read(tt.read)[0]
		if dv.Status != tt.want || dv.Status != ua.StatusOK && !dv.Value.IsNull() {
			t.Errorf("%s: got %v, %v, want %v", tt.name, dv.Value, dv.Status, tt.want)
		}
	}
}

func withRange(v uabinary.ReadValueID, index string) uabinary.ReadValueID {
	v.IndexRange = index
	return v
}

func withEncoding(v uabinary.ReadValueID, name uabinary.QualifiedName) uabinary.ReadValueID {
	v.DataEncoding = name
	return v
}

// Every attribute of every node answers something that makes sense.
func TestAttributeRead_EveryAttributeOfEveryClass(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	for _, n := range []uint32{
		id.ObjectsFolder, id.Server_ServerStatus_State, id.BaseObjectType, id.BaseDataVariableType, id.References, id.Int32, id.ServerStatusDataType,
	} {
		good := 0
		for a := ua.AttributeID(1); a <= 27; a++ {
			dv := c.read(uabinary.ReadValueID{NodeID: uabinary.NumericID(0, n), AttributeID: a})[0]
			switch dv.Status {
			case ua.StatusOK:
				good++
				if dv.Value.IsNull() {
					t.Errorf("i=%d attribute %d is null", n, a)
				}
			case ua.StatusBadAttributeIDInvalid:
			default:
				t.Errorf("i=%d attribute %d: %v", n, a, dv.Status)
			}
		}
		if good < 7 {
			t.Errorf("i=%d has %d attributes", n, good)
		}
	}
}

func TestAttributeRead_Timestamps(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	for _, tt := range []struct {
		want           ua.TimestampsToReturn
		source, server bool
	}{
		{ua.TimestampsToReturnSource, true, false}, {ua.TimestampsToReturnServer, false, true},
		{ua.TimestampsToReturnBoth, true, true}, {ua.TimestampsToReturnNeither, false, false},
	} {
		req := &uabinary.ReadRequest{TimestampsToReturn: tt.want, NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
		var resp uabinary.ReadResponse
		c.wantOK(c.do(&req.RequestHeader, req, &resp))
		dv := resp.Results[0]
		if (dv.SourceTimestamp == 42) != tt.source || (dv.ServerTimestamp != 0) != tt.server {
			t.Errorf("%v: got %+v", tt.want, dv)
		}
	}
}

func TestAttributeRead_Refused(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	one := []uabinary.ReadValueID{valueOf("Int16")}
	for _, tt := range []struct {
		req  uabinary.ReadRequest
		want ua.StatusCode
	}{
		{uabinary.ReadRequest{NodesToRead: one, MaxAge: -1}, ua.StatusBadMaxAgeInvalid},
		{uabinary.ReadRequest{NodesToRead: one, MaxAge: math.NaN()}, ua.StatusBadMaxAgeInvalid},
		{uabinary.ReadRequest{NodesToRead: one, MaxAge: math.MaxFloat64}, ua.StatusOK},
		{uabinary.ReadRequest{NodesToRead: one, TimestampsToReturn: 4}, ua.StatusBadTimestampsToReturnInvalid},
		{uabinary.ReadRequest{}, ua.StatusBadNothingToDo},
		{uabinary.ReadRequest{NodesToRead: make([]uabinary.ReadValueID, 1000)}, ua.StatusOK},
		{uabinary.ReadRequest{NodesToRead: make([]uabinary.ReadValueID, 1001)}, ua.StatusBadTooManyOperations},
	} {
		c.want(tt.want, c.do(&tt.req.RequestHeader, &tt.req, &uabinary.ReadResponse{}))
	}
}

func (c *client) write(values ...uabinary.WriteValue) []ua.StatusCode {
	c.t.Helper()
	req := &uabinary.WriteRequest{NodesToWrite: values}
	var resp uabinary.WriteResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	return resp.Results
}

func writeOf(name string, value any) uabinary.WriteValue {
	return uabinary.WriteValue{
		NodeID: uabinary.StringID(2, name), AttributeID: ua.AttributeIDValue,
		Value: uabinary.DataValue{Value: uabinary.VariantOf(value)},
	}
}

func TestAttributeWriteValues(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	withStatus, withTime, withIndex, badIndex := writeOf("Int16", int16(1)), writeOf("Int16", int16(1)), writeOf("Array", []int32{1}), writeOf("Array", []int32{1})
	withStatus.Value.Status, withTime.Value.SourceTimestamp, withIndex.IndexRange, badIndex.IndexRange = ua.StatusBad, 1, "0", "x"
	name := writeOf("Int16", "x")
	name.AttributeID = ua.AttributeIDDisplayName
	none := writeOf("Int16", int16(1))
	none.AttributeID = 99
	for _, tt := range []struct {
		name  string
		write uabinary.WriteValue
		want  ua.StatusCode
	}{
		{"scalar", writeOf("Int16", int16(math.MinInt16)), ua.StatusOK},
		{"text", writeOf("Text", "neu"), ua.StatusOK},
		{"array", writeOf("Array", []int32{1, 2}), ua.StatusOK},
		{"empty array", writeOf("Array", []int32{}), ua.StatusOK},
		{"subtype of an abstract type", writeOf("Number", int8(3)), ua.StatusOK},
		{"not a subtype", writeOf("Number", "3"), ua.StatusBadTypeMismatch},
		{"other number", writeOf("Int16", int32(1)), ua.StatusBadTypeMismatch},
		{"null", writeOf("Int16", nil), ua.StatusBadTypeMismatch},
		{"array to scalar", writeOf("Int16", []int16{1}), ua.StatusBadTypeMismatch},
		{"scalar to array", writeOf("Array", int32(1)), ua.StatusBadTypeMismatch},
		{"matrix to array", writeOf("Array", uabinary.ArrayVariant([]int32{1, 2}, 1, 2)), ua.StatusBadTypeMismatch},
		{"Variants to a number", writeOf("Array", []uabinary.Variant{{}}), ua.StatusBadTypeMismatch},
		{"read only", writeOf("Double", 2.0), ua.StatusBadNotWritable},
		{"other attribute", name, ua.StatusBadNotWritable},
		{"no attribute", none, ua.StatusBadAttributeIDInvalid},
		{"unknown", writeOf("nobody", int16(1)), ua.StatusBadNodeIDUnknown},
		{"status", withStatus, ua.StatusBadWriteNotSupported},
		{"timestamp", withTime, ua.StatusBadWriteNotSupported},
		{"range", withIndex, ua.StatusBadWriteNotSupported},
		{"range syntax", badIndex, ua.StatusBadIndexRangeInvalid},
	} {
		before := c.read(uabinary.ReadValueID{NodeID: tt.write.NodeID, AttributeID: ua.AttributeIDValue})[0].Value
		c.want(tt.want, c.write(tt.write)[0])
		after := c.read(uabinary.ReadValueID{NodeID: tt.write.NodeID, AttributeID: ua.AttributeIDValue})[0].Value
		if tt.want == ua.StatusOK {
			before = tt.write.Value.Value
		}
		if !after.Equal(before) {
			t.Errorf("%s: the value is %v, want %v", tt.name, after, before)
		}
	}
}

// Part 4 (1.05), 5.11.4.1.
func TestAttributeWriteValues_ByteStringToByteArray(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	c.want(ua.StatusOK, c.write(writeOf("Bytes", []byte{7, 8, 9}))[0])
	if v := c.read(valueOf("Bytes"))[0].Value; !v.Equal(uabinary.VariantOf(uabinary.ByteArray{7, 8, 9})) {
		t.Errorf("got %v", v)
	}
}

// A value written is the server's own: the buffer it came in is used again.
func TestAttributeWriteValues_KeepsNothingOfTheRequest(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	c.want(ua.StatusOK, c.write(writeOf("Text", "kept"))[0])
	c.read(valueOf("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
	if s, _ := c.read(valueOf("Text"))[0].Value.Text(); s != "kept" {
		t.Errorf("got %q", s)
	}
}

func TestAttributeWriteValues_Counts(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	for n, want := range map[int]ua.StatusCode{0: ua.StatusBadNothingToDo, 500: ua.StatusOK, 501: ua.StatusBadTooManyOperations} {
		req := &uabinary.WriteRequest{NodesToWrite: make([]uabinary.WriteValue, n)}
		c.want(want, c.do(&req.RequestHeader, req, &uabinary.WriteResponse{}))
	}
}

// slowDevice answers when told to, or when its context ends.
type slowDevice struct{ answer chan ua.StatusCode }

func (d *slowDevice) Write(ctx context.Context, _ uabinary.DataValue) ua.StatusCode {
	select {
	case code := <-d.answer:
		return code
	case <-ctx.Done():
		return ua.StatusBadTimeout
	}
}

var _ addressspace.Writer = (*slowDevice)(nil)

func (r *rig) slowDevice() *slowDevice {
	d := &slowDevice{answer: make(chan ua.StatusCode)}
	r.space.Variable(uabinary.StringID(2, "Device16")).SetWriter(d)
	return d
}

// eagerDevice remembers what it was given.
type eagerDevice struct{ got []uabinary.DataValue }

func (d *eagerDevice) Write(_ context.Context, dv uabinary.DataValue) ua.StatusCode {
	d.got = append(d.got, dv)
	return ua.StatusOK
}

// What the client did not send, a device does not get: a timestamp would be
// for it to refuse (Part 4 1.05, 5.11.4.2).
func TestAttributeWriteValues_DeviceGetsTheBareValue(t *testing.T) {
	r := newRig(t, nil)
	d := &eagerDevice{}
	r.space.Variable(uabinary.StringID(2, "Device16")).SetWriter(d)
	c := r.session(ua.MessageSecurityModeNone)
	c.want(ua.StatusOK, c.write(writeOf("Device16", uint16(9)))[0])
	want := uabinary.DataValue{Value: uabinary.Uint16Variant(9)}
	if len(d.got) != 1 || d.got[0] != want {
		t.Errorf("the device got %+v", d.got)
	}
}

func (c *client) sendWrite(hint uint32, values ...uabinary.WriteValue) uint32 {
	c.t.Helper()
	req := &uabinary.WriteRequest{NodesToWrite: values}
	req.RequestHeader = uabinary.RequestHeader{AuthenticationToken: c.token, TimeoutHint: hint}
	c.RequestID++
	if err := c.Send(uatcp.TypeMessage, 'F', c.RequestID, uabinary.AppendMessage(nil, req)); err != nil {
		c.t.Fatal(err)
	}
	return c.RequestID
}

func (c *client) receiveWrite() (uint32, []ua.StatusCode) {
	c.t.Helper()
	requestID, body, err := c.Receive()
	if err != nil {
		c.t.Fatal(err)
	}
	var resp uabinary.WriteResponse
	rd := uabinary.NewReader(body, nil)
	if rd.MessageType() != resp.EncodingID() {
		c.t.Fatal("not a WriteResponse")
	}
	resp.Parse(rd)
	return requestID, resp.Results
}

// A device that takes its time holds up nothing else on the connection, and at
// most four calls of a Session wait for devices.
func TestAttributeWriteValues_SlowDeviceBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		d := r.slowDevice()
		first := c.sendWrite(0, writeOf("Device16", uint16(2)), writeOf("Int16", int16(3)), writeOf("Double", 0.0))
		for range 3 {
			c.sendWrite(0, writeOf("Device16", uint16(2)))
		}
		if v := c.read(valueOf("Int16"))[0].Value; !v.Equal(uabinary.Int16Variant(3)) {
			t.Errorf("memory Variable of a mixed call is %v", v)
		}
		fifth := c.sendWrite(0, writeOf("Device16", uint16(2)))
		if got, codes := c.receiveWrite(); got != fifth || codes[0] != statusBadServerTooBusy {
			t.Errorf("request %d: %v", got, codes)
		}
		d.answer <- ua.StatusBadDeviceFailure
		got, codes := c.receiveWrite()
		if got == first && (codes[1] != ua.StatusOK || codes[2] != ua.StatusBadNotWritable) || codes[0] != ua.StatusBadDeviceFailure {
			t.Errorf("request %d: %v", got, codes)
		}
		if v := c.read(valueOf("Device16"))[0].Value; !v.Equal(uabinary.Uint16Variant(1)) {
			t.Errorf("a value that the device refused is shown: %v", v)
		}
	})
}

func TestAttributeWriteValues_TimeoutHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		r.slowDevice()
		start := time.Now()
		c.sendWrite(1500, writeOf("Device16", uint16(2)))
		if _, codes := c.receiveWrite(); codes[0] != ua.StatusBadTimeout || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %v", codes, time.Since(start))
		}
	})
}

func TestAttributeWriteValues_DeviceIsToldWhenTheConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		r.slowDevice()
		c.sendWrite(0, writeOf("Device16", uint16(2)))
		synctest.Wait()
		c.Net.Close()
		c.served.wait() // and with it the device's goroutine
	})
}

// One Read of 100 values costs no memory once the connection is warm.
func TestAttributeRead_AllocatesNothing(t *testing.T) {
	r := newRig(t, nil)
	call, body := r.benchCall(t, 100)
	if n := testing.AllocsPerRun(200, func() { call(body) }); n > 0 {
		t.Errorf("%v allocations per Read of 100 values", n)
	}
}

func BenchmarkRead(b *testing.B) {
	r := newRig(b, nil)
	for _, n := range []int{1, 100} {
		b.Run(map[int]string{1: "1", 100: "100"}[n], func(b *testing.B) {
			call, body := r.benchCall(b, n)
			b.ReportAllocs()
			for b.Loop() {
				call(body)
			}
		})
	}
}
