package server

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func (c *client) browse(most uint32, nodes ...uabinary.BrowseDescription) []uabinary.BrowseResult {
	c.t.Helper()
	req := &uabinary.BrowseRequest{RequestedMaxReferencesPerNode: most, NodesToBrowse: nodes}
	var resp uabinary.BrowseResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	return resp.Results
}

func (c *client) browseNext(release bool, points ...[]byte) []uabinary.BrowseResult {
	c.t.Helper()
	req := &uabinary.BrowseNextRequest{ReleaseContinuationPoints: release, ContinuationPoints: points}
	var resp uabinary.BrowseNextResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	return resp.Results
}

func everything(node uabinary.NodeID) uabinary.BrowseDescription {
	return uabinary.BrowseDescription{NodeID: node, BrowseDirection: ua.BrowseDirectionBoth, ResultMask: uint32(ua.BrowseResultMaskAll)}
}

var objects = uabinary.NumericID(0, id.ObjectsFolder)

func TestViewBasic_Results(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	with := func(change func(*uabinary.BrowseDescription)) uabinary.BrowseDescription {
		d := everything(objects)
		change(&d)
		return d
	}
	for _, tt := range []struct {
		name string
		d    uabinary.BrowseDescription
		want ua.StatusCode
	}{
		{"all", everything(objects), ua.StatusOK},
		{"null node", everything(uabinary.NodeID{}), ua.StatusBadNodeIDInvalid},
		{"unknown node", everything(uabinary.StringID(2, "nobody")), ua.StatusBadNodeIDUnknown},
		{"direction", with(func(d *uabinary.BrowseDescription) { d.BrowseDirection = 3 }), ua.StatusBadBrowseDirectionInvalid},
		{"unknown type", with(func(d *uabinary.BrowseDescription) { d.ReferenceTypeID = uabinary.StringID(2, "x") }), ua.StatusBadReferenceTypeIDInvalid},
		{"type of another class", with(func(d *uabinary.BrowseDescription) { d.ReferenceTypeID = objects }), ua.StatusBadReferenceTypeIDInvalid},
	} {
		if got := c.browse(0, tt.d)[0]; got.StatusCode != tt.want || tt.want == ua.StatusOK && len(got.References) < 3 {
			t.Errorf("%s: %v, %d references", tt.name, got.StatusCode, len(got.References))
		}
	}
}

func TestViewBasic_Filters(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	organizes, hierarchical := uabinary.NumericID(0, id.Organizes), uabinary.NumericID(0, id.HierarchicalReferences)
	names := func(d uabinary.BrowseDescription) (list []string) {
		for _, ref := range c.browse(0, d)[0].References {
			list = append(list, ref.BrowseName.Name)
		}
		return list
	}
	forward := everything(objects)
	forward.BrowseDirection = ua.BrowseDirectionForward
	forward.ReferenceTypeID, forward.IncludeSubtypes = organizes, true
	if got := names(forward); !slices.Contains(got, "Server") || slices.Contains(got, "Root") || slices.Contains(got, "FolderType") {
		t.Errorf("forward Organizes: %v", got)
	}
	exact := forward
	exact.ReferenceTypeID, exact.IncludeSubtypes = hierarchical, false
	if got := names(exact); len(got) != 0 {
		t.Errorf("without subtypes: %v", got)
	}
	exact.IncludeSubtypes = true
	if got := names(exact); !slices.Contains(got, "Server") {
		t.Errorf("with subtypes: %v", got)
	}
	inverse := everything(objects)
	inverse.BrowseDirection = ua.BrowseDirectionInverse
	if got := names(inverse); !slices.Equal(got, []string{"Root"}) {
		t.Errorf("inverse: %v", got)
	}
	classes := everything(objects)
	classes.NodeClassMask = uint32(ua.NodeClassObjectType)
	if got := names(classes); !slices.Equal(got, []string{"FolderType"}) {
		t.Errorf("ObjectTypes: %v", got)
	}
}

func TestViewBasic_ResultMask(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	d := everything(uabinary.StringID(2, "Device"))
	d.BrowseDirection, d.NodeClassMask = ua.BrowseDirectionForward, uint32(ua.NodeClassVariable)
	full := c.browse(1, d)[0].References[0]
	if full.NodeClass != ua.NodeClassVariable || !full.IsForward || full.BrowseName.Name == "" || full.DisplayName.Text == "" ||
		full.TypeDefinition.NodeID != uabinary.NumericID(0, id.BaseDataVariableType) || full.ReferenceTypeID.IsNull() {
		t.Errorf("%+v", full)
	}
	d.ResultMask = 0
	bare := c.browse(1, d)[0].References[0]
	if bare != (uabinary.ReferenceDescription{NodeID: full.NodeID}) {
		t.Errorf("%+v", bare)
	}
}

func TestViewBasic_Faults(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	for _, tt := range []struct {
		req  uabinary.BrowseRequest
		want ua.StatusCode
	}{
		{uabinary.BrowseRequest{}, ua.StatusBadNothingToDo},
		{uabinary.BrowseRequest{NodesToBrowse: make([]uabinary.BrowseDescription, 501)}, ua.StatusBadTooManyOperations},
		{uabinary.BrowseRequest{NodesToBrowse: make([]uabinary.BrowseDescription, 1), View: uabinary.ViewDescription{ViewID: objects}}, ua.StatusBadViewIDUnknown},
	} {
		c.want(tt.want, c.do(&tt.req.RequestHeader, &tt.req, &uabinary.BrowseResponse{}))
	}
	next := &uabinary.BrowseNextRequest{}
	c.want(ua.StatusBadNothingToDo, c.do(&next.RequestHeader, next, &uabinary.BrowseNextResponse{}))
}

// One by one gives the same as all at once.
func TestViewMinimumContinuationPoint_Walk(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	for _, node := range []uabinary.NodeID{objects, uabinary.NumericID(0, id.Server), uabinary.NumericID(0, id.BaseObjectType)} {
		all := c.browse(0, everything(node))[0].References
		for _, most := range []uint32{1, 2, 3} {
			result := c.browse(most, everything(node))[0]
			walked := result.References
			for result.ContinuationPoint != nil {
				if len(result.References) != int(most) {
					t.Fatalf("%d references, want %d", len(result.References), most)
				}
				result = c.browseNext(false, result.ContinuationPoint)[0]
				walked = append(walked, result.References...)
			}
			if !slices.Equal(walked, all) {
				t.Errorf("%v by %d: %d references, want %d", node, most, len(walked), len(all))
			}
		}
	}
	if n := r.points.Load(); n != 0 {
		t.Errorf("%d continuation points left", n)
	}
}

func TestViewMinimumContinuationPoint_Misuse(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxContinuationPointsAll = 12 })
	c, other := r.session(ua.MessageSecurityModeNone), r.session(ua.MessageSecurityModeNone)
	invalid := func(c *client, point []byte) {
		t.Helper()
		c.want(ua.StatusBadContinuationPointInvalid, c.browseNext(false, point)[0].StatusCode)
	}
	used := c.browse(1, everything(objects))[0].ContinuationPoint
	invalid(other, used)
	second := c.browseNext(false, used)[0].ContinuationPoint
	invalid(c, used)
	if got := c.browseNext(true, second)[0]; got.StatusCode != ua.StatusOK || got.References != nil {
		t.Errorf("release: %+v", got)
	}
	invalid(c, second)
	invalid(c, nil)
	invalid(c, make([]byte, 16))

	many := make([]uabinary.BrowseDescription, 11)
	for i := range many {
		many[i] = everything(objects)
	}
	results := c.browse(1, many...)
	if last := results[10]; results[9].ContinuationPoint == nil || last.StatusCode != ua.StatusBadNoContinuationPoints || last.References != nil {
		t.Errorf("over the limit: %+v", last)
	}
	results = other.browse(1, many[:3]...)
	if results[1].ContinuationPoint == nil || results[2].StatusCode != ua.StatusBadNoContinuationPoints {
		t.Errorf("over the total: %+v", results[2])
	}
	c.closeSession()
	other.closeSession()
	if n := r.points.Load(); n != 0 {
		t.Errorf("%d continuation points after the sessions are closed", n)
	}
}

func TestBrowse_BudgetLeavesTheRestToBrowseNext(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxBrowseBytes = 1 })
	c := r.session(ua.MessageSecurityModeNone)
	results := c.browse(0, everything(objects), everything(objects))
	for i, result := range results {
		if len(result.References) != 1 || result.ContinuationPoint == nil {
			t.Errorf("%d: %d references", i, len(result.References))
		}
	}
}

// Every reference of the whole address space leads somewhere and every
// Object and Variable has a type (Address Space Base).
func TestAddressSpaceBase_Walk(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	seen := map[uabinary.NodeID]bool{}
	todo := []uabinary.NodeID{uabinary.NumericID(0, id.RootFolder)}
	for len(todo) > 0 {
		n := min(len(todo), 100)
		nodes := make([]uabinary.BrowseDescription, 0, n)
		for _, node := range todo[:n] {
			d := everything(node)
			d.BrowseDirection = ua.BrowseDirectionForward
			d.ReferenceTypeID, d.IncludeSubtypes = uabinary.NumericID(0, id.HierarchicalReferences), true
			nodes = append(nodes, d)
		}
		todo = todo[n:]
		for i, result := range c.browse(0, nodes...) {
			if result.StatusCode != ua.StatusOK || result.ContinuationPoint != nil {
				t.Fatalf("%v: %v", nodes[i].NodeID, result.StatusCode)
			}
			for _, ref := range result.References {
				typed := ref.NodeClass == ua.NodeClassObject || ref.NodeClass == ua.NodeClassVariable
				if typed && ref.TypeDefinition.NodeID.IsNull() {
					t.Errorf("%v %s has no type", ref.NodeID.NodeID, ref.BrowseName.Name)
				}
				if !seen[ref.NodeID.NodeID] {
					seen[ref.NodeID.NodeID] = true
					todo = append(todo, ref.NodeID.NodeID)
				}
			}
		}
	}
	if len(seen) < 500 {
		t.Errorf("only %d nodes", len(seen))
	}
}

func path(start uabinary.NodeID, names ...string) uabinary.BrowsePath {
	p := uabinary.BrowsePath{StartingNode: start}
	for _, n := range names {
		ns := uint16(0)
		if len(n) > 2 && n[:2] == "2:" {
			ns, n = 2, n[2:]
		}
		p.RelativePath.Elements = append(p.RelativePath.Elements, uabinary.RelativePathElement{
			ReferenceTypeID: uabinary.NumericID(0, id.HierarchicalReferences), IncludeSubtypes: true,
			TargetName: uabinary.QualifiedName{NamespaceIndex: ns, Name: n},
		})
	}
	return p
}

func TestViewTranslateBrowsePath(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	root := uabinary.NumericID(0, id.RootFolder)
	inverse := path(objects, "Root")
	inverse.RelativePath.Elements[0].IsInverse = true
	exact := path(objects, "Server")
	exact.RelativePath.Elements[0].IncludeSubtypes = false
	anyType := path(objects, "Server")
	anyType.RelativePath.Elements[0].ReferenceTypeID = uabinary.NodeID{}
	long := path(objects, slices.Repeat([]string{"x"}, 33)...)
	for _, tt := range []struct {
		name   string
		path   uabinary.BrowsePath
		status ua.StatusCode
		want   uabinary.NodeID
	}{
		{"several elements", path(root, "Objects", "Server", "ServerStatus", "State"), 0, uabinary.NumericID(0, id.Server_ServerStatus_State)},
		{"own namespace", path(root, "Objects", "2:Device", "2:Int16"), 0, uabinary.StringID(2, "Int16")},
		{"inverse", inverse, 0, root},
		{"any type", anyType, 0, uabinary.NumericID(0, id.Server)},
		{"subtypes excluded", exact, ua.StatusBadNoMatch, uabinary.NodeID{}},
		{"no match", path(root, "Objects", "nobody"), ua.StatusBadNoMatch, uabinary.NodeID{}},
		{"wrong namespace", path(root, "2:Objects"), ua.StatusBadNoMatch, uabinary.NodeID{}},
		{"empty path", path(root), ua.StatusBadNothingToDo, uabinary.NodeID{}},
		{"null name", path(root, "Objects", ""), ua.StatusBadBrowseNameInvalid, uabinary.NodeID{}},
		{"null start", path(uabinary.NodeID{}, "Objects"), ua.StatusBadNodeIDInvalid, uabinary.NodeID{}},
		{"unknown start", path(uabinary.StringID(2, "x"), "Objects"), ua.StatusBadNodeIDUnknown, uabinary.NodeID{}},
		{"too long", long, ua.StatusBadTooManyOperations, uabinary.NodeID{}},
	} {
		req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: []uabinary.BrowsePath{tt.path}}
		var resp uabinary.TranslateBrowsePathsToNodeIDsResponse
		c.wantOK(c.do(&req.RequestHeader, req, &resp))
		got := resp.Results[0]
		if got.StatusCode != tt.status || tt.status == 0 && (len(got.Targets) != 1 || got.Targets[0].TargetID.NodeID != tt.want || got.Targets[0].RemainingPathIndex != allPath) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// a path in a circle ends by the number of visits, not by the stack.
func TestViewTranslateBrowsePath_Circle(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxTranslateVisits = 50 })
	c := r.session(ua.MessageSecurityModeNone)
	circle := path(objects, slices.Repeat([]string{"Root", "Objects"}, 16)...)
	for i := range circle.RelativePath.Elements {
		circle.RelativePath.Elements[i].IsInverse = i%2 == 0
	}
	req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: slices.Repeat([]uabinary.BrowsePath{circle}, 50)}
	var resp uabinary.TranslateBrowsePathsToNodeIDsResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	if got := resp.Results[49].StatusCode; got != ua.StatusBadTooManyOperations {
		t.Errorf("got %v", got)
	}
	req.BrowsePaths = make([]uabinary.BrowsePath, 501)
	c.want(ua.StatusBadTooManyOperations, c.do(&req.RequestHeader, req, &resp))
}

// Two ways to a node make one target.
func TestViewTranslateBrowsePath_EachTargetOnce(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	device, node := uabinary.StringID(2, "Device"), uabinary.StringID(2, "Int16")
	if err := r.space.AddReference(device, uabinary.NumericID(0, id.Organizes), node); err != nil {
		t.Fatal(err)
	}
	req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: []uabinary.BrowsePath{path(device, "2:Int16")}}
	var resp uabinary.TranslateBrowsePathsToNodeIDsResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	if n := len(resp.Results[0].Targets); n != 1 {
		t.Errorf("%d targets", n)
	}
}

func TestViewRegisterNodes(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	var nodes []uabinary.NodeID
	for i := range 100 {
		nodes = append(nodes, uabinary.StringID(2, fmt.Sprint("node ", i)))
	}
	req := &uabinary.RegisterNodesRequest{NodesToRegister: nodes}
	var resp uabinary.RegisterNodesResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	if !slices.Equal(resp.RegisteredNodeIDs, nodes) {
		t.Error("other NodeIds came back")
	}
	off := &uabinary.UnregisterNodesRequest{NodesToUnregister: nodes}
	c.wantOK(c.do(&off.RequestHeader, off, &uabinary.UnregisterNodesResponse{}))
	for want, list := range map[ua.StatusCode][]uabinary.NodeID{
		ua.StatusBadNothingToDo: nil, ua.StatusBadNodeIDInvalid: {{}}, ua.StatusBadTooManyOperations: make([]uabinary.NodeID, 501),
	} {
		req.NodesToRegister, off.NodesToUnregister = list, list
		c.want(want, c.do(&req.RequestHeader, req, &resp))
		c.want(want, c.do(&off.RequestHeader, off, &uabinary.UnregisterNodesResponse{}))
	}
}
