package server

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Attribute Service Set: Part 4 (1.05), 5.11.

// Bits of AccessLevel (Part 3 1.05, 8.57).
const (
	accessRead           = 1 << 0
	accessWrite          = 1 << 1
	accessHistoryRead    = 1 << 2
	accessHistoryWrite   = 1 << 3
	accessStatusWrite    = 1 << 5
	accessTimestampWrite = 1 << 6
)

// maxScratch is how many operations a connection keeps memory for between calls.
const maxScratch = 256

// numberDataType is the supertype of all numeric DataTypes.
var numberDataType = uabinary.NumericID(0, id.Number)

// readResponseID is the encoding id of ReadResponse.
var readResponseID = (*uabinary.ReadResponse)(nil).EncodingID()

// handleRead: 5.11.2.
func (s *Server) handleRead(c *call, r *uabinary.Reader) {
	req := &c.conn.readRequest
	if !c.parse(r, req) {
		return
	}
	switch {
	case !(req.MaxAge >= 0):
		c.fault(ua.StatusBadMaxAgeInvalid)
		return
	case req.TimestampsToReturn > ua.TimestampsToReturnNeither:
		c.fault(ua.StatusBadTimestampsToReturnInvalid)
		return
	}
	if !c.checkCount(len(req.NodesToRead), s.limits().MaxNodesPerRead) {
		return
	}
	c.oldest = oldest(req.MaxAge, time.Now())
	s.sendRead(c, req)
	c.oldest = 0
	if outdated := c.outdated; outdated != nil {
		c.outdated = nil
		s.readAnew(c, req, outdated)
	}
}

// sendRead answers, unless that shows that there are outdated values.
func (s *Server) sendRead(c *call, req *uabinary.ReadRequest) {
	c.send(func(dst []byte) []byte {
		dst = s.appendReadResponse(dst, c, req)
		if c.outdated != nil {
			return nil
		}
		return dst
	})
}

// oldest is the time from which on a value is not too old for maxAge: with 0
// every value is, with the largest Int32 none (5.11.2.2).
func oldest(maxAge float64, now time.Time) uabinary.DateTime {
	switch {
	case maxAge == 0:
		return math.MaxInt64
	case maxAge >= math.MaxInt32:
		return 0
	}
	return uabinary.DateTimeOf(now.Add(-time.Duration(maxAge * float64(time.Millisecond))))
}

// longestRefresh bounds the wait for new values when the client does not say
// how long it waits.
const longestRefresh = 10 * time.Second

// readAnew answers when the outdated values have been read from where they
// come from, or with what there is if that takes too long: "best effort" is
// better than nothing (5.11.2.1).
func (s *Server) readAnew(c *call, req *uabinary.ReadRequest, outdated []*addressspace.Variable) {
	kept := &uabinary.ReadRequest{} // the connection goes on to other requests
	kept.Parse(uabinary.NewReader(req.Append(nil), &s.limits().Encoding))
	taken := c.continueAside(func(ctx context.Context, held *call) {
		wait := longestRefresh
		if hint := time.Duration(held.header.TimeoutHint) * time.Millisecond; hint > 0 {
			wait = min(wait, hint*3/4) // what comes when the client has given up is no answer
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		refresh(ctx, outdated)
		s.sendRead(held, kept)
	})
	if !taken {
		s.sendRead(c, req)
	}
}

// refresh lets each source read its part, all of them at a time.
func refresh(ctx context.Context, outdated []*addressspace.Variable) {
	parts := map[addressspace.Refresher][]*addressspace.Variable{}
	for _, v := range outdated {
		if r := v.Refresher(); r != nil {
			parts[r] = append(parts[r], v)
		}
	}
	var tasks sync.WaitGroup
	for r, part := range parts {
		tasks.Go(func() { r.Refresh(ctx, part) })
	}
	tasks.Wait()
}

// appendReadResponse encodes the results as it reads them, and ends as soon as
// they are too large: a few nodes with long values, named often enough, would
// be a response that fits no memory.
func (s *Server) appendReadResponse(dst []byte, c *call, req *uabinary.ReadRequest) []byte {
	start := len(dst)
	now := uabinary.DateTimeOf(time.Now())
	header := c.responseHeader()
	dst = uabinary.NumericID(0, readResponseID).Append(dst)
	dst = header.Append(dst)
	dst = uabinary.AppendInt32(dst, int32(len(req.NodesToRead)))
	for i := range req.NodesToRead {
		if !c.fits(len(dst) - start) {
			return dst // and send makes it a fault
		}
		dv := s.read(c, &req.NodesToRead[i], now)
		stamp(&dv, req.TimestampsToReturn)
		dst = dv.Append(dst)
	}
	return uabinary.AppendInt32(dst, -1) // diagnosticInfos
}

// stamp leaves the timestamps asked for (7.39).
func stamp(dv *uabinary.DataValue, want ua.TimestampsToReturn) {
	if want == ua.TimestampsToReturnServer || want == ua.TimestampsToReturnNeither {
		dv.SourceTimestamp, dv.SourcePicoseconds = 0, 0
	}
	if want == ua.TimestampsToReturnSource || want == ua.TimestampsToReturnNeither {
		dv.ServerTimestamp, dv.ServerPicoseconds = 0, 0
	}
}

// read reads one attribute, and notes a value that is too old.
func (s *Server) read(c *call, target *uabinary.ReadValueID, now uabinary.DateTime) (dv uabinary.DataValue) {
	node, part, code := s.readable(c, target)
	if code != ua.StatusOK {
		return uabinary.DataValue{Status: code, ServerTimestamp: now}
	}
	if target.AttributeID == ua.AttributeIDValue {
		dv = node.Variable.Value()
		if dv.ServerTimestamp < c.oldest && node.Variable.Refresher() != nil {
			c.outdated = append(c.outdated, node.Variable)
		}
	} else {
		dv.Value, dv.Status = s.attribute(c.as, node, target.AttributeID)
	}
	part.apply(&dv)
	dv.ServerTimestamp = now
	return dv
}

// readable finds what target names and checks that the user of c may read it.
// It serves Read and CreateMonitoredItems; with BadUserAccessDenied, which comes
// last, the node is returned too.
func (s *Server) readable(c *call, target *uabinary.ReadValueID) (*addressspace.Node, numericRange, ua.StatusCode) {
	node, code := s.node(target.NodeID)
	if code != ua.StatusOK {
		return nil, nil, code
	}
	if target.AttributeID == ua.AttributeIDValue {
		code = valueReadable(node)
	} else {
		_, code = s.space.Attribute(node, target.AttributeID)
	}
	if code != ua.StatusOK {
		return nil, nil, code
	}
	if code = s.checkEncoding(node, target); code != ua.StatusOK {
		return nil, nil, code
	}
	part, ok := parseRange(target.IndexRange)
	if !ok {
		return nil, nil, ua.StatusBadIndexRangeInvalid
	}
	if !c.may(node, rightToRead(target.AttributeID)) {
		return node, part, ua.StatusBadUserAccessDenied
	}
	return node, part, ua.StatusOK
}

// node finds a node a client names.
func (s *Server) node(id uabinary.NodeID) (*addressspace.Node, ua.StatusCode) {
	if id.IsNull() {
		return nil, ua.StatusBadNodeIDInvalid
	}
	if n := s.space.Node(id); n != nil {
		return n, ua.StatusOK
	}
	return nil, ua.StatusBadNodeIDUnknown
}

func valueReadable(n *addressspace.Node) ua.StatusCode {
	switch {
	case n.Variable == nil:
		return ua.StatusBadAttributeIDInvalid
	case n.Variable.AccessLevel&accessRead == 0:
		return ua.StatusBadNotReadable
	}
	return ua.StatusOK
}

// checkEncoding: a DataEncoding may only be named for the Value of a Structure,
// and Default Binary is the only one there is (5.11.2.2).
func (s *Server) checkEncoding(n *addressspace.Node, target *uabinary.ReadValueID) ua.StatusCode {
	name := &target.DataEncoding
	if name.Name == "" && name.NamespaceIndex == 0 {
		return ua.StatusOK
	}
	if target.AttributeID != ua.AttributeIDValue || name.NamespaceIndex != 0 ||
		!s.space.IsSubtype(n.Variable.DataType, uabinary.NumericID(0, id.Structure)) {
		return ua.StatusBadDataEncodingInvalid
	}
	switch name.Name {
	case "Default Binary":
		return ua.StatusOK
	case "Default XML", "Default JSON":
		return ua.StatusBadDataEncodingUnsupported
	}
	return ua.StatusBadDataEncodingInvalid
}

// writeScratch is reused by all Write calls of a connection.
type writeScratch struct {
	request  uabinary.WriteRequest
	response uabinary.WriteResponse
}

// deviceWrite is one value on its way to a device.
type deviceWrite struct {
	index  int // in the request
	node   *addressspace.Node
	writer addressspace.Writer
	value  uabinary.DataValue
}

// handleWrite: 5.11.4. Values in memory are set at once; values of a device
// are carried there aside, and the call is answered when the device has.
func (s *Server) handleWrite(c *call, r *uabinary.Reader) {
	scratch := &c.conn.write
	req, resp := &scratch.request, &scratch.response
	if !c.parse(r, req) || !c.checkCount(len(req.NodesToWrite), s.limits().MaxNodesPerWrite) {
		return
	}
	resp.Results = resp.Results[:0]
	var toDevice []deviceWrite
	now := uabinary.DateTimeOf(time.Now())
	for i := range req.NodesToWrite {
		w := &req.NodesToWrite[i]
		node, code := s.writable(c, w)
		if code == ua.StatusOK {
			toDevice = store(node, w, now, i, toDevice)
		}
		resp.Results = append(resp.Results, code)
	}
	if toDevice != nil {
		s.writeAside(c, append([]ua.StatusCode(nil), resp.Results...), toDevice)
		return
	}
	resp.ResponseHeader = c.responseHeader()
	c.respond(resp)
}

// store sets a Variable in memory, or notes what has to go to its device.
func store(n *addressspace.Node, w *uabinary.WriteValue, now uabinary.DateTime, index int, toDevice []deviceWrite) []deviceWrite {
	v := n.Variable
	dv := uabinary.DataValue{Value: storable(v, w.Value.Value)}
	if writer := v.Writer(); writer != nil {
		return append(toDevice, deviceWrite{index: index, node: n, writer: writer, value: dv})
	}
	dv.SourceTimestamp = now
	v.Set(&dv)
	return toDevice
}

// storable is the value with memory of its own. A ByteString written to an
// array of Byte becomes one (Part 4 1.05, 5.11.4.1).
func storable(v *addressspace.Variable, value uabinary.Variant) uabinary.Variant {
	value = value.Clone()
	if value.Type() == uabinary.TypeByteString && !value.IsArray() && byteArray(v) {
		return uabinary.ArrayVariant(value.Any())
	}
	return value
}

func byteArray(v *addressspace.Variable) bool {
	return v.DataType == uabinary.NumericID(0, id.Byte) && v.ValueRank == 1
}

// writeAside carries values to their devices on a goroutine of its own; a few
// per Session at a time, so that a slow device holds up nobody else.
func (s *Server) writeAside(c *call, results []ua.StatusCode, writes []deviceWrite) {
	taken := c.continueAside(func(ctx context.Context, held *call) {
		for len(writes) > 0 {
			n := sameSource(writes)
			held.carry(ctx, writes[:n], results)
			writes = writes[n:]
		}
		held.respond(&uabinary.WriteResponse{ResponseHeader: held.responseHeader(), Results: results})
	})
	if taken {
		return
	}
	for _, w := range writes {
		results[w.index] = statusBadServerTooBusy
	}
	c.respond(&uabinary.WriteResponse{ResponseHeader: c.responseHeader(), Results: results})
}

// sameSource counts the first writes that one Source can take together.
func sameSource(writes []deviceWrite) int {
	first, ok := writes[0].writer.(addressspace.SourceWriter)
	if !ok {
		return 1
	}
	for i := range writes {
		if w, ok := writes[i].writer.(addressspace.SourceWriter); !ok || w.Source() != first.Source() {
			return i
		}
	}
	return len(writes)
}

// carry takes writes to their one source. What the user may not do any more is left out.
func (c *call) carry(ctx context.Context, writes []deviceWrite, results []ua.StatusCode) {
	var allowed []deviceWrite
	for _, w := range writes {
		if c.mayStill(w.node, RightWriteValue) {
			allowed = append(allowed, w)
		} else {
			results[w.index] = ua.StatusBadUserAccessDenied
		}
	}
	if len(allowed) < 2 {
		for _, w := range allowed {
			results[w.index] = w.writer.Write(ctx, w.value)
		}
		return
	}
	var source addressspace.Source
	together := make([]addressspace.Write, len(allowed))
	for i, w := range allowed {
		writer := w.writer.(addressspace.SourceWriter) // sameSource has seen to that
		source, together[i] = writer.Source(), addressspace.Write{Writer: writer, Value: w.value}
	}
	for i, s := range source.WriteAll(ctx, together) {
		results[allowed[i].index] = s
	}
}

// writable finds the node that w names and checks that w may be written to
// it: only Values, whole, without status and timestamps.
func (s *Server) writable(c *call, w *uabinary.WriteValue) (*addressspace.Node, ua.StatusCode) {
	node, code := s.node(w.NodeID)
	if code != ua.StatusOK {
		return nil, code
	}
	v := node.Variable
	if w.AttributeID != ua.AttributeIDValue || v == nil {
		if _, code = s.space.Attribute(node, w.AttributeID); code == ua.StatusOK {
			code = ua.StatusBadNotWritable
		}
		return nil, code
	}
	switch {
	case v.AccessLevel&accessWrite == 0:
		return nil, ua.StatusBadNotWritable
	case !c.may(node, RightWriteValue):
		return nil, ua.StatusBadUserAccessDenied
	}
	part, ok := parseRange(w.IndexRange)
	switch {
	case !ok:
		return nil, ua.StatusBadIndexRangeInvalid
	case part != nil, w.Value.Status != ua.StatusOK, w.Value.SourceTimestamp != 0, w.Value.ServerTimestamp != 0:
		return nil, ua.StatusBadWriteNotSupported
	}
	return node, s.checkType(v, w.Value.Value)
}

// checkType holds a value against DataType, ValueRank and ArrayDimensions.
func (s *Server) checkType(v *addressspace.Variable, value uabinary.Variant) ua.StatusCode {
	if value.Type() == uabinary.TypeByteString && !value.IsArray() && byteArray(v) {
		return ua.StatusOK
	}
	return s.conforms(value, v.DataType, v.ValueRank, v.ArrayDimensions)
}

func (s *Server) conforms(value uabinary.Variant, dataType uabinary.NodeID, rank int32, dimensions []uint32) ua.StatusCode {
	if value.IsNull() || !s.hasType(value, dataType) || !hasRank(value, rank) {
		return ua.StatusBadTypeMismatch
	}
	if value.IsArray() && tooLong(value, dimensions) {
		return ua.StatusBadOutOfRange
	}
	return ua.StatusOK
}

// hasType reports whether the built-in type of value carries dataType: it is
// the same, a subtype of an abstract one, or what a derived one is encoded as
// (Part 6 1.05, 5.1.2 to 5.1.7).
func (s *Server) hasType(value uabinary.Variant, dataType uabinary.NodeID) bool {
	builtIn := uabinary.NumericID(0, uint32(value.Type()))
	switch {
	case dataType == builtIn:
		return true
	case value.Type() == uabinary.TypeVariant:
		return false
	case s.space.IsSubtype(builtIn, dataType):
		return true
	case value.Type() == uabinary.TypeInt32 && s.space.IsSubtype(dataType, uabinary.NumericID(0, id.Enumeration)):
		return true
	}
	return s.space.IsSubtype(dataType, builtIn)
}

// hasRank: ValueRank of Part 3 (1.05), 5.6.2.
func hasRank(value uabinary.Variant, rank int32) bool {
	dimensions := int32(0)
	if value.IsArray() {
		dimensions = max(1, int32(len(value.Dimensions())))
	}
	switch rank {
	case -3: // scalar or one dimension
		return dimensions <= 1
	case -2: // any
		return true
	case -1:
		return dimensions == 0
	case 0: // one or more dimensions
		return dimensions >= 1
	}
	return dimensions == rank
}

// tooLong compares with the greatest lengths; 0 is no limit.
func tooLong(value uabinary.Variant, limits []uint32) bool {
	dims := value.Dimensions()
	if dims == nil {
		dims = []uint32{uint32(value.Len())}
	}
	for i, limit := range limits {
		if limit > 0 && i < len(dims) && dims[i] > limit {
			return true
		}
	}
	return false
}
