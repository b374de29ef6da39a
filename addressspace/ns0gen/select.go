package main

import (
	"github.com/gopcua/opcua/id"
)

// absent are nodes that are left out with everything that can be reached
// through them only: what this server does not do, it does not show.
var absent = []uint32{
	// Methods and Properties of the Server object that need code behind them.
	id.Server_SetSubscriptionDurable,
	id.Server_RequestServerStateChange,
	id.Server_EstimatedReturnTime,
	id.Server_LocalTime,
	id.Server_URIsVersion,
	// Parts of the Server object for features it does not have.
	id.ServerConfiguration,
	id.PublishSubscribe,
	id.Dictionaries,
	id.Resources,
	id.DataSetClasses,
	id.HistoryServerCapabilities,
	id.Server_ServerCapabilities_RoleSet,
	id.Server_ServerCapabilities_MaxSelectClauseParameters,
	id.Server_ServerCapabilities_MaxWhereClauseParameters,
	id.Server_ServerCapabilities_ConformanceUnits,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerNodeManagement,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadEvents,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateData,
	id.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateEvents,
	id.Server_ServerDiagnostics_SamplingIntervalDiagnosticsArray,
	id.OPCUANamespaceMetadata_DefaultRolePermissions,
	id.OPCUANamespaceMetadata_DefaultUserRolePermissions,
	id.OPCUANamespaceMetadata_DefaultAccessRestrictions,
	// Other entries of the Objects folder.
	id.Aliases,
	id.Locations,
	// The type dictionaries of 1.03, in favour of DataTypeDefinition.
	id.OpcUa_BinarySchema,
	id.OpcUa_XMLSchema,
}

// oneWay are the types of references that are kept forward only: nobody reads
// the thousands of instances of PropertyType there.
var oneWay = map[uint32]bool{id.HasTypeDefinition: true, id.HasModellingRule: true}

// cut marks the nodes that remain: those that can be browsed to, and the
// encodings of DataTypes.
func (s *nodeset) cut() {
	gone := map[uint32]bool{}
	for _, id := range absent {
		gone[id] = true
	}
	s.offerModellingRules()
	for todo := []uint32{id.RootFolder}; len(todo) > 0; {
		n := s.nodes[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if n.remains || gone[n.id] || s.isForeignEncoding(n) {
			continue
		}
		n.remains = true
		for r := range n.refs {
			if !r.inverse && (r.typ == id.HasEncoding || s.isSubtypeOf(s.nodes[r.typ], id.HierarchicalReferences)) {
				todo = append(todo, r.target)
			}
		}
	}
}

// offerModellingRules puts the ModellingRules below their folder, where they
// shall be found (Part 5 (1.05), 6.3.2). The file leaves that to the server.
func (s *nodeset) offerModellingRules() {
	folder := s.nodes[id.Server_ServerCapabilities_ModellingRules]
	for _, n := range s.nodes {
		if n.refs[reference{typ: id.HasTypeDefinition, target: id.ModellingRuleType}] {
			folder.refs[reference{typ: id.HasComponent, target: n.id}] = true
			n.refs[reference{typ: id.HasComponent, target: folder.id, inverse: true}] = true
		}
	}
}

// isForeignEncoding reports whether n is the XML or JSON encoding of a
// DataType, which this server does not speak.
func (s *nodeset) isForeignEncoding(n *node) bool {
	return n.refs[reference{typ: id.HasTypeDefinition, target: id.DataTypeEncodingType}] &&
		n.browseName() != "Default Binary"
}
