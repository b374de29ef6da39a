package server

import (
	"context"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Method Service Set: Part 4 (1.05), 5.12 (1.04: 5.11).

// methodRun is one Method about to run.
type methodRun struct {
	index int // in the request
	code  *addressspace.Implementation
	call  *addressspace.MethodCall
}

// handleCall: 5.12.2. Methods run here, one after the other. Those that may
// wait run aside, and the call is answered when they have.
func (s *Server) handleCall(c *call, r *uabinary.Reader) {
	var req uabinary.CallRequest
	if !c.parseOwned(r, &req) || !c.checkCount(len(req.MethodsToCall), s.limits().MaxNodesPerMethodCall) {
		return
	}
	results := make([]uabinary.CallMethodResult, len(req.MethodsToCall))
	var waiting []methodRun
	for i := range req.MethodsToCall {
		run, refused := s.prepare(c, &req.MethodsToCall[i])
		run.index = i
		switch {
		case run.code == nil:
			results[i] = refused
		case run.code.Blocking:
			waiting = append(waiting, run)
		default:
			results[i] = run.result(context.Background())
		}
	}
	if waiting == nil || !c.callAside(results, waiting) {
		c.respond(&uabinary.CallResponse{ResponseHeader: c.responseHeader(), Results: results})
	}
}

// callAside runs Methods that may wait. If too many do already, these get their
// results now and it reports false.
func (c *call) callAside(results []uabinary.CallMethodResult, waiting []methodRun) bool {
	taken := c.continueAside(func(ctx context.Context, held *call) {
		for i := range waiting {
			run := &waiting[i]
			if !held.mayStill(run.call.Method, RightWriteValue) {
				results[run.index].StatusCode = ua.StatusBadUserAccessDenied
				continue
			}
			results[run.index] = run.result(ctx)
		}
		held.respond(&uabinary.CallResponse{ResponseHeader: held.responseHeader(), Results: results})
	})
	if !taken {
		for _, run := range waiting {
			results[run.index].StatusCode = statusBadServerTooBusy
		}
	}
	return taken
}

// result runs the Method. What a result may not hold is left out: outputs that
// go with Bad, and the results of arguments that are not at fault.
func (m *methodRun) result(ctx context.Context) uabinary.CallMethodResult {
	outputs, status, inputs := m.code.Run(ctx, m.call)
	result := uabinary.CallMethodResult{StatusCode: status}
	if !isBad(status) {
		result.OutputArguments = outputs
	}
	if status == ua.StatusBadInvalidArgument {
		result.InputArgumentResults = inputs
	}
	return result
}

// isBad looks at the severity (Part 4 (1.05), 7.39.1).
func isBad(code ua.StatusCode) bool { return code&0x80000000 != 0 }

// prepare finds the Method and checks that c may call it with these arguments.
// A run without code goes with the result of a refusal.
func (s *Server) prepare(c *call, req *uabinary.CallMethodRequest) (methodRun, uabinary.CallMethodResult) {
	object, method, code := s.method(req.ObjectID, req.MethodID)
	if code == ua.StatusOK {
		code = c.executable(object, method)
	}
	if code != ua.StatusOK {
		return methodRun{}, uabinary.CallMethodResult{StatusCode: code}
	}
	run := method.Method.Implementation()
	if code, inputs := s.checkArguments(run.Inputs, req.InputArguments); code != ua.StatusOK {
		return methodRun{}, uabinary.CallMethodResult{StatusCode: code, InputArgumentResults: inputs}
	}
	return methodRun{code: run, call: &addressspace.MethodCall{
		Object: object, Method: method, Inputs: req.InputArguments, User: c.as.name, Session: c.session,
	}}, uabinary.CallMethodResult{}
}

func (c *call) executable(object, method *addressspace.Node) ua.StatusCode {
	switch {
	case !method.Method.Executable():
		return ua.StatusBadNotExecutable
	case method.Method.Implementation() == nil:
		return ua.StatusBadMethodInvalid // of a type, where the instance has none
	case !c.may(method, RightWriteValue), !c.may(object, RightWriteValue): // Part 3 (1.05), 8.55: both
		return ua.StatusBadUserAccessDenied
	}
	return ua.StatusOK
}

// checkArguments: all of them have to come, none is optional here. The code
// and the results of single arguments are those of 5.12.2.4.
func (s *Server) checkArguments(want []uabinary.Argument, got []uabinary.Variant) (ua.StatusCode, []ua.StatusCode) {
	switch {
	case len(got) < len(want):
		return ua.StatusBadArgumentsMissing, nil
	case len(got) > len(want):
		return ua.StatusBadTooManyArguments, nil
	}
	results, code := make([]ua.StatusCode, len(got)), ua.StatusOK
	for i := range want {
		results[i] = s.conforms(got[i], want[i].DataType, want[i].ValueRank, want[i].ArrayDimensions)
		if results[i] != ua.StatusOK {
			code = ua.StatusBadInvalidArgument
		}
	}
	if code == ua.StatusOK {
		return code, nil
	}
	return code, results
}

// method finds the Method that is called on an Object or ObjectType. On an
// Object it may also be named by its node in the ObjectType or a supertype; the
// Object's own Method of that name is then the one that runs (5.12.2.2).
func (s *Server) method(objectID, methodID uabinary.NodeID) (object, method *addressspace.Node, code ua.StatusCode) {
	object, code = s.node(objectID)
	switch {
	case code != ua.StatusOK:
		return nil, nil, code
	case object.Class != ua.NodeClassObject && object.Class != ua.NodeClassObjectType:
		return nil, nil, ua.StatusBadNodeIDInvalid
	}
	method = s.space.Node(methodID)
	switch {
	case method == nil || method.Method == nil:
		return nil, nil, ua.StatusBadMethodInvalid
	case s.hasComponent(object, func(n *addressspace.Node) bool { return n == method }) != nil:
		if object.Class == ua.NodeClassObjectType && hasModellingRule(method) {
			return nil, nil, ua.StatusBadMethodInvalid // it is there to be copied to instances
		}
		return object, method, ua.StatusOK
	case !s.typeHas(object, method):
		return nil, nil, ua.StatusBadMethodInvalid
	}
	own := s.hasComponent(object, func(n *addressspace.Node) bool {
		return n.Method != nil && n.BrowseName == method.BrowseName
	})
	if own != nil {
		method = own
	}
	return object, method, ua.StatusOK
}

// typeHas reports whether the ObjectType of an Object has that Method.
func (s *Server) typeHas(object, method *addressspace.Node) bool {
	for t := s.space.Node(object.TypeDefinition()); t != nil; t = t.Supertype() {
		if s.hasComponent(t, func(n *addressspace.Node) bool { return n == method }) != nil {
			return true
		}
	}
	return false
}

// hasComponent returns the first component of n that is what is looked for.
func (s *Server) hasComponent(n *addressspace.Node, wanted func(*addressspace.Node) bool) *addressspace.Node {
	for r := range n.References() {
		if r.Inverse || !s.space.IsSubtype(r.Type, uabinary.NumericID(0, id.HasComponent)) {
			continue
		}
		if target := s.space.Node(r.Target); target != nil && wanted(target) {
			return target
		}
	}
	return nil
}

func hasModellingRule(n *addressspace.Node) bool {
	for r := range n.References() {
		if !r.Inverse && r.Type == uabinary.NumericID(0, id.HasModellingRule) {
			return true
		}
	}
	return false
}
