package addressspace

import (
	"slices"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func TestSetRedundancy(t *testing.T) {
	s := New("urn:test")
	object := s.Node(uabinary.NumericID(0, id.Server_ServerRedundancy))
	array := uabinary.NumericID(0, id.Server_ServerRedundancy_ServerURIArray)
	properties := func() (names []string) {
		for r := range object.References() {
			if !r.Inverse && r.Type == uabinary.NumericID(0, id.HasProperty) {
				names = append(names, s.Node(r.Target).BrowseName.Name)
			}
		}
		return names
	}
	for range 2 {
		for _, tt := range []struct {
			support ua.RedundancySupport
			uris    []string
			typ     uint32
		}{
			{ua.RedundancySupportHot, []string{"urn:a", "urn:b"}, id.NonTransparentRedundancyType},
			{ua.RedundancySupportCold, []string{"urn:c"}, id.NonTransparentRedundancyType},
			{ua.RedundancySupportNone, []string{"urn:c"}, id.ServerRedundancyType},
		} {
			s.SetRedundancy(tt.support, tt.uris)
			if got := object.TypeDefinition(); got != uabinary.NumericID(0, tt.typ) {
				t.Errorf("%v: of type %v", tt.support, got)
			}
			if got := s.Variable(uabinary.NumericID(0, id.Server_ServerRedundancy_RedundancySupport)).Value().Value.Any(); got != int32(tt.support) {
				t.Errorf("%v: shown as %v", tt.support, got)
			}
			if tt.support == ua.RedundancySupportNone {
				if s.Node(array) != nil || !slices.Equal(properties(), []string{"RedundancySupport"}) {
					t.Errorf("alone: %v", properties())
				}
				continue
			}
			n := s.Node(array)
			if n == nil || !slices.Equal(n.Variable.Value().Value.Any().([]string), tt.uris) || n.TypeDefinition() != uabinary.NumericID(0, id.PropertyType) {
				t.Fatalf("%v: %+v", tt.support, n)
			}
			if !slices.Equal(properties(), []string{"RedundancySupport", "ServerUriArray"}) {
				t.Errorf("%v: %v", tt.support, properties())
			}
		}
	}
}
