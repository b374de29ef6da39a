package server

import (
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// allPath is the RemainingPathIndex of a path that was followed to its end.
const allPath = 0xFFFFFFFF

// handleTranslateBrowsePaths: Part 4 (1.05), 5.9.4. Paths are walked level by
// level, never by recursion, and all paths of a call share one number of
// visits.
func (s *Server) handleTranslateBrowsePaths(c *call, r *uabinary.Reader) {
	var req uabinary.TranslateBrowsePathsToNodeIDsRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.BrowsePaths), s.limits().MaxNodesPerTranslate) {
		return
	}
	resp := uabinary.TranslateBrowsePathsToNodeIDsResponse{
		ResponseHeader: c.responseHeader(),
		Results:        make([]uabinary.BrowsePathResult, len(req.BrowsePaths)),
	}
	walk := pathWalk{server: s, call: c, visits: s.limits().MaxTranslateVisits}
	for i := range req.BrowsePaths {
		resp.Results[i] = walk.follow(&req.BrowsePaths[i])
	}
	c.respond(&resp)
}

// pathWalk follows the paths of one call.
type pathWalk struct {
	server *Server
	call   *call
	visits int // references that may still be looked at
}

func (w *pathWalk) follow(path *uabinary.BrowsePath) uabinary.BrowsePathResult {
	elements := path.RelativePath.Elements
	start, code := w.server.node(path.StartingNode)
	if code == ua.StatusOK {
		code = w.check(elements)
	}
	if code == ua.StatusOK && !w.call.may(start, RightBrowse) {
		code = ua.StatusBadUserAccessDenied
	}
	if code != ua.StatusOK {
		return uabinary.BrowsePathResult{StatusCode: code}
	}
	level := []*addressspace.Node{start}
	for i := range elements {
		level = w.step(level, &elements[i])
		if w.visits <= 0 {
			return uabinary.BrowsePathResult{StatusCode: ua.StatusBadTooManyOperations}
		}
	}
	if len(level) == 0 {
		return uabinary.BrowsePathResult{StatusCode: ua.StatusBadNoMatch}
	}
	result := uabinary.BrowsePathResult{Targets: make([]uabinary.BrowsePathTarget, len(level))}
	for i, n := range level {
		result.Targets[i] = uabinary.BrowsePathTarget{
			TargetID:           uabinary.ExpandedNodeID{NodeID: n.ID},
			RemainingPathIndex: allPath,
		}
	}
	return result
}

func (w *pathWalk) check(elements []uabinary.RelativePathElement) ua.StatusCode {
	switch {
	case len(elements) == 0:
		return ua.StatusBadNothingToDo
	case len(elements) > w.server.limits().MaxPathElements:
		return ua.StatusBadTooManyOperations
	}
	for i := range elements {
		if elements[i].TargetName.Name == "" {
			return ua.StatusBadBrowseNameInvalid
		}
	}
	return ua.StatusOK
}

// step goes from all nodes of one level to those of the next, each once.
func (w *pathWalk) step(level []*addressspace.Node, e *uabinary.RelativePathElement) (next []*addressspace.Node) {
	found := make(map[*addressspace.Node]bool)
	for _, n := range level {
		for ref := range n.References() {
			if w.visits--; w.visits <= 0 {
				return nil
			}
			if ref.Inverse != e.IsInverse || !w.server.matchesType(ref.Type, e.ReferenceTypeID, e.IncludeSubtypes) {
				continue
			}
			target := w.server.space.Node(ref.Target)
			if target != nil && target.BrowseName == e.TargetName && !found[target] && w.call.may(target, RightBrowse) {
				found[target] = true
				next = append(next, target)
			}
		}
	}
	return next
}
