package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// group is one generated file.
type group struct {
	file  string // without _gen.go
	where string // what the doc comment of each type says, with the clause
	roots []string
	types []*structure // the roots and what they need, in the order to write
}

// common holds what more than one group needs.
const common = "common"

// layout names the generated files and the types to begin with. A name that
// ends in * stands for the request and the response of a service. Structures
// inside them need not be named.
func layout() []group {
	return []group{
		{file: common, where: "is used by several service sets: Part 4 (1.05), 7",
			roots: []string{"ServiceFault", "RequestHeader", "ResponseHeader", "AdditionalParametersType", "EphemeralKeyType"}},
		{file: "content_filter", where: "selects nodes and events: Part 4 (1.05), 7.7",
			roots: []string{"ContentFilter", "ContentFilterResult", "ElementOperand", "LiteralOperand", "AttributeOperand", "SimpleAttributeOperand"}},
		{file: "discovery", where: "belongs to the Discovery service set: Part 4 (1.05), 5.5",
			roots: []string{"FindServers*", "FindServersOnNetwork*", "GetEndpoints*", "RegisterServer*", "RegisterServer2*", "MdnsDiscoveryConfiguration"}},
		{file: "secure_channel", where: "belongs to the SecureChannel service set: Part 4 (1.05), 5.6",
			roots: []string{"OpenSecureChannel*", "CloseSecureChannel*"}},
		{file: "session", where: "belongs to the Session service set: Part 4 (1.05), 5.7",
			roots: []string{"CreateSession*", "ActivateSession*", "CloseSession*", "Cancel*", "AnonymousIdentityToken", "UserNameIdentityToken", "X509IdentityToken", "IssuedIdentityToken"}},
		{file: "node_management", where: "belongs to the NodeManagement service set: Part 4 (1.05), 5.8",
			roots: []string{"AddNodes*", "AddReferences*", "DeleteNodes*", "DeleteReferences*"}},
		{file: "node_attributes", where: "gives AddNodes the Attributes of a node: Part 4 (1.05), 7.24",
			roots: []string{"ObjectAttributes", "VariableAttributes", "MethodAttributes", "ObjectTypeAttributes", "VariableTypeAttributes", "ReferenceTypeAttributes", "DataTypeAttributes", "ViewAttributes", "GenericAttributes"}},
		{file: "view", where: "belongs to the View service set: Part 4 (1.05), 5.9",
			roots: []string{"Browse*", "BrowseNext*", "TranslateBrowsePathsToNodeIDs*", "RegisterNodes*", "UnregisterNodes*"}},
		{file: "query", where: "belongs to the Query service set: Part 4 (1.05), 5.10",
			roots: []string{"QueryFirst*", "QueryNext*"}},
		{file: "attribute", where: "belongs to the Attribute service set: Part 4 (1.05), 5.11",
			roots: []string{"Read*", "Write*"}},
		{file: "history_read", where: "serves HistoryRead: Part 4 (1.05), 5.11.3; Part 11 (1.05), 6",
			roots: []string{"HistoryRead*", "ReadEventDetails", "ReadRawModifiedDetails", "ReadProcessedDetails", "ReadAtTimeDetails", "ReadAnnotationDataDetails", "HistoryData", "HistoryModifiedData", "HistoryEvent", "Annotation"}},
		{file: "history_update", where: "serves HistoryUpdate: Part 4 (1.05), 5.11.5; Part 11 (1.05), 6",
			roots: []string{"HistoryUpdate*", "UpdateDataDetails", "UpdateStructureDataDetails", "UpdateEventDetails", "DeleteRawModifiedDetails", "DeleteAtTimeDetails", "DeleteEventDetails"}},
		{file: "method", where: "belongs to the Method service set: Part 4 (1.05), 5.12",
			roots: []string{"Call*"}},
		{file: "monitored_item", where: "belongs to the MonitoredItem service set: Part 4 (1.05), 5.13",
			roots: []string{"CreateMonitoredItems*", "ModifyMonitoredItems*", "SetMonitoringMode*", "SetTriggering*", "DeleteMonitoredItems*"}},
		{file: "monitoring_filter", where: "selects what a MonitoredItem reports: Part 4 (1.05), 7.22",
			roots: []string{"DataChangeFilter", "EventFilter", "EventFilterResult", "AggregateFilter", "AggregateFilterResult"}},
		{file: "subscription", where: "belongs to the Subscription service set: Part 4 (1.05), 5.14",
			roots: []string{"CreateSubscription*", "ModifySubscription*", "SetPublishingMode*", "Publish*", "Republish*", "TransferSubscriptions*", "DeleteSubscriptions*"}},
		{file: "notification", where: "carries what a Subscription reports: Part 4 (1.05), 7.25 and 7.26",
			roots: []string{"NotificationMessage", "DataChangeNotification", "EventNotificationList", "StatusChangeNotification"}},
		{file: "data_type", where: "describes DataTypes and values: Part 3 (1.05), 8; Part 8 (1.05), 5.6",
			roots: []string{"Argument", "EnumValueType", "EnumDefinition", "StructureDefinition", "OptionSet", "TimeZoneDataType", "RolePermissionType", "IdentityMappingRuleType", "Range", "EUInformation", "AxisInformation", "XVType", "ComplexNumberType", "DoubleComplexNumberType"}},
		{file: "server", where: "describes a Server: Part 5 (1.05), 12",
			roots: []string{"ServerStatusDataType", "RedundantServerDataType", "NetworkGroupDataType", "ModelChangeStructureDataType", "SemanticChangeStructureDataType", "ProgramDiagnosticDataType", "ProgramDiagnostic2DataType", "TrustListDataType"}},
		{file: "diagnostics", where: "counts what happens in a Server: Part 5 (1.05), 12",
			roots: []string{"ServerDiagnosticsSummaryDataType", "SamplingIntervalDiagnosticsDataType", "SessionDiagnosticsDataType", "SessionSecurityDiagnosticsDataType", "SubscriptionDiagnosticsDataType"}},
	}
}

// arrange puts every type into the group that names it, the only group that
// needs it, or common. It fails if a service is in none.
func arrange(s *schema) ([]group, error) {
	groups := layout()
	named := map[string]string{}
	for i := range groups {
		groups[i].roots = expand(groups[i].roots)
		for _, name := range groups[i].roots {
			named[name] = groups[i].file
		}
	}
	owner := maps.Clone(named)
	for _, g := range groups {
		for _, name := range g.roots {
			if err := s.check(name, nil); err != nil {
				return nil, err
			}
			s.claim(owner, named, name, g.file)
		}
	}
	for _, name := range s.services {
		if owner[name] == "" {
			return nil, fmt.Errorf("service message %s is in no group", name)
		}
	}
	for i := range groups {
		for _, name := range slices.Sorted(maps.Keys(owner)) {
			if owner[name] == groups[i].file {
				groups[i].types = append(groups[i].types, s.structs[name])
			}
		}
	}
	return groups, nil
}

func expand(roots []string) (names []string) {
	for _, name := range roots {
		service, ok := strings.CutSuffix(name, "*")
		if !ok {
			names = append(names, name)
			continue
		}
		names = append(names, service+"Request", service+"Response")
	}
	return names
}

// check refuses structures that the emitted code could not bound: one that
// contains itself would recurse without limit, an array of one without fields
// would cost its sender nothing. within holds the types on the way here.
func (s *schema) check(name string, within []string) error {
	st := s.structs[name]
	switch {
	case st == nil:
		return fmt.Errorf("gopcua has no struct %s", name)
	case len(st.fields) == 0:
		return fmt.Errorf("%s has no fields", name)
	case slices.Contains(within, name):
		return fmt.Errorf("%s contains itself", name)
	}
	for _, f := range st.fields {
		if s.structs[f.elem] == nil {
			continue
		}
		if err := s.check(f.elem, append(within, name)); err != nil {
			return err
		}
	}
	return nil
}

// claim gives the structures inside name to file, or to common if another file
// has claimed them. Named ones look after themselves.
func (s *schema) claim(owner, named map[string]string, name, file string) {
	for _, f := range s.structs[name].fields {
		if s.structs[f.elem] == nil || named[f.elem] != "" {
			continue
		}
		switch owner[f.elem] {
		case "":
			owner[f.elem] = file
		case file:
		default:
			owner[f.elem] = common
		}
		s.claim(owner, named, f.elem, file)
	}
}
