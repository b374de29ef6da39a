package server

import (
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// View Service Set: Part 4 (1.05), 5.9.

// referenceOverhead is what one ReferenceDescription takes beside its texts,
// in bytes of memory.
const referenceOverhead = 256

// browse is one operation of a Browse call and where it has got to. As a
// continuation point it waits for BrowseNext: no results are kept, only the
// number of references already looked at.
type browse struct {
	node     uabinary.NodeID
	refType  uabinary.NodeID // null: all
	subtypes bool
	dir      ua.BrowseDirection
	classes  uint32
	fields   ua.BrowseResultMask
	most     int // references per answer
	seen     int // references of the node already answered or skipped
}

// handleBrowse: 5.9.2.
func (s *Server) handleBrowse(c *call, r *uabinary.Reader) {
	var req uabinary.BrowseRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.NodesToBrowse), s.limits().MaxNodesPerBrowse) {
		return
	}
	if !req.View.ViewID.IsNull() { // there are no Views
		c.fault(ua.StatusBadViewIDUnknown)
		return
	}
	resp := uabinary.BrowseResponse{
		ResponseHeader: c.responseHeader(),
		Results:        make([]uabinary.BrowseResult, len(req.NodesToBrowse)),
	}
	budget := s.limits().MaxBrowseBytes
	for i := range req.NodesToBrowse {
		b, code := s.newBrowse(&req.NodesToBrowse[i], req.RequestedMaxReferencesPerNode)
		if code != ua.StatusOK {
			resp.Results[i].StatusCode = code
			continue
		}
		s.browse(c, &b, &resp.Results[i], &budget)
	}
	c.respond(&resp)
}

func (s *Server) newBrowse(d *uabinary.BrowseDescription, most uint32) (browse, ua.StatusCode) {
	b := browse{
		node:     d.NodeID.Clone(),
		refType:  d.ReferenceTypeID.Clone(),
		subtypes: d.IncludeSubtypes,
		dir:      d.BrowseDirection,
		classes:  d.NodeClassMask,
		fields:   ua.BrowseResultMask(d.ResultMask),
		most:     s.limits().MaxBrowseResults,
	}
	if most > 0 && uint64(most) < uint64(b.most) {
		b.most = int(most)
	}
	if _, code := s.node(b.node); code != ua.StatusOK {
		return b, code
	}
	if b.dir > ua.BrowseDirectionBoth {
		return b, ua.StatusBadBrowseDirectionInvalid
	}
	if !b.refType.IsNull() {
		t := s.space.Node(b.refType)
		if t == nil || t.Class != ua.NodeClassReferenceType {
			return b, ua.StatusBadReferenceTypeIDInvalid
		}
	}
	return b, ua.StatusOK
}

// browse answers b as far as its own limit and the budget of the call allow,
// and leaves the rest to a continuation point. At least one reference is
// answered, so that every BrowseNext gets on. Nodes that the user may not browse
// are not there.
func (s *Server) browse(c *call, b *browse, result *uabinary.BrowseResult, budget *int) {
	node := s.space.Node(b.node)
	if node == nil {
		result.StatusCode = ua.StatusBadContinuationPointInvalid // removed since Browse
		return
	}
	if !c.may(node, RightBrowse) {
		result.StatusCode = ua.StatusBadUserAccessDenied
		return
	}
	position, more := 0, false
	for ref := range node.References() {
		if position++; position <= b.seen {
			continue
		}
		target := s.space.Node(ref.Target)
		if target == nil || !s.wants(b, &ref, target) || !c.may(target, RightBrowse) {
			continue
		}
		if n := len(result.References); n == b.most || n > 0 && *budget <= 0 {
			position--
			more = true
			break
		}
		d := b.describe(&ref, target)
		*budget -= referenceOverhead + len(d.BrowseName.Name) + len(d.DisplayName.Text) + len(ref.Target.Text)
		result.References = append(result.References, d)
	}
	b.seen = position
	if !more {
		return
	}
	point, ok := s.holdBrowse(c.session, *b)
	if !ok {
		*result = uabinary.BrowseResult{StatusCode: ua.StatusBadNoContinuationPoints}
		return
	}
	result.ContinuationPoint = point
}

func (s *Server) wants(b *browse, ref *addressspace.Reference, target *addressspace.Node) bool {
	if ref.Inverse && b.dir == ua.BrowseDirectionForward || !ref.Inverse && b.dir == ua.BrowseDirectionInverse {
		return false
	}
	if b.classes != 0 && b.classes&uint32(target.Class) == 0 {
		return false
	}
	return s.matchesType(ref.Type, b.refType, b.subtypes)
}

// matchesType: a null filter takes every ReferenceType.
func (s *Server) matchesType(t, filter uabinary.NodeID, subtypes bool) bool {
	return filter.IsNull() || t == filter || subtypes && s.space.IsSubtype(t, filter)
}

// describe fills in what the ResultMask asks for (5.9.2.2).
func (b *browse) describe(ref *addressspace.Reference, target *addressspace.Node) uabinary.ReferenceDescription {
	d := uabinary.ReferenceDescription{NodeID: uabinary.ExpandedNodeID{NodeID: target.ID}}
	if b.fields&ua.BrowseResultMaskReferenceTypeID != 0 {
		d.ReferenceTypeID = ref.Type
	}
	if b.fields&ua.BrowseResultMaskIsForward != 0 {
		d.IsForward = !ref.Inverse
	}
	if b.fields&ua.BrowseResultMaskNodeClass != 0 {
		d.NodeClass = target.Class
	}
	if b.fields&ua.BrowseResultMaskBrowseName != 0 {
		d.BrowseName = target.BrowseName
	}
	if b.fields&ua.BrowseResultMaskDisplayName != 0 {
		d.DisplayName = target.DisplayName
	}
	if b.fields&ua.BrowseResultMaskTypeDefinition != 0 {
		d.TypeDefinition = uabinary.ExpandedNodeID{NodeID: target.TypeDefinition()}
	}
	return d
}

// handleBrowseNext: 5.9.3.
func (s *Server) handleBrowseNext(c *call, r *uabinary.Reader) {
	var req uabinary.BrowseNextRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.ContinuationPoints), s.limits().MaxNodesPerBrowse) {
		return
	}
	resp := uabinary.BrowseNextResponse{
		ResponseHeader: c.responseHeader(),
		Results:        make([]uabinary.BrowseResult, len(req.ContinuationPoints)),
	}
	budget := s.limits().MaxBrowseBytes
	for i, point := range req.ContinuationPoints {
		b, ok := s.takeBrowse(c.session, point)
		switch {
		case !ok:
			resp.Results[i].StatusCode = ua.StatusBadContinuationPointInvalid
		case !req.ReleaseContinuationPoints:
			s.browse(c, &b, &resp.Results[i], &budget)
		}
	}
	c.respond(&resp)
}

// handleRegisterNodes: 5.9.5. NodeIds are as fast as they get; they are
// returned as they are and nothing is remembered.
func (s *Server) handleRegisterNodes(c *call, r *uabinary.Reader) {
	var req uabinary.RegisterNodesRequest
	if !c.parse(r, &req) || !s.checkRegistered(c, req.NodesToRegister) {
		return
	}
	c.respond(&uabinary.RegisterNodesResponse{
		ResponseHeader:    c.responseHeader(),
		RegisteredNodeIDs: req.NodesToRegister,
	})
}

// handleUnregisterNodes: 5.9.6.
func (s *Server) handleUnregisterNodes(c *call, r *uabinary.Reader) {
	var req uabinary.UnregisterNodesRequest
	if !c.parse(r, &req) || !s.checkRegistered(c, req.NodesToUnregister) {
		return
	}
	c.respond(&uabinary.UnregisterNodesResponse{ResponseHeader: c.responseHeader()})
}

func (s *Server) checkRegistered(c *call, nodes []uabinary.NodeID) bool {
	if !c.checkCount(len(nodes), s.limits().MaxNodesPerRegister) {
		return false
	}
	for _, n := range nodes {
		if n.IsNull() {
			c.fault(ua.StatusBadNodeIDInvalid)
			return false
		}
	}
	return true
}
